"""What the tests of this room stand on: a listener that can be waited for, connections with an end, a relay to cut."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any, TypeVar

from admin_console.server import PrivateServer
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.login import Limits, Login, Times
from amon.xmpp.tls import tls_context
from tests.servers.ejabberd import EjabberdServer
from tests.xmpp.local import LocalServer

Event = Received | Bounced | Seen | RoomState | Online | Offline
E = TypeVar("E", Received, Bounced, Seen, RoomState, Online, Offline)

ALICE, BOB, EVE = "alice@amon.test", "bob@amon.test", "eve@amon.test"
CERN, DESY = "cern@agents.amon.test", "desy@agents.amon.test"
OPS = "ops@rooms.amon.test"
PASSWORD = "correct horse"
# Short enough that a test of waiting is quick, long enough that a busy machine is not taken for a cut network.
QUICK = Times(retry_first=0.2, retry_most=0.4, retry_refused=30, ping_every=0.5, ping_wait=1.0, goodbye=1)


class Ear:
    """A listener that keeps what it hears."""

    def __init__(self, may_see: Callable[[str], bool] = lambda jid: True) -> None:
        self.heard: list[Event] = []
        self.may_see = may_see
        self._new = asyncio.Event()

    def hear(self, event: Event) -> None:
        self.heard.append(event)
        self._new.set()

    def received(self, message: Received) -> None:
        self.hear(message)

    bounced = seen = room = online = offline = hear

    def forget(self) -> None:
        """What is waited for from now on is new."""
        self.heard.clear()

    def all(self, kind: type[E]) -> list[E]:
        return [event for event in self.heard if isinstance(event, kind)]

    async def wait(self, kind: type[E], when: Callable[[E], bool] = lambda event: True, within: float = 15) -> E:
        """The first such event, heard already or to come."""
        await self.until(lambda: any(map(when, self.all(kind))), within)
        return next(filter(when, self.all(kind)))

    async def until(self, condition: Callable[[], bool], within: float = 15) -> None:
        """Looks at the condition after each event."""
        async with asyncio.timeout(within):
            while not condition():
                self._new.clear()
                await self._new.wait()


@dataclass
class World:
    """A server with accounts, and connections to it."""

    server: PrivateServer | EjabberdServer

    def login(self, jid: str, **changes: Any) -> Login:
        plain = Login(jid, PASSWORD, host="127.0.0.1", port=self.server.c2s_port)
        return replace(plain, **changes)

    @asynccontextmanager
    async def party(
        self,
        jid: str,
        *,
        times: Times = QUICK,
        limits: Limits | None = None,
        ca_file: Path | None = None,
        may_see: Callable[[str], bool] = lambda jid: True,
        trace: bool = False,
        guards_presence: bool = True,
        ear: Ear | None = None,
        **changes: Any,
    ) -> AsyncIterator["Party"]:
        """A connection that runs for the length of the block."""
        ear, login = ear or Ear(may_see), self.login(jid, **changes)
        connection = Connection(
            login,
            ear,
            context=tls_context(ca_file or self.server.ca_file, login.certificate, login.certificate_key),
            random=Random(1),
            times=times,
            limits=limits,
            trace=trace,
            guards_presence=guards_presence,
        )
        task = asyncio.create_task(connection.run())
        try:
            yield Party(connection, ear, task)
        finally:
            task.cancel()
            await asyncio.wait((task,))


@dataclass
class Party:
    """A running connection and what it hears."""

    connection: Connection
    ear: Ear
    task: asyncio.Task[None]

    async def up(self) -> "Party":
        async with asyncio.timeout(15):
            await self.connection.wait_online()
        return self

    async def settled(self) -> "Party":
        """Its presence has gone through the server."""
        await self.up()
        await self.ear.wait(Online)
        await self.connection.roster()
        return self

    async def joined(self, room: str = OPS) -> RoomState:
        return await self.ear.wait(RoomState, lambda state: state.room == room and state.joined)


class Relay(LocalServer):
    """A TCP relay in between, which can go silent or cut, as networks do."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._to = port
        self._silent = self._closed = False

    def silence(self) -> None:
        """From now on nothing passes and nothing is closed, as when a cable is pulled."""
        self._silent = True

    def heal(self) -> None:
        """All passes again."""
        self._silent = self._closed = False

    def close(self) -> None:
        """Every connection is reset, and new ones too."""
        self._closed = True
        self.cut()

    async def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if not self._closed:
            await self.carry(reader, writer, self._to)

    def passes(self, data: bytes) -> bool:
        return not self._silent
