"""A process for each core, and their parent: real children, in a program of its own."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from tests.engine.process.running import Running
from tests.waiting import until

ROOT = Path(__file__).parents[3]
PROGRAM = """
import logging, os, signal, sys, threading, time
from amon.engine.program.cores import Cores, Times
from amon.notify import Notify
logging.basicConfig(level="INFO", stream=sys.stderr, format="%(message)s")
folder = sys.argv[1]
stop = []
def body(number, teller):
    signal.signal(signal.SIGTERM, lambda *_: stop.append(1))
    open(f"{folder}/{number}.{os.getpid()}", "w").close()
    CHILD
    signal.signal(signal.SIGHUP, lambda *_: teller.ready("reloaded"))
    teller.ready("up")
    while not stop:
        if not os.path.exists(f"{folder}/silent.{os.getpid()}"):
            teller.alive()
        time.sleep(0.02)
    return 0
def reload():
    return not os.path.exists(f"{folder}/bad")
notify = Notify.from_environment(os.environ, os.getpid())
times = Times(first=0.1, most=0.2, silent=SILENT, stop=2)
sys.exit(Cores(2, body, notify, reload=reload, times=times).run())
"""


class Program(Running):
    async def start(self, child: str = "pass", silent: float = 20) -> None:
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", PROGRAM.replace("CHILD", child).replace("SILENT", str(silent)), str(self.folder),
            stderr=asyncio.subprocess.PIPE, cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": str(self.notices.path), "WATCHDOG_USEC": "2000000"},
        )  # fmt: skip

    def pids(self, number: int) -> list[int]:
        """Of all lives of a child, the first first."""
        found = sorted(self.folder.glob(f"{number}.*"), key=lambda path: path.stat().st_mtime_ns)
        return [int(path.suffix[1:]) for path in found]


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    program = Program(tmp_path)
    yield program
    await program.close()
    for pid in alive(program.pids(0) + program.pids(1)):
        os.kill(pid, signal.SIGKILL)


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_all_children_are_ready_before_it_is_and_all_end_with_it(program: Program, number: int) -> None:
    await program.start()
    ready = await program.notices.wait("READY=1")
    assert ready == "READY=1\nSTATUS=core 0: up; core 1: up"
    code, said = await program.end(number)
    assert code == 0
    assert "Traceback" not in said
    await program.notices.wait("STOPPING=1")
    assert alive(program.pids(0) + program.pids(1)) == []


async def test_a_child_that_dies_is_started_again_and_the_other_goes_on(program: Program) -> None:
    await program.start()
    await program.notices.wait("READY=1")
    (first,), (other,) = program.pids(0), program.pids(1)
    os.kill(first, signal.SIGKILL)
    await program.notices.wait("core 0: ended (signal SIGKILL); core 1: up")
    await program.notices.wait("core 0: up; core 1: up")
    assert len(alive(program.pids(0))) == 1
    assert program.pids(1) == [other]
    code, said = await program.end()
    assert code == 0
    assert "core 0 ended (signal SIGKILL); started again in 0.2 s" in said


async def test_a_child_that_dies_again_and_again_is_waited_for_longer_up_to_a_bound(program: Program) -> None:
    await program.start(
        "if len([n for n in os.listdir(folder) if n.startswith('0.')]) > 1 and number == 0: os._exit(3)"
    )
    await program.notices.wait("READY=1")
    os.kill(program.pids(0)[0], signal.SIGKILL)
    await until(lambda: len(program.pids(0)) >= 4)
    code, said = await program.end()
    assert code == 0
    assert said.count("core 0 ended (exit code 3); started again in 0.2 s") >= 2


async def test_a_child_that_says_nothing_is_ended_and_started_again(program: Program) -> None:
    await program.start(silent=3.0)
    await program.notices.wait("READY=1")
    (program.folder / f"silent.{program.pids(1)[0]}").touch()
    await until(lambda: len(program.pids(1)) == 2)
    code, said = await program.end()
    assert code == 0
    assert "core 1 has said nothing for 3 s: it is ended" in said
    assert len(program.pids(0)) == 1


async def test_a_parent_that_was_stopped_for_long_does_not_blame_its_children(program: Program) -> None:
    await program.start(silent=3.0)
    await program.notices.wait("READY=1")
    children = program.pids(0) + program.pids(1)
    pid = program.process.pid
    for one in (pid, *children):
        os.kill(one, signal.SIGSTOP)
    stopped = asyncio.get_running_loop().time()
    await until(lambda: asyncio.get_running_loop().time() - stopped > 3.5)
    os.kill(pid, signal.SIGCONT)  # the children say nothing before it looks
    await program.notices.wait("WATCHDOG=1")
    for one in children:
        os.kill(one, signal.SIGCONT)
    code, said = await program.end()
    assert (code, "has said nothing" in said) == (0, False)


async def test_a_hangup_while_a_child_begins_does_not_end_it(program: Program) -> None:
    begins = "open(f'{folder}/begins', 'w').close() if number else None"
    wait = "[time.sleep(0.01) for _ in range(1000) if number and not os.path.exists(f'{folder}/go')]"
    await program.start(f"{begins}; {wait}")
    await until(lambda: (program.folder / "begins").exists())
    program.process.send_signal(signal.SIGHUP)
    await program.notices.wait("RELOADING=1")
    (program.folder / "go").touch()
    await program.notices.wait("READY=1")
    code, said = await program.end()
    assert (code, "could not begin" in said) == (0, False)


async def test_a_child_that_cannot_begin_ends_all_of_it(program: Program) -> None:
    await program.start("if number == 1: return 1")
    async with asyncio.timeout(20):
        _, said = await program.process.communicate()
    assert program.process.returncode == 1
    assert "core 1 could not begin: exit code 1" in said.decode()
    assert alive(program.pids(0)) == []


async def test_a_child_that_breaks_says_where(program: Program) -> None:
    await program.start("if number == 1: 1 / 0")
    async with asyncio.timeout(20):
        _, said = await program.process.communicate()
    assert program.process.returncode == 1
    assert "ZeroDivisionError" in said.decode()


async def test_a_child_that_does_not_stop_is_killed(program: Program) -> None:
    await program.start("signal.signal(signal.SIGTERM, signal.SIG_IGN)")
    await program.notices.wait("READY=1")
    code, _ = await program.end()
    assert code == 0
    assert alive(program.pids(0) + program.pids(1)) == []


async def test_children_end_when_their_parent_is_killed(program: Program) -> None:
    await program.start()
    await program.notices.wait("READY=1")
    children = program.pids(0) + program.pids(1)
    await program.end(signal.SIGKILL)
    await until(lambda: alive(children) == [])


async def test_a_hangup_reaches_all_children_unless_the_configuration_is_bad(program: Program) -> None:
    await program.start()
    await program.notices.wait("READY=1")
    (program.folder / "bad").touch()
    program.process.send_signal(signal.SIGHUP)
    await program.notices.wait("RELOADING=1")
    assert await program.notices.wait("READY=1") == "READY=1\nSTATUS=core 0: up; core 1: up"
    (program.folder / "bad").unlink()
    program.process.send_signal(signal.SIGHUP)
    await program.notices.wait("RELOADING=1")
    await program.notices.wait("core 0: reloaded; core 1: reloaded")
    assert (await program.end())[0] == 0


async def test_the_watchdog_hears_of_the_parent(program: Program) -> None:
    await program.start()
    for _ in range(2):
        await program.notices.wait("WATCHDOG=1")
    assert (await program.end())[0] == 0
