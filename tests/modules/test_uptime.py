"""The uptime module on a stage: no server, no waiting, no patching."""

import asyncio

from amon.testing import FakeClock, stage
from modules.uptime import Settings, Uptime, UptimeModule


def test_reads_in_days_hours_and_minutes() -> None:
    assert str(Uptime(93_784)) == "up 1 d 02 h 03 min"


async def test_a_fresh_boot_is_away_until_it_settles() -> None:
    clock = FakeClock(1_000)
    async with stage(UptimeModule, Settings(settle=300), clock=clock, boot=lambda: 940.0) as site:
        assert await site.say("uptime") == "up 0 d 00 h 01 min"
        assert site.presence.show == "away"
        clock.advance(240)
        assert site.presence.show == "available"


async def test_it_says_by_itself_that_it_has_settled() -> None:
    clock = FakeClock(1_000)
    async with stage(UptimeModule, Settings(settle=300), clock=clock, boot=lambda: 940.0) as site:
        settled = asyncio.create_task(site.wait_health(lambda health: health.text == "up"))
        await clock.turn(239)
        assert not settled.done()
        await clock.turn(2)
        assert settled.done()


async def test_a_clock_that_is_set_back_puts_off_the_settling_and_never_shows_a_negative_age() -> None:
    clock = FakeClock(1_000)
    async with stage(UptimeModule, Settings(settle=300), clock=clock, boot=lambda: 940.0) as site:
        settled = asyncio.create_task(site.wait_health(lambda health: health.text == "up"))
        clock.step_back(100)
        assert await site.say("uptime") == "up 0 d 00 h 00 min"
        await clock.turn(330)
        assert not settled.done()
        await clock.turn(20)
        assert settled.done()


async def test_a_host_that_has_long_been_up_is_ok_at_once() -> None:
    async with stage(UptimeModule, Settings(), clock=FakeClock(1e6), boot=lambda: 0.0) as site:
        assert site.presence.show == "available"
        assert (await site.ask("uptime")).data == {"seconds": 1e6}
