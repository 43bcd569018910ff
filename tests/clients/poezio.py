"""Drives a real Jabber client, poezio, in a tmux of its own: presses what a person presses and reads the screen.

It writes no stanzas down, so a test looks at what is drawn. It refuses to run as root, and is another user's then.
Source: poezio 0.14, /usr/share/doc/poezio/html.
"""

import asyncio
import os
import re
import shutil
from pathlib import Path

from tests.clients.terminal import LOOK_EVERY, NeverCame, Terminal

_NOBODY = 65534
_CONFIG = """\
[Poezio]
jid = {jid}
password = {password}
custom_host = {host}
custom_port = {port}
ca_cert_path = {ca_file}
use_bookmarks_method = local
auto_reconnect = false
enable_vertical_tab_list = false
"""


class Poezio(Terminal):
    """One person at a terminal, from `async with` (logged in) to its end."""

    def __init__(self, jid: str, password: str, *, host: str, port: int, ca_file: Path) -> None:
        # A test's folder is closed to the user that it runs as.
        super().__init__(Path("/"))
        self.home = Path(self.tmux).parent / "home"
        self.jid = jid
        self._ca = ca_file.read_bytes()
        shown = self.home / "ca.pem"
        self._config = _CONFIG.format(jid=f"{jid}/poezio", password=password, host=host, port=port, ca_file=shown)

    async def command(self, line: str) -> None:
        """A line that begins with a slash. The first key is swallowed by what stands in the empty input."""
        await self.text("/")
        await self.wait_screen(r"(?m)^/")
        await self.text(line.removeprefix("/"))
        await self.wait_screen(rf"(?m)^{re.escape(line)}")  # an Enter that comes with the text is a part of it
        await self.keys("Enter")

    async def press(self, key: str) -> None:
        """One key, and what it draws; keys that come at once it takes for a paste, and loses some."""
        before = await self.colours()
        await self.keys(key)
        async with asyncio.timeout(20):
            while await self.colours() == before:  # noqa: ASYNC110 another process draws it
                await asyncio.sleep(LOOK_EVERY)

    async def turn_to(self, text: str, most: int = 20) -> None:
        """Presses the right arrow until the choice that is marked reads so."""
        for _ in range(most):
            await self.press("Right")
            if text in await self.screen():
                return
        raise NeverCame(f"no choice reads {text!r}; the screen shows:\n{await self.screen()}")

    async def colours(self) -> str:
        """The screen with what is marked on it."""
        return await self.call("capture-pane", "-e", "-p", "-t", "main")

    async def leave(self) -> None:
        await self.keys("C-g")  # out of a form, if there is one
        await self.command("/quit")

    async def _open(self) -> None:
        config = self.home / "poezio.cfg"
        self.home.mkdir(mode=0o700)
        config.touch(mode=0o600)
        config.write_text(self._config)
        (self.home / "ca.pem").write_bytes(self._ca)
        own = {"HOME": self.home, "XDG_CONFIG_HOME": self.home / "config", "XDG_DATA_HOME": self.home / "data"}
        other: tuple[str, ...] = ()
        if os.geteuid() == 0:
            for path in (self.home, *self.home.iterdir()):
                os.chown(path, _NOBODY, _NOBODY)
            self.home.parent.chmod(0o711)
            setpriv = shutil.which("setpriv") or "setpriv"
            other = (setpriv, f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups")
        await self.run(own, *other, "poezio", "-f", str(config))
        await self.wait_screen(r"Your JID is[^§]*No remote bookmark", within=20)
