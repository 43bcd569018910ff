"""An invitation into a room: it hurries an agent that waits for this very room, and does nothing else."""

import asyncio
from dataclasses import replace
from random import Random
from xml.etree.ElementTree import Element

import pytest

from amon.clock import SystemClock
from amon.xmpp import names
from amon.xmpp.events import Received, RoomState
from amon.xmpp.inbox import Inbox
from amon.xmpp.keeper import Keeper
from amon.xmpp.login import Times
from amon.xmpp.markup import child
from amon.xmpp.room import Room
from amon.xmpp.roster import Member
from tests.xmpp.party import ALICE, BOB, CERN, OPS, QUICK, Ear, World

LATE = Times(retry_first=1000, retry_most=1000, room_wait=0.05)


async def test_an_agent_that_waits_for_a_room_comes_when_it_is_called(world: World) -> None:
    patient = replace(QUICK, retry_first=1000, retry_most=1000)
    async with world.party(ALICE) as alice:
        await alice.settled()
        await alice.connection.create_room(OPS)
        async with world.party(CERN, rooms=(OPS,), times=patient) as cern:
            await cern.up()
            await cern.ear.wait(RoomState, lambda state: not state.joined)
            await alice.connection.set_members(OPS, [Member(CERN, "member")])
            assert alice.connection.invite(OPS, CERN)
            assert (await cern.joined()).safe


async def test_nobody_comes_into_a_room_that_his_configuration_does_not_name(world: World) -> None:
    async with world.party(ALICE) as alice, world.party(CERN) as cern:
        await alice.settled()
        await cern.settled()
        await alice.connection.create_room(OPS, members=[CERN])
        before = cern.connection.statistics().sent
        assert alice.connection.invite(OPS, CERN)
        alice.connection.say(CERN, "now")
        await cern.ear.wait(Received)
        assert cern.connection.statistics() == replace(cern.connection.statistics(), sent=before, dropped=1)


def invitation(sender: str, kind: str = "normal", tag: str = names.MUC_USER, what: str = "invite") -> Element:
    message = Element(names.MESSAGE, {"from": sender, "to": CERN, "type": kind})
    child(child(message, f"{{{tag}}}x"), f"{{{tag}}}{what}", **{"from": ALICE})
    return message


def direct(sender: str) -> Element:
    message = Element(names.MESSAGE, {"from": sender, "to": CERN})
    child(message, "{jabber:x:conference}x", jid=OPS)
    return message


@pytest.mark.parametrize(
    ("message", "comes"),
    [
        (invitation(OPS), True),
        (invitation("other@rooms.amon.test"), False),
        (invitation("rooms.amon.test"), False),
        (invitation(BOB), False),
        (invitation(f"{BOB}/phone"), False),
        (invitation(f"{OPS}/bob"), False),
        (invitation(CERN), False),
        (invitation(OPS, kind="groupchat"), False),
        (invitation(OPS, kind="headline"), False),
        (invitation(OPS, tag="urn:other"), False),
        (invitation(OPS, what="decline"), False),
        (direct(BOB), False),
        (direct(OPS), False),
    ],
)
async def test_only_the_room_itself_calls(message: Element, comes: bool) -> None:
    line = Line()
    inbox = Inbox(CERN, Ear(), line.post)
    keeper = Keeper(Room(OPS, "cern"), line, lambda state: line.refused.set(), LATE, SystemClock(), Random(1))
    inbox.add(keeper)
    task = asyncio.create_task(keeper.keep())
    async with asyncio.timeout(5):
        await line.refused.wait()
    joins = line.joins
    inbox.message(message)
    for _ in range(10):  # turns of the loop, in which a call is heard
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait((task,))
    assert line.joins == joins + comes


class Line:
    """A connection whose room does not answer."""

    def __init__(self) -> None:
        self.joins = 0
        self.refused = asyncio.Event()

    def post(self, element: Element) -> bool:
        self.joins += element.tag == names.PRESENCE and not element.get("type")
        return True

    async def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element:
        raise AssertionError("nothing is asked of a room that did not let us in")

    def dress(self, presence: Element) -> None:
        pass
