"""docs/server.md as it stands there: its commands print what starts, its groups show sites, its backup restores."""

import asyncio
import re
import shlex
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from admin_console.server.prosody import Setup
from tests.clients.plain import logged_in
from tests.servers import ejabberd
from tests.servers.printed import (
    ALICE,
    PASSWORD,
    ROOM,
    SITES,
    Server,
    as_typed,
    own_ejabberd,
    own_prosody,
    printed,
    prosody_with,
)

_ARGUMENTS = {
    "srg_create": ("group", "host", "label", "description", "display"),
    "srg_user_add": ("user", "host", "group", "grouphost"),
    "backup": ("file",),
    "restore": ("file",),
}


def blocks(language: str) -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / "server.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def lines(beginning: str) -> list[str]:
    return [line for block in blocks("sh") for line in block.splitlines() if line.startswith(beginning)]


def documented(program: str) -> str:
    """What the command of this program's chapter writes."""
    (line,) = [line for line in lines(f"amon server config {program} ") if "--output" in line]
    return as_typed(line.partition(" --output ")[0])


def asked(server: ejabberd.EjabberdServer, line: str, path: str = "") -> None:
    """A line of `ejabberdctl`; path: in place of the file it names."""
    _, command, *words = shlex.split(line)
    values = [path] if path else words
    assert server.ask(command, dict(zip(_ARGUMENTS[command], values, strict=True))) == 200


@pytest.fixture
async def server(tmp_path: Path, program: str) -> AsyncIterator[Server]:
    if program == "prosody":
        plain = prosody_with(documented(program))

        def with_groups(setup: Setup) -> str:
            for name, content in zip(("sites.txt", "people.txt"), blocks("ini"), strict=True):
                (setup.folder / name).write_text(content)
            return plain(setup)

        names = ("example.org", "agents.example.org", "rooms.example.org")
        domain, agents, rooms = names
        own: Server = PrivateServer(
            tmp_path / "server", configure=with_groups, domain=domain, agents=agents, rooms=rooms
        )
    else:
        own = own_ejabberd(tmp_path / "server", documented(program))
    for jid in (ALICE, *SITES):
        await own.add_account(jid, PASSWORD)
    async with own:
        if isinstance(own, ejabberd.EjabberdServer):
            await asyncio.to_thread(make_groups, own)
        yield own


def make_groups(server: ejabberd.EjabberdServer) -> None:
    said = lines("ejabberdctl srg_")
    said += [line.replace("site-1", "site-2") for line in said if "site-1" in line]
    assert len(said) == 9
    for line in said:
        asked(server, line)


def test_every_option_of_the_command_is_explained() -> None:
    text = (Path(__file__).parents[2] / "docs" / "server.md").read_text()
    told = set(re.findall(r"^\| .*?`(--[a-z0-9-]+)", text, re.MULTILINE)) | set(
        re.findall(r", `(--[a-z]+) NAME`", text)
    )
    offered = set(re.findall(r"^  (--[a-z0-9-]+)", as_typed("amon server config --help"), re.MULTILINE)) - {"--help"}
    assert told == offered


def test_the_short_command_prints_what_is_for_that_many_sites() -> None:
    (line,) = [line for line in lines("amon server config ") if "--output" not in line]
    assert as_typed(line) == printed("prosody", "--sites", "200")


async def test_a_person_sees_the_sites_and_no_site_sees_another(server: Server) -> None:
    way = (PASSWORD, server.host, server.c2s_port, server.ca_file)
    async with logged_in(ALICE, *way) as alice, logged_in(SITES[0], *way) as first, logged_in(SITES[1], *way) as second:
        told: asyncio.Queue[str] = asyncio.Queue()
        seen_by_first: set[str] = set()
        alice.add_event_handler("presence_dnd", lambda came: told.put_nowait(came["from"].bare))
        first.add_event_handler("presence_dnd", lambda came: seen_by_first.add(came["from"].bare))
        second.send_presence(pshow="dnd", pstatus="CRIT 1/7")
        first.send_presence(pshow="dnd", pstatus="CRIT 1/7")
        async with asyncio.timeout(10):
            assert {await told.get(), await told.get()} == set(SITES)
        await first.get_roster(timeout=10)
        assert set(first.client_roster.keys()) - {SITES[0]} == {ALICE}
        assert SITES[1] not in seen_by_first


async def test_the_copy_of_a_server_is_the_server(tmp_path: Path, program: str) -> None:
    text = documented(program)
    make = own_prosody if program == "prosody" else own_ejabberd
    first = make(tmp_path / "first", text)
    for jid in (ALICE, SITES[0]):
        await first.add_account(jid, PASSWORD)
    copy = tmp_path / "copy"
    async with first:
        way = (PASSWORD, first.host, first.c2s_port, first.ca_file)
        async with logged_in(ALICE, *way) as alice:
            await alice.join(ROOM, "alice")
            await alice.admit(ROOM, SITES[0])
        if isinstance(first, ejabberd.EjabberdServer):
            await asyncio.to_thread(asked, first, lines("ejabberdctl backup ")[0], str(copy))
        else:
            shutil.copytree(first.folder / "data", copy)
    second = make(tmp_path / "second", text)
    if program == "prosody":
        second.folder.mkdir(mode=0o700)
        shutil.copytree(copy, second.folder / "data")
    async with second:
        if isinstance(second, ejabberd.EjabberdServer):
            await asyncio.to_thread(asked, second, lines("ejabberdctl restore ")[0], str(copy))
            await second.restart()
        way = (PASSWORD, second.host, second.c2s_port, second.ca_file)
        async with logged_in(SITES[0], *way) as site:
            await site.join(ROOM, "site-1")
