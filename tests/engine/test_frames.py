"""Frames, byte for byte, against packets built one at a time."""

import struct
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amon.engine.packets.checksum import flow_checksums
from amon.engine.packets.frames import Crafter, spec
from amon.engine.packets.targets import NO_HOP, Targets, unpack
from amon.engine.shapes import LINK, NETWORK, STRIDE, U8, U64
from tests.engine import scalar
from tests.engine.test_targets import packed

IDENTITY = b"amon probe engine; questions: noc@example.org"
V4 = IPv4Address("192.0.2.1")
V6 = IPv6Address("2001:db8::1")


@dataclass
class Hops:
    """Next hops: row n is reached from 2001:db8::n or 192.0.2.n."""

    count: int
    version: int = 0
    smac: U8 = field(init=False)
    dmac: U8 = field(init=False)
    source_high: U64 = field(init=False)
    source_low: U64 = field(init=False)

    def __post_init__(self) -> None:
        rows = np.arange(self.count)
        self.smac = np.stack([rows + 10 * column for column in range(6)], axis=1).astype(np.uint8)
        self.dmac = self.smac + np.uint8(100)
        sources = [scalar.halves(self.source(row)) for row in range(self.count)]
        self.source_high = np.array([high for high, _ in sources], np.uint64)
        self.source_low = np.array([low for _, low in sources], np.uint64)

    def source(self, row: int) -> scalar.Address:
        """Even rows lead to IPv4."""
        return V6 + row if row % 2 else V4 + row


def link(hops: Hops, row: int, v6: bool) -> bytes:
    kind = struct.pack(">H", 0x86DD if v6 else 0x0800)
    return bytes(12) + kind if row == NO_HOP else hops.dmac[row].tobytes() + hops.smac[row].tobytes() + kind


@dataclass(frozen=True)
class Probe:
    target: scalar.Address
    hop: int
    size: int
    tos: int
    df: bool
    ttl: int
    flow: int
    slot: int
    nonce: int

    def frame(self, hops: Hops, ident: int) -> bytes:
        v6 = self.target.version == 6
        none: scalar.Address = IPv6Address(0) if v6 else IPv4Address(0)
        source = none if self.hop == NO_HOP else hops.source(self.hop)
        request = scalar.Request(
            source, self.target, ident, self.slot, self.nonce, self.size, self.ttl, self.tos, self.df,
            int(flow_checksums(ident)[self.flow]), IDENTITY,
        )  # fmt: skip
        return link(hops, self.hop, v6) + request.packet()


V6_ADDRESSES = st.integers(2**64, 2**128 - 1).map(IPv6Address)  # none of them a mapped one
WORD = st.integers(0, 2**32 - 1)


@st.composite
def probes(draw: st.DrawFn) -> Probe:
    v6 = draw(st.booleans())
    target = draw(V6_ADDRESSES if v6 else st.ip_addresses(v=4))
    hop = draw(st.sampled_from([1, 3, NO_HOP] if v6 else [0, 2, NO_HOP]))
    size = draw(st.sampled_from([16, 17, 18, 56, 57, 1972]) | st.integers(16, 1972))
    byte = st.integers(0, 255)
    return Probe(
        target, hop, size, draw(byte), draw(st.booleans()), draw(byte), draw(byte), draw(WORD),
        draw(st.integers(1, 2**64 - 1)),
    )  # fmt: skip


class Bench:
    """A crafter with targets of its own."""

    def __init__(self, rows: int, ident: int = 0x4D4E) -> None:
        self.memory = np.full((rows, STRIDE), 0xEE, np.uint8)
        self.crafter = Crafter(self.memory, ident, IDENTITY)
        self.hops = Hops(4)
        self.ident = ident

    def craft(self, rows: list[int], some: list[Probe]) -> list[bytes]:
        """The frames as they would be sent, Ethernet header first."""
        targets = Targets(1)
        first = targets.add(*unpack(packed([one.target for one in some])))
        targets.hop[first : first + len(some)] = [one.hop for one in some]
        lengths = self.crafter.craft(
            np.array(rows, np.int64),
            np.array([spec(one.size, one.tos, one.df) for one in some], np.uint32),
            np.array([one.ttl for one in some], np.uint8),
            np.array([one.flow for one in some], np.uint8),
            np.array([one.slot for one in some], np.uint32),
            np.array([one.nonce for one in some], np.uint64),
            targets,
            np.arange(first, first + len(some), dtype=np.uint32),
            self.hops,
        )
        ends = [NETWORK + int(length) for length in lengths]
        return [self.memory[row, LINK:end].tobytes() for row, end in zip(rows, ends, strict=True)]


