"""Driver `command` with real scripts: daemons that outlive everything, and exit statuses as of init scripts."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from amon.testing import FakeClock, Stage
from amon.words import State
from modules.service import Restart, Service

Script = Callable[..., tuple[str, ...]]
START = """
echo starting
setsid sh -c 'while :; do sleep 1; done' $here >/dev/null 2>&1 &
echo $! > $here/pid
"""
# The daemon keeps standard output open, as badly written ones do, and writes to it now and then.
LOUD = """
echo starting
setsid sh -c 'while :; do echo tick; sleep 0.1; done' $here &
echo $! > $here/pid
"""
STOP = "kill $(cat $here/pid) && rm $here/pid"
STATUS = "test -e $here/pid || exit 3; kill -0 $(cat $here/pid) 2>/dev/null || exit 1"


@pytest.fixture
def grid(script: Script) -> Callable[..., Service]:
    def made(start: str = LOUD, stop: str = STOP, status: str = STATUS, **more: Any) -> Service:
        return Service(
            **{
                "driver": "command",
                "start_argv": script(start, name="start"),
                "stop_argv": script(stop, name="stop"),
                "status_argv": script(status, name="status"),
                "settle": 0.2,
                **more,
            }
        )

    return made


def part(site: Stage) -> tuple[str, str]:
    health = site.health.parts["grid"]
    return health.state, health.text


async def test_starts_and_stops_with_its_own_programs(services: Any, grid: Any, tmp_path: Path, until: Any) -> None:
    async with services(grid=grid()) as site:
        assert part(site) == ("down", "down")
        assert (await site.ask("service start grid")).state == State.done
        assert part(site) == ("up", "")
        pid = int((tmp_path / "pid").read_text())
        assert (await site.ask("service stop grid")).state == State.done
        assert part(site) == ("down", "stopped by owner@example.org")
        await until(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)


async def test_its_daemon_survives_the_agent_and_keeps_its_output(
    services: Any, grid: Any, tmp_path: Path, until: Any
) -> None:
    log = tmp_path / "state/instances/service/grid/log"
    async with services(grid=grid()) as site:
        await site.say("service start grid")
    pid = int((tmp_path / "pid").read_text())
    ticks = log.read_text().count("tick")
    await until(lambda: log.read_text().count("tick") > ticks + 3)
    assert psutil.pid_exists(pid)
    async with services(grid=grid()) as site:
        assert part(site) == ("up", "")
        await site.say("service stop grid")


@pytest.mark.parametrize(
    ("status", "state", "text"),
    [
        ("exit 1", "failed", "failed: dead, its pid file is left"),
        ("exit 2", "failed", "failed: dead, its lock file is left"),
        ("exit 3", "down", "down"),
        ("echo what; exit 4", "unknown", "unknown: status program: exit status 4 what"),
        ("kill -9 $$", "unknown", "unknown: status program: killed by SIGKILL"),
    ],
)
async def test_exit_statuses_mean_what_they_mean_in_init_scripts(
    services: Any, grid: Any, status: str, state: str, text: str
) -> None:
    async with services(grid=grid(status=status)) as site:
        assert part(site) == (state, text)


async def test_a_start_that_fails_brings_the_end_of_what_it_said(services: Any, grid: Any) -> None:
    async with services(grid=grid(start="echo no space left; exit 5")) as site:
        ended = await site.ask("service start grid")
        assert ended.state == State.failed
        assert ended.text.splitlines() == [
            "grid did not start: its start program: exit status 5",
            "last lines of its log:",
            "  no space left",
        ]


async def test_a_start_that_succeeds_without_effect_fails(services: Any, grid: Any) -> None:
    async with services(grid=grid(start="true")) as site:
        ended = await site.ask("service start grid")
        assert ended.text.startswith("grid did not start: it is down")


async def test_a_start_that_hangs_is_killed_at_its_time(services: Any, grid: Any) -> None:
    async with services(grid=grid(start="trap '' TERM; sleep 604", start_timeout=0.5)) as site, asyncio.timeout(10):
        ended = await site.ask("service start grid")
        assert "its start program did not end in 0.5 s and was killed" in ended.text


async def test_a_restart_is_a_stop_and_a_start_or_its_own_program(services: Any, grid: Any, script: Script) -> None:
    async with services(grid=grid()) as site:
        await site.say("service start grid")
        plan = (await site.ask("service restart grid", dry_run=True)).data
        assert [word.rpartition("/")[2] for word in plan["would"]] == ["stop", "start"]
        assert (await site.ask("service restart grid")).state == State.done
        assert part(site)[0] == "up"
        await site.say("service stop grid")
    own = script(f"{STOP}\n{START}", name="again")
    async with services(grid=grid(restart_argv=own)) as site:
        await site.say("service start grid")
        assert (await site.ask("service restart grid")).state == State.done
        await site.say("service stop grid")


async def test_one_that_dies_is_seen_at_the_next_look_and_restarted(
    services: Any, grid: Any, tmp_path: Path, clock: FakeClock
) -> None:
    rule = Restart(automatic=True, wait=1)
    async with services(grid=grid(poll=30, restart=rule)) as site:
        await site.say("service start grid")
        os.kill(int((tmp_path / "pid").read_text()), 9)
        while part(site)[0] != "failed":
            clock.advance(30)
            await asyncio.sleep(0.05)
        clock.advance(2)
        await site.wait_health(lambda health: health.parts["grid"].state == "up")
        await site.say("service stop grid")


async def test_started_by_somebody_at_the_host_it_is_wanted_again(
    services: Any, grid: Any, tmp_path: Path, clock: FakeClock, script: Script
) -> None:
    async with services(grid=grid()) as site:
        await site.say("service start grid")
        await site.say("service stop grid")
        by_hand = await asyncio.create_subprocess_exec(*script(START, name="start"))
        await by_hand.wait()
        assert (await site.ask("service status grid")).data[0]["state"] == "up"
        assert site.module._keepers["grid"].facts().wish.by == "the host"
        await site.say("service stop grid")


async def test_fifty_megabytes_said_by_a_start_are_cut_back(
    services: Any, grid: Any, tmp_path: Path, clock: FakeClock, until: Any
) -> None:
    loud = f"head -c 52428800 /dev/zero\n{START}"
    async with services(grid=grid(start=loud, log_limit=65536)) as site:
        assert (await site.ask("service start grid")).state == State.done
        room = tmp_path / "state/instances/service/grid"
        clock.advance(2)
        await until(lambda: sum(path.stat().st_size for path in room.glob("log*")) < 200_000)
        await site.say("service stop grid")
