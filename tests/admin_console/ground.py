"""What the tests of this room stand on: a private server, agents in this process, sites that are mute or lie."""

import asyncio
import contextlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from pathlib import Path
from random import Random

import pytest

from admin_console.broadcast import Interrupts, broadcast
from admin_console.cache import Cache
from admin_console.plain import PlainFace
from admin_console.rooms import create_room
from admin_console.server import PrivateServer
from admin_console.session import Setup, in_fleet
from admin_console.settings import load
from admin_console.wish import Report, Rolling, Wish
from amon.clock import SystemClock
from amon.module import Registry
from amon.target import parse
from amon.wire import Payload, Request, decode, encode
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context
from site_agent.agent import Agent
from site_agent.configuration import World
from site_agent.configuration import load as load_agent
from tests.servers.ejabberd import EjabberdServer

ALICE, BOB = "alice@amon.test", "bob@amon.test"
OPS = "ops@rooms.amon.test"
PASSWORD = "correct horse"
ODD = "[instance.odd]\n"
SERVERS = ["prosody", pytest.param("ejabberd", marks=pytest.mark.servers)]
_POINTS = [EntryPoint("odd", "tests.admin_console.odd:OddModule", "amon.modules")]


class Ground:
    """Everything that is started here ends with it."""

    def __init__(self, server: PrivateServer | EjabberdServer, folder: Path, stack: contextlib.AsyncExitStack) -> None:
        self.server, self.folder, self._stack = server, folder, stack

    def console(self, jid: str = ALICE, **changes: object) -> Setup:
        """A console of this person, by way of a real console.toml."""
        said: dict[str, object] = {
            "jid": jid, "password": PASSWORD, "room": OPS, "host": self.server.host, "port": self.server.c2s_port,
            "ca_file": str(self.server.ca_file), **changes,
        }  # fmt: skip
        path = self.folder / f"console-{jid}.toml"
        lines = [f"{key} = {value}" if isinstance(value, int) else f'{key} = "{value}"' for key, value in said.items()]
        path.write_text("\n".join(lines))
        path.chmod(0o600)
        return Setup(load(path), path, Cache(self.folder / "cache.json"), SystemClock())

    async def member(self, name: str) -> str:
        """An account that belongs to the fleet; nobody is logged in."""
        jid = f"{name}@{self.server.agents}"
        await self.server.add_account(jid, PASSWORD)
        await create_room(self.console(), [jid], [])
        return jid

    async def site(
        self,
        name: str,
        instances: str = ODD,
        *,
        policy: str = f'admin = ["{ALICE}"]',
        tags: str = "",
        more: str = "",
    ) -> Agent:
        """A real agent, in this process, that is online and in the room."""
        jid = await self.member(name)
        folder = self.folder / name
        folder.mkdir()
        config = folder / "agent.toml"
        config.write_text(
            f'state = "{folder / "state"}"\n{tags}\n[account.main]\njid = "{jid}"\npassword = "{PASSWORD}"\n'
            f'rooms = ["{OPS}"]\nhost = "{self.server.host}"\nport = {self.server.c2s_port}\n'
            f'ca_file = "{self.server.ca_file}"\n{more}\n[account.main.policy]\n{policy}\n{instances}'
        )
        config.chmod(0o600)
        loaded = load_agent(config, World(Registry(lambda: _POINTS), 0))
        assert loaded.configuration is not None, loaded.problems
        agent = await self._stack.enter_async_context(Agent(loaded.configuration).running())
        async with asyncio.timeout(20):
            await agent.wait_online()
            (account,) = agent.accounts.values()
            state = await account.connection.enter(OPS)
        assert state.joined, state.reason
        return agent

    async def false_site(self, name: str, answers: Callable[[Request], Sequence[Payload]] = lambda request: ()) -> None:
        """An account that says it is an agent, and answers what it likes; nothing at all, if nothing is given."""
        jid = await self.member(name)
        ear = _FalseAgent(answers)
        login = Login(jid, PASSWORD, resource="agent", host=self.server.host, port=self.server.c2s_port)
        connection = Connection(login, ear, context=tls_context(self.server.ca_file), random=Random(1))
        ear.connection = connection
        life = asyncio.create_task(connection.run())
        self._stack.push_async_callback(asyncio.wait, [life])
        self._stack.callback(life.cancel)
        connection.set_presence("", "OK 1/1", '{"level":"ok","ok":1}')
        async with asyncio.timeout(20):
            await connection.wait_online()
            await connection.enter(OPS)

    async def run(
        self,
        target: str,
        line: str,
        *,
        face: PlainFace | None = None,
        jid: str = ALICE,
        deadline: float = 10.0,
        accept_by: float = 5.0,
        dry_run: bool = False,
        yes: bool = False,
        sign: bool = False,
        rolling: Rolling = Rolling(),  # noqa: B008
        changes: dict[str, object] | None = None,
        interrupts: Interrupts | None = None,
    ) -> Report:
        """As `amon run` does it."""
        wish = Wish(parse(target), line, deadline, accept_by, dry_run, yes, sign, rolling)
        async with asyncio.timeout(30), in_fleet(self.console(jid, **(changes or {}))) as session:
            return await broadcast(session, face or pipe(), wish, interrupts or Interrupts())


class _FalseAgent:
    """A `Listener` that answers requests with whatever it was given."""

    def __init__(self, answers: Callable[[Request], Sequence[Payload]]) -> None:
        self._answers = answers
        self.connection: Connection

    def received(self, message: Received) -> None:
        payload = decode(message.payload or "")
        if isinstance(payload, Request):
            for place, answer in enumerate(self._answers(payload)):
                self.connection.send_payload(message.reply_to, encode(answer), id=f"{payload.id}-{place}")

    def bounced(self, bounce: Bounced) -> None: ...
    def seen(self, presence: Seen) -> None: ...
    def room(self, state: RoomState) -> None: ...
    def online(self, event: Online) -> None: ...
    def offline(self, event: Offline) -> None: ...
    def may_see(self, jid: str) -> bool:
        return jid == ALICE


@dataclass(slots=True)
class Streams:
    """What was written to both ends."""

    out: io.StringIO
    notes: io.StringIO


def pipe() -> PlainFace:
    """A face that nobody looks at, and nobody is there to be asked."""
    face = PlainFace(io.StringIO(), io.StringIO())
    face.can_ask = False
    return face


def said(face: PlainFace) -> str:
    assert isinstance(face.out, io.StringIO)
    return face.out.getvalue()


def noted(face: PlainFace) -> str:
    assert isinstance(face.notes, io.StringIO)
    return face.notes.getvalue()


class Person(PlainFace):
    """A face with a person behind it, who types this to a question. None: he never answers."""

    def __init__(self, answer: str | None) -> None:
        super().__init__(io.StringIO(), io.StringIO())
        self.can_ask = True
        self.questions: list[str] = []
        self.asked = asyncio.Event()
        self._answer = answer

    async def ask(self, question: str) -> str:
        self.questions.append(question)
        self.asked.set()
        if self._answer is None:
            await asyncio.Event().wait()
        return self._answer or ""


def states(report: Report) -> dict[str, str]:
    return {row.site: str(row.state) for row in report.book.rows()}
