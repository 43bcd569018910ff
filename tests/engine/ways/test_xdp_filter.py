"""The XDP program, given one frame after the other: what it takes, and that it leaves all else as it came."""

import socket
import struct
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given, settings

from amon.engine.linux.bpf import XSKMAP, Counts, Map, Program
from amon.engine.linux.xsk import AF_XDP
from amon.engine.shapes import SNAP
from amon.engine.ways.xdp_filter import PASS, REDIRECT, answers
from tests.engine import packets, scalar
from tests.engine.packets import HERE, IDENT, ROUTER, request, with_chain, with_options
from tests.lab.namespaces import needs_root

pytestmark = [pytest.mark.lab, needs_root]

MAC = bytes.fromhex("020000000001020000000002")
IPV4, IPV6, VLAN, ARP = b"\x08\x00", b"\x86\xdd", b"\x81\x00\x00\x07", b"\x08\x06"


@dataclass(frozen=True, slots=True)
class Filter:
    program: Program
    counts: Counts

    def taken(self) -> tuple[int, int]:
        """Redirected, and left to the kernel as there was no socket."""
        redirected, elsewhere = self.counts.read()
        return redirected, elsewhere

    def takes(self, frame: bytes) -> bool:
        """Whether it is ours; without a socket it must go on to the kernel as it came even so."""
        before = self.taken()
        assert self.program.run(frame) == (PASS, frame)
        redirected, elsewhere = self.taken()
        assert redirected == before[0]
        return elsewhere == before[1] + 1


@contextmanager
def loaded(sockets: Map) -> Iterator[Filter]:
    with Counts(2) as counts:
        lines = answers(IDENT, sockets.descriptor, counts.descriptor)
        with Program(lines, "amon_test") as program:
            yield Filter(program, counts)


@pytest.fixture(scope="module")
def blind() -> Iterator[Filter]:
    """It has no socket to hand anything to."""
    with Map(XSKMAP, 4, 1) as sockets, loaded(sockets) as made:
        yield made


@pytest.fixture
def seeing() -> Iterator[Filter]:
    with Map(XSKMAP, 4, 1) as sockets, socket.socket(AF_XDP, socket.SOCK_RAW) as ours, loaded(sockets) as made:
        sockets[0] = struct.pack("=I", ours.fileno())
        yield made


def framed(packet: bytes) -> bytes:
    return MAC + (IPV4 if packet[0] >> 4 == 4 else IPV6) + packet


OURS = {
    "echo reply": request(4).reply(),
    "echo reply, the least": request(4, size=16).reply(payload=b""),
    "echo reply, from anybody": request(4).reply(source=IPv4Address("203.0.113.9")),
    "unreachable": request(4).error(3, 1, ROUTER[4]),
    "time exceeded": request(4).error(11, 0, ROUTER[4]),
    "parameter problem": request(4).error(12, 0, ROUTER[4]),
    "time exceeded, 8 bytes quoted": request(4).error(11, 0, ROUTER[4], quoted=8),
    "v6 echo reply": request(6).reply(),
    "v6 unreachable": request(6).error(1, 3, ROUTER[6]),
    "v6 packet too big": request(6).error(2, 0, ROUTER[6], rest=1280),
    "v6 time exceeded": request(6).error(3, 0, ROUTER[6]),
    "v6 parameter problem": request(6).error(4, 0, ROUTER[6]),
    "v6 time exceeded, 8 bytes quoted": request(6).error(3, 0, ROUTER[6], quoted=8),
}


@pytest.mark.parametrize("packet", OURS.values(), ids=OURS)
def test_an_answer_of_ours_is_taken(blind: Filter, packet: bytes) -> None:
    assert blind.takes(framed(packet))


@pytest.mark.parametrize("packet", OURS.values(), ids=OURS)
def test_an_answer_to_another_id_is_left(blind: Filter, packet: bytes) -> None:
    ours, theirs = IDENT.to_bytes(2, "big"), (IDENT + 1).to_bytes(2, "big")
    assert not blind.takes(framed(packet.replace(ours, theirs)))


def quoting(family: int, inside: bytes) -> bytes:
    return request(family).error(11 if family == 4 else 3, 0, ROUTER[family], quote=inside)


def datagram(family: int) -> bytes:
    """UDP, whose bytes would read as an echo request of ours."""
    body = request(family).packet()[20 if family == 4 else 40 :]
    if family == 4:
        return scalar.ipv4(HERE[4], ROUTER[4], body, protocol=17)
    return scalar.ipv6(HERE[6], ROUTER[6], body, following=17)


