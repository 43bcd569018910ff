"""A program for a terminal in a tmux of its own: a test types keys and looks at the screen. Source: tmux(1)."""

import asyncio
import os
import re
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from tests.clients.living import Living

LOOK_EVERY = 0.05  # seconds between two looks at what another process writes

_NOT_OURS = frozenset({"TMUX", "TMUX_PANE", "COLUMNS", "LINES"})


class NeverCame(AssertionError):
    """What was waited for did not come in time; says what came instead."""


class NotRunning(Exception):
    """tmux has ended, and the program with it."""


class Terminal(Living):
    """One person at a terminal, from `async with` to its end. What it runs, and how that is left, a client says."""

    def __init__(self, home: Path) -> None:
        self.home = home
        # unix(7): the path of a socket has at most 107 bytes, and a test's folder may have more.
        self.tmux = str(Path(tempfile.mkdtemp(prefix="tmux-")) / "s")

    async def leave(self) -> None:
        """Types what ends the program."""
        raise NotImplementedError

    async def run(self, own: Mapping[str, object], *words: str) -> None:
        """Starts this program on a screen of 140 by 50. own: its environment, beside what every client needs."""
        # Desktop notices would start a message bus that stays.
        fixed = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
        named = [f"{name}={value}" for name, value in (dict(own) | fixed).items()]
        await self.call(
            "-f", "/dev/null", "new-session", "-d", "-s", "main", "-x", "140", "-y", "50", "env", *named, *words
        )

    async def keys(self, *names: str) -> None:
        """Keys by tmux's names, such as `Enter` or `C-y`."""
        await self.call("send-keys", "-t", "main", *names)

    async def text(self, text: str) -> None:
        """These characters as keys."""
        await self.call("send-keys", "-t", "main", "-l", text)

    async def wait_screen(self, pattern: str, *, within: float = 20.0) -> str:
        """The screen once this regular expression is found on it."""
        return await self._wait(pattern, self.screen, within)

    async def wait_written(self, pattern: str, *, within: float = 20.0) -> str:
        """The same for what may have been scrolled away before one looks."""
        return await self._wait(pattern, self._written, within)

    async def screen(self) -> str:
        """What the person sees now."""
        return await self.call("capture-pane", "-p", "-t", "main")

    async def _written(self) -> str:
        return await self.call("capture-pane", "-p", "-S", "-", "-t", "main")

    async def _wait(self, pattern: str, look: Callable[[], Awaitable[str]], within: float) -> str:
        shown = ""
        try:
            async with asyncio.timeout(within):
                while not re.search(pattern, shown := await look()):  # noqa: ASYNC110 another process draws it
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            raise NeverCame(f"{pattern!r} on the screen within {within:g} s; it shows:\n{shown}") from None
        return shown

    async def close(self) -> None:
        """Leaves as a person does, so that the server sees no lost connection; then ends tmux, with its socket."""
        try:
            async with asyncio.timeout(5):
                await self.leave()
                while await self._running():  # noqa: ASYNC110 another process ends
                    await asyncio.sleep(LOOK_EVERY)
        except (TimeoutError, NotRunning):
            pass
        if await self._running():
            await self.call("kill-server")
        shutil.rmtree(Path(self.tmux).parent, ignore_errors=True)

    async def _running(self) -> bool:
        try:
            await self.call("has-session", "-t", "main")
        except NotRunning:
            return False
        return True

    async def call(self, *words: str) -> str:
        """tmux, with these words; what it printed."""
        # TMUX would make it talk to the server that the tests themselves may run in; and tests that run side by side
        # are told a width that is not this screen's.
        environment = {name: value for name, value in os.environ.items() if name not in _NOT_OURS}
        process = await asyncio.create_subprocess_exec(
            "tmux",
            "-S",
            self.tmux,
            *words,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, complaint = await process.communicate()
        if process.returncode:
            raise NotRunning(f"tmux {words[0]}: {complaint.decode().strip()}")
        return out.decode(errors="replace")
