"""Fifty megabytes from a real agent through a real server: saved byte for byte, read in a chat, had as a file."""

import asyncio
import gzip
import re
import ssl
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from random import Random

import pytest

from admin_console.outputs import save_wholes
from admin_console.server import PrivateServer
from admin_console.server.child import free_port
from admin_console.server.prosody import Setup, configuration
from admin_console.session import Session
from amon.errors import Failed
from amon.words import Outcome
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context
from site_agent.agent import Agent
from tests.e2e.lengthy import lengthy, log
from tests.e2e.world import ALICE, OPS, PASSWORD, World, seen
from tests.servers.ejabberd import EjabberdServer
from tests.servers.ejabberd import Setup as EjabberdSetup
from tests.servers.ejabberd import configuration as ejabberd_configuration
from tests.servers.printed import exchanged

SIZE = 50_000_000
DOC = Path(__file__).parents[2] / "docs" / "output.md"


class Notes:
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


class Person(list[str]):
    """A person's client: what he was told, by whom does not matter here."""

    def __init__(self) -> None:
        self.heard = asyncio.Event()

    def received(self, message: Received) -> None:
        self.append(message.text)
        self.heard.set()

    def bounced(self, bounce: Bounced) -> None: ...
    def seen(self, presence: Seen) -> None: ...
    def room(self, state: RoomState) -> None: ...
    def online(self, event: Online) -> None: ...
    def offline(self, event: Offline) -> None: ...

    def may_see(self, jid: str) -> bool:
        return True

    async def next(self) -> str:
        async with asyncio.timeout(20):
            while not self:
                self.heard.clear()
                await self.heard.wait()
        return self.pop(0)


async def _no_sign(message: bytes, namespace: str) -> str:
    raise Failed("no key")


@asynccontextmanager
async def site(world: World, name: str) -> AsyncIterator[Agent]:
    """An agent with long answers, in this process, online and in the room."""
    jid, server = f"{name}@{world.server.agents}", world.server
    await server.add_account(jid, PASSWORD)
    async with world.console(settled=False) as fleet:
        await fleet.connection.create_room(OPS, members=[jid])
    state = world.folder / name
    plan = lengthy(jid, PASSWORD, server.host, server.c2s_port, server.ca_file, OPS, ALICE, state)
    async with Agent(plan).running() as agent:
        await agent.wait_online()
        yield agent


async def test_fifty_megabytes_are_saved_byte_for_byte_and_gone_on_with_after_a_restart(
    world: World, tmp_path: Path
) -> None:
    directory, notes = tmp_path / "out", Notes()

    async def save(outcome: Outcome, ident: str) -> str:
        async with world.console() as fleet, asyncio.timeout(50):
            await seen(fleet, "cern", "")
            session = Session(fleet, OPS, world.clock, _no_sign)
            (saved,) = await save_wholes(session, [outcome], ident, directory, notes, patience=5.0)
            return saved.why

    async with site(world, "cern"), world.console() as fleet:
        await seen(fleet, "cern", "")
        with world.asking(fleet, f"log {SIZE}", "cern", deadline=50) as job:
            job.send()
            await job.collect()
        ident, outcome = job.job.id, job.book["cern"].outcome
        assert outcome is not None
        assert outcome.whole is not None
        saving = asyncio.create_task(save(outcome, ident))
        async with asyncio.timeout(50):
            while not any(path.stat().st_size > 5_000_000 for path in directory.glob(".cern.txt.*.part")):  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        saving.cancel()
        await asyncio.wait([saving])
    async with site(world, "cern"):  # another agent, of the same state
        assert await save(outcome, ident) == ""
    content = (directory / "cern.txt").read_bytes()
    assert content == log(SIZE).encode()
    assert outcome.whole.digest == sha256(content).hexdigest()
    assert outcome.whole.lines == content.count(b"\n")
    assert [path.name for path in directory.iterdir()] == ["cern.txt"]


