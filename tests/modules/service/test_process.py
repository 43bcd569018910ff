"""Driver `process` with real programs: start, stop, failures, output without end."""

import asyncio
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from amon.health import Level
from amon.testing import FakeClock, Stage
from amon.words import State
from modules.service import Service

Program = Callable[..., tuple[str, ...]]
SLEEP = "print('ready'); time.sleep(600)"


def ce(argv: tuple[str, ...], **more: Any) -> Service:
    return Service(**{"driver": "process", "argv": argv, "settle": 0.1, **more})


def pid_of(site: Stage, name: str = "ce") -> int:
    (pid,) = site.module._keepers[name].seen.pids
    return int(pid)


def state_of(site: Stage, name: str = "ce") -> str:
    return site.health.parts[name].state


async def wait_state(site: Stage, state: str, name: str = "ce") -> None:
    await site.wait_health(lambda health: name in health.parts and health.parts[name].state == state)


async def test_a_service_is_started_with_the_agent_and_is_healthy(services: Any, program: Program) -> None:
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        assert site.health.level is Level.ok
        assert site.presence.show == "available"
        assert psutil.Process(pid_of(site)).cmdline()[-1].endswith("ce.py")


async def test_one_that_does_not_begin_waits_for_a_person(services: Any, program: Program) -> None:
    async with services(ce=ce(program(SLEEP), begin=False)) as site:
        assert site.health.parts["ce"].text == "down: not started yet"
        assert (await site.ask("service start ce")).state == State.done
        assert state_of(site) == "up"


async def test_list_and_status_give_data(services: Any, program: Program, clock: FakeClock) -> None:
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        clock.advance(90)
        (line,) = (await site.ask("service list")).data
        assert line == {"name": "ce", "state": "up", "driver": "process", "age": 90}
        (row,) = (await site.ask("service status ce")).data
        assert row["pids"] == [pid_of(site)]
        assert row["memory"] > 1_000_000
        assert row["restarts"] == 0


async def test_an_unknown_name_is_refused_with_a_suggestion(services: Any, program: Program) -> None:
    async with services(httpd=ce(program(SLEEP), begin=False)) as site:
        ended = await site.ask("service restart htpd")
        assert ended.state == State.refused
        assert ended.text == "no service named 'htpd'; did you mean httpd?"


async def test_a_dry_run_says_what_would_be_done_and_does_nothing(services: Any, program: Program) -> None:
    argv = program(SLEEP)
    async with services(ce=ce(argv)) as site:
        await wait_state(site, "up")
        pid = pid_of(site)
        text = (await site.ask("service restart ce", dry_run=True)).text
        assert text.startswith(f"ce is up now; would: SIGTERM to process group {pid}, SIGKILL after 10 s, then run ")
        assert (await site.ask("service start ce", dry_run=True)).text == "ce is up now; would: do nothing"
        assert pid_of(site) == pid


async def test_stopping_takes_its_whole_group_and_reaps_it(services: Any, program: Program, until: Any) -> None:
    worker = "subprocess.Popen([sys.executable, '-I', '-c', 'import time; time.sleep(600)', here])"
    async with services(ce=ce(program(f"{worker}\n{SLEEP}"))) as site:
        await wait_state(site, "up")
        main = psutil.Process(pid_of(site))
        (child,) = await until(main.children)
        assert (await site.ask("service stop ce")).state == State.done
        assert not main.is_running()
        assert not child.is_running() or child.status() == psutil.STATUS_ZOMBIE
        assert site.health.parts["ce"].text == "stopped by owner@example.org"
        assert site.health.level is Level.warning


async def test_one_that_ignores_sigterm_is_killed_after_its_time(services: Any, program: Program) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
    async with services(ce=ce(program(deaf), stop_timeout=0.3)) as site:
        await wait_state(site, "up")
        await _said_ready(site)
        pid = pid_of(site)
        assert (await site.ask("service stop ce")).state == State.done
        assert not psutil.pid_exists(pid)


async def test_one_that_is_halted_stops_too(services: Any, program: Program) -> None:
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        os.kill(pid_of(site), signal.SIGSTOP)
        async with asyncio.timeout(5):
            assert (await site.ask("service stop ce")).state == State.done


async def test_a_failed_start_brings_the_end_of_its_log(services: Any, program: Program) -> None:
    body = "for n in range(50): print('line', n)\nprint('\\x1b[31mno licence\\x07 \\u202e')\nsys.exit(3)"
    async with services(ce=ce(program(body), begin=False, settle=10)) as site:
        ended = await site.ask("service start ce")
        assert ended.state == State.failed
        lines = ended.text.splitlines()
        assert lines[0] == "ce did not start: exit status 3"
        assert lines[1] == "last lines of its log:"
        assert lines[-1] == "  no licence\ufffd \ufffd"
        assert len(lines) == 2 + 10
        assert state_of(site) == "failed"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"argv": ("/nowhere/at/all",)}, "cannot run /nowhere/at/all: no such program"),
        ({"argv": ("/etc/passwd",)}, "cannot run /etc/passwd: permission denied"),
        ({"directory": "/nowhere"}, "its directory /nowhere does not exist"),
    ],
)
async def test_what_cannot_be_run_says_why(services: Any, program: Program, change: dict[str, Any], why: str) -> None:
    async with services(ce=ce(**{"argv": program(SLEEP), "begin": False, **change})) as site:
        ended = await site.ask("service start ce")
        assert ended.state == State.failed
        assert why in ended.text
        assert state_of(site) == "failed"


