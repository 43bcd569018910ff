"""Services outlive the agent, and the next one takes them over: never lost, never a second."""

import asyncio
import errno
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from amon.health import Level
from amon.testing import FakeClock, Stage
from amon.words import State
from modules.service import Service, proc
from modules.service.driver import World
from modules.service.process import ProcessDriver
from modules.service.states import Condition

Program = Callable[..., tuple[str, ...]]
SLEEP = "print('ready'); time.sleep(600)"


def ce(argv: tuple[str, ...], **more: Any) -> Service:
    return Service(**{"driver": "process", "argv": argv, "settle": 0.1, **more})


def running(tmp_path: Path) -> list[int]:
    """All living processes of the test's service."""
    found = []
    for process in psutil.process_iter():
        try:
            mine = process.cmdline()[-1:] == [str(tmp_path / "ce.py")]
            if mine and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process.pid)
        except psutil.Error:
            continue
    return found


def record_of(tmp_path: Path) -> Path:
    return tmp_path / "state/instances/service/ce/process.json"


async def wait_state(site: Stage, state: str) -> None:
    await site.wait_health(lambda health: "ce" in health.parts and health.parts["ce"].state == state)


async def test_the_next_agent_adopts_what_runs(
    services: Any, program: Program, tmp_path: Path, clock: FakeClock
) -> None:
    service = ce(program(SLEEP))
    async with services(ce=service) as site:
        await wait_state(site, "up")
    (pid,) = running(tmp_path)
    clock.advance(1000)
    async with services(ce=service) as site:
        await wait_state(site, "up")
        (row,) = (await site.ask("service status ce")).data
        assert row["pids"] == [pid]
        assert row["age"] == 1000
        os.kill(pid, signal.SIGKILL)
        await wait_state(site, "failed")


async def test_an_agent_that_is_killed_leaves_its_services_to_the_next(
    services: Any, program: Program, tmp_path: Path
) -> None:
    argv = program(SLEEP)
    async with agent(tmp_path, argv) as first:
        await said(first, "up")
        first.kill()
    (pid,) = running(tmp_path)
    async with services(ce=ce(argv)) as site:
        await wait_state(site, "up")
        assert running(tmp_path) == [pid]
        assert (await site.ask("service stop ce")).state == State.done
    assert running(tmp_path) == []


async def test_an_agent_on_a_stage_with_a_directory_leaves_no_other_when_it_is_killed(
    program: Program, tmp_path: Path, services: Any
) -> None:
    argv = program(SLEEP)
    async with agent(tmp_path, argv) as first:
        await said(first, "up")
        first.kill()
    assert list((tmp_path / "scratch").iterdir()) == []
    async with services(ce=ce(argv)) as site:
        assert (await site.ask("service stop ce")).state == State.done


async def test_an_agent_killed_by_its_service_in_the_moment_of_the_start(
    services: Any, program: Program, tmp_path: Path, until: Any
) -> None:
    """The program kills the agent first of all: before or after its pid is written down, as it happens."""
    argv = program(
        f"if not os.path.exists(here + '/once'):\n    open(here + '/once', 'w'); os.kill(os.getppid(), 9)\n{SLEEP}"
    )
    async with agent(tmp_path, argv) as first:
        await first.wait()
    (pid,) = await until(lambda: running(tmp_path))
    async with services(ce=ce(argv)) as site:
        await wait_state(site, "up")
        assert running(tmp_path) == [pid]


async def test_a_start_of_which_only_the_token_was_written_is_found_by_it(
    services: Any, program: Program, tmp_path: Path, until: Any
) -> None:
    argv = program(SLEEP)
    started_without_record(tmp_path, argv, "f00d")
    write_record(tmp_path, token="f00d")
    (pid,) = await until(lambda: running(tmp_path))
    async with services(ce=ce(argv)) as site:
        await wait_state(site, "up")
        assert running(tmp_path) == [pid]
        assert json.loads(record_of(tmp_path).read_text())["pid"] == pid