@settings(deadline=None)
@given(st.lists(st.lists(probes(), max_size=6), min_size=1, max_size=4), st.integers(0, 0xFFFF), st.randoms())
def test_frames_are_those_built_one_at_a_time(rounds: list[list[Probe]], ident: int, random: Random) -> None:
    bench = Bench(8, ident)
    for some in rounds:  # over rows that hold other frames
        rows = random.sample(range(8), len(some))
        assert bench.craft(rows, some) == [one.frame(bench.hops, ident) for one in some]


@settings(deadline=None, max_examples=30)
@given(probes(), st.lists(st.tuples(WORD, st.integers(1, 2**64 - 1), st.integers(0, 255)), min_size=1, max_size=20))
def test_many_frames_alike_are_those_built_one_at_a_time(like: Probe, many: list[tuple[int, int, int]]) -> None:
    bench = Bench(64)
    some = [
        Probe(like.target, like.hop, like.size, like.tos, like.df, like.ttl, flow, slot, nonce)
        for slot, nonce, flow in many
    ]
    rows = list(range(10, 10 + len(some)))
    assert bench.craft(rows, some) == [one.frame(bench.hops, bench.ident) for one in some]


def one_probe(target: scalar.Address, hop: int, slot: int = 0x10002, flow: int = 0, ttl: int = 64) -> Probe:
    return Probe(target, hop, 56, 0, False, ttl, flow, slot, 0x1122334455667788)


@pytest.mark.parametrize(("target", "hop"), [(V4, 0), (V6, 1)])
def test_all_packets_of_a_flow_have_one_checksum(target: scalar.Address, hop: int) -> None:
    at = LINK - LINK + 14 + (20 if hop == 0 else 40) + 2
    for flow in (0, 1, 255):
        some = [one_probe(target, hop, slot, flow, ttl) for slot, ttl in ((1, 1), (0x20001, 2), (0xFFFFFFFF, 30))]
        seen = {frame[at : at + 2] for frame in Bench(3).craft([0, 1, 2], some)}
        assert seen == {struct.pack(">H", int(flow_checksums(0x4D4E)[flow]))}


def test_a_hop_that_changes_is_in_the_next_frame() -> None:
    bench = Bench(1)
    probe = one_probe(V4, 0)
    before = bench.craft([0], [probe])
    bench.hops.dmac[0] = 0x77
    bench.hops.version += 1
    after = bench.craft([0], [probe])
    assert after[0][:6] == b"\x77" * 6
    assert after[0][6:] == before[0][6:]


def test_a_probe_without_a_next_hop_has_no_source() -> None:
    frame = Bench(1).craft([0], [one_probe(V4, NO_HOP)])[0]
    assert frame[:12] == bytes(12)
    assert frame[26:30] == bytes(4)


def test_nothing_behind_the_frame_and_beside_its_row_is_touched() -> None:
    bench = Bench(3)
    bench.craft([1], [one_probe(V6, 1)])
    assert (bench.memory[[0, 2]] == 0xEE).all()
    assert (bench.memory[1, NETWORK + 40 + 8 + 56 :] == 0xEE).all()


def test_an_identity_is_cut_to_the_size_and_followed_by_zeros() -> None:
    for identity in (b"", b"a", b"x" * 3000):
        memory = np.zeros((1, STRIDE), np.uint8)
        bench = Bench(1)
        bench.crafter, bench.memory = Crafter(memory, 7, identity), memory
        frame = bench.craft([0], [one_probe(V4, 0)])[0]
        assert frame[58:] == identity[:40].ljust(40, b"\0")


def test_more_kinds_of_packets_than_are_remembered_are_crafted_too() -> None:
    some = [Probe(V4, 0, 16 + n % 1900, n // 1900, False, 1, 0, n, n + 1) for n in range(5000)]
    bench = Bench(len(some))
    frames = bench.craft(list(range(len(some))), some)
    bench.craft([0], some[:1])
    assert len(bench.crafter._known) == 1
    assert frames[::251] == [one.frame(bench.hops, bench.ident) for one in some[::251]]


def test_no_frames_are_no_work() -> None:
    assert Bench(1).craft([], []) == []


@pytest.mark.parametrize(("size", "tos"), [(15, 0), (1973, 0), (-1, 0), (56, -1), (56, 256)])
def test_what_is_no_packet_is_refused(size: int, tos: int) -> None:
    with pytest.raises(ValueError, match="no packet has"):
        spec(size, tos)


def test_rows_of_another_length_are_refused() -> None:
    with pytest.raises(ValueError, match="a frame has 2048 bytes"):
        Crafter(np.zeros((4, 1024), np.uint8), 1, b"")
