"""The table of addresses: rows next to each other, used again, growing."""

from ipaddress import IPv4Address

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.packets.targets import NO_HOP, Targets, family, pack, unpack
from tests.engine import scalar

ADDRESSES = st.lists(st.ip_addresses(), max_size=50)


def packed(addresses: list[scalar.Address]) -> bytes:
    return b"".join(one.packed if one.version == 6 else b"\0" * 10 + b"\xff\xff" + one.packed for one in addresses)


@given(ADDRESSES)
def test_addresses_are_read_as_they_travel(addresses: list[scalar.Address]) -> None:
    high, low = unpack(packed(addresses))
    assert list(zip(high.tolist(), low.tolist(), strict=True)) == [scalar.halves(one) for one in addresses]
    assert pack(high, low) == packed(addresses)
    mapped = [4 if one.version == 4 or one.ipv4_mapped else 6 for one in addresses]
    assert family(high, low).tolist() == mapped


def test_a_piece_of_an_address_is_refused() -> None:
    with pytest.raises(ValueError, match=r"buffer size|reshape"):
        unpack(bytes(17))
    with pytest.raises(ValueError, match="reshape"):
        unpack(bytes(24))


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 70)), max_size=30))
def test_rows_in_use_are_apart_and_keep_what_was_put_there(steps: list[tuple[bool, int]]) -> None:
    targets = Targets(16)
    held: dict[int, list[int]] = {}
    mark = 0
    for grows, count in steps:
        if grows:
            lows = list(range(mark, mark + count))
            mark += count
            first = targets.add(np.zeros(count, np.uint64), np.array(lows, np.uint64))
            if count:
                assert first not in held
                held[first] = lows
        elif held:
            first = sorted(held)[count % len(held)]
            targets.free(first, len(held.pop(first)))
        for first, lows in held.items():
            assert targets.low[first : first + len(lows)].tolist() == lows
        assert len(targets) == sum(map(len, held.values()))
    for first, lows in held.items():
        targets.free(first, len(lows))
    assert len(targets) == 0
    targets.add(*[np.zeros(len(targets.high), np.uint64)] * 2)  # all of it is one piece again
    assert len(targets) == len(targets.low)


def test_columns_grow_together_and_hops_are_unknown_at_first() -> None:
    targets = Targets(4)
    targets.hop[:] = 7
    high, low = unpack(packed([IPv4Address("192.0.2.1")] * 1000))
    first = targets.add(high, low)
    assert (targets.hop[first : first + 1000] == NO_HOP).all()
    assert {len(targets.high), len(targets.low), len(targets.family), len(targets.hop), len(targets.sum)} == {1004}
    assert targets.sum[first] == 0xC000 + 0x0201
    assert targets.family[first] == 4


@pytest.mark.parametrize(("first", "count"), [(0, 11), (5, 10), (10, 1), (-1, 2), (90, 20), (2, 4)])
def test_rows_that_are_not_in_use_cannot_be_freed(first: int, count: int) -> None:
    targets = Targets(100)
    targets.add(np.zeros(10, np.uint64), np.zeros(10, np.uint64))
    targets.free(3, 1)
    with pytest.raises(ValueError, match="not in use"):
        targets.free(first, count)
    targets.free(0, 3)
    assert len(targets) == 6


@given(st.lists(st.integers(1, 40), max_size=12), st.integers(1, 9))
def test_columns_that_grow_bit_by_bit_keep_what_is_in_them(counts: list[int], most: int) -> None:
    targets = Targets(8)
    held: dict[int, int] = {}
    for mark, count in enumerate(counts):
        while not targets.make_room(count, most):
            pass
        first = targets.take(count)
        targets.put(first, np.full(count, mark, np.uint64), np.arange(count, dtype=np.uint64))
        held[first] = count
        if mark % 3 == 2:
            gone = min(held)
            targets.free(gone, held.pop(gone))
        for first, length in held.items():
            assert targets.low[first : first + length].tolist() == list(range(length))
    assert len(targets) == sum(held.values())


def test_an_address_may_get_another_hop_while_the_columns_grow() -> None:
    targets = Targets(100)
    first = targets.add(np.zeros(100, np.uint64), np.arange(100, dtype=np.uint64))
    assert not targets.make_room(50, 60)
    targets.hop[first : first + 100] = 7
    assert targets.make_room(50, 60)
    assert set(targets.hop[first : first + 100].tolist()) == {7}