NOT_OURS = {
    "echo request": framed(request(4).packet()),
    "redirect": framed(request(4).error(5, 1, ROUTER[4])),
    "source quench": framed(request(4).error(4, 0, ROUTER[4])),
    "UDP": framed(datagram(4)),
    "error about UDP": framed(quoting(4, datagram(4))),
    "error about a reply": framed(quoting(4, request(4).reply())),
    "error about a later fragment": framed(quoting(4, scalar.ipv4(HERE[4], ROUTER[4], bytes(64), fragment=5))),
    "error that quotes 7 bytes": framed(request(4).error(11, 0, ROUTER[4], quoted=7)),
    "options": framed(with_options(request(4).reply(), b"\x01\x01\x01\x00")),
    "first fragment": framed(scalar.ipv4(ROUTER[4], HERE[4], request(4).reply()[20:], fragment=0x2000)),
    "later fragment": framed(scalar.ipv4(ROUTER[4], HERE[4], request(4).reply()[20:], fragment=7)),
    "VLAN": MAC + VLAN + IPV4 + request(4).reply(),
    "ARP": MAC + ARP + request(4).reply(),
    "too short for IPv4": framed(request(4).reply())[:41],
    "v6 echo request": framed(request(6).packet()),
    "v6 type 0": framed(request(6).error(0, 0, ROUTER[6])),
    "v6 neighbour": framed(request(6).error(135, 0, ROUTER[6])),
    "v6 type 5": framed(request(6).error(5, 0, ROUTER[6])),
    "v6 UDP": framed(datagram(6)),
    "v6 error about UDP": framed(quoting(6, datagram(6))),
    "v6 error about a reply": framed(quoting(6, request(6).reply())),
    "v6 error that quotes 7 bytes": framed(request(6).error(3, 0, ROUTER[6], quoted=7)),
    "v6 hop-by-hop": framed(with_chain(request(6).reply(), [(0, bytes(7))])),
    "v6 fragment": framed(with_chain(request(6).reply(), [(44, bytes(7))])),
    "v6 VLAN": MAC + VLAN + IPV6 + request(6).reply(),
    "v6 cut in its header": framed(request(6).reply())[:50],
    "IPv4 in a frame of IPv6": MAC + IPV6 + request(4).reply(),
    "IPv6 in a frame of IPv4": MAC + IPV4 + request(6).reply(),
    "nothing behind Ethernet": MAC + IPV4,
}


@pytest.mark.parametrize("frame", NOT_OURS.values(), ids=NOT_OURS)
def test_what_is_not_ours_is_left_as_it_is(blind: Filter, frame: bytes) -> None:
    assert not blind.takes(frame)


def is_plain(packet: bytes) -> bool:
    """Without what is left to the kernel: IPv4 options and fragments, IPv6 extension headers; outside and quoted."""
    if packet[0] >> 4 == 4:
        fields = packet[0], packet[9], int.from_bytes(packet[6:8], "big") & 0x3FFF
        plain = fields == (0x45, 1, 0)
        inner = packet[28:]
        if packet[20:21] != b"\0" and plain and len(inner) > 20:
            plain = inner[0] == 0x45 and not int.from_bytes(inner[6:8], "big") & 0x1FFF and inner[9] == 1
        return plain
    plain = packet[6] == 58
    return plain and (packet[40] == 129 or packet[54:55] == b"\x3a")


@settings(max_examples=400, deadline=None)
@given(packet=packets.ANYTHING)
def test_it_takes_what_the_slow_reader_takes_for_ours_and_changes_nothing(blind: Filter, packet: bytes) -> None:
    if not packet:
        return
    taken = blind.takes(framed(packet))
    read = scalar.read(packet, IDENT, verified=True)
    if read.verdict == "fine" and is_plain(packet):
        assert taken
    if read.verdict == "foreign":
        assert not taken


@pytest.mark.parametrize("size", [0, 16, 56, 500, 1400])
@pytest.mark.parametrize("family", [4, 6])
def test_what_is_taken_says_when_it_came_and_how_long_it_is(seeing: Filter, family: int, size: int) -> None:
    packet = request(family).reply(payload=bytes(range(250)) * (size // 250) + bytes(size % 250))
    before = time.monotonic_ns()
    verdict, changed = seeing.program.run(framed(packet) + bytes(max(0, 46 - len(packet))))  # Ethernet pads to 60
    stamp, length = struct.unpack_from("=QI", changed)
    assert verdict == REDIRECT
    assert before <= stamp <= time.monotonic_ns()
    assert length == len(packet)
    kept = packet[:SNAP]
    assert changed[14 : 14 + len(kept)] == kept
    assert len(changed) == 14 + max(len(kept), min(46, SNAP))
    assert seeing.taken() == (1, 0)


@pytest.mark.parametrize("kept", [60, 100, 300])
@pytest.mark.parametrize("family", [4, 6])
def test_of_a_packet_that_was_cut_on_its_way_the_length_is_what_came(seeing: Filter, family: int, kept: int) -> None:
    packet = request(family).reply(payload=bytes(400))[:kept]
    verdict, changed = seeing.program.run(framed(packet))
    assert verdict == REDIRECT
    assert struct.unpack_from("=I", changed, 8) == (kept,)
    assert changed[14:] == packet[:SNAP]


def test_addresses_do_not_matter(blind: Filter) -> None:
    other = scalar.Request(IPv6Address("fe80::1"), IPv6Address("ff02::1"), IDENT, 1, 2)
    assert blind.takes(framed(other.reply()))
