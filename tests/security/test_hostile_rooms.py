"""The rows of the spoofing table that need a room: names taken over, private messages, rooms that change.

The room's members may be anybody that its owners let in; the policy names alice alone.
"""

import asyncio
from collections.abc import AsyncIterator
from xml.etree.ElementTree import Element

import pytest

from amon.xmpp import names
from amon.xmpp.connection import Connection
from amon.xmpp.forms import read_form, submit_form
from amon.xmpp.roster import Member
from tests.e2e.world import OPS, World
from tests.security.attacker import Attacker
from tests.security.attacks import LATE, OLD_LATE
from tests.security.siege import AGENT, EVE, Siege, besieged, chat, payload, request, room_chat, room_payload

pytestmark = pytest.mark.timeout(240)
SIDE = "side@rooms.amon.test"


@pytest.fixture
async def siege(world: World) -> AsyncIterator[Siege]:
    """With everybody in the room, and alice obeyed there before and after."""
    async with besieged(world) as made:
        async with world.console(settled=False) as owner:
            await owner.connection.create_room(OPS, members=[EVE])
        await made.helm.join(OPS, "helm")
        async with made.proven(made.control, made.control_in_room):
            yield made


async def configure(world: World, room: str = OPS, **settings: str) -> None:
    """Sets what this server knows of these, as an owner of the room."""
    async with world.console(settled=False) as owner:
        await set_up(owner.connection, room, **settings)


async def set_up(owner: Connection, room: str, **settings: str) -> None:
    query = Element(f"{{{names.MUC_OWNER}}}query")
    form = (await owner.ask(room, "get", query))[0][0]
    values = {f"muc#roomconfig_{name}": (value,) for name, value in settings.items()}
    values = {name: value for name, value in values.items() if name in read_form(form)}
    query.append(submit_form("http://jabber.org/protocol/muc#roomconfig", values))
    await owner.ask(room, "set", query)


async def speak(siege: Siege, name: str, who: Attacker, room: str = OPS) -> None:
    """Orders in the room, in every form that is obeyed there: by name, to all, with a target, by payload."""
    for line in ("cern: mark {}", "!mark {}", "!mark {} @cern", "!mark {} @all"):
        await speak_once(siege, f"{name}, {line.replace(' {}', '')}", who, room_chat(line.format(siege.word())), room)
    word = siege.word()
    await speak_once(siege, f"{name}, a payload", who, room_payload(request(f"mark {word}", siege.new_id())), room)


async def speak_once(siege: Siege, name: str, who: Attacker, xml: str, room: str = OPS) -> None:
    await who.say_in_room(room, xml.replace(f"to='{OPS}'", f"to='{room}'"))
    await siege.attempt(name, who, "<presence/>")
    siege.attempts[-1].sent = xml


async def test_members_of_the_room_whom_the_policy_does_not_name_have_no_effect(siege: Siege) -> None:
    for who, nick in ((siege.eve, "eve"), (siege.thief, "desy")):
        await who.join(OPS, nick)
        await speak(siege, "in the room", who)
    assert siege.effects() == []


async def test_the_name_of_an_admin_gives_nothing_to_who_takes_it(siege: Siege) -> None:
    await siege.alice.join(OPS, "alice")
    await siege.alice.leave(OPS, "alice")
    await siege.eve.join(OPS, "alice")
    await speak(siege, "as alice, who has just left", siege.eve)
    await siege.eve.leave(OPS, "alice")
    await siege.eve.join(OPS, "eve")
    await siege.eve.say(f"<presence to='{OPS}/ALICE'/>")
    await speak(siege, "renamed to ALICE", siege.eve)
    await siege.thief.join(OPS, "alice@amon.test")
    await speak(siege, "with the address as its name", siege.thief)
    assert siege.effects() == []


