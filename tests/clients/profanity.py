"""Drives a real Jabber client, profanity, in a tmux of its own: types what a person types, reads its log of stanzas.

The screen wraps, scrolls and is redrawn; the log (`-l DEBUG`) holds every stanza as it was sent or received, so that is
what a test looks at. Sources: profanity(1) 0.13, its account file (`/help account`), tmux(1).
"""

import asyncio
import os
import re
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from typing import Self

_LOOK_EVERY = 0.05
# The account with its password: nothing is typed that a log of keys could keep. `trust` takes any certificate: this is
# a test of what is said, and who vouches for the server has tests of its own.
_ACCOUNT = """\
[{jid}]
enabled=true
jid={jid}
resource=profanity
password={password}
server={host}
port={port}
tls.policy=trust
muc.nick={nick}
"""


class NeverCame(AssertionError):
    """What was waited for did not come in time; says what came instead."""


class NotRunning(Exception):
    """tmux has ended, and the client with it."""


class Profanity:
    """One person at a terminal, from `async with` (started, not yet connected) to its end."""

    def __init__(self, folder: Path, jid: str, password: str, *, host: str, port: int) -> None:
        self.jid, self.nick = jid, jid.partition("@")[0]
        self._home = folder / "home"
        self.log_file = folder / "profanity.log"
        self._account = _ACCOUNT.format(jid=jid, password=password, host=host, port=port, nick=self.nick)
        # unix(7): the path of a socket has at most 107 bytes, and a test's folder may have more.
        self.tmux = str(Path(tempfile.mkdtemp(prefix="tmux-")) / "s")
        self._seen = 0

    async def __aenter__(self) -> Self:
        try:
            await self._open()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def connect(self) -> None:
        """Logs in and waits until presence is out."""
        await self.type(f"/connect {self.jid}")
        await self.wait_for(r"logged in successfully|Login successful|SENT: <presence ", within=20)

    async def join(self, room: str) -> None:
        """Enters the room and waits for its own presence there; what is typed next is said in it."""
        await self.type(f"/join {room} nick {self.nick}")
        await self.wait_for(rf'RECV: <presence [^\n]*from="{re.escape(room)}/[^\n]*code="110"')

    async def message(self, to: str, text: str) -> None:
        """Says it one to one; what is typed next is said there too."""
        await self.type("/win 1")  # in a room's window /msg looks for participants only
        await self.type(f"/msg {to} {text}")

    async def say(self, text: str) -> None:
        """Says it in the window that is open."""
        await self.type(text)

    async def type(self, line: str) -> None:
        """The line and Enter, as keys; what comes from now on is what `wait_for` looks at."""
        self._seen = len(self._logged())
        await self._tmux("send-keys", "-t", "main", "-l", line)
        await self._tmux("send-keys", "-t", "main", "Enter")

    async def wait_for(self, pattern: str, *, within: float = 10.0) -> re.Match[str]:
        """The first place since the last typed line where this regular expression is found in the log."""
        wanted = re.compile(pattern)
        try:
            async with asyncio.timeout(within):
                while (found := wanted.search(self._logged(), self._seen)) is None:  # noqa: ASYNC110 another process writes it
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise NeverCame(f"{pattern!r} within {within:g} s; came:\n{self._logged()[self._seen :]}") from None
        return found

    async def wait_screen(self, pattern: str, *, within: float = 10.0) -> str:
        """The screen once this regular expression is found on it."""
        shown = ""
        try:
            async with asyncio.timeout(within):
                while not re.search(pattern, shown := await self.screen()):  # noqa: ASYNC110 likewise
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise NeverCame(f"{pattern!r} on the screen within {within:g} s; it shows:\n{shown}") from None
        return shown

    async def screen(self) -> str:
        """What the person sees now."""
        return await self._tmux("capture-pane", "-p", "-t", "main")

    async def close(self) -> None:
        """Leaves as a person does, so that the server sees no lost connection; then ends tmux, with its socket."""
        try:
            async with asyncio.timeout(5):
                await self.type("/quit")
                while await self._running():  # noqa: ASYNC110 another process ends
                    await asyncio.sleep(_LOOK_EVERY)
        except (TimeoutError, NotRunning):
            pass
        if await self._running():
            await self._tmux("kill-server")
        shutil.rmtree(Path(self.tmux).parent, ignore_errors=True)

    async def _running(self) -> bool:
        try:
            await self._tmux("has-session", "-t", "main")
        except NotRunning:
            return False
        return True

    async def _open(self) -> None:
        config, data = self._home / "config", self._home / "data"
        for folder in (config / "profanity", data / "profanity"):
            folder.mkdir(mode=0o700, parents=True)
        accounts = data / "profanity" / "accounts"
        accounts.touch(mode=0o600)
        accounts.write_text(self._account)
        own = {"HOME": self._home, "XDG_CONFIG_HOME": config, "XDG_DATA_HOME": data, "TMPDIR": self._home}
        # Desktop notices would start a message bus that stays.
        fixed = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "DBUS_SESSION_BUS_ADDRESS": "disabled:"}
        words = [f"{name}={value}" for name, value in (own | fixed).items()]
        words += ["profanity", "-l", "DEBUG", "-f", str(self.log_file)]
        size = ["-x", "140", "-y", "50"]
        await self._tmux("-f", "/dev/null", "new-session", "-d", "-s", "main", *size, "env", *words)
        await self.wait_screen(r"\[offline\]")

    def _logged(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""

    async def _tmux(self, *words: str) -> str:
        # TMUX would make it talk to the server that the tests themselves may run in.
        environment = {name: value for name, value in os.environ.items() if name not in ("TMUX", "TMUX_PANE")}
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
