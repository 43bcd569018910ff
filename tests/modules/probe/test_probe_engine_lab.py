"""The same probes by the packet engine and by a socket of their own: over the same routers they tell the same."""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from amon.engine.asking.client import connect
from modules.probe import ping, trace
from modules.probe.engines import ForProbes
from modules.probe.shape import World
from tests.modules.probe.probeworlds import world
from tests.modules.probe.routers import Routers, needs_network, travel

pytestmark = [pytest.mark.lab, needs_network]
M = TypeVar("M")
HOPS = [["10.1.0.1"], [f"10.2.0.{one}" for one in range(1, 6)], ["10.3.0.1", "10.3.0.2"]]
V6 = [["fd01::1"], ["fd02::1"], ["fd03::1"]]
SETTINGS = """
socket = "{socket}"
identity = "amon probe test"
[tenants.site]
users = ["root"]
"""


def listens(path: Path) -> bool:
    """That its socket is there is not enough: on a busy machine it may be bound long before it listens."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as one:
        return one.connect_ex(str(path)) == 0


def by_engine(routers: Routers, folder: Path, measure: Callable[[World], Awaitable[M]]) -> M:
    """Run a probe in the network of the routers, with an engine of its own there."""
    path, settings = folder / "socket", folder / "engine.toml"
    settings.write_text(SETTINGS.format(socket=path))

    async def body() -> M:
        argv = (sys.executable, "-m", "amon.engine.program.cli", "run", "--config", str(settings))
        with (folder / "log").open("wb") as log:
            process = await asyncio.create_subprocess_exec(*argv, stdout=log, stderr=log)
        try:
            async with asyncio.timeout(20):
                while not listens(path) and process.returncode is None:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            async with connect(path, "site") as engine:
                return await measure(world(engine=ForProbes(engine)))
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 10)

    return travel(routers, body)


@pytest.mark.parametrize(("target", "hops"), [("192.0.2.9", HOPS), ("2001:db8::9", V6)], ids=["v4", "v6"])
def test_a_trace_is_the_same(target: str, hops: list[list[str]], tmp_path: Path) -> None:
    # What is seldom missed on purpose would be missed here once in a while.
    settings = trace.Settings(count=2, interval=0.5, timeout=0.5, multipath=True, failure=0.1)
    theirs = by_engine(Routers(hops), tmp_path, lambda here: trace.measure(target, settings, here))
    ours = travel(Routers(hops), lambda: trace.measure(target, settings, world()))
    assert (theirs.way, ours.way) == ("packet engine", "raw socket")
    assert theirs.good, theirs.explain()
    for one, other in zip(theirs.hops, ours.hops, strict=True):
        found = [{hop.address, *(router.address for router in hop.others)} for hop in (one, other)]
        assert found[0] == found[1] == set(hops[one.ttl - 1] if one.ttl <= len(hops) else [target])


def test_a_ping_and_its_mtu_are_the_same(tmp_path: Path) -> None:
    settings = ping.Settings(count=5, interval=0.05, timeout=0.5, pmtu=True, pmtu_most=1800, size=100, tos=8, df=True)
    routers = Routers(HOPS, mtu={1: 1500, 2: 1400})
    theirs = by_engine(routers, tmp_path, lambda here: ping.measure("192.0.2.9", settings, here))
    assert (theirs.state, theirs.way, theirs.answered, theirs.mtu) == ("good", "packet engine", 5, 1400), (
        theirs.explain()
    )
    assert {probe.tos for probe in routers.seen} == {8}
    assert all(b"amon probe test" in probe.packet for probe in routers.seen if len(probe.packet) > 100)
    assert all(0 <= rtt < 0.5 for rtt in theirs.rtts)
