"""At most once, whatever dies: an agent killed in the middle of a change, the server gone, requests that come again."""

import asyncio
from pathlib import Path

from amon.ids import new_id
from amon.job import Book
from amon.runtime.fleet import Fleet
from amon.runtime.gather import Job, gathering
from amon.words import State
from tests.e2e.world import ALICE, OPS, World, seen
from tests.e2e.world import until as heard
from tests.waiting import until

WITHIN = 30.0


def counted(world: World, pause: str) -> tuple[str, Path]:
    """A service whose start writes a line into a file and then takes its time."""
    ran = world.folder / "ran"
    script = f"echo ran >> {ran}; exec /bin/sleep {pause}"
    return (
        f"""
        [instance.service.settings.services.slow]
        driver = "command"
        start_argv = ["/bin/sh", "-c", "{script}"]
        stop_argv = ["/bin/true"]
        status_argv = ["/bin/true"]
        start_timeout = "50 s"
        """,
        ran,
    )


def job(world: World, deadline: float = 20.0) -> Job:
    return Job(new_id(world.clock.time()), "service restart slow", ("cern",), deadline, confirmed=True)


def lines(path: Path) -> int:
    return path.read_text().count("ran\n") if path.exists() else 0


async def asked(world: World, fleet: Fleet, job: Job) -> Book:
    with gathering(fleet, OPS, job, world.clock) as under_way:
        under_way.send()
        async with asyncio.timeout(WITHIN):
            await under_way.collect()
        return under_way.book


async def test_an_agent_killed_in_the_middle_of_a_change_never_does_it_again_whoever_asks(world: World) -> None:
    settings, ran = counted(world, "60")
    site = await world.add_site("cern", settings)
    await site.start()
    one = job(world, deadline=3)
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        with gathering(fleet, OPS, one, world.clock) as under_way:
            under_way.send()
            await under_way.until(lambda: lines(ran) == 1 or under_way.book["cern"].state is State.accepted)
            await until(lambda: lines(ran) == 1)
            await site.kill()
            await under_way.collect()
    await site.start()
    async with world.console() as fleet:  # another one, which knows nothing but the request
        await heard(fleet, lambda: fleet.sites["cern"].online)
        for _ in range(2):
            book = await asked(world, fleet, one)
            while not book["cern"].reported:  # the session of the killed agent still seems to be there for a while
                book = await asked(world, fleet, one)
            assert book["cern"].state is State.lost
            assert f"for {ALICE}" in book["cern"].text
    assert lines(ran) == 1


async def test_a_server_that_restarts_in_the_middle_of_a_change_costs_neither_the_outcome_nor_a_second_run(
    world: World,
) -> None:
    settings, ran = counted(world, "3")
    await (await world.add_site("cern", settings)).start()
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        with gathering(fleet, OPS, job(world), world.clock) as under_way:
            under_way.send()
            await under_way.until(lambda: under_way.book["cern"].state is State.accepted)
            await until(lambda: lines(ran) == 1)
            await world.server.restart()
            async with asyncio.timeout(WITHIN):
                await under_way.until(lambda: under_way.book["cern"].reported)
            assert under_way.book["cern"].state is State.done, under_way.book["cern"].text
    assert lines(ran) == 1


async def test_a_repeat_of_what_has_ended_is_told_the_stored_outcome_also_by_an_agent_that_was_killed_since(
    world: World,
) -> None:
    settings, ran = counted(world, "0.1")
    site = await world.add_site("cern", settings)
    await site.start()
    one = job(world)
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        first = await asked(world, fleet, one)
        assert first["cern"].state is State.done, first["cern"].text
        again = await asked(world, fleet, one)
        await site.kill()
        await site.start()
        await seen(fleet, "cern", "")
        after = await asked(world, fleet, one)
        while after["cern"].outcome is None:  # the session of the killed agent still seems to be there for a while
            after = await asked(world, fleet, one)
    assert first["cern"].outcome == again["cern"].outcome == after["cern"].outcome
    assert lines(ran) == 1