async def test_the_oldest_of_several_with_the_token_is_the_service(
    services: Any, program: Program, tmp_path: Path, until: Any
) -> None:
    helper = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', here], start_new_session=True)\n"
    argv = program(helper + SLEEP)
    started_without_record(tmp_path, argv, "f00d")
    (pid,) = await until(lambda: running(tmp_path))
    await until(psutil.Process(pid).children)
    write_record(tmp_path, token="f00d")
    async with services(ce=ce(argv)) as site:
        await wait_state(site, "up")
        assert json.loads(record_of(tmp_path).read_text())["pid"] == pid
        await site.say("service stop ce")


async def test_a_helper_of_an_earlier_run_is_not_taken_for_the_service(
    services: Any, program: Program, tmp_path: Path, until: Any
) -> None:
    helper = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)', here], start_new_session=True)\n"
    async with services(ce=ce(program(helper + SLEEP))) as site:
        await wait_state(site, "up")
        (child,) = await until(psutil.Process(running(tmp_path)[0]).children)
        await site.say("service stop ce")
    assert child.is_running()
    (tmp_path / "state/instances/service/ce/wish.json").unlink()
    write_record(tmp_path, token="f00d")
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        assert len(running(tmp_path)) == 1
        assert site.module._keepers["ce"].seen.pids != (child.pid,)


async def test_a_start_that_never_happened_happens_now(services: Any, program: Program, tmp_path: Path) -> None:
    write_record(tmp_path, token="f00d")
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        assert len(running(tmp_path)) == 1


async def test_a_lost_record_does_not_make_a_second(services: Any, program: Program, tmp_path: Path) -> None:
    argv = program(SLEEP)
    async with services(ce=ce(argv)) as site:
        await wait_state(site, "up")
    (pid,) = running(tmp_path)
    record_of(tmp_path).write_text('{"token": "f0')
    async with services(ce=ce(argv)) as site:
        await wait_state(site, "up")
        assert running(tmp_path) == [pid]


async def test_a_pid_that_was_given_out_again_is_left_alone(services: Any, program: Program, tmp_path: Path) -> None:
    stranger = await asyncio.create_subprocess_exec("sleep", "600", start_new_session=True)
    try:
        write_record(tmp_path, token="f00d", pid=stranger.pid, ticks=1)
        async with services(ce=ce(program(SLEEP))) as site:
            assert site.health.parts["ce"].text == "failed: ended while no agent was there"
            assert (await site.ask("service restart ce")).state == State.done
            assert (await site.ask("service stop ce")).state == State.done
        assert stranger.returncode is None
    finally:
        stranger.kill()
        await stranger.wait()


async def test_an_end_while_no_agent_was_there_is_noticed(services: Any, program: Program, tmp_path: Path) -> None:
    service = ce(program(SLEEP))
    async with services(ce=service) as site:
        await wait_state(site, "up")
    (pid,) = running(tmp_path)
    program_itself = psutil.Process(pid)
    program_itself.kill()
    program_itself.wait(10)  # a signal takes its time: the next agent must not meet it still dying
    async with services(ce=service) as site:
        assert site.health.parts["ce"].text == "failed: ended while no agent was there"
    async with services(ce=service) as site:  # and the one after knows it too
        assert site.health.parts["ce"].state == "failed"


async def test_after_a_boot_it_is_started_anew(services: Any, program: Program, tmp_path: Path) -> None:
    write_record(tmp_path, token="f00d", pid=os.getpid(), ticks=1, boot="another")
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
        assert len(running(tmp_path)) == 1


async def test_stopped_by_a_person_stays_stopped(services: Any, program: Program, tmp_path: Path) -> None:
    service = ce(program(SLEEP))
    async with services(ce=service) as site:
        await wait_state(site, "up")
        await site.say("service stop ce")
    async with services(ce=service) as site:
        assert site.health.parts["ce"].text == "stopped by owner@example.org"
        assert running(tmp_path) == []