def block(language: str) -> str:
    """The lines of the documentation, with the names of these tests."""
    (lines,) = re.findall(rf"```{language}\n(.*?)```", DOC.read_text(), re.DOTALL)
    return str(lines).replace("example.org", "amon.test")


def uploading_prosody(folder: Path, port: int) -> PrivateServer:
    """As the documentation says; only names, port and address are exchanged."""
    assert "put `5281` into the line `https_ports = { }`" in DOC.read_text()
    ports = f'https_ports = {{ {port} }}\nhttps_interfaces = {{ "127.0.0.1" }}\n'

    def configure(setup: Setup) -> str:
        text = exchanged(configuration(setup), {"https_ports = { }\n": ports})
        return f'{text}{block("lua")}    http_host = "127.0.0.1"\n'

    return PrivateServer(folder, admins=(ALICE,), iterations=4096, configure=configure)


def uploading_ejabberd(folder: Path, port: int) -> EjabberdServer:
    """The same."""
    listener, _, module = block("yaml").partition("modules:\n")
    here = {"5443": str(port), '"::"': '"127.0.0.1"'}
    listener = exchanged(listener, here).removeprefix("listen:\n")
    module = exchanged(module, {"https://upload.@HOST@:5443/upload": f"https://127.0.0.1:{port}/upload/@HOST@"})
    module = exchanged(module, {"/var/lib/ejabberd/upload": str(folder / "upload")})

    def configure(setup: EjabberdSetup) -> str:
        text = ejabberd_configuration(setup)
        return exchanged(text, {"\nlisten:\n": f"\nlisten:\n{listener}", "\nmodules:\n": f"\nmodules:\n{module}"})

    return EjabberdServer(folder, admins=(ALICE,), configure=configure)


@pytest.mark.parametrize(
    ("make", "place"),
    [
        pytest.param(uploading_prosody, "file_share", id="prosody"),
        pytest.param(uploading_ejabberd, "upload", id="ejabberd", marks=pytest.mark.servers),
    ],
)
async def test_a_long_answer_is_had_as_a_file_from_a_server_that_is_set_up_as_the_documentation_says(
    tmp_path: Path, make: Callable[[Path, int], PrivateServer | EjabberdServer], place: str
) -> None:
    port = free_port("127.0.0.1")
    server = make(tmp_path / "server", port)
    async with server:
        world = World(server, tmp_path)
        await world.set_up()
        async with site(world, "cern"), chatting(world) as (person, connection):
            to = f"cern@{server.agents}/agent"
            connection.say(to, "log 300000")
            first = await person.next()
            assert re.search(r"\n\(\d+ more lines: say more, or file\)$", first)
            connection.say(to, "more")
            assert log(300_000).split("\n")[30] in await person.next()
            connection.say(to, "file")
            said = await person.next()
            about, link, secret = said.split("\n")
            assert link.startswith(f"https://127.0.0.1:{port}/{place}/"), link
            assert "packed (gzip)" in about
            assert "treat it as a secret" in secret
            packed = await asyncio.to_thread(fetched, link, tls_context(server.ca_file))
            assert gzip.decompress(packed).decode() == log(300_000)


def fetched(link: str, context: ssl.SSLContext) -> bytes:
    context.set_alpn_protocols(["http/1.1"])
    with urllib.request.urlopen(link, context=context, timeout=20) as answer:
        content: bytes = answer.read()
        return content


@asynccontextmanager
async def chatting(world: World) -> AsyncIterator[tuple[Person, Connection]]:
    """Alice with a Jabber client."""
    person, server = Person(), world.server
    login = Login(ALICE, PASSWORD, "phone", server.host, server.c2s_port)
    connection = Connection(replace(login), person, context=tls_context(server.ca_file), random=Random(1))
    life = asyncio.create_task(connection.run())
    try:
        async with asyncio.timeout(20):
            await connection.wait_online()
        yield person, connection
    finally:
        life.cancel()
        await asyncio.wait([life])
