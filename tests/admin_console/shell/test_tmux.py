"""`amon shell` as a person has it: the real program on a real terminal, with a server and sites that are real, too."""

import asyncio
import contextlib
import re

import pytest

from tests.admin_console.ground import ALICE, Ground
from tests.admin_console.programs import AMON
from tests.admin_console.shell.test_script import environment
from tests.admin_console.test_run_signed import site
from tests.clients.terminal import NeverCame, Terminal

pytestmark = pytest.mark.clients


class Shell(Terminal):
    """One person at `amon shell`."""

    def __init__(self, ground: Ground, *words: str, **changes: object) -> None:
        super().__init__(ground.folder)
        self._config, self._words = str(ground.console(ALICE, **changes).config), words

    async def line(self, text: str) -> None:
        await self.text(text)
        await self.keys("Enter")

    async def proposed(self, typed: str, pattern: str) -> None:
        """Types this until the screen shows it: what sites propose is not waited for long, and then never comes."""
        async with asyncio.timeout(40):
            while True:
                await self.keys("C-u")
                await self.text(typed)
                with contextlib.suppress(NeverCame):
                    await self.wait_screen(pattern, within=5)
                    return

    async def leave(self) -> None:
        await self.keys("C-u")
        await self.line("exit")

    async def _open(self) -> None:
        known = environment(self.home)
        named = {name: known[name] for name in known if name.startswith(("XDG", "PATH", "HOME"))}
        await self.run(named, *AMON, "--config", self._config, "shell", *self._words)
        await self.wait_screen(r"amon \[.*\] >", within=20)


async def test_one_types_and_sees_the_menu_the_usage_and_the_result(ground: Ground) -> None:
    await ground.site("cern", tags='tags = { tier = "2" }')
    await ground.site("fnal", "[instance.odd.settings]\nwell = false\n", tags='tags = { tier = "2" }')
    async with Shell(ground) as shell:
        await shell.wait_screen(r"amon \[no target: 2 sites, CRIT 1\] >")
        await shell.proposed("target tag:", r"tag:tier=2")
        await shell.line("tier=2")
        await shell.wait_screen(r"amon \[tag:tier=2: 2 sites, CRIT 1\] >")
        await shell.proposed("odd ec", r"odd ec *\n *echo")  # the menu below the word
        await shell.keys("Tab")
        await shell.wait_screen(r"> odd echo")
        await shell.text(" hel")
        await shell.wait_screen(r"(?m)^odd echo \[WORDS\]")  # the line below says how it is used
        await shell.line("lo")
        seen = await shell.wait_screen(r"2 sites: 2 done")
        assert re.search(r"cern +done +hello", seen)
        assert re.search(r"fnal +done +hello", seen)
        await shell.line("sites")
        await shell.wait_screen(r"fnal +crit")
        await shell.keys("Up", "Up")
        await shell.wait_screen(r"(?s)fnal +crit.*> odd echo hello *\n")  # again, below what was shown since
        await shell.keys("C-c")
        await shell.line("output json")
        await shell.line("@cern odd echo again")
        await shell.wait_screen(r'"text": "again"')


async def test_a_session_streams_above_what_one_types_and_a_key_ends_a_job(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.site(name)
    async with Shell(ground, "all") as shell:
        await shell.line("odd follow tick")
        await shell.wait_written(r"cern: tick 2\n")  # twenty lines a second: it may have been scrolled away
        await shell.text("odd echo 'while it str")
        await shell.wait_screen(r"(?s)fnal: tick ([5-9]|\d{2,})\n.*> odd echo 'while it str *\n")
        await shell.line("eams'")
        await shell.wait_written(r"cern +done +while it streams")
        await shell.line("stop")
        await shell.wait_screen(r"stopped by you")
        await shell.line("odd hang")
        await shell.wait_screen(r"odd hang: 0 of 2 sites, [0-9]+ s")
        await shell.keys("C-c")
        await shell.wait_screen(r"2 sites: 2 cancelled")
        await shell.line("odd keep treasure")
        await shell.wait_screen(r"odd keep treasure on 2 sites: cern, fnal\? \[y/N\]")
        await shell.line("y")
        await shell.line("jobs")  # typed ahead
        await shell.wait_screen(r"kept treasure")
        await shell.wait_screen(r"(?s)odd keep treasure .*odd follow tick")


@pytest.mark.timeout(120)
async def test_it_comes_back_when_the_server_does(ground: Ground) -> None:
    await ground.site("cern")
    async with Shell(ground, "all") as shell:
        await shell.wait_screen(r"amon \[all: 1 site, OK\] >")
        await shell.text("odd echo kept")
        ground.server.kill()
        await shell.wait_screen(r"connection lost: ")
        await shell.wait_screen(r"no connection\] > odd echo kept")
        await ground.server.__aenter__()
        await shell.wait_screen(r"connected again", within=40)
        await shell.wait_screen(r"amon \[all: 1 site, OK\] > odd echo kept", within=40)
        await shell.keys("Enter")
        await shell.wait_screen(r"cern +done +kept")


async def test_nothing_of_it_stays_and_the_history_has_no_secret(ground: Ground) -> None:
    await ground.site("cern")
    async with Shell(ground, "all") as shell:
        for line, usage in (("odd unlock hunter2", "odd unlock WORD"), ("odd echo plain", r"odd echo \[WORDS\]")):
            await shell.proposed(line, rf"(?m)^{usage}")  # what no site has told of in time is not written down
            await shell.keys("Enter")
        await shell.wait_screen(r"cern +done +plain")
        await shell.keys("C-d")
        async with asyncio.timeout(20):
            while await shell._running():  # noqa: ASYNC110 another process ends
                await asyncio.sleep(0.05)
    (history,) = ground.folder.rglob("shell_history")
    assert history.read_text().splitlines() == ["odd echo plain"]
    assert history.stat().st_mode & 0o777 == 0o600


async def test_a_signature_is_asked_for_by_ssh_keygen_itself_and_the_prompt_comes_back(ground: Ground) -> None:
    key = ground.folder / "id_alice"
    words = ("ssh-keygen", "-q", "-t", "ed25519", "-N", "open sesame", "-f", str(key))
    assert await (await asyncio.create_subprocess_exec(*words)).wait() == 0
    for name in ("cern", "fnal"):
        await site(ground, name, (ALICE, key))
    async with Shell(ground, "all", key=str(key)) as shell:
        await shell.keys("odd wipe", "Enter", "odd echo dra")  # at once: behind the question it would be the answer
        await shell.wait_screen(r"odd wipe on 2 sites: cern, fnal\? \[y/N\]")
        await shell.line("y")
        await shell.wait_screen(r"Enter passphrase")
        await shell.line("open sesame")
        await shell.wait_screen(r"2 sites: 2 done")
        await shell.wait_screen(r"> odd echo dra *\n")
        await shell.line("ft")
        seen = await shell.wait_screen(r"cern +done +draft")
    assert "sesame" not in seen
