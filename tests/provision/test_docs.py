"""The commands of docs/provisioning.md, copied as they stand, on a private server; other hosts are folders here."""

import asyncio
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest

from admin_console.cli.enroll import enroll
from tests.admin_console.programs import in_pipe, living

DOCS = Path(__file__).parents[2] / "docs" / "provisioning.md"
BIN = Path(sys.executable).parent

# What stands for another host: its files lie in a folder of its name, and its services are started by hand.
SSH = """#!/bin/sh
SITE=$1; shift; export SITE
exec "$@"
"""
SUDO = """#!/bin/sh
exec "$@"
"""
AGENT = """#!/bin/sh
command=$1; shift
mkdir -p "$ROOT/$SITE"
case $command in
enroll) exec "{bin}/amon-agent" enroll "$@" --config "$ROOT/$SITE/agent.toml" --state "$ROOT/$SITE/state" --user root;;
esac
"""
SYSTEMCTL = """#!/bin/sh
test "$*" = "enable --now amon-agent" || exit 9
setsid "{bin}/amon-agent" run --config "$ROOT/$SITE/agent.toml" > "$ROOT/$SITE/log" 2>&1 < /dev/null &
"""


def blocks() -> list[str]:
    return re.findall(r"```sh\n(.*?)```", DOCS.read_text(), re.DOTALL)


class Shell:
    """One person's shell."""

    def __init__(self, folder: Path, config: Path) -> None:
        self.folder = folder
        self._bin = folder / "bin"
        self._bin.mkdir()
        for name, text in (("ssh", SSH), ("sudo", SUDO), ("amon-agent", AGENT), ("systemctl", SYSTEMCTL)):
            (self._bin / name).write_text(text.format(bin=BIN))
            (self._bin / name).chmod(0o755)
        own = {"ROOT": folder, "HOME": folder, "XDG_DATA_HOME": folder / "data", "XDG_CACHE_HOME": folder / "cache"}
        self._env = {
            **os.environ, **{name: str(path) for name, path in own.items()},
            "AMON_CONFIG": str(config), "PATH": f"{self._bin}:{BIN}:{os.environ['PATH']}",
        }  # fmt: skip

    async def say(self, lines: str) -> str:
        """What was said, on both streams; a line that fails ends it."""
        process = await asyncio.create_subprocess_exec(
            "/bin/bash", "-euo", "pipefail", "-c", lines, cwd=self.folder, env=self._env,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        async with asyncio.timeout(60):
            said, _ = await process.communicate()
        assert process.returncode == 0, f"{lines}\n{said.decode()}"
        return said.decode()


@asynccontextmanager
async def shell(folder: Path) -> AsyncIterator[Shell]:
    server = ("server", "run", "--domain", "example.org", "--port", "0", "--tls-port", "0", "--directory")
    async with in_pipe(*server, str(folder / "server"), folder=folder) as program:
        await program.wait_for("stops with Ctrl-C")
        try:
            yield Shell(folder, folder / "server" / "console.toml")
        finally:
            for process in psutil.process_iter(["cmdline"]):
                if f"{folder}/cern/agent.toml" in (process.info["cmdline"] or ()):
                    process.kill()
            program.process.send_signal(signal.SIGTERM)
            await program.ended()


@pytest.mark.timeout(180)
async def test_every_command_of_the_text_works_as_it_stands(tmp_path: Path) -> None:
    first, approve, many, again, admin, restore = blocks()
    async with shell(tmp_path) as person:
        said = await person.say(first)
        key = re.search(r"key: +(SHA256:[A-Za-z0-9+/]{43})", said)
        assert key is not None, said
        assert "amon approve cern" in said
        said = await person.say(re.sub(r"SHA256:[A-Za-z0-9+/]{43}", key[1], approve))
        assert f"\nkey: {key[1]} in " in said
        assert re.search(r"cern +(ok|warn) ", said), said
        said = await person.say(many)
        assert {"gsi.token", "ral.token"} <= set(said.split())
        assert "amon1." not in said
        said = await person.say(again)
        assert "account: deleted" in said
        said = await person.say(admin)
        assert "password of bob@example.org: " in said
        said = await person.say(restore)
        assert "accounts of sites: 0 made, 2 were there" in said
        assert "amon1." in (tmp_path / "cern.token").read_text()
    assert not [words for words in living(tmp_path) if "amon-agent" in words]


def test_every_option_of_the_table_is_one() -> None:
    known = {option for parameter in enroll.params for option in parameter.opts}
    table = re.findall(r"^\| (`--.*?) \|", DOCS.read_text(), re.MULTILINE)
    told = {option for row in table for option in re.findall(r"`(--[a-z]+)", row)}
    assert told <= known
    assert known - told == {"sites", "--again", "--json"}
