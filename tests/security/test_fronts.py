"""Each front with each right: whichever way a request comes, the same is decided."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from amon.access import Authority, Policy
from amon.ids import new_id
from amon.runtime.chat import Chat
from amon.runtime.payload import PayloadFront
from amon.target import Facts
from amon.wire import Request, encode
from amon.xmpp.commands import Stage
from amon.xmpp.events import Received
from tests.runtime.filler import Filler
from tests.runtime.scene import AGENTS, Site, door, site

ROOM = "ops@rooms.example.org"
POLICY = Policy(
    observer=("observer@example.org",),
    operator=("operator@example.org",),
    admin=("admin@example.org",),
    owner=("owner@example.org",),
    confirm=(),
    signed=(),
    rate=0,
)
WHO = ("observer", "operator", "admin", "owner", "stranger")
LINES = {"look httpd": "observer", "restart httpd": "operator", "wipe xyzzy": "owner"}
Front = Callable[[str, str], Awaitable[None]]


class Fronts:
    """All ways a request comes in, to one site; `log` is what its module was made to do."""

    def __init__(self, lab: Site) -> None:
        self.lab = lab
        self.door = door(POLICY)
        self.chat = Chat("cern", self.door, lab.node.dispatch, _Silent(), lab.clock, lambda: Facts("cern"))
        self.forms = Filler(lab, self.door).forms
        self.payloads = PayloadFront("cern", self.door, lab.node.dispatch, _nobody, lab.clock, Random(1))

    def all(self) -> dict[str, Front]:
        return {
            "typed": lambda by, line: self.typed(by, line),
            "typed in the room": lambda by, line: self.typed(by, f"cern: {line}", ROOM),
            "typed with a target": lambda by, line: self.typed(by, f"!{line} @cern", ROOM),
            "form": lambda by, line: self.form(by, line),
            "payload": lambda by, line: self.payload(by, line),
            "payload in the room": lambda by, line: self.payload(by, line, ROOM),
        }

    async def typed(self, by: str, line: str, room: str | None = None) -> None:
        await self.chat.received(Received(by, f"{by}/desk", line, room=room, id=new_id(0)))

    async def form(self, by: str, line: str) -> None:
        """Filled in and, where it asks, said yes to."""
        name, _, value = line.partition(" ")
        filler = Filler(self.lab, by=by, forms=self.forms)
        filler.node = f"lab {name}"
        began = await filler.do()
        if isinstance(began, Stage) and began.status == "executing":
            going = await filler.go_on(**{began.entries[0].var: value})
            if going.status == "executing":
                await filler.go_on(confirm="1")

    async def payload(self, by: str, line: str, room: str | None = None) -> None:
        order = encode(Request(new_id(self.lab.clock.time()), ("cern",), line, 30.0))
        await self.payloads.received(Received(by, f"{by}/desk", "", room=room, payload=order))


class _Silent:
    def say(self, to: str, text: str, *, unstyled: bool = False, id: str = "", replaces: str = "") -> bool:  # noqa: A002
        return True

    def say_room(self, room: str, text: str) -> bool:
        return True

    def composing(self, to: str, on: bool) -> bool:
        return True

    async def ping(self, to: str) -> bool | None:
        return True


def _nobody(to: str, payload: str, ident: str) -> bool:
    return True


@pytest.fixture
async def fronts(tmp_path: Path) -> AsyncIterator[Fronts]:
    async with site(tmp_path) as lab:
        yield Fronts(lab)


async def test_each_front_has_each_right_decided(fronts: Fronts) -> None:
    for line, least in LINES.items():
        for who in (*WHO, "agent"):
            jid = f"desy@{AGENTS}" if who == "agent" else f"{who}@example.org"
            may = who in WHO[:4] and WHO.index(who) >= WHO.index(least)
            for name, front in fronts.all().items():
                await front(jid, line)
                ended = [one.outcome for one in await fronts.lab.journal.recent(1)]
                audited = [one for one in await fronts.lab.journal.recent(1) if one.asker == jid]
                if may:
                    assert ended == ["done"], (name, who, line)
                else:
                    assert not audited or audited[0].outcome.startswith("refused"), (name, who, line)
    allowed = sum(4 - WHO.index(least) for least in LINES.values()) * len(fronts.all())
    done = [one for one in await fronts.lab.journal.recent(1000) if one.outcome == "done"]
    assert len(done) == allowed


async def test_one_asker_may_ask_so_often_in_a_minute(fronts: Fronts) -> None:
    fronts.door.authority = Authority(replace(POLICY, rate=10), AGENTS)
    for number in range(30):
        front = list(fronts.all().values())[number % len(fronts.all())]
        await front("observer@example.org", "look httpd")
    assert fronts.lab.log == ["look httpd"] * 10
    await fronts.typed("owner@example.org", "look httpd")
    fronts.lab.clock.advance(61)
    await fronts.typed("observer@example.org", "look httpd")
    assert fronts.lab.log == ["look httpd"] * 12
