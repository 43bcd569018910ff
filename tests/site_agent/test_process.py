"""The process around an agent: real processes and real signals. No server is there; an agent lives all the same."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from amon.errors import Failed
from amon.notify import Notify
from site_agent.configuration import Configuration, Loaded
from site_agent.process import Life, alone
from site_agent.reload import Changes
from tests.e2e.world import Notices
from tests.site_agent.test_cli import PROGRAM, ROOT
from tests.site_agent.world import Place

TEXT = """
state = "$STATE"
[account.main]
jid = "site-1@agents.example.org"
password_file = "$PASSWORD"
host = "127.0.0.1"
port = 1
[instance.uptime]
"""


class Program:
    """`amon-agent run`, with a service manager that listens."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.notices = Notices(place.folder / "notify")
        self.process: asyncio.subprocess.Process

    async def start(self, *argv: str, more: Mapping[str, str] | None = None) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *PROGRAM, "run", "--config", str(self.place.path), *argv,
            stderr=asyncio.subprocess.PIPE,
            cwd=ROOT,
            env={**os.environ, "NOTIFY_SOCKET": str(self.notices.path), **(more or {})},
        )  # fmt: skip

    async def wait_said(self, text: str) -> None:
        """Until it has logged this."""
        assert self.process.stderr is not None
        async with asyncio.timeout(15):
            while text not in (line := (await self.process.stderr.readline()).decode()):
                assert line, f"it ended without saying {text!r}"

    async def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """Exit code and all that it logged."""
        if self.process.returncode is None:
            self.process.send_signal(number)
        async with asyncio.timeout(15):
            _, said = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, said.decode()


@pytest.fixture
async def program(tmp_path: Path) -> AsyncIterator[Program]:
    place = Place(tmp_path)
    place.write(TEXT)
    program = Program(place)
    yield program
    program.notices.close()
    if program.process.returncode is None:
        program.process.kill()
        await program.process.communicate()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_says_when_it_is_ready_and_stops_in_order_when_asked(program: Program, number: int) -> None:
    await program.start()
    ready = await program.notices.wait("READY=1")
    assert ready == "READY=1\nSTATUS=site-1@agents.example.org; instances: uptime"
    code, said = await program.end(number)
    assert code == 0
    assert "Traceback" not in said
    await program.notices.wait("STOPPING=1")


async def test_a_hangup_takes_over_what_is_different_and_says_what_that_was(program: Program) -> None:
    await program.start()
    await program.notices.wait("READY=1")
    program.place.write(TEXT + "[instance.second]\nmodule = 'uptime'\n")
    program.process.send_signal(signal.SIGHUP)
    assert "MONOTONIC_USEC=" in await program.notices.wait("RELOADING=1")
    assert "instances: uptime, second" in await program.notices.wait("READY=1")
    code, said = await program.end()
    assert code == 0
    assert "reloaded: instances: started second" in said


async def test_a_bad_file_leaves_the_old_one_running_and_says_all_that_is_wrong(program: Program) -> None:
    await program.start()
    await program.notices.wait("READY=1")
    program.place.write(TEXT.replace("port = 1", "prot = 1") + "[instance.all]\n")
    program.process.send_signal(signal.SIGHUP)
    ready = await program.notices.wait("READY=1")
    assert ready.startswith("READY=1\nSTATUS=not reloaded: 2 problems in the configuration; the old one stays. First: ")
    assert "account.main.prot: is not known here" in ready
    program.place.write(TEXT)
    program.process.send_signal(signal.SIGHUP)
    assert (await program.notices.wait("READY=1")).endswith("instances: uptime")
    code, said = await program.end()
    assert code == 0
    assert "account.main.prot: is not known here; did you mean port" in said
    assert "instance.all: 'all' is a word of the target language" in said
    assert "not reloaded: 2 problems in the configuration; the old one stays" in said
    assert "reloaded: nothing is different" in said


async def test_the_watchdog_hears_of_it_all_the_time(program: Program) -> None:
    await program.start(more={"WATCHDOG_USEC": "400000"})
    for _ in range(3):
        await program.notices.wait("WATCHDOG=1")
    assert (await program.end())[0] == 0


async def test_no_second_agent_takes_the_same_state_directory_and_a_killed_one_leaves_no_lock(program: Program) -> None:
    await program.start()
    await program.notices.wait("READY=1")
    first = program.process
    await program.start()
    code, said = await program.end(0)
    assert code == 1
    assert f"another agent (pid {first.pid}) uses {program.place.state}" in said
    first.kill()
    await first.communicate()
    await program.start()
    await program.notices.wait("READY=1")
    assert (await program.end())[0] == 0


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_it_lives_on_either_loop(program: Program, loop: str) -> None:
    if loop == "uvloop":
        pytest.importorskip("uvloop")
    await program.start("--loop", loop)
    await program.notices.wait("READY=1")
    await program.wait_said("nothing accepts connections at 127.0.0.1 port 1")
    assert (await program.end())[0] == 0


async def test_the_password_is_in_no_log_also_at_debug_with_a_trace(program: Program) -> None:
    program.place.write("log = 'debug'\ntrace = true\n" + TEXT)
    await program.start()
    await program.notices.wait("READY=1")
    _, said = await program.end()
    assert said
    assert "hush" not in said


def test_a_state_directory_is_let_go_with_the_block(tmp_path: Path) -> None:
    for _ in range(2):
        with alone(tmp_path / "state"), pytest.raises(Failed, match=f"pid {os.getpid()}"), alone(tmp_path / "state"):
            pass
    assert (tmp_path / "state").stat().st_mode & 0o777 == 0o700


# With an agent that does what the test wants


class Puppet:
    """Starts when it is let, and breaks when it is told to."""

    def __init__(self) -> None:
        self.starts, self.stopped = asyncio.Event(), False
        self.begun = asyncio.Event()
        self.breaks = asyncio.Event()

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Puppet"]:
        try:
            self.begun.set()
            await self.starts.wait()
            async with asyncio.TaskGroup() as tasks:
                broken = tasks.create_task(self._break())
                yield self
                broken.cancel()
        finally:
            self.stopped = True

    async def _break(self) -> None:
        await self.breaks.wait()
        raise RuntimeError("broken")

    def keep(self, why: str) -> None:
        self.kept = why

    async def reload(self, wanted: Configuration) -> Changes:
        return Changes()


async def test_a_stop_while_it_still_starts_is_a_clean_end() -> None:
    puppet = Puppet()
    life = asyncio.create_task(Life(puppet, Notify(), Loaded).run())
    await puppet.begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(5):
        await life
    assert puppet.stopped


async def test_an_agent_that_breaks_ends_the_process_with_its_error() -> None:
    puppet = Puppet()
    puppet.starts.set()
    life = asyncio.create_task(Life(puppet, Notify(), Loaded).run())
    await puppet.begun.wait()
    puppet.breaks.set()
    with pytest.raises(ExceptionGroup) as broken:
        async with asyncio.timeout(5):
            await life
    assert broken.group_contains(RuntimeError, match="broken")
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_DFL
