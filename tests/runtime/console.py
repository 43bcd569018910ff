"""A console's connection that remembers, and sites that answer it as the test says."""

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import cast

from amon.errors import Failed
from amon.runtime.fleet import Fleet
from amon.testing import FakeClock
from amon.wire import (
    HealthReport,
    Payload,
    Request,
    encode,
    encode_health,
    read_envelope,
    read_payload,
    unseal,
)
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Received, RoomState, Seen
from amon.xmpp.roster import Contact

AGENTS = "agents.example.org"
ROOM = "ops@rooms.example.org"
JOB_ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"


def jid(name: str) -> str:
    return f"{name}@{AGENTS}"


@dataclass
class Wire:
    """online False: nothing goes out. answer: called with each site's name and what reached it."""

    account: str = "alice@example.org"
    contacts: list[Contact] = field(default_factory=list)
    tags: dict[str, dict[str, tuple[str, ...]]] = field(default_factory=dict)
    online: bool = True
    sent: list[tuple[str, Payload, str | None]] = field(default_factory=list)
    subscribed: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    signed: list[tuple[str, str]] = field(default_factory=list)
    answer: Callable[[str, Payload], None] = lambda to, payload: None

    async def roster(self) -> list[Contact]:
        if not self.online:
            raise Failed("there is no session with the server")
        return self.contacts

    async def subscribe(self, address: str, name: str, groups: Iterable[str]) -> None:
        self.subscribed.append(address)

    async def unsubscribe(self, address: str) -> None:
        self.removed.append(address)

    async def facts(self, address: str) -> dict[str, tuple[str, ...]]:
        self.asked.append(address)
        await asyncio.sleep(0)
        found = self.tags.get(address.partition("/")[0])
        if found is None:
            raise Failed("does not answer")
        return found

    def send_payload(self, to: str, payload: str, *, id: str, body: str | None = None) -> bool:  # noqa: A002
        if not self.online:
            return False
        sealed = unseal(payload)
        if sealed.sig is not None:
            self.signed.append((to, payload))
        order = read_envelope(sealed.body).request if sealed.sig is not None else read_payload(sealed.body)
        self.sent.append((to, order, body))
        self.answer(to, order)
        return True


class Desk:
    """A fleet behind a fake connection. `replies`: what a site says to a request that reaches it."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.wire = Wire(answer=self._reached)
        self.fleet = Fleet(self.clock)
        self.fleet.connection = cast(Connection, self.wire)
        self.replies: Callable[[str, Payload], Iterable[Payload | str]] = lambda site, payload: ()
        self.not_there: set[str] = set()
        self.thrown_out: set[str] = set()  # of the room, though online

    async def enter(self, *names: str, online: bool = True) -> None:
        await self.fleet.enter(jid(name) for name in names)
        for name in names if online else ():
            self.show(name)

    def show(self, name: str, level: str = "ok", *, mark: str = "", show: str = "", resource: str = "agent") -> None:
        bad = () if level == "ok" else (("service/httpd", level, "down"),)
        health = encode_health(HealthReport(level, 3, bad, 0, ("service",)))
        self.fleet.seen(Seen(jid(name), resource, True, show, "status", health, mark or None))

    def go(self, name: str, resource: str = "agent") -> None:
        self.fleet.seen(Seen(jid(name), resource, False))

    def in_room(self) -> None:
        self.fleet.room(RoomState(ROOM, True, "alice", safe=True))

    def hear(self, sender: str, payload: Payload | str) -> None:
        text, ident = (payload, f"{JOB_ID}-ended") if isinstance(payload, str) else (encode(payload), None)
        self.fleet.received(Received(sender, f"{sender}/agent", "", payload=text, id=ident))

    def _reached(self, to: str, payload: Payload) -> None:
        if to == ROOM:
            assert isinstance(payload, Request)
            reached = [name for name in payload.names if name not in self.not_there | self.thrown_out]
        else:
            name = to.partition("@")[0]
            reached = [] if name in self.not_there else [name]
            if name in self.not_there:
                kind = "ask" if isinstance(payload, Request) else type(payload).__name__.lower()
                self.fleet.bounced(Bounced(to, f"{payload.id}-{kind}", "service-unavailable"))
        for name in reached:
            for said in self.replies(name, payload):
                self.hear(jid(name), said)
