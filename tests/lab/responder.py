"""A target that answers every echo request before its kernel sees it: an XDP program at an interface's end.

Sources: RFC 792, RFC 4443 (echo), RFC 1624 (what a changed type does to the checksum); linux/bpf.h. So cheap that what
a prober reaches against it is the prober's own; it answers for every address.
"""

import ctypes
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from amon.engine.linux.assembler import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R5,
    R6,
    R7,
    Instruction,
    Label,
    Place,
    add_atomically,
    byte,
    compute,
    double,
    half,
    jump,
    jump_if,
    leave,
    load,
    move,
    store,
    value_of,
    word,
)  # fmt: skip
from amon.engine.linux.bpf import GENERIC, Counts, Program
from amon.engine.ways.xdp_filter import DATA, DATA_END, ETHERNET, PASS, in_memory

Lines = tuple[Instruction | Label, ...]
TX = 3
CLONE_NEWNET = 0x4000_0000


class Responder:
    """answered: how many echo requests it has turned round."""

    def __init__(self, counts: Counts) -> None:
        self._counts = counts

    @property
    def answered(self) -> int:
        return self._counts.read()[0]


@contextmanager
def responder(interface: str, namespace: str | None = None, mode: int = GENERIC) -> Iterator[Responder]:
    """At `interface` in a network namespace of ip-netns(8) (None: ours) while this is open."""
    with Counts(1, "amon_answered") as counts, Program(echo(counts.descriptor), "amon_responder") as program:
        with inside(namespace):
            link = program.attach(socket.if_nametoindex(interface), mode)
        with link:
            yield Responder(counts)


@contextmanager
def inside(namespace: str | None) -> Iterator[None]:
    """This thread in that network namespace; sockets opened here stay there. See setns(2)."""
    if namespace is None:
        yield
        return
    ours = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        theirs = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            _enter(theirs)
        finally:
            os.close(theirs)
        try:
            yield
        finally:
            _enter(ours)
    finally:
        os.close(ours)


def _enter(descriptor: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(descriptor, CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def echo(counts: int) -> Lines:
    """counts: descriptor of an array with one 64-bit number."""
    return (
        load(R6, word(R1, DATA)),
        load(R7, word(R1, DATA_END)),
        *_whole(ETHERNET + 20 + 8),
        load(R3, half(R6, 12)),
        jump_if(R3, "==", in_memory(0x0800), "ipv4"),
        jump_if(R3, "!=", in_memory(0x86DD), "pass"),
        *_ipv6(),
        *_ipv4(),
        Label("checksum"),  # R3: the sum so far, with carry; R4: the checksum's place
        move(R2, R3),
        compute(R2, ">>", 16),
        compute(R3, "+", R2),
        store(half(R4, 0), R3),
        *_swap(2, 0, 6, 3),
        value_of(R1, counts, 0),
        move(R2, 1),
        add_atomically(double(R1, 0), R2),
        move(R0, TX),
        leave(),
        Label("pass"),
        move(R0, PASS),
        leave(),
    )


def _whole(length: int) -> Lines:
    return move(R2, R6), compute(R2, "+", length), jump_if(R2, ">", R7, "pass")


def _ipv4() -> Lines:
    return (
        Label("ipv4"),
        load(R3, byte(R6, ETHERNET)),
        jump_if(R3, "!=", 0x45, "pass"),
        load(R3, byte(R6, ETHERNET + 9)),
        jump_if(R3, "!=", 1, "pass"),
        load(R3, half(R6, ETHERNET + 20)),
        jump_if(R3, "!=", in_memory(0x0800), "pass"),
        store(half(R6, ETHERNET + 20), 0),
        *_swap(4, ETHERNET + 12, ETHERNET + 16, 1),
        move(R4, R6),
        compute(R4, "+", ETHERNET + 22),
        load(R3, half(R4, 0)),
        compute(R3, "+", in_memory(0x0800)),
    )


def _ipv6() -> Lines:
    return (
        *_whole(ETHERNET + 40 + 8),
        load(R3, byte(R6, ETHERNET + 6)),
        jump_if(R3, "!=", 58, "pass"),
        load(R3, half(R6, ETHERNET + 40)),
        jump_if(R3, "!=", in_memory(0x8000), "pass"),
        store(byte(R6, ETHERNET + 40), 129),
        *_swap(4, ETHERNET + 8, ETHERNET + 24, 4),
        move(R4, R6),
        compute(R4, "+", ETHERNET + 42),
        load(R3, half(R4, 0)),
        compute(R3, "+", 0xFFFF - in_memory(0x0100)),
        jump("checksum"),
    )


def _swap(size: int, one: int, other: int, times: int) -> Lines:
    """`times` items of `size` bytes at `one` with those at `other`."""
    lines: list[Instruction | Label] = []
    for at in range(0, size * times, size):
        here, there = Place(size, R6, one + at), Place(size, R6, other + at)
        lines += (load(R2, here), load(R5, there), store(here, R5), store(there, R2))
    return tuple(lines)
