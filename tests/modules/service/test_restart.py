"""Automatic restart: what fell is restarted, but not for ever, and not against what people want."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from amon.health import Level
from amon.testing import FakeClock, Stage
from amon.words import State
from modules.service import Check, Restart, Service
from modules.service.keeper import Keeper

Program = Callable[..., tuple[str, ...]]
MARK = "open(here + '/starts', 'a').write('x')\n"
SLEEP = MARK + "time.sleep(600)"
CRASH = MARK + "print('no licence'); sys.exit(3)"
RULE = Restart(automatic=True, limit=3, within=1_000_000, wait=4, stable=60)


def ce(argv: tuple[str, ...], **more: Any) -> Service:
    return Service(**{"driver": "process", "argv": argv, "settle": 0.3, "restart": RULE, **more})


def starts(tmp_path: Path) -> int:
    path = tmp_path / "starts"
    return len(path.read_text()) if path.exists() else 0


def keeper(site: Stage) -> Keeper:
    found: Keeper = site.module._keepers["ce"]
    return found


async def wait_state(site: Stage, state: str) -> None:
    await site.wait_health(lambda health: "ce" in health.parts and health.parts["ce"].state == state)


async def wait_waiting(site: Stage, clock: FakeClock) -> None:
    """Until a restart waits for its time."""
    await site.wait_health(lambda health: "will be restarted" in health.text)
    await clock.turn(0.1)  # it lies down only after it has said so


async def give_up(site: Stage, clock: FakeClock) -> None:
    while site.health.parts["ce"].state != "given-up":
        clock.advance(4)
        await asyncio.sleep(0.02)


async def test_what_crashes_is_restarted_after_its_wait(
    services: Any, program: Program, tmp_path: Path, clock: FakeClock
) -> None:
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        os.kill(keeper(site).seen.pids[0], signal.SIGKILL)
        await wait_waiting(site, clock)
        assert site.health.parts["ce"].text == "failed: killed by SIGKILL; will be restarted"
        await clock.turn(3.8, step=3.8)
        assert starts(tmp_path) == 1
        clock.advance(0.2)
        await wait_state(site, "up")
        assert starts(tmp_path) == 2
        (row,) = (await site.ask("service status ce")).data
        assert row["restarts"] == 1


async def test_a_crash_loop_ends_at_the_limit_and_needs_a_person(
    services: Any, program: Program, tmp_path: Path, clock: FakeClock
) -> None:
    async with services(ce=ce(program(CRASH))) as site:
        await give_up(site, clock)
        assert starts(tmp_path) == 1 + 3
        assert site.health.level is Level.critical
        assert "given up after 3 restarts, needs start or restart: failed: exit status 3" in site.health.text
        await clock.turn(3000, step=100)
        assert starts(tmp_path) == 1 + 3

        program(SLEEP)  # somebody found the fault
        assert (await site.ask("service restart ce")).state == State.done
        assert site.presence.show == "available"
        assert keeper(site).restarts() == 0


async def test_having_given_up_survives_the_agent(
    services: Any, program: Program, tmp_path: Path, clock: FakeClock
) -> None:
    service = ce(program(CRASH))
    async with services(ce=service) as site:
        await give_up(site, clock)
    async with services(ce=service) as site:
        assert site.health.parts["ce"].state == "given-up"
        await clock.turn(3000, step=100)
        assert site.health.parts["ce"].state == "given-up"
        assert starts(tmp_path) == 4


async def test_the_count_survives_the_agent(services: Any, program: Program, tmp_path: Path, clock: FakeClock) -> None:
    service = ce(program(CRASH))
    async with services(ce=service) as site:
        while starts(tmp_path) < 3:
            clock.advance(4)
            await asyncio.sleep(0.02)
    async with services(ce=service) as site:
        await give_up(site, clock)
        assert starts(tmp_path) <= 4


async def test_a_stop_is_obeyed_while_a_restart_waits(
    services: Any, program: Program, tmp_path: Path, clock: FakeClock
) -> None:
    async with services(ce=ce(program(CRASH))) as site:
        await wait_waiting(site, clock)
        assert (await site.ask("service stop ce")).state == State.done
        await clock.turn(100)
        assert starts(tmp_path) == 1
        assert site.health.text == "ce stopped by owner@example.org"


async def test_maintenance_holds_restarts_back_until_it_ends(
    services: Any, program: Program, tmp_path: Path, clock: FakeClock, until: Any
) -> None:
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        assert (await site.ask("maintenance begin '1000 s' 'new disk' service")).state == State.done
        os.kill(keeper(site).seen.pids[0], signal.SIGKILL)
        await wait_state(site, "failed")
        await clock.turn(500, step=5)
        assert starts(tmp_path) == 1
        await clock.turn(600, step=5)
        await until(lambda: starts(tmp_path) == 2)


async def test_without_the_wish_nothing_is_restarted(
    services: Any, program: Program, tmp_path: Path, clock: FakeClock
) -> None:
    async with services(ce=ce(program(CRASH), restart=Restart())) as site:
        await wait_state(site, "failed")
        await clock.turn(1000, step=10)
        assert starts(tmp_path) == 1


async def test_a_service_that_runs_but_fails_its_check_is_restarted(
    services: Any, program: Program, tmp_path: Path, clock: FakeClock, script: Program
) -> None:
    sick = script("test ! -e $here/sick", name="check")
    check = Check(argv=sick, timeout=5, every=10, failures=3)
    async with services(ce=ce(program(SLEEP), check=check)) as site:
        await wait_state(site, "up")
        (tmp_path / "sick").touch()
        while site.health.parts["ce"].state != "unhealthy":
            assert site.health.level is Level.ok  # until the third failure in a row
            clock.advance(10)
            await asyncio.sleep(0.05)
        (tmp_path / "sick").unlink()
        clock.advance(4)
        await wait_state(site, "up")
        assert starts(tmp_path) == 2


async def test_a_restart_whose_check_does_not_pass_fails(services: Any, program: Program, script: Program) -> None:
    sick = script("echo no database; false", name="check")
    service = ce(program(SLEEP), begin=False, check=Check(argv=sick), start_timeout=0.5, restart=Restart())
    async with services(ce=service) as site:
        ended = await site.ask("service restart ce")
        assert ended.state == State.failed
        assert ended.text.startswith("ce did not restart: up for 0.5 s, but check check: exit status 1: no database")
        assert site.health.parts["ce"].state == "unhealthy"


async def test_the_wait_is_short_again_after_a_stable_run(
    services: Any, program: Program, tmp_path: Path, clock: FakeClock
) -> None:
    async with services(ce=ce(program(SLEEP))) as site:
        for round_ in (1, 2):
            await wait_state(site, "up")
            os.kill(keeper(site).seen.pids[0], signal.SIGKILL)
            await wait_waiting(site, clock)
            clock.advance(4)  # the first wait, not the second
            await wait_state(site, "up")
            assert starts(tmp_path) == 1 + round_
            while keeper(site).facts().history.streak:
                clock.advance(10)
                await asyncio.sleep(0.02)
