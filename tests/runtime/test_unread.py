"""An order of a newer version is not guessed at: it is not done, and who is known is told what is unknown in it."""

import json
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from amon.access import COMMAND, Authority, Policy, read_signers
from amon.access.sshsig import SigningKey
from amon.runtime.about import amon_version
from amon.runtime.incoming import Door
from amon.runtime.payload import PayloadFront
from amon.runtime.unread import unread
from amon.wire import Ended, Envelope, Request, body_of, decode, encode, seal
from amon.xmpp.events import Received
from tests.runtime.scene import AGENTS, ALICE, DOOR, EVE, Site, site

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
ROOM = "ops@rooms.example"
NEXT = "update it, or ask without that"


def order(**more: Any) -> str:
    told = {"type": "request", "id": ID, "names": ["cern"], "line": "look", "deadline": 30.0, **more}
    return seal(json.dumps({name: value for name, value in told.items() if value is not None}))


class Line:
    """A site called cern behind the front."""

    def __init__(self, lab: Site, door: Door = DOOR) -> None:
        self.lab = lab
        self._sent: list[str] = []
        self.front = PayloadFront("cern", door, lab.node.dispatch, self._send, lab.clock, Random(1))

    def _send(self, to: str, payload: str, ident: str) -> bool:
        assert to == f"{ALICE}/console"
        self._sent.append(payload)
        return True

    async def hear(self, payload: str, by: str = ALICE, room: str | None = None) -> list[tuple[str, str]]:
        self._sent.clear()
        await self.front.received(Received(by, f"{by}/console", "", room=room, payload=payload))
        told = [decode(text) for text in self._sent]
        return [(one.state, one.text) for one in told if isinstance(one, Ended) and one.id == ID]


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with site(tmp_path) as lab:
        yield Line(lab)


async def test_a_field_that_is_not_known_is_named_and_nothing_is_done(line: Line) -> None:
    ((state, text),) = await line.hear(order(at_most="once a day"))
    assert state == "invalid"
    assert text == f"this agent (amon {amon_version()}) does not know the field 'at_most'; {NEXT}"
    assert line.lab.log == []
    (told,) = await line.lab.journal.recent(10)
    assert told.outcome == "invalid"


async def test_an_order_that_is_not_known_is_named(line: Line) -> None:
    ((state, text),) = await line.hear(seal(json.dumps({"type": "undo", "id": ID, "upto": 3})))
    assert (state, "does not know the order 'undo'" in text) == ("invalid", True)


async def test_strangers_hear_nothing(line: Line) -> None:
    assert await line.hear(order(at_most=1), by=EVE) == []
    assert line.lab.log == []


@pytest.mark.parametrize(
    "payload",
    [
        order(id="another", x=1),
        order(id=7, x=1),
        order(id=None, x=1),
        order(type=None, x=1),
        order(names=["desy"], x=1),
        order(names=[], x=1),
        order(deadline=-1),
        order(line=None),
        seal('{"type":"request","id":"' + ID + '","id":"' + ID + '","names":["cern"],"x":1}'),
        seal("[" * 100_000),
        seal('["request"]'),
        seal('{"type":"envelope"}'),
        seal('{"type":"envelope","request":[]}'),
        "{}",
    ],
    ids=[
        *("no id of ours", "number for an id", "no id", "no kind", "for another", "for nobody", "wrong value"),
        *("too little", "a field twice", "deep", "a list", "an empty envelope", "a list in an envelope", "no payload"),
    ],
)
async def test_what_is_nobodys_order_or_simply_wrong_is_not_answered(line: Line, payload: str) -> None:
    assert await line.hear(payload) == []
    assert line.lab.log == []


async def test_in_a_room_only_those_who_are_named_answer(line: Line) -> None:
    kind = {"type": "undo", "id": ID}
    assert await line.hear(seal(json.dumps(kind)), room=ROOM) == []
    assert await line.hear(order(names=["desy"], x=1), room=ROOM) == []
    ((state, _),) = await line.hear(order(x=1), room=ROOM)
    assert state == "invalid"


async def test_they_count_as_requests_do(tmp_path: Path) -> None:
    policy = Policy(operator=(ALICE,), rate=2)
    async with site(tmp_path) as lab:
        line = Line(lab, replace(DOOR, authority=Authority(policy, AGENTS)))
        states = [(await line.hear(order(x=1)))[0][0] for _ in range(3)]
    assert states == ["invalid", "invalid", "refused"]


async def test_what_is_unknown_may_be_long_and_odd(line: Line) -> None:
    ((_, text),) = await line.hear(order(**{"\u202e\x1b[2J" + "x" * 5000: 1}, line="y" * 60_000))
    assert len(text) < 300
    assert text.isprintable()


async def test_of_what_is_signed_the_signature_counts_first(tmp_path: Path) -> None:
    key, other = (SigningKey.generate(tmp_path / name, "alice") for name in ("key", "other"))
    signers, _ = read_signers(f"{ALICE} {key.public.line}\n", "signers")
    authority = Authority(Policy(operator=(ALICE,)), AGENTS, signers)
    async with site(tmp_path) as lab:
        now = lab.clock.time()
        door = Door("vo", authority, f"cern@{AGENTS}", frozenset({ROOM}))
        line = Line(lab, door)
        plain = body_of(Envelope(ALICE, ROOM, now, now + 60, Request(ID, ("cern",), "look", 30.0)))
        for body in (plain[:-2] + ',"at_most":1}}', plain[:-1] + ',"at_most":1}'):
            ((state, text),) = await line.hear(seal(body, key.sign(body.encode(), COMMAND)))
            assert (state, "the field 'at_most'" in text) == ("invalid", True)
            # The id of what is not verified is not read: the refusal goes by another.
            assert await line.hear(seal(body, other.sign(body.encode(), COMMAND))) == []
    assert lab.log == []


def test_what_this_version_knows_is_never_called_unknown() -> None:
    body = json.loads(encode(Request(ID, ("cern",), "look", 30.0, 2, True, True)))["body"]
    assert unread(body, "cern", alone=True) is None
