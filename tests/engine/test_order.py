"""The order is the same each time, and spreads networks."""

from ipaddress import ip_address

import numpy as np
import pytest

from amon.engine.shapes import MAPPED, U64
from amon.engine.turn.order import order


def v4(*addresses: str) -> tuple[U64, U64]:
    low = np.array([MAPPED | int(ip_address(address)) for address in addresses], np.uint64)
    return np.zeros(len(low), np.uint64), low


def v6(*addresses: str) -> tuple[U64, U64]:
    numbers = [int(ip_address(address)) for address in addresses]
    high = np.array([number >> 64 for number in numbers], np.uint64)
    return high, np.array([number & (2**64 - 1) for number in numbers], np.uint64)


NETS = [f"10.{net}.0.{host}" for net in range(10) for host in range(1, 101)]
WIDE = [f"2001:db8:{net:x}::{host:x}" for net in range(10) for host in range(1, 101)]


@pytest.mark.parametrize("targets", [v4(*NETS), v6(*WIDE)], ids=["IPv4", "IPv6"])
def test_no_network_gets_its_packets_all_at_once(targets: tuple[U64, U64]) -> None:
    places = order(*targets, "mesh")
    assert sorted(places) == list(range(1000))
    for piece in np.array_split(places // 100, 20):  # 50 in a row: 5 of each network, give or take
        assert np.bincount(piece, minlength=10).max() <= 7
        assert np.bincount(piece, minlength=10).min() >= 3


def test_the_same_seed_gives_the_same_order_and_another_one_another() -> None:
    first, again, other = order(*v4(*NETS), "mesh"), order(*v4(*NETS), "mesh"), order(*v4(*NETS), "lan")
    assert (first == again).all()
    assert (first != other).mean() > 0.9


def test_the_order_is_of_the_addresses_and_not_of_the_list() -> None:
    turned = NETS[::-1]
    assert [NETS[row] for row in order(*v4(*NETS), "a")] == [turned[row] for row in order(*v4(*turned), "a")]


def test_a_target_more_moves_the_others_little() -> None:
    before = [NETS[row] for row in order(*v4(*NETS), "a")]
    more = [*NETS, "10.77.0.1"]
    after = [more[row] for row in order(*v4(*more), "a") if more[row] != "10.77.0.1"]
    assert before == after


def test_targets_named_twice_and_lists_of_one_or_none_have_an_order() -> None:
    assert sorted(order(*v4("10.0.0.1", "10.0.0.1", "10.0.0.1"), "")) == [0, 1, 2]
    assert list(order(*v4("10.0.0.1"), "")) == [0]
    assert list(order(*v4(), "")) == []
