"""The socket filters, run by the kernel on a pair of unix sockets: what the decoder reads as ours must come through."""

import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.linux.classic import assemble, attach, from_icmpv6, from_ipv4
from amon.engine.shapes import SNAP
from tests.engine import scalar
from tests.engine.packets import HERE, IDENT, ROUTER, answers, request, with_options


@contextmanager
def filtered(program: bytes) -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        attach(far, program)
        far.setblocking(False)
        yield near, far


def passes(ends: tuple[socket.socket, socket.socket], packet: bytes) -> bool:
    near, far = ends
    near.send(packet)
    try:
        return far.recv(65536) == packet
    except BlockingIOError:
        return False


@given(answers())
def test_what_the_decoder_reads_as_ours_comes_through(packet: bytes) -> None:
    if scalar.read(packet, IDENT).verdict != "fine":
        return
    if packet[0] >> 4 == 4:
        with filtered(from_ipv4(IDENT)) as ends:
            assert passes(ends, packet)
    elif packet[6] == 58 and not _quotes_a_chain(packet):
        with filtered(from_icmpv6(IDENT)) as ends:
            assert passes(ends, packet[40:])  # a raw socket gets what is behind the IP headers


def _quotes_a_chain(packet: bytes) -> bool:
    """What is quoted has more extension headers than the one the filter walks over, or one that is rare."""
    if packet[40] >= 128 or packet[54] == 58:
        return False
    return packet[54] not in (0, 43, 44, 60) or packet[88] != 58


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_only_our_id_comes_through(theirs: int, ours: int) -> None:
    body = struct.pack(">HH", theirs, 7) + bytes(20)
    with filtered(from_ipv4(ours)) as ends:
        assert passes(ends, scalar.ipv4(ROUTER[4], HERE[4], scalar.icmp(0, 0, body))) == (theirs == ours)
    with filtered(from_icmpv6(ours)) as ends:
        assert passes(ends, scalar.icmp(129, 0, body, (ROUTER[6], HERE[6]))) == (theirs == ours)


@pytest.mark.parametrize("family", [4, 6])
def test_errors_about_our_packets_come_through_and_others_do_not(family: int) -> None:
    error = request(family).error(11 if family == 4 else 3, 0, ROUTER[family])
    behind = error if family == 4 else error[40:]
    for ident in (IDENT, IDENT + 1):
        with filtered((from_ipv4 if family == 4 else from_icmpv6)(ident)) as ends:
            assert passes(ends, behind) == (ident == IDENT)


@pytest.mark.parametrize("words", range(11))
def test_ip_options_are_walked_over(words: int) -> None:
    with filtered(from_ipv4(IDENT)) as ends:
        assert passes(ends, with_options(request(4).reply(), b"\x01" * 4 * words))


@pytest.mark.parametrize("kind", [5, 8, 9, 10, 13, 14, 17])
def test_other_icmp_does_not_come_through(kind: int) -> None:
    body = struct.pack(">HH", IDENT, 7) + bytes(20)
    with filtered(from_ipv4(IDENT)) as ends:
        assert not passes(ends, scalar.ipv4(ROUTER[4], HERE[4], scalar.icmp(kind, 0, body)))
        assert not passes(ends, scalar.ipv4(ROUTER[4], HERE[4], scalar.icmp(0, 0, body), protocol=17))


def test_of_a_fragmented_answer_the_first_part_comes_through() -> None:
    body = scalar.icmp(0, 0, struct.pack(">HH", IDENT, 7) + bytes(20))
    with filtered(from_ipv4(IDENT)) as ends:
        assert passes(ends, scalar.ipv4(ROUTER[4], HERE[4], body, fragment=0x2000))
        assert not passes(ends, scalar.ipv4(ROUTER[4], HERE[4], body, fragment=0x2001))


@given(st.binary(max_size=200))
def test_no_bytes_make_a_filter_stumble(packet: bytes) -> None:
    for program in (from_ipv4(IDENT), from_icmpv6(IDENT)):
        with filtered(program) as ends:
            passes(ends, packet)


def test_a_long_packet_comes_through_whole() -> None:
    """A filter that let only its head through would have cut the packet, and nobody knew how long it was."""
    packet = scalar.ipv4(ROUTER[4], HERE[4], scalar.icmp(0, 0, struct.pack(">HH", IDENT, 7) + bytes(10 * SNAP)))
    with filtered(from_ipv4(IDENT)) as ends:
        assert passes(ends, packet)


def test_labels_become_distances_forward() -> None:
    program = assemble(
        [("ld", 0), ("equal", 5, "there"), ("jump", 0, "end"), "there", ("return", 1), "end", ("return", 0)]
    )
    assert [struct.unpack_from("=HBBI", program, 8 * row) for row in range(5)] == [
        (0x20, 0, 0, 0), (0x15, 1, 0, 5), (0x05, 0, 0, 1), (0x06, 0, 0, 1), (0x06, 0, 0, 0),
    ]  # fmt: skip
