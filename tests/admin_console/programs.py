"""The command `amon` as a process of its own, in a pipe or on a terminal, for the tests of this room."""

import asyncio
import contextlib
import fcntl
import os
import pty
import struct
import sys
import termios
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil

# A shell that starts the tests in the background has SIGINT ignored, and that is inherited: env(1) undoes it.
_DEFAULTS = ("/usr/bin/env", "--default-signal")
AMON = (sys.executable, "-P", "-c", "from admin_console.cli.main import main; main()")


class Program:
    """A running `amon` and what it has written so far, on both of its streams."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        write: Callable[[bytes], object],
        hang_up: Callable[[], None] = lambda: None,
    ) -> None:
        self.process, self.text, self.type, self.hang_up = process, "", write, hang_up
        self.reading: asyncio.Task[None] | None = None
        self._more = asyncio.Event()

    def heard(self, data: bytes) -> None:
        self.text += data.decode(errors="replace")
        self._more.set()

    async def wait_for(self, text: str, within: float = 20.0) -> None:
        """Until it has written this."""
        try:
            async with asyncio.timeout(within):
                while text not in self.text:
                    self._more.clear()
                    await self._more.wait()
        except TimeoutError:
            raise AssertionError(f"{text!r} was not written:\n{self.text}") from None

    async def ended(self, within: float = 20.0) -> int:
        async with asyncio.timeout(within):
            code = await self.process.wait()
        if self.reading is not None:  # what it wrote last may still be in the pipe
            await asyncio.wait((self.reading,), timeout=within)
        return code


@asynccontextmanager
async def in_pipe(*words: str, folder: Path, **environment: str) -> AsyncIterator[Program]:
    """Both streams in one pipe, nothing to read from."""
    process = await asyncio.create_subprocess_exec(
        *_DEFAULTS, *AMON, *words, env=_environment(folder, environment),
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    program = Program(process, lambda _: None)

    async def listen() -> None:
        assert process.stdout is not None
        while data := await process.stdout.read(65536):
            program.heard(data)

    listening = program.reading = asyncio.create_task(listen())
    try:
        yield program
    finally:
        _kill(process)
        await process.wait()
        await asyncio.wait([listening], timeout=5)  # whatever is still in the pipe
        listening.cancel()


@asynccontextmanager
async def on_terminal(
    *words: str, folder: Path, leader: tuple[str, ...] = (), **environment: str
) -> AsyncIterator[Program]:
    """A terminal of its own, which turns a typed Ctrl-C into the signal. Source: setsid(1), pty(7).

    leader: a program before ours that leads the session, as `make` or a shell may.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 110, 0, 0))
    process = await asyncio.create_subprocess_exec(
        "setsid", "--ctty", *leader, *_DEFAULTS, *AMON, *words,
        env={**_environment(folder, environment), "TERM": "xterm"}, stdin=theirs, stdout=theirs, stderr=theirs,
    )  # fmt: skip
    os.close(theirs)
    loop = asyncio.get_running_loop()
    terminal = open(ours, "r+b", buffering=0)  # noqa: ASYNC230, PTH123, SIM115 it is there already

    def listen() -> None:
        try:
            program.heard(terminal.read(65536))
        except OSError:  # the last of them has closed it
            loop.remove_reader(terminal)

    def hang_up() -> None:
        if not terminal.closed:
            loop.remove_reader(terminal)
            terminal.close()

    program = Program(process, terminal.write, hang_up)
    loop.add_reader(terminal, listen)
    try:
        yield program
    finally:
        _kill(process)
        await process.wait()
        hang_up()


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    """Temporary files, caches and configurations lie below `folder`."""
    own = {
        name: str(folder) for name in ("TMPDIR", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    }
    return {**os.environ, **own, **more}


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def living(folder: Path) -> list[str]:
    """Processes that have to do with this folder: by their words, their environment or where they write to."""
    return [" ".join(process.info["cmdline"]) for process in psutil.process_iter(["cmdline"]) if _of(process, folder)]


def _of(process: psutil.Process, folder: Path) -> bool:
    if process.pid == os.getpid():
        return False
    try:
        if process.status() == psutil.STATUS_ZOMBIE:
            return False
        said = " ".join((*process.cmdline(), *process.environ().values()))
        return str(folder) in said or str(Path(f"/proc/{process.pid}/fd/1").readlink()).startswith(str(folder))
    except (psutil.Error, OSError):
        return False


async def nothing_left(folder: Path, within: float = 20.0) -> None:
    try:
        async with asyncio.timeout(within):
            while living(folder):  # noqa: ASYNC110 not our children: nothing tells of their end
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"still there: {living(folder)}") from None
