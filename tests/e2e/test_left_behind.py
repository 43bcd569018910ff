"""What a connection that broke leaves behind in an agent: nothing, however often it breaks."""

import asyncio
import gc
import logging
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from amon.xmpp.connection import Connection
from amon.xmpp.login import Times
from amon.xmpp.stream import Stream
from site_agent.agent import Agent
from site_agent.configuration import World as Surroundings
from site_agent.configuration import load
from tests.e2e.world import World
from tests.xmpp.party import Relay

AT_ONCE = Times(retry_first=0.01, retry_most=0.01, retry_refused=0.01, goodbye=1)
# asyncio takes timers that were cancelled out of its heap by the hundred (`_MIN_SCHEDULED_TIMER_HANDLES`).
SWEPT_LATER = {"asyncio.events.TimerHandle", "_contextvars.Context"}


class Breaking(Relay):
    """Tells of each connection that comes."""

    def __init__(self, port: int) -> None:
        super().__init__(port)
        self.came = asyncio.Event()

    async def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.came.set()
        await super().visit(reader, writer)

    async def again(self, connection: Connection, times: int) -> None:
        """So many times it breaks and comes back."""
        for _ in range(times):
            self.came.clear()
            self.cut()
            async with asyncio.timeout(20):
                await self.came.wait()
                await connection.wait_online()
                await connection.roster()


def alive() -> Counter[str]:
    """Objects by type."""
    gc.collect()
    return Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.get_objects())


def kept(before: Counter[str], after: Counter[str], times: int) -> dict[str, int]:
    """Types of which there is one more for each time."""
    return {name: more for name, more in (after - before).items() if more >= times and name not in SWEPT_LATER}


def streams() -> int:
    gc.collect()
    return sum(isinstance(one, Stream) for one in gc.get_objects())


@pytest.fixture(autouse=True)
def quiet(caplog: pytest.LogCaptureFixture) -> None:
    """pytest keeps every record of a test: that would be what grows."""
    caplog.set_level(logging.CRITICAL, logger="amon")


@asynccontextmanager
async def agent_behind(world: World, relay: Relay) -> AsyncIterator[Connection]:
    site = await world.add_site("cern", "[instance.uptime]\n[instance.host]")
    text = site.config.read_text().replace(f"port = {world.server.c2s_port}", f"port = {relay.port}")
    site.config.write_text(text)
    configuration = load(site.config, Surroundings.here()).configuration
    assert configuration is not None
    async with Agent(configuration, random=Random(1), times=AT_ONCE).running() as agent:
        async with asyncio.timeout(20):
            await agent.wait_online()
        yield agent.accounts["vo"].connection


async def test_sixty_reconnects_leave_no_object_behind(world: World) -> None:
    async with Breaking(world.server.c2s_port) as relay, agent_behind(world, relay) as connection:
        await relay.again(connection, 20)
        before, others = alive(), streams()
        await relay.again(connection, 60)
        assert connection.statistics().sessions == 81
        assert connection.statistics().resumed == 80
        assert kept(before, alive(), 60) == {}
        assert streams() == others


async def test_a_session_that_begins_anew_leaves_none_of_the_old_one_behind(world: World) -> None:
    async with Breaking(world.server.c2s_port) as relay, agent_behind(world, relay) as connection:
        others = streams()
        for sessions in (2, 3, 4):
            relay.came.clear()
            await world.server.restart()
            async with asyncio.timeout(60):
                await relay.came.wait()
                await connection.wait_online()
                await connection.roster()
            assert connection.statistics().sessions == sessions
        assert connection.statistics().resumed == 0
        assert streams() == others


def test_one_object_kept_for_each_time_is_told() -> None:
    class Crumb:
        def __init__(self) -> None:
            self.crumbs = [self]

    before = alive()
    crumbs = [Crumb() for _ in range(100)]
    assert any(name.endswith("Crumb") for name in kept(before, alive(), len(crumbs)))