async def test_a_private_message_through_the_room_is_no_order_even_of_an_admin(siege: Siege) -> None:
    await siege.eve.join(OPS, "alice")
    await siege.alice.join(OPS, "alice-2")
    for who in (siege.eve, siege.alice):
        for kind in ("chat", "normal"):
            word, ident = siege.word(), siege.new_id()
            line = chat(f"mark {word}", to=f"{OPS}/cern", kind=kind)
            await siege.attempt(f"private through the room, {kind}", who, line)
            order = payload(request(f"mark {word}", ident), to=f"{OPS}/cern", kind=kind)
            await siege.attempt(f"private through the room, {kind}, a payload", who, order)
    assert siege.effects() == []


@pytest.mark.parametrize(
    ("weak", "safe"),
    [({"whois": "moderators"}, {"whois": "anyone"}), ({"membersonly": "0"}, {"membersonly": "1"})],
    ids=["anonymous", "open"],
)
async def test_a_room_that_becomes_unsafe_gives_no_rights_to_anybody(
    siege: Siege, weak: dict[str, str], safe: dict[str, str]
) -> None:
    await siege.alice.join(OPS, "alice")
    await siege.eve.join(OPS, "eve")
    await configure(siege.world, **weak)
    await speak(siege, f"in a room with {weak}", siege.alice)
    await speak(siege, f"in a room with {weak}", siege.eve)
    assert siege.effects() == []
    await configure(siege.world, **safe)
    await until_safe(siege)


async def until_safe(siege: Siege) -> None:
    """Until the agent has looked at the room again: it answers there, here to a line that lacks its word."""
    async with asyncio.timeout(15):
        while not [one for one in siege.helm.heard if (one.findtext(names.BODY) or "").startswith("invalid: ")]:
            await siege.helm.say_in_room(OPS, room_chat("cern: mark"))
            await siege.settle()


async def test_a_room_that_is_not_configured_is_not_entered_and_not_obeyed(siege: Siege) -> None:
    async with siege.world.console(settled=False) as owner:
        await owner.connection.create_room(SIDE, members=[AGENT, EVE])
        await siege.alice.join(SIDE, "alice")
        user = "http://jabber.org/protocol/muc#user"
        invite = f"<message to='{SIDE}'><x xmlns='{user}'><invite to='{AGENT}'/></x></message>"
        direct = chat("come in", f"<x xmlns='jabber:x:conference' jid='{SIDE}'/>")
        await siege.attempt("invited by the room", siege.alice, invite)
        await siege.attempt("invited directly", siege.alice, direct)
        await speak(siege, "in a room of no configuration", siege.alice, SIDE)
        there = [occupant.jid for occupant in owner.connection.occupants(SIDE)]
        assert AGENT not in there
        await owner.connection.set_members(SIDE, [Member(AGENT, "none")])
    assert siege.effects() == []


async def test_what_was_said_while_the_agent_was_away_is_not_done_when_it_comes_back(siege: Siege) -> None:
    await configure(siege.world, historylength="20", enablelogging="1")
    await siege.alice.join(OPS, "alice")
    await siege.agent.stop()
    for line in ("cern: mark {}", "!mark {} @all"):
        await siege.alice.say_in_room(OPS, room_chat(line.format(siege.word())))
    word = siege.word()
    await siege.alice.say_in_room(OPS, room_payload(request(f"mark {word}", siege.new_id())))
    await siege.alice.say(chat(f"mark {word}", to=AGENT))
    await siege.start()
    await siege.attempt("the room's history, and what was kept for the agent", siege.eve, "<presence/>")
    for late in (LATE, OLD_LATE):  # as a room with a history tells it, whatever it was asked for
        for line in ("cern: mark {}", "!mark {} @all"):
            xml = room_chat(line.format(siege.word()), late)
            await speak_once(siege, "kept by the room", siege.alice, xml)
        order = request(f"mark {siege.word()}", siege.new_id())
        await speak_once(siege, "kept by the room, a payload", siege.alice, room_payload(order, late))
    assert siege.effects() == []
