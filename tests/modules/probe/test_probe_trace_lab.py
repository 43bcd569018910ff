"""Ping and trace over scripted routers: by raw sockets and by ping sockets, both families."""

import asyncio
import random
import sys
from collections.abc import Callable, Iterator

import pytest

from amon.clock import SystemClock
from modules.probe import ping, trace
from modules.probe.names import SystemResolver
from modules.probe.shape import World
from tests.modules.probe.routers import Probe, Routers, echo, needs_network, travel

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


# --- routers and targets that lie


def forged(routers: Routers, probe: Probe) -> Iterator[bytes]:
    yield echo(probe, change=lambda rest: rest[:8] + bytes(8) + rest[16:])


def doubled(routers: Routers, probe: Probe) -> Iterator[bytes]:
    yield echo(probe)
    yield echo(probe)


def elsewhere(routers: Routers, probe: Probe) -> Iterator[bytes]:
    yield echo(probe, source=probe.target[:-1] + b"\x63")


def cut_short(routers: Routers, probe: Probe) -> Iterator[bytes]:
    yield echo(probe, change=lambda rest: rest[:6])


def refused(routers: Routers, probe: Probe) -> Iterator[bytes]:
    yield routers.error(probe, 1, (3, 13) if probe.version == 4 else (1, 1))


def quoting_little(routers: Routers, probe: Probe) -> Iterator[bytes]:
    yield routers.error(probe, 1, (3, 1) if probe.version == 4 else (1, 3), quoted=8)


def silent(routers: Routers, probe: Probe) -> Iterator[bytes]:
    yield from ()


@pytest.mark.parametrize("unprivileged", [False, True], ids=["raw", "ping"])
@pytest.mark.parametrize("target", [V4[0], V6[0]], ids=["v4", "v6"])
@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (None, {"answered": 3}),
        (silent, {}),
        (forged, {"forged": 3}),
        (doubled, {"answered": 3, "duplicates": 2}),
        (elsewhere, {"wrong_source": 3}),
        (cut_short, {"bad": 3}),
        (refused, {"unreachable": 3}),
        (quoting_little, {"unreachable": 3}),
    ],
    ids=["good", "silent", "forged", "doubled", "elsewhere", "cut", "refused", "short"],
)
def test_each_packet_has_its_one_end(
    answers: Callable[[Routers, Probe], Iterator[bytes]] | None,
    expected: dict[str, int],
    target: str,
    unprivileged: bool,
) -> None:
    routers = Routers([V4[1][0] if "." in target else V6[1][0]], answers=answers)
    settings = ping.Settings(count=3, interval=0.05, timeout=0.3)
    found = travel(routers, lambda: ping.measure(target, settings, world()), unprivileged=unprivileged)
    names = ("answered", "unreachable", "duplicates", "forged", "wrong_source", "unsent", "late", "bad", "dropped")
    told = {name: getattr(found, name) for name in names}
    assert found.sent == len(routers.seen) == 3
    assert found.good == (found.answered == 3)
    # Of a doubled answer the last one comes when nobody listens any more, or just before.
    told["duplicates"] = min(2, told["duplicates"])
    assert told == {**dict.fromkeys(names, 0), **expected}, found.explain()


@pytest.mark.parametrize("unprivileged", [False, True], ids=["raw", "ping"])
def test_tos_ttl_size_and_df_are_on_the_wire(unprivileged: bool) -> None:
    routers = Routers(V4[1])
    settings = ping.Settings(count=1, timeout=0.3, size=1000, tos=184, ttl=9, df=True)
    found = travel(routers, lambda: ping.measure(V4[0], settings, world()), unprivileged=unprivileged)
    assert found.good
    (probe,) = routers.seen
    assert (probe.tos, probe.ttl, probe.df, len(probe.packet)) == (184, 9, True, 1028)
    assert b"amon probe" in probe.packet


@pytest.mark.parametrize("unprivileged", [False, True], ids=["raw", "ping"])
@pytest.mark.parametrize(("target", "hops"), [V4, V6], ids=["v4", "v6"])
def test_the_mtu_is_told_hop_by_hop(target: str, hops: list[list[str]], unprivileged: bool) -> None:
    routers = Routers(hops, mtu={1: 1500, 2: 1400})
    settings = trace.Settings(count=1, timeout=0.3, mtu=True, mtu_most=9000)
    found = travel(routers, lambda: trace.measure(target, settings, world()), unprivileged=unprivileged)
    assert [hop.mtu for hop in found.hops] == [9000, 1500, 1400, 1400]


def test_a_hop_that_is_silent_and_one_that_says_little_are_told() -> None:
    routers = Routers(V4[1], silent={2})
    found = travel(routers, lambda: trace.measure(V4[0], trace.Settings(count=2, interval=0.1, timeout=0.3), world()))
    assert [hop.address for hop in found.hops] == ["10.1.0.1", "", "10.3.0.1", V4[0]]
    assert (found.good, found.silent) == (True, 1)


_NO_RIGHTS = """
import asyncio
from amon.clock import SystemClock
from modules.probe import ping, trace
from modules.probe.names import SystemResolver
from modules.probe.shape import World

async def main():
    world = World(SystemClock(), SystemResolver())
    print(await ping.measure("127.0.0.1", ping.Settings(), world))
    print(await trace.measure("::1", trace.Settings(), world))

asyncio.run(main())
"""


def test_without_any_right_the_next_step_is_told() -> None:
    async def body() -> str:
        argv = ("setpriv", "--bounding-set=-all", sys.executable, "-c", _NO_RIGHTS)
        process = await asyncio.create_subprocess_exec(*argv, stdout=asyncio.subprocess.PIPE)
        said, _ = await asyncio.wait_for(process.communicate(), 30)
        return said.decode()

    first, second = travel(Routers(), body).splitlines()
    told = "unmeasured: no ICMP socket is allowed here: let the group of the agent in by net.ipv4.ping_group_range, or"
    assert first.startswith(f"127.0.0.1: {told}")
    assert second.startswith(f"::1: {told}")
