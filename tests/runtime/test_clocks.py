"""The site's clock beside its server's: a wrong one is shown and takes nothing signed, until it is right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from amon.errors import Failed
from amon.health import Health
from amon.runtime.clocks import in_doubt, problem, watch_clock
from amon.runtime.incoming import Door
from amon.testing import FakeClock
from tests.runtime.scene import door


class Server:
    """Says a time, or nothing if it is None."""

    def __init__(self, time: float | None) -> None:
        self.time = time
        self.asked = 0

    async def wait_online(self) -> None: ...

    async def server_time(self) -> float:
        self.asked += 1
        if self.time is None:
            raise Failed("does not tell")
        return self.time


@asynccontextmanager
async def watched(server: Server, clock: FakeClock) -> AsyncIterator[tuple[Door, dict[str, Health | None]]]:
    here, told = door(), dict[str, Health | None]()
    watching = asyncio.create_task(watch_clock(here, server, clock, told.__setitem__))
    await settle()
    try:
        yield here, told
    finally:
        watching.cancel()


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


@pytest.mark.parametrize("time", [1_000_000.0 - 59, 1_000_000.0 + 59])
async def test_a_minute_apart_is_near_enough(time: float) -> None:
    async with watched(Server(time), FakeClock(1_000_000)) as (here, told):
        assert (here.clock_fault, told) == ("", {"clock-lab": None})


async def test_a_wrong_clock_is_shown_until_it_is_right() -> None:
    clock, server = FakeClock(1_000_000), Server(1_000_000.0 + 7200)
    async with watched(server, clock) as (here, told):
        assert "2 h 00 min behind the server's" in here.clock_fault
        shown = told["clock-lab"]
        assert shown is not None
        assert shown.state == "wrong"
        server.time = 1_003_600.0
        clock.advance(3600)
        await settle()
        assert (here.clock_fault, told["clock-lab"], server.asked) == ("", None, 2)


async def test_a_server_that_does_not_tell_the_time_changes_nothing() -> None:
    async with watched(Server(None), FakeClock(1_000_000)) as (here, told):
        assert (here.clock_fault, told) == ("", {})


def test_a_clock_is_in_doubt_until_a_server_is_reached_and_while_one_tells_another_time() -> None:
    right, wrong = door(), replace(door(), clock_fault="this clock is an hour ahead of the server's")
    assert in_doubt([])
    assert in_doubt([(right, False), (right, False)])
    assert not in_doubt([(right, True), (right, False)])
    assert in_doubt([(right, True), (wrong, False)])


def test_it_says_in_which_direction() -> None:
    assert "2 min ahead of" in problem(120)
    assert "2 min behind" in problem(-120)
