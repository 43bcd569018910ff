"""Secrets planted in a real agent, and looked for in all that comes out of it: log, journal, presence, answers."""

import asyncio
import base64
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest

from amon.wire import encode_health
from tests.e2e.vault import VaultModule
from tests.e2e.world import ALICE, PASSWORD, AgentProcess, World, seen

KEY, WORD, BY_HAND = "planted<typed>&key", "planted-typed-word", "planted-by-hand"
FROM_FILE, FROM_ENV, FROM_SYSTEMD, IN_TEXT = (
    "planted-in-a-file",
    "planted-in-env",
    "planted-by-systemd",
    'planted-"text"',
)
PLANTED = (PASSWORD, KEY, WORD, BY_HAND, FROM_FILE, FROM_ENV, FROM_SYSTEMD, IN_TEXT)
EVERYTHING = ("good", "failed", "refused", "invalid", "bug", "task", "late", "data", "progress", "log", "health")


def forms(secret: str) -> Iterator[bytes]:
    """As it stands in a text, in XML, in JSON (also in JSON in JSON), in Python, in a URL and in base64."""
    xml = secret.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    once = json.dumps(secret)[1:-1]
    texts = (secret, xml, xml.replace('"', "&quot;"), once, json.dumps(once)[1:-1], repr(secret)[1:-1], quote(secret))
    yield from (text.encode() for text in texts)
    yield base64.b64encode(secret.encode()).rstrip(b"=")[:-1]


def leaks(where: str, data: bytes | str) -> list[tuple[str, str]]:
    raw = data.encode(errors="surrogateescape") if isinstance(data, str) else data
    return [(where, secret) for secret in PLANTED if any(form in raw for form in forms(secret))]


def test_the_search_finds_what_it_looks_for() -> None:
    for secret in PLANTED:
        for form in forms(secret):
            assert leaks("here", b"before" + form + b"after")
    assert leaks("here", "nothing planted here") == []


def instances(folder: Path) -> str:
    (folder / "token").write_text(FROM_FILE + "\n")
    (folder / "token").chmod(0o600)
    (folder / "credentials").mkdir()
    (folder / "credentials" / "token").write_text(FROM_SYSTEMD)
    return f"""
[instance.vault.settings]
token = {{ file = "{folder / "token"}" }}
more = [{{ env = "AMON_TOKEN" }}, {{ credential = "token" }}, '{IN_TEXT}']
"""


