"""Rooms whose stanzas, or whose order, somebody made use of: on real servers, through the agent's own connection."""

from collections.abc import AsyncIterator, Callable
from xml.etree.ElementTree import Element

import pytest

from amon.xmpp import names
from amon.xmpp.events import Received, RoomState, Seen
from amon.xmpp.forms import read_form, submit_form
from amon.xmpp.markup import child
from tests.xmpp.party import ALICE, BOB, CERN, EVE, OPS, Party, World

_USER = f"{{{names.MUC_USER}}}"


@pytest.fixture
async def admin(world: World) -> AsyncIterator[Party]:
    """Alice, who has made the room of the fleet and is in it; eve is a member of it."""
    async with world.party(ALICE) as alice:
        await alice.settled()
        await alice.connection.create_room(OPS, members=[CERN, EVE], admins=[BOB])
        yield alice


async def settings_form(owner: Party, **settings: str) -> Element:
    """What changes these, to be sent."""
    query = Element(f"{{{names.MUC_OWNER}}}query")
    form = (await owner.connection.ask(OPS, "get", query))[0][0]
    known = read_form(form)
    values = {f"muc#roomconfig_{name}": (value,) for name, value in settings.items()}
    assert set(values) <= set(known)
    iq = Element(names.IQ, {"type": "set", "to": OPS, "id": "settings"})
    child(iq, f"{{{names.MUC_OWNER}}}query").append(submit_form("http://jabber.org/protocol/muc#roomconfig", values))
    return iq


@pytest.mark.parametrize(
    "weak", [{"membersonly": "0"}, {"whois": "moderators"}], ids=["open to all", "hiding real addresses"]
)
async def test_a_room_that_becomes_unsafe_is_so_before_the_next_word_that_is_said_there(
    world: World, admin: Party, weak: dict[str, str]
) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        assert (await cern.joined()).safe
        form = await settings_form(admin, **weak)
        cern.ear.forget()
        # In one write: between the two the agent has no time to ask anybody.
        admin.connection.post(form)
        admin.connection.say_room(OPS, "!restart ce2")
        await cern.ear.wait(Received)
        word = next(event for event in cern.ear.heard if isinstance(event, Received))
        before = [event for event in cern.ear.heard[: cern.ear.heard.index(word)] if isinstance(event, RoomState)]
        assert before
        assert not before[-1].safe
        await cern.ear.wait(RoomState, lambda state: not state.safe and not state.doubtful)
        cern.ear.forget()
        strong = {"membersonly": "1"} if "membersonly" in weak else {"whois": "anyone"}
        admin.connection.post(await settings_form(admin, **strong))
        await cern.ear.wait(RoomState, lambda state: state.safe)


def said(text: str) -> Callable[[Received], bool]:
    return lambda event: event.text == text


async def test_who_takes_over_a_nick_takes_over_no_address(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern, world.party(EVE, rooms=(OPS,), nick="eve") as eve:
        await cern.joined()
        await eve.joined()
        assert admin.connection.say_room(OPS, "by alice")
        assert (await cern.ear.wait(Received)).sender == ALICE
        await admin.connection.leave(OPS)
        nick, number = "", 0
        while nick != "alice":  # until the room has let alice go
            number += 1
            eve.connection.post(Element(names.PRESENCE, {"to": f"{OPS}/alice"}))
            assert eve.connection.say_room(OPS, f"by eve, {number}")
            word = await cern.ear.wait(Received, said(f"by eve, {number}"))
            assert word.sender in (None, EVE)
            nick = word.nick or ""


async def test_whoever_comes_between_the_presence_and_the_message_gets_neither_name_nor_address(
    world: World, admin: Party
) -> None:
    """The admin renames himself, eve takes the nick that is free, and both speak: all in the order of the room."""
    async with world.party(CERN, rooms=(OPS,)) as cern, world.party(EVE, rooms=(OPS,), nick="eve") as eve:
        await cern.joined()
        await eve.joined()
        admin.connection.post(Element(names.PRESENCE, {"to": f"{OPS}/chief"}))
        assert admin.connection.say_room(OPS, "by the chief")
        assert (await cern.ear.wait(Received)).sender == ALICE
        eve.connection.post(Element(names.PRESENCE, {"to": f"{OPS}/alice"}))
        assert eve.connection.say_room(OPS, "by eve")
        assert admin.connection.say_room(OPS, "by the chief again")
        await cern.ear.wait(Received, lambda event: event.text == "by the chief again")
        by = {event.text: (event.nick, event.sender) for event in cern.ear.all(Received)}
        assert by["by the chief again"] == ("chief", ALICE)
        assert by["by eve"] in (("alice", None), ("alice", EVE), ("eve", None), ("eve", EVE))


def forged(to: str, kind: str | None = None, *codes: str) -> Element:
    """A presence that says of itself what only a room says of somebody."""
    presence = Element(names.PRESENCE, {"to": to, **({"type": kind} if kind else {})})
    user = child(presence, f"{_USER}x")
    child(user, f"{_USER}item", jid=f"{ALICE}/home", affiliation="owner", role="moderator", nick="alice")
    for code in codes or ("110", "100"):
        child(user, f"{_USER}status", code=code)
    return presence


async def test_what_only_a_room_says_means_nothing_from_anybody_else(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern, world.party(EVE) as eve:
        state = await cern.joined()
        await eve.settled()
        occupants = cern.connection.occupants(OPS)
        cern.ear.forget()
        for kind, codes in ((None, ()), ("unavailable", ("110", "307")), ("unavailable", ("110", "303"))):
            eve.connection.post(forged(CERN, kind, *codes))
            eve.connection.post(forged(f"{CERN}/amon", kind, *codes))
        changed = Element(names.MESSAGE, {"to": CERN, "type": "groupchat"})
        child(child(changed, f"{_USER}x"), f"{_USER}status", code="104")
        eve.connection.post(changed)
        eve.connection.say(f"{CERN}/amon", "after all that")
        got = await cern.ear.wait(Received)
        assert (got.sender, got.room) == (EVE, None)
        assert {event.jid for event in cern.ear.all(Seen)} <= {EVE}
        assert not cern.ear.all(RoomState)
        assert cern.connection.occupants(OPS) == occupants
        assert (await cern.connection.enter(OPS)) == state


async def test_an_occupants_own_word_on_who_he_is_does_not_count(world: World, admin: Party) -> None:
    """A moderator's presence reaches everybody; what he puts into it is not the room's."""
    async with world.party(CERN, rooms=(OPS,)) as cern, world.party(BOB) as bob:
        await cern.joined()
        await bob.settled()
        entry = forged(f"{OPS}/bob")
        child(entry, f"{{{names.MUC}}}x")
        bob.connection.post(entry)
        bob.connection.post(forged(f"{OPS}/bob"))
        message = Element(names.MESSAGE, {"to": OPS, "type": "groupchat"})
        child(message, names.BODY, "by bob")
        bob.connection.post(message)
        got = await cern.ear.wait(Received)
        assert (got.nick, got.sender) == ("bob", BOB)
        assert {one.nick: one.jid for one in cern.connection.occupants(OPS)}["bob"] == BOB
        assert (await cern.connection.enter(OPS)).nick == "cern"
