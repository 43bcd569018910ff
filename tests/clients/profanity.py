"""Drives a real Jabber client, profanity, in a tmux of its own: types what a person types, reads its log of stanzas.

The screen wraps, scrolls and is redrawn; the log (`-l DEBUG`) holds every stanza as it was sent or received, so that is
what a test looks at. Sources: profanity(1) 0.13, its account file (`/help account`).
"""

import asyncio
import re
from pathlib import Path

from tests.clients.terminal import LOOK_EVERY, NeverCame, Terminal

__all__ = ["NeverCame", "Profanity"]

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


class Profanity(Terminal):
    """One person at a terminal, from `async with` (started, not yet connected) to its end."""

    def __init__(self, folder: Path, jid: str, password: str, *, host: str, port: int) -> None:
        super().__init__(folder / "home")
        self.jid, self.nick = jid, jid.partition("@")[0]
        self.log_file = folder / "profanity.log"
        self._account = _ACCOUNT.format(jid=jid, password=password, host=host, port=port, nick=self.nick)
        self._seen = 0

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
        await self.text(line)
        await self.keys("Enter")

    async def wait_for(self, pattern: str, *, within: float = 20.0) -> re.Match[str]:
        """The first place since the last typed line where this regular expression is found in the log."""
        wanted = re.compile(pattern)
        try:
            async with asyncio.timeout(within):
                while (found := wanted.search(self._logged(), self._seen)) is None:  # noqa: ASYNC110 another process writes it
                    await asyncio.sleep(LOOK_EVERY)
        except TimeoutError:
            raise NeverCame(f"{pattern!r} within {within:g} s; came:\n{self._logged()[self._seen :]}") from None
        return found

    async def leave(self) -> None:
        await self.type("/quit")

    async def _open(self) -> None:
        config, data = self.home / "config", self.home / "data"
        for folder in (config / "profanity", data / "profanity"):
            folder.mkdir(mode=0o700, parents=True)
        accounts = data / "profanity" / "accounts"
        accounts.touch(mode=0o600)
        accounts.write_text(self._account)
        own = {"HOME": self.home, "XDG_CONFIG_HOME": config, "XDG_DATA_HOME": data, "TMPDIR": self.home}
        await self.run(own, "profanity", "-l", "DEBUG", "-f", str(self.log_file))
        await self.wait_screen(r"\[offline\]")

    def _logged(self) -> str:
        return self.log_file.read_text(errors="replace") if self.log_file.exists() else ""
