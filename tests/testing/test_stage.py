"""The stage as an author of a module uses it: a module of one page, and its test below it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import pytest

from amon.command import Call, command
from amon.errors import Failed, Refused
from amon.fields import Field
from amon.health import Health, Level
from amon.module import Env, Module
from amon.testing import FakeClock, stage

# The example: a module, and what its author tests. Everything after it is about the stage itself.


@dataclass(frozen=True, slots=True)
class Settings:
    full: Annotated[float, Field("critical above this", unit="%", least=1, most=100)] = 90


@dataclass(frozen=True, slots=True)
class Tank:
    level: Annotated[float, Field("how full it is", unit="%")]


class TankModule(Module[Settings]):
    def __init__(self, env: Env[Settings], read: Callable[[], float]) -> None:
        super().__init__(env)
        self.read = read

    @command()
    async def level(self, call: Call) -> Tank:
        """How full the tank is."""
        return Tank(self.read())

    @command()
    async def follow(
        self, call: Call, until: Annotated[float, Field("stop there", unit="%")] = 100
    ) -> AsyncIterator[Tank]:
        """Tell the level each second, until it is full."""
        try:
            while self.read() < until:
                yield Tank(self.read())
                await self.env.clock.sleep(1)
        finally:
            self.env.log.info("let go")

    @command(role="operator", effect="change")
    async def drain(self, call: Call, to: Annotated[float, Field("how far", unit="%", least=0)]) -> Tank:
        """Drain the tank."""
        if to > self.read():
            raise Refused(f"it is only {self.read():g} % full")
        return Tank(to)

    @drain.plan
    async def drain_plan(self, call: Call, to: Annotated[float, Field("how far", unit="%", least=0)]) -> Tank:
        return Tank(to)

    def health(self) -> Health:
        level = self.read()
        return Health.good() if level < self.env.settings.full else Health.bad(f"{level:g} % full", state="full")


async def test_a_tank_that_is_full_is_red_in_everybodys_contact_list() -> None:
    async with stage(TankModule, Settings(full=80), read=lambda: 85.0) as site:
        assert await site.say("level") == "level: 85 %"
        assert (site.presence.show, site.presence.status) == ("dnd", "CRIT 1/1 tank 85 % full")


async def test_it_drains_only_downwards() -> None:
    async with stage(TankModule, Settings(), read=lambda: 50.0) as site:
        assert await site.say("drain 90%") == "refused: it is only 50 % full"
        assert (await site.ask("drain 10%")).data == {"level": 10.0}


async def test_the_level_is_told_each_second_until_the_tank_is_full() -> None:
    clock, level = FakeClock(), [20.0]
    async with stage(TankModule, Settings(), clock=clock, read=lambda: level[0]) as site:
        told = []
        async for row in site.follow("tank follow"):
            told.append(row["level"])
            level[0] += 40
            await clock.wait_sleepers(3)  # its second, the look at sessions, housekeeping
            clock.advance(1)
        assert told == [20.0, 60.0]


# The stage itself


async def test_who_stops_following_ends_the_session_and_what_it_holds() -> None:
    clock = FakeClock()
    async with stage(TankModule, Settings(), clock=clock, read=lambda: 1.0) as site:
        async with aclosing(site.follow("tank follow")) as rows:
            assert await anext(rows) == {"level": 1.0}
            assert len(site.node.dispatch.sessions.all()) == 1
        assert site.node.dispatch.sessions.all() == []


async def test_who_may_not_follow_is_told_so() -> None:
    async with stage(TankModule, Settings(), read=lambda: 1.0) as site:
        with pytest.raises(Failed, match="has no role"):
            await anext(site.follow("tank follow", by="eve@elsewhere.example.org"))
        assert (await site.ask("tank follow")).text.startswith("it goes on and on: nobody follows it")


class Wild(Module[None]):
    """Does what the test wants while it runs."""

    def __init__(self, env: Env[None], log: list[str]) -> None:
        super().__init__(env)
        self.log = log
        self.now = Health.good()

    async def start(self) -> None:
        self.log.append(f"start in {self.env.state.name}")

    async def stop(self) -> None:
        self.log.append("stop")

    def health(self) -> Health:
        return self.now


async def test_the_instance_is_gone_when_the_block_ends_whatever_happened_in_it(tmp_path: Path) -> None:
    log: list[str] = []
    with pytest.raises(ZeroDivisionError):
        async with stage(Wild, log=log, state=tmp_path):
            raise ZeroDivisionError
    assert log == ["start in wild", "stop"]


async def test_a_failing_assertion_is_shown_as_it_is_and_not_in_a_group() -> None:
    with pytest.raises(AssertionError, match="on purpose"):
        async with stage(Wild, log=[]):
            raise AssertionError("on purpose")


async def test_what_an_instance_keeps_is_there_the_next_time(tmp_path: Path) -> None:
    async with stage(Wild, log=[], state=tmp_path) as site:
        (site.module.env.state / "kept").write_text("it")
        assert site.module.env.state.stat().st_mode & 0o777 == 0o700
    async with stage(Wild, log=[], state=tmp_path) as site:
        assert (site.module.env.state / "kept").read_text() == "it"


async def test_an_instance_may_bear_any_name() -> None:
    async with stage(TankModule, Settings(), name="north", read=lambda: 1.0) as site:
        assert await site.say("north level") == "level: 1 %"
        assert site.health == Health.good()


async def test_fences_are_off_and_every_line_is_there() -> None:
    async with stage(TankModule, Settings(), read=lambda: 1.0) as site:
        assert (await site.say("help drain")).splitlines()[:2] == ["help", "tank drain TO"]


async def test_one_asks_as_whom_one_wants() -> None:
    async with stage(TankModule, Settings(), read=lambda: 1.0) as site:
        assert "observer here" in await site.say("drain 1%", by="eve@watchers.example.org")
        assert "has no role" in await site.say("drain 1%", by="eve@elsewhere.example.org")
        assert (await site.ask("drain 1%", by="eve@elsewhere.example.org")).state == "refused"


async def test_plans_repeats_and_several_sites_are_as_in_real_life() -> None:
    async with stage(TankModule, Settings(), read=lambda: 50.0) as site:
        assert (await site.ask("drain 10%", dry_run=True)).data == {"level": 10.0}
        first = await site.ask("drain 10%", ident="01JD8M5W8X1V6Q2R3S4T5V6W7X")
        assert await site.ask("drain 10%", ident="01JD8M5W8X1V6Q2R3S4T5V6W7X") == first
        with pytest.raises(Failed, match="no outcome but a question: level: 10 %"):
            await site.ask("drain 10%", sites=2)


async def test_mistakes_may_be_tried_by_the_hundred() -> None:
    async with stage(TankModule, Settings(), read=lambda: 50.0) as site:
        for _ in range(300):
            assert "did you mean" in await site.say("levl")


async def test_health_is_waited_for_by_what_it_becomes() -> None:
    async with stage(Wild, log=[]) as site:
        waiting = asyncio.create_task(site.wait_health(lambda health: health.level is Level.critical))
        await asyncio.sleep(0)
        site.module.now = Health.bad("broken")
        site.module.env.changed()
        async with asyncio.timeout(1):
            assert (await waiting).text == "broken"
        assert site.picture.level is Level.critical


async def test_a_module_that_does_not_start_is_seen_and_not_waited_for() -> None:
    class Broken(Module[None]):
        async def start(self) -> None:
            raise Failed("no device")

    async with stage(Broken) as site:
        assert site.health.state == "crashed"
        with pytest.raises(Failed, match="no device"):
            _ = site.module


# The clock


async def test_sleepers_wake_in_order_when_their_time_has_come_and_not_before() -> None:
    clock, woken = FakeClock(100.0), list[float]()

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    tasks = [asyncio.create_task(sleep(seconds)) for seconds in (3.0, 1.0, 2.0)]
    await clock.wait_sleepers(3)
    clock.advance(0.5)
    await asyncio.sleep(0)
    assert woken == []
    clock.advance(2.5)
    await asyncio.gather(*tasks)
    assert woken == [1.0, 2.0, 3.0]
    assert (clock.time(), clock.monotonic(), clock.sleepers()) == (103.0, 3.0, 0)


async def test_time_of_day_may_go_back_and_the_other_clock_does_not() -> None:
    clock = FakeClock(100.0)
    clock.step_back(60)
    assert (clock.time(), clock.monotonic()) == (40.0, 0.0)


async def test_work_that_sleeps_again_and_again_goes_on_while_the_clock_is_turned() -> None:
    clock, steps = FakeClock(), 0

    async def work() -> None:
        nonlocal steps
        for _ in range(5):
            await clock.sleep(1)
            steps += 1

    task = asyncio.create_task(work())
    await asyncio.sleep(0)
    await clock.turn(5)
    await task
    assert steps == 5


async def test_a_sleep_of_nothing_lets_others_run_and_who_is_cancelled_is_forgotten() -> None:
    clock = FakeClock()
    await clock.sleep(0)
    task = asyncio.create_task(clock.sleep(9))
    await clock.wait_sleepers(1)
    task.cancel()
    await asyncio.wait([task])
    assert clock.sleepers() == 0
    clock.advance(10)