async def test_a_crash_is_seen_at_once_and_named(services: Any, program: Program) -> None:
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        os.kill(pid_of(site), signal.SIGKILL)
        await wait_state(site, "failed")
        assert site.health.parts["ce"].text == "failed: killed by SIGKILL"
        assert site.presence.show == "dnd"


async def test_a_disk_that_takes_no_record_costs_starts_and_nothing_else(services: Any, program: Program) -> None:
    async with services(ce=ce(program(SLEEP)), se=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        await wait_state(site, "up", "se")
        module, pid = site.module, pid_of(site, "se")
        full = module.env.state / "ce" / "process.json.new"
        full.mkdir()
        psutil.Process(pid_of(site)).kill()
        await wait_state(site, "failed")
        outcome = await site.ask("service start ce")
        assert outcome.state == State.failed
        assert "ce/process.json cannot be written (Is a directory); next: look at the site's disk" in outcome.text
        assert (state_of(site), pid_of(site, "se"), site.module) == ("failed", pid, module)
        full.rmdir()
        assert (await site.ask("service start ce")).state == State.done


async def test_one_thing_at_a_time(services: Any, program: Program) -> None:
    async with services(ce=ce(program(SLEEP), begin=False, settle=0.5)) as site:
        first = asyncio.create_task(site.ask("service start ce", by="owner@example.org"))
        await wait_state(site, "starting")
        ended = await site.ask("service restart ce")
        assert ended.state == State.refused
        assert ended.text == "ce is being started by owner@example.org since 0 s; ask again when that is done"
        assert (await first).state == State.done


async def test_what_was_begun_is_finished_when_the_asker_gives_up(services: Any, program: Program) -> None:
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
    async with services(ce=ce(program(deaf), stop_timeout=0.5)) as site:
        await wait_state(site, "up")
        await _said_ready(site)
        asked = asyncio.create_task(site.ask("service stop ce"))
        await wait_state(site, "stopping")
        asked.cancel()
        await wait_state(site, "down")


async def test_a_program_that_goes_into_the_background_is_told_to_stay(services: Any, program: Program) -> None:
    body = "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0: time.sleep(600)\nos._exit(0)"
    async with services(ce=ce(program(body), begin=False, settle=5)) as site:
        ended = await site.ask("service start ce")
        assert "went into the background (pid " in ended.text
        assert "add its foreground option or take driver command" in ended.text


async def test_fifty_megabytes_of_output_fill_neither_disk_nor_memory(
    services: Any, program: Program, clock: FakeClock, tmp_path: Path, until: Any
) -> None:
    body = "for n in range(50): os.write(1, b'x' * 1023 + b'\\n' + b'y' * (2**20 - 1024))\nprint('done')\n" + SLEEP
    async with services(ce=ce(program(body), log_limit=1024 * 1024)) as site:
        await wait_state(site, "up")
        log = tmp_path / "state/instances/service/ce/log"
        before = psutil.Process().memory_info().rss

        def all_written() -> bool:
            clock.advance(2)
            written = psutil.Process(pid_of(site)).io_counters().write_chars
            return written > 50 * 1024 * 1024 and log.stat().st_size <= 1024 * 1024

        await until(all_written)
        assert sum(path.stat().st_size for path in log.parent.glob("log*")) <= 2 * 1024 * 1024
        assert psutil.Process().memory_info().rss - before < 16 * 1024 * 1024
        assert psutil.pid_exists(pid_of(site))


async def test_the_child_gets_none_of_our_descriptors_and_little_of_our_environment(
    services: Any, program: Program, tmp_path: Path
) -> None:
    with (tmp_path / "inherited").open("w") as leak:
        os.set_inheritable(leak.fileno(), True)
        async with services(ce=ce(program(SLEEP), environment={"CE_HOME": "/opt"})) as site:
            await wait_state(site, "up")
            process = psutil.Process(pid_of(site))
            await _said_ready(site)
            given = process.environ()
            open_files = sorted(str(path.readlink()) for path in Path(f"/proc/{process.pid}/fd").iterdir())
    assert given["CE_HOME"] == "/opt"
    assert "PYTEST_CURRENT_TEST" in os.environ
    assert "PYTEST_CURRENT_TEST" not in given
    log = str(tmp_path / "state/instances/service/ce/log")
    assert open_files == ["/dev/null", log, log]


async def _said_ready(site: Stage) -> None:
    keeper = site.module._keepers["ce"]
    while "ready" not in (*await keeper.driver.last_lines(), "")[0]:  # noqa: ASYNC110 - it writes a file
        await asyncio.sleep(0.02)


async def test_only_what_this_start_said_is_brought(services: Any, program: Program) -> None:
    body = "print('seen once'); sys.exit(3)"
    async with services(ce=ce(program(body), begin=False, settle=10)) as site:
        for _ in range(2):
            ended = await site.ask("service start ce")
            assert ended.text.count("seen once") == 1
        program("sys.exit(4)")
        assert (await site.ask("service start ce")).text == "ce did not start: exit status 4\nits log is empty"
