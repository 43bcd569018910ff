"""Sessions over a real server: lines as they come, through connections that break, while somebody hears them."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from random import Random

from amon.runtime.fleet import Fleet
from amon.runtime.gather import Gathering
from amon.wire import Output
from amon.words import State
from amon.xmpp.connection import Connection
from amon.xmpp.events import Online, Received
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context
from tests.e2e.world import ALICE, BOB, PASSWORD, AgentProcess, World, seen
from tests.waiting import until
from tests.xmpp.party import Ear, Relay

NUMBERS = (
    "import itertools, time\nfor n in itertools.count():\n    print(f'line {n}', flush=True)\n    time.sleep(0.01)"
)


class Follower:
    """Somebody who follows a log and waits for lines of it."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.missed = 0
        self.stirred = asyncio.Event()

    def hear(self, site: str, part: Output) -> None:
        self.lines += [str(item) for item in part.items]
        self.missed += part.missed
        self.stirred.set()

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(30):
            while len(self.lines) < count:
                self.stirred.clear()
                await self.stirred.wait()

    def assert_whole(self) -> None:
        """Every line came, once and in its order."""
        numbers = [int(line.split()[1]) for line in self.lines if line.startswith("line ")]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert self.missed == 0


async def site_with_a_log(world: World, name: str = "cern") -> AgentProcess:
    program = world.folder / "numbers.py"
    program.write_text(NUMBERS)
    argv = f'["{sys.executable}", "{program}"]'
    instance = f'[instance.service.settings.services.ce]\ndriver = "process"\nargv = {argv}\nsettle = 0\n'
    return await world.add_site(name, instance)


@asynccontextmanager
async def following(world: World, *, port: int = 0) -> AsyncIterator[tuple[Gathering, Follower, asyncio.Task[None]]]:
    follower = Follower()
    async with world.console(port=port) as fleet:
        await seen(fleet, "cern", "")
        with world.asking(fleet, "service follow ce lines=0", deadline=5.0) as job:
            job.on_output = follower.hear
            job.send()
            task = asyncio.create_task(job.collect())
            await follower.wait(20)
            yield job, follower, task
            job.cancel()
            async with asyncio.timeout(20):
                await task
            assert job.book["cern"].state is State.done


async def test_lines_come_as_they_are_written_for_longer_than_any_deadline_until_one_stops(world: World) -> None:
    site = await site_with_a_log(world)
    await site.start()
    async with following(world) as (job, follower, task):
        await follower.wait(800)  # eight seconds of it
        assert not task.done()
        assert job.book["cern"].state is State.accepted
    follower.assert_whole()
    outcome = job.book["cern"].outcome
    assert outcome is not None
    assert outcome.answer.text.endswith("; stopped by you")
    assert outcome.answer.data["missed"] == outcome.answer.data["said"] - len(follower.lines)


async def test_several_sites_are_followed_at_once_by_one_line_in_the_room(world: World) -> None:
    for name in ("cern", "desy"):
        await (await site_with_a_log(world, name)).start()
    heard: dict[str, Follower] = {"cern": Follower(), "desy": Follower()}
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        await seen(fleet, "desy", "")
        with world.asking(fleet, "service follow ce lines=0") as job:
            job.on_output = lambda site, part: heard[site].hear(site, part)
            job.send()
            task = asyncio.create_task(job.collect())
            for follower in heard.values():
                await follower.wait(300)  # more than one window: each hears that he is heard
                follower.assert_whole()
            job.cancel()
            async with asyncio.timeout(20):
                await task


def has_resumed(site: AgentProcess, times: int) -> bool:
    return site.said().count("resumed") >= times


