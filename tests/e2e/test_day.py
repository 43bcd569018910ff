"""A server that is away for a day, which a clock of the test's own makes short: real agents, a real server."""

import asyncio
import gc
import logging
import time
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random

import pytest

from admin_console.server import PrivateServer
from amon.ids import new_id
from amon.runtime.gather import Job, gathering
from amon.testing import FakeClock
from amon.words import State
from site_agent.agent import Agent
from site_agent.configuration import World as Surroundings
from site_agent.configuration import load
from tests.e2e.world import ALICE, OPS, World, until

pytestmark = [pytest.mark.servers, pytest.mark.timeout(180)]

SITES = [f"site-{number:02}" for number in range(12)]
HOUR = 3600.0
STEP = 30.0  # seconds


class Tries(logging.Handler):
    """When agents tried in vain, on the clock of the test."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(logging.WARNING)
        self._clock = clock
        self.at: Counter[int] = Counter()

    def emit(self, record: logging.LogRecord) -> None:
        if "no session" in record.getMessage():
            self.at[int(self._clock.monotonic() // STEP)] += 1


@asynccontextmanager
async def agents(world: World, clock: FakeClock) -> AsyncIterator[list[Agent]]:
    async with AsyncExitStack() as stack:
        made = []
        for number, name in enumerate(SITES):
            site = await world.add_site(name)
            loaded = load(site.config, Surroundings.here())
            assert loaded.configuration is not None, loaded.problems
            agent = Agent(loaded.configuration, clock=clock, random=Random(number))
            made.append(await stack.enter_async_context(agent.running()))
        yield made


async def turn(clock: FakeClock, seconds: float) -> None:
    """In steps, with time for what the kernel has to say in between."""
    for _ in range(int(seconds / STEP)):
        clock.advance(STEP)
        for _ in range(12):
            await asyncio.sleep(0)


async def ask(world: World, ident: str) -> dict[str, str]:
    async with world.console() as fleet:
        await until(fleet, lambda: all(fleet.sites[name].online for name in SITES))
        job = Job(ident, "maintenance begin 3d day", tuple(SITES), confirmed=True)
        with gathering(fleet, OPS, job, world.clock) as under_way:
            under_way.send()
            async with asyncio.timeout(40):
                await under_way.collect()
            assert under_way.book.counts() == {State.done: len(SITES)}, under_way.book.summary()
            return {row.site: row.text for row in under_way.book.rows()}


async def test_a_day_without_a_server_costs_no_memory_and_ends_as_it_began(tmp_path: Path) -> None:
    clock, ident = FakeClock(time.time()), new_id(time.time())
    tries = Tries(clock)
    log = logging.getLogger("amon")
    log.addHandler(tries)
    log.propagate = False  # pytest keeps every record that reaches the root
    try:
        async with PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096) as server:
            world = World(server, tmp_path)
            await world.set_up()
            async with agents(world, clock) as made:
                for agent in made:
                    await agent.wait_online()
                before = await ask(world, ident)
                await server.stop()
                await turn(clock, 4 * HOUR)
                tracemalloc.start()
                await turn(clock, HOUR)
                gc.collect()
                early, _ = tracemalloc.get_traced_memory()
                await turn(clock, 19 * HOUR)
                gc.collect()
                late, _ = tracemalloc.get_traced_memory()
                tracemalloc.stop()
                await server.start()
                online = asyncio.gather(*(agent.wait_online() for agent in made))
                back = clock.monotonic()
                while not online.done() and clock.monotonic() - back < HOUR:
                    await turn(clock, STEP)
                    await asyncio.wait((online,), timeout=0.3)  # a login takes the server time of its own
                assert online.done()
                assert await ask(world, ident) == before
                for agent in made:
                    done = [line for line in await agent.node.journal.recent(1000) if line.id == ident]
                    assert [line.outcome for line in done].count("done") == 1
            await world.stop()
    finally:
        log.propagate = True
        log.removeHandler(tries)
    assert late - early < 300_000, f"{late - early} bytes more after a day"
    # Each tries every two to five minutes, and never all at once.
    last_hours = [count for step, count in tries.at.items() if step * STEP > back - 6 * HOUR]
    assert 24 * HOUR / 300 * 0.9 < sum(tries.at.values()) / len(SITES) < 24 * HOUR / 150 * 1.2
    assert max(last_hours) <= len(SITES) * 3 / 4