async def test_a_changed_configuration_is_told_not_forced(services: Any, program: Program, tmp_path: Path) -> None:
    argv = program(SLEEP)
    async with services(ce=ce(argv)) as site:
        await wait_state(site, "up")
    (pid,) = running(tmp_path)
    async with services(ce=ce(argv, environment={"NEW": "1"})) as site:
        await wait_state(site, "up")
        assert running(tmp_path) == [pid]
        assert site.health.parts["ce"].text == "runs as configured before; restart to apply the change"


async def test_what_is_not_configured_any_more_is_a_warning_until_it_is_stopped(
    services: Any, program: Program, tmp_path: Path
) -> None:
    async with services(ce=ce(program(SLEEP))) as site:
        await wait_state(site, "up")
    async with services() as site:
        assert site.health.level is Level.warning
        assert site.health.text == "ce runs, but is not configured any more: stop it, or configure it again"
        assert (await site.ask("service restart ce")).state == State.refused
        assert (await site.ask("service stop ce")).state == State.done
        assert running(tmp_path) == []
        assert site.health.parts == {}
        assert (await site.ask("service stop ce")).text == "no service named 'ce'; known: none"


@pytest.mark.parametrize("number", [errno.ENOSYS, errno.EPERM])
async def test_where_the_kernel_has_no_pidfd_ends_are_noticed_too(
    program: Program, tmp_path: Path, clock: FakeClock, number: int
) -> None:
    def refuses(pid: int) -> int:
        raise OSError(number, os.strerror(number))

    stirred = asyncio.Event()
    async with asyncio.TaskGroup() as tasks:
        world = World(clock, lambda body, name: tasks.create_task(body), stirred.set, logging.getLogger("test"))
        driver = ProcessDriver(ce(program(SLEEP)), tmp_path, world, open_pid=refuses)
        assert await driver.open()
        await driver.start()
        (pid,) = (await driver.see()).pids
        os.kill(pid, signal.SIGKILL)
        await stirred.wait()
        assert (await driver.see()).condition is Condition.FAILED
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()


def test_a_process_name_with_brackets_does_not_confuse(tmp_path: Path) -> None:
    (tmp_path / "7").mkdir()
    fields = " ".join(str(n) for n in range(4, 53))
    (tmp_path / "7/stat").write_text(f"7 (a) R 1 (b)) S {fields}\n")
    found = proc.look(7, tmp_path)
    assert found == proc.Process(7, "S", 5, 6, 22)


def started_without_record(tmp_path: Path, argv: tuple[str, ...], token: str) -> None:
    """As `ProcessDriver` does it, up to the moment in which the agent died."""
    started = subprocess.Popen(argv, env={proc.VARIABLE: token}, start_new_session=True)
    started.returncode = 0  # not ours to wait for


def write_record(tmp_path: Path, **known: Any) -> None:
    record = record_of(tmp_path)
    record.parent.mkdir(parents=True, exist_ok=True)
    record.write_text(json.dumps({"boot": proc.boot_id(), "digest": "", "at": 0.0, **known}))


@asynccontextmanager
async def agent(tmp_path: Path, argv: tuple[str, ...]) -> AsyncIterator[asyncio.subprocess.Process]:
    """A real agent process with the service `ce`, to be killed by the test."""
    text = f'[services.ce]\ndriver = "process"\nargv = {json.dumps(list(argv))}\nsettle = "0.1 s"'
    path = Path(__file__).with_name("agent.py")
    scratch = tmp_path / "scratch"
    scratch.mkdir(exist_ok=True)
    environment = {**os.environ, "PYTHONPATH": str(path.parents[3]), "TMPDIR": str(scratch)}
    started = await asyncio.create_subprocess_exec(
        sys.executable, str(path), str(tmp_path / "state"), text,
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env=environment,
    )  # fmt: skip
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def said(started: asyncio.subprocess.Process, word: str) -> None:
    """Ask the agent for states until one has the word."""
    assert started.stdin is not None
    assert started.stdout is not None
    while word not in (await started.stdout.readline()).decode():
        started.stdin.write(b"service list\n")