def environment(folder: Path) -> dict[str, str]:
    """With the vault among what is installed."""
    installed = folder / "installed" / "vault-1.0.dist-info"
    if not installed.exists():
        installed.mkdir(parents=True)
        (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: vault\nVersion: 1.0\n")
        place = f"{VaultModule.__module__}:{VaultModule.__name__}"
        (installed / "entry_points.txt").write_text(f"[amon.modules]\nvault = {place}\n")
    return {
        "PYTHONPATH": f"{folder / 'installed'}:{Path(__file__).parents[2]}",
        "AMON_TOKEN": FROM_ENV,
        "CREDENTIALS_DIRECTORY": str(folder / "credentials"),
    }


def kept(site: AgentProcess) -> list[tuple[str, str]]:
    """What is found in the files the agent wrote and in what it told its service manager."""
    found = leaks("the log", site.log.read_bytes())
    for path in (site.folder / "state").rglob("*"):
        found += leaks(str(path), path.read_bytes()) if path.is_file() else []
    return found + leaks("notices", "\n".join(site.notices.heard))


async def test_no_secret_is_in_anything_that_comes_out_of_an_agent(world: World) -> None:
    folder = world.folder / "planted"
    folder.mkdir()
    site = await world.add_site("cern", instances(folder), top='log = "debug"\ntrace = true')
    await site.start(environment(folder))
    said: list[str] = []
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        for what in EVERYTHING:
            book = await world.ask(fleet, f"vault login {what} {KEY} {WORD}")
            row = book["cern"]
            assert row.outcome is not None, row
            said.append(f"{what}: {row.text} {json.dumps(row.outcome.answer.data)}")
        for mistake in (f"vault login good {KEY} {WORD} more", f"vault login no {KEY}", f"vault logn good {KEY}",
                        f"vault login good {KEY} 'open", f"vault login good key={KEY} wrod={WORD}"):  # fmt: skip
            book = await world.ask(fleet, mistake)
            assert str(book["cern"].state) == "invalid"
            said.append(book["cern"].text)
        fleet.connection.say(fleet.sites["cern"].address, f"vault login failed {BY_HAND}")
        said.append(await seen(fleet, "cern", "dnd"))
        health = fleet.sites["cern"].health
        assert health is not None
        said.append(encode_health(health))
        await world.ask(fleet, "uptime")
    await site.stop()
    log = site.said()
    assert "the door did not take *** and *** and ***" in "\n".join(said), "it was said, and masked"
    assert "incident" in log
    assert "<message" in log
    assert "ValueError: ***" in log, "the traceback of the lost task is there, and masked"
    assert leaks("answers and presence", "\n".join(said)) == []
    assert kept(site) == []


@pytest.mark.parametrize(
    "words", [("check",), ("check", "--json"), ("check", "--offline"), ("example",), ("reference",)]
)
async def test_no_secret_is_in_what_a_check_says_also_of_a_broken_file(world: World, words: tuple[str, ...]) -> None:
    folder = world.folder / "planted"
    folder.mkdir()
    site = await world.add_site("cern", instances(folder) + '[account.vo2]\npassword = "planted-in-a-file"\njid = 7\n')
    options = ("--config", str(site.config)) if words[0] == "check" else ()
    for text in (site.config.read_text(), site.config.read_text().replace("more = [", "more = [[],")):
        site.config.write_text(text)
        done = await _agent(environment(folder), *words, *options)
        assert leaks(" ".join(words), done.stdout + done.stderr) == []


async def test_no_password_is_in_what_a_console_says_at_debug(world: World) -> None:
    site = await world.add_site("cern")
    await site.start()
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
    config = world.folder / "console.toml"
    config.write_text(
        f'jid = "{ALICE}"\nroom = "ops@rooms.amon.test"\npassword = {{ env = "AMON_PASSWORD" }}\n'
        f'host = "{world.server.host}"\nport = {world.server.c2s_port}\nca_file = "{world.server.ca_file}"\n'
    )
    program = [sys.executable, "-P", "-c", "from admin_console.cli.main import main; main()", "--debug", "--config"]
    for password, code in ((PASSWORD, 0), (f"{PASSWORD} that is wrong", 1)):
        more = {**os.environ, "AMON_PASSWORD": password, "XDG_CACHE_HOME": str(world.folder)}
        done = await asyncio.to_thread(
            subprocess.run, [*program, str(config), "run", "cern", "uptime"],
            capture_output=True, timeout=50, env=more,
        )  # fmt: skip
        assert (done.returncode, leaks("the console", done.stdout + done.stderr)) == (code, []), done.stderr


async def test_a_secret_file_that_changes_is_taken_over_by_a_reload_and_nothing_else_starts_anew(world: World) -> None:
    folder = world.folder / "planted"
    folder.mkdir()
    site = await world.add_site("cern", instances(folder) + "[instance.uptime]\n")
    await site.start(environment(folder))
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        (folder / "token").write_text("another-" + FROM_FILE)
        site.signal(signal.SIGHUP)
        await site.notices.wait("RELOADING=1")
        await site.notices.wait("READY=1")
    assert "reloaded: instances: restarted vault\n" in site.said()
    assert kept(site) == []


async def _agent(more: dict[str, str], *words: str) -> "subprocess.CompletedProcess[bytes]":
    program = str(Path(sys.executable).with_name("amon-agent"))
    return await asyncio.to_thread(
        subprocess.run, [program, *words], capture_output=True, timeout=50, env={**os.environ, **more}
    )
