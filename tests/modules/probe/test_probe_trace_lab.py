"""Ping and trace over scripted routers: by raw sockets and by ping sockets, both families."""

import random

import pytest

from amon.clock import SystemClock
from modules.probe import ping, trace
from modules.probe.names import SystemResolver
from modules.probe.shape import World
from tests.modules.probe.routers import Routers, needs_network, travel

pytestmark = [pytest.mark.lab, needs_network]
V4 = ("192.0.2.9", [["10.1.0.1"], ["10.2.0.1"], ["10.3.0.1"]])
V6 = ("2001:db8::9", [["fd01::1"], ["fd02::1"], ["fd03::1"]])


def world() -> World:
    return World(SystemClock(), SystemResolver(), random=random.Random(5))


@pytest.mark.parametrize("unprivileged", [False, True])
@pytest.mark.parametrize(("target", "hops"), [V4, V6])
def test_a_trace_names_each_router_once(target: str, hops: list[list[str]], unprivileged: bool) -> None:
    routers = Routers(hops)
    found = travel(
        routers,
        lambda: trace.measure(target, trace.Settings(timeout=0.5, interval=0.1), world()),
        unprivileged=unprivileged,
    )
    print("\n".join(found.explain()))
    assert found.good
    assert [hop.address for hop in found.hops] == [row[0] for row in hops] + [target]
    assert [hop.answered for hop in found.hops] == [3] * 4
    assert found.way == ("ping socket" if unprivileged else "raw socket")
    assert len({probe.checksum for probe in routers.seen}) == 1


@pytest.mark.parametrize("unprivileged", [False, True])
@pytest.mark.parametrize(("target", "hops"), [V4, V6])
def test_the_path_mtu_is_what_the_narrowest_router_says(target: str, hops: list[list[str]], unprivileged: bool) -> None:
    routers = Routers(hops, mtu={1: 1500, 2: 1400})
    settings = ping.Settings(count=1, timeout=0.5, pmtu=True)
    found = travel(routers, lambda: ping.measure(target, settings, world()), unprivileged=unprivileged)
    print("\n".join(found.explain()))
    assert (found.mtu, found.mtu_by) == (1400, hops[1][0])


@pytest.mark.parametrize("unprivileged", [False, True])
def test_a_multipath_trace_finds_all_routers_of_a_hop(unprivileged: bool) -> None:
    target, hops = V4
    wide = [hops[0], [f"10.2.0.{n}" for n in range(1, 6)], ["10.3.0.1", "10.3.0.2"]]
    routers = Routers(wide)
    settings = trace.Settings(count=1, timeout=0.5, multipath=True)
    found = travel(routers, lambda: trace.measure(target, settings, world()), unprivileged=unprivileged)
    print("\n".join(map(str, found.hops)))
    assert [1 + len(hop.others) for hop in found.hops] == [1, 5, 2, 1]
    assert not any(hop.note for hop in found.hops)
