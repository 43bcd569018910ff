"""Packets as they come back, well formed and not: strategies, and the columns of them that the decoder takes."""

import struct
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address

import numpy as np
from hypothesis import strategies as st

from amon.engine.shapes import SNAP, Packets
from tests.engine import scalar

IDENT = 0xA403
HERE: dict[int, scalar.Address] = {4: IPv4Address("192.0.2.1"), 6: IPv6Address("2001:db8::1")}
THERE: dict[int, scalar.Address] = {4: IPv4Address("198.51.100.7"), 6: IPv6Address("2001:db8:7::7")}
ROUTER: dict[int, scalar.Address] = {4: IPv4Address("203.0.113.254"), 6: IPv6Address("2001:db8:fe::fe")}


def received(packets: Sequence[bytes], verified: bool = False) -> Packets:
    """Stamped 0, 1, 2, … in the order they came."""
    data = np.zeros((len(packets), SNAP), np.uint8)
    for row, packet in enumerate(packets):
        kept = packet[:SNAP]
        data[row, : len(kept)] = np.frombuffer(kept, np.uint8)
    lengths = np.array([len(packet) for packet in packets], np.uint32)
    return Packets(data, lengths, np.arange(len(packets), dtype=np.int64), verified)


def request(family: int, slot: int = 0x00050007, nonce: int = 0x1122334455667788, size: int = 56) -> scalar.Request:
    return scalar.Request(HERE[family], THERE[family], IDENT, slot, nonce, size)


def with_options(packet: bytes, options: bytes) -> bytes:
    """The same IPv4 packet with options in its header."""
    source, target = IPv4Address(packet[12:16]), IPv4Address(packet[16:20])
    _, tos, _, ident, fragment, ttl, protocol, _ = struct.unpack_from(">BBHHHBBH", packet)
    return scalar.ipv4(source, target, packet[20:], ttl, tos, ident, fragment, protocol, options)


def with_chain(packet: bytes, chain: Sequence[tuple[int, bytes]]) -> bytes:
    """The same IPv6 packet with extension headers: their numbers, and what stands behind the first byte."""
    body, following = packet[40:], packet[6]
    for number, rest in reversed(chain):
        body, following = bytes((following,)) + rest + body, number
    source, target = IPv6Address(packet[8:24]), IPv6Address(packet[24:40])
    return scalar.ipv6(source, target, body, packet[7], following=following)


BYTE = st.integers(0, 255)
OPTIONS = st.integers(0, 10).flatmap(lambda words: st.binary(min_size=4 * words, max_size=4 * words))


@st.composite
def chains(draw: st.DrawFn) -> list[tuple[int, bytes]]:
    made = []
    for number in draw(st.lists(st.sampled_from([0, 43, 44, 51, 60, 135]), max_size=draw(st.sampled_from([2, 10])))):
        words = draw(st.integers(0, 2))
        if number == 44:
            rest = bytes(1) + struct.pack(">HI", draw(st.sampled_from([0, 1, 0x10])), draw(st.integers(0, 9)))
        elif number == 51:
            rest = bytes((words,)) + bytes((words + 2) * 4 - 2)
        else:
            rest = bytes((words,)) + draw(BYTE).to_bytes() * (words * 8 + 6)
        made.append((number, rest))
    return made


@st.composite
def requests(draw: st.DrawFn) -> scalar.Request:
    family = draw(st.sampled_from([4, 6]))
    return scalar.Request(
        HERE[family], THERE[family], draw(st.sampled_from([IDENT, IDENT, IDENT, IDENT ^ 1])),
        draw(st.integers(0, 2**32 - 1)), draw(st.integers(0, 2**64 - 1)), draw(st.sampled_from([16, 56, 57, 500])),
        wanted=draw(st.integers(1, 0xFFFE)),
    )  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> bytes:
    """What a host or a router may send about a request."""
    probe = draw(requests())
    v6 = probe.v6
    if draw(st.booleans()):
        payload = draw(st.none() | st.binary(max_size=40))
        packet = probe.reply(payload=payload, ttl=draw(BYTE))
    else:
        kind = draw(st.sampled_from([1, 2, 3, 4, 129, 137] if v6 else [3, 11, 12, 4, 5]))
        inside = probe.packet()
        if draw(st.booleans()):
            inside = with_chain(inside, draw(chains())) if v6 else with_options(inside, draw(OPTIONS))
        quote = inside[: draw(st.sampled_from([48, 60, 28, 40, 576]) | st.integers(0, 120))]
        rest = draw(st.integers(0, 2**32 - 1))
        packet = probe.error(kind, draw(st.integers(0, 5)), ROUTER[6 if v6 else 4], rest=rest, quote=quote)
    if draw(st.integers(0, 3)) == 0:
        packet = with_chain(packet, draw(chains())) if v6 else with_options(packet, draw(OPTIONS))
    return packet


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """Cut, lengthened, or with some bytes changed."""
    packet = bytearray(draw(answers()))
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, min(len(packet), 100) - 1))
        packet[at] = draw(BYTE)
    cut = draw(st.none() | st.integers(0, len(packet)))
    return bytes(packet[:cut]) + draw(st.just(b"") | st.binary(max_size=20))


ANYTHING = answers() | damaged() | st.binary(max_size=180)
