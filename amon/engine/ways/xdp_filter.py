"""The XDP program that takes answers to our echo requests out of an interface's traffic, and nothing else.

Sources: docs.kernel.org/networking/af_xdp.html; bpf-helpers(7); RFC 791, 792, 8200, 4443 for the offsets.

All else goes to the kernel as it came: other protocols and ids, VLAN tags, fragments, IP options, extension headers,
and answers on a queue without a socket. What is taken carries a note over its Ethernet header: when it came
(CLOCK_MONOTONIC, 8 bytes) and how much of its IP packet came (4 bytes), and is cut to the first `SNAP` bytes. No
arithmetic of pointers with anything but numbers that are known: it would need CAP_PERFMON as well.
"""

import sys
from collections.abc import Sequence

from amon.engine.linux.assembler import (
    R0,
    R1,
    R2,
    R3,
    R4,
    R6,
    R7,
    R8,
    R9,
    Instruction,
    Label,
    add_atomically,
    byte,
    call,
    compute,
    double,
    half,
    jump,
    jump_if,
    leave,
    load,
    map_of,
    move,
    store,
    to_network,
    value_of,
    word,
)  # fmt: skip
from amon.engine.shapes import SNAP

Lines = Sequence[Instruction | Label]

# linux/bpf.h: enum xdp_action, helper numbers, struct xdp_md
PASS, REDIRECT = 2, 4
KTIME_GET_NS, REDIRECT_MAP, XDP_ADJUST_TAIL, XDP_GET_BUFF_LEN = 5, 51, 65, 188  # the last one since Linux 5.18
DATA, DATA_END, QUEUE = 0, 4, 16

ETHERNET = 14
STAMP, LENGTH = 0, 8
"""Where in the Ethernet header the note is."""
COUNTS = ("redirected", "other_queue")
"""64-bit numbers of the map: answers of ours handed to a socket, and left to the kernel as their queue has none."""


def in_memory(value: int) -> int:
    """A 16-bit number of the wire as a host reads it from memory without turning its bytes."""
    return int.from_bytes(value.to_bytes(2, "big"), sys.byteorder)


def answers(ident: int, sockets: int, counts: int) -> Lines:
    """sockets: descriptor of an XSKMAP with a socket per queue; counts: of an array with one value, `COUNTS`."""
    return (
        move(R9, R1),
        load(R6, word(R1, DATA)),
        load(R7, word(R1, DATA_END)),
        *_whole(ETHERNET + 20 + 8),
        load(R3, half(R6, 12)),
        jump_if(R3, "==", in_memory(0x0800), "ipv4"),
        jump_if(R3, "==", in_memory(0x86DD), "ipv6"),
        jump("pass"),
        *_ipv4(),
        *_ipv6(),
        Label("ident"),  # R4: the id of the reply or of the quoted request, R8: length of the packet
        jump_if(R4, "!=", in_memory(ident), "pass"),
        *_hand_over(sockets, counts),
        Label("pass"),
        move(R0, PASS),
        leave(),
    )


def _whole(length: int) -> Lines:
    """Go on only if the frame has this many bytes."""
    return move(R2, R6), compute(R2, "+", length), jump_if(R2, ">", R7, "pass")


def _ipv4() -> Lines:
    inner = ETHERNET + 20 + 8
    return (
        Label("ipv4"),
        load(R3, byte(R6, ETHERNET)),
        jump_if(R3, "!=", 0x45, "pass"),  # options
        load(R3, half(R6, ETHERNET + 6)),
        jump_if(R3, "&", in_memory(0x3FFF), "pass"),  # a fragment
        load(R3, byte(R6, ETHERNET + 9)),
        jump_if(R3, "!=", 1, "pass"),
        load(R8, half(R6, ETHERNET + 2)),
        to_network(R8, 16),
        load(R4, half(R6, ETHERNET + 20 + 4)),
        load(R3, byte(R6, ETHERNET + 20)),
        jump_if(R3, "==", 0, "ident"),
        jump_if(R3, "==", 3, "quoted4"),
        jump_if(R3, "==", 11, "quoted4"),
        jump_if(R3, "!=", 12, "pass"),
        Label("quoted4"),
        *_whole(inner + 20 + 8),
        load(R3, byte(R6, inner)),
        jump_if(R3, "!=", 0x45, "pass"),
        load(R3, half(R6, inner + 6)),
        jump_if(R3, "&", in_memory(0x1FFF), "pass"),  # not the first fragment
        load(R3, byte(R6, inner + 9)),
        jump_if(R3, "!=", 1, "pass"),
        load(R3, byte(R6, inner + 20)),
        jump_if(R3, "!=", 8, "pass"),
        load(R4, half(R6, inner + 20 + 4)),
        jump("ident"),
    )


def _ipv6() -> Lines:
    inner = ETHERNET + 40 + 8
    return (
        Label("ipv6"),
        *_whole(inner),
        load(R3, byte(R6, ETHERNET)),
        compute(R3, "&", 0xF0),
        jump_if(R3, "!=", 0x60, "pass"),
        load(R3, byte(R6, ETHERNET + 6)),
        jump_if(R3, "!=", 58, "pass"),
        load(R8, half(R6, ETHERNET + 4)),
        to_network(R8, 16),
        compute(R8, "+", 40),
        load(R4, half(R6, ETHERNET + 40 + 4)),
        load(R3, byte(R6, ETHERNET + 40)),
        jump_if(R3, "==", 129, "ident"),
        jump_if(R3, "==", 0, "pass"),
        jump_if(R3, ">", 4, "pass"),
        *_whole(inner + 40 + 8),
        load(R3, byte(R6, inner + 6)),
        jump_if(R3, "!=", 58, "pass"),
        load(R3, byte(R6, inner + 40)),
        jump_if(R3, "!=", 128, "pass"),
        load(R4, half(R6, inner + 40 + 4)),
        jump("ident"),
    )


def _hand_over(sockets: int, counts: int) -> Lines:
    return (
        map_of(R1, sockets),
        load(R2, word(R9, QUEUE)),
        move(R3, PASS),  # where this queue has no socket
        call(REDIRECT_MAP),
        move(R4, 1),
        value_of(R1, counts, 0),
        jump_if(R0, "==", REDIRECT, "redirect"),
        add_atomically(double(R1, 8), R4),
        leave(),
        Label("redirect"),
        add_atomically(double(R1, 0), R4),
        call(KTIME_GET_NS),
        store(double(R6, STAMP), R0),
        move(R1, R9),
        call(XDP_GET_BUFF_LEN),
        compute(R0, "-", ETHERNET),
        # Ethernet pads short packets; and a packet may have been cut on its way.
        jump_if(R8, "<=", R0, "whole"),
        move(R8, R0),
        Label("whole"),
        store(word(R6, LENGTH), R8),
        jump_if(R0, "<=", SNAP, "taken"),
        move(R1, R9),
        move(R2, SNAP),
        compute(R2, "-", R0),
        call(XDP_ADJUST_TAIL),
        Label("taken"),
        move(R0, REDIRECT),
        leave(),
    )