async def test_nothing_is_lost_or_doubled_when_the_agents_connection_breaks_and_comes_back(world: World) -> None:
    site = await site_with_a_log(world)
    async with Relay(world.server.c2s_port) as relay:
        text = site.config.read_text().replace(f"port = {world.server.c2s_port}", f"port = {relay.port}")
        site.config.write_text(text)
        await site.start()
        async with following(world) as (_, follower, _):
            for breaks in (1, 2):
                relay.close()
                relay.heal()
                await follower.wait(len(follower.lines) + 200)
                # Lines that were on their way before the break come without it.
                await until(partial(has_resumed, site, breaks), 30)
    follower.assert_whole()


async def test_nor_when_the_consoles_does(world: World) -> None:
    site = await site_with_a_log(world)
    await site.start()
    async with Relay(world.server.c2s_port) as relay, following(world, port=relay.port) as (_, follower, _):
        for _ in range(2):
            relay.close()
            relay.heal()
            await follower.wait(len(follower.lines) + 200)
    follower.assert_whole()


async def test_a_console_that_leaves_is_not_followed_by_the_session(world: World) -> None:
    site = await site_with_a_log(world)
    await site.start()
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        follower = Follower()
        with world.asking(fleet, "service follow ce") as job:
            job.on_output = follower.hear
            job.send()
            task = asyncio.create_task(job.collect())
            await follower.wait(10)
            task.cancel()
            await asyncio.wait([task])
    async with world.console() as fleet, asyncio.timeout(30):
        await seen(fleet, "cern", "")
        while await opened(world, fleet):  # noqa: ASYNC110 - it ends when the server tells that nobody is there
            await asyncio.sleep(0.2)


async def opened(world: World, fleet: Fleet) -> int:
    outcome = (await world.ask(fleet, "sessions"))["cern"].outcome
    assert outcome is not None
    return len(outcome.answer.data)


async def test_who_may_not_read_logs_hears_nothing(world: World) -> None:
    site = await site_with_a_log(world)
    await site.start()
    async with world.console(BOB) as fleet:
        await seen(fleet, "cern", "")
        book = await world.ask(fleet, "service follow ce")
        assert book["cern"].state is State.refused


# Somebody who types


@asynccontextmanager
async def phone(world: World) -> AsyncIterator[tuple[Connection, Ear]]:
    """Alice's client, one to one with the site."""
    login = Login(ALICE, PASSWORD, resource="phone", host=world.server.host, port=world.server.c2s_port)
    ear = Ear()
    connection = Connection(login, ear, context=tls_context(world.server.ca_file), random=Random(1))
    life = asyncio.create_task(connection.run())
    try:
        async with asyncio.timeout(20):
            await connection.wait_online()
        await ear.wait(Online)
        yield connection, ear
    finally:
        life.cancel()
        await asyncio.wait([life])


async def test_who_types_reads_lines_every_two_seconds_until_he_says_stop(world: World) -> None:
    site = await site_with_a_log(world)
    await site.start()
    cern = f"cern@{world.server.agents}"
    async with world.console() as fleet, phone(world) as (connection, ear):
        await seen(fleet, "cern", "")
        connection.say(cern, "service follow ce")
        first = await ear.wait(Received, lambda message: "until you say stop" in message.text)
        assert " service follow, until you say stop" in first.text
        later = await ear.wait(Received, lambda message: message.text.startswith("("))
        head, *lines = later.text.splitlines()
        assert head.endswith(" lines left out)")
        assert len(lines) == 22  # twenty and their fence
        connection.say(cern, "stop")
        end = await ear.wait(Received, lambda message: "stopped by you" in message.text)
        assert end.text.startswith("service follow ended: ")
        assert await opened(world, fleet) == 0


async def test_a_session_ends_when_the_client_that_typed_it_is_gone(world: World) -> None:
    site = await site_with_a_log(world)
    await site.start()
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        async with phone(world) as (connection, ear):
            connection.say(f"cern@{world.server.agents}", "service follow ce")
            await ear.wait(Received, lambda message: "until you say stop" in message.text)
            assert await opened(world, fleet) == 1
        async with asyncio.timeout(50):
            while await opened(world, fleet):  # noqa: ASYNC110 - it is pinged every half minute
                await asyncio.sleep(1)
