"""Rooms on a real server: made safe, joined, believed, lost and found again."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from xml.etree.ElementTree import Element

import pytest

from amon.errors import Failed
from amon.xmpp import names
from amon.xmpp.events import Bounced, Received, RoomState
from amon.xmpp.forms import read_form, submit_form
from amon.xmpp.markup import child
from amon.xmpp.room import destroy_query
from amon.xmpp.roster import Member
from tests.xmpp.party import ALICE, BOB, CERN, DESY, OPS, QUICK, Party, World


@pytest.fixture
async def admin(world: World) -> AsyncIterator[Party]:
    """Alice, who has made the room of the fleet and is in it."""
    async with world.party(ALICE) as alice:
        await alice.settled()
        await alice.connection.create_room(OPS, members=[CERN, DESY], admins=[BOB], title="Operations")
        yield alice


async def configure(owner: Party, **settings: str) -> None:
    """Sets what this server knows of these."""
    query = Element(f"{{{names.MUC_OWNER}}}query")
    form = (await owner.connection.ask(OPS, "get", query))[0][0]
    values = {f"muc#roomconfig_{name}": (value,) for name, value in settings.items()}
    values = {name: value for name, value in values.items() if name in read_form(form)}
    query.append(submit_form("http://jabber.org/protocol/muc#roomconfig", values))
    await owner.connection.ask(OPS, "set", query)


async def kick(owner: Party, nick: str) -> None:
    query = Element(f"{{{names.MUC_ADMIN}}}query")
    child(query, f"{{{names.MUC_ADMIN}}}item", nick=nick, role="none")
    await owner.connection.ask(OPS, "set", query)


async def test_a_room_is_made_safe_and_its_members_can_be_listed(admin: Party) -> None:
    state = await admin.joined()
    assert state == RoomState(OPS, True, "alice", "", True)
    members = await admin.connection.members(OPS, ("owner", "admin", "member"))
    assert set(members) == {
        Member(ALICE, "owner"),
        Member(BOB, "admin"),
        Member(CERN, "member"),
        Member(DESY, "member"),
    }


async def test_making_a_room_that_is_there_brings_it_to_what_is_wanted(admin: Party) -> None:
    await configure(admin, membersonly="0", historylength="20")
    await admin.connection.create_room(OPS)
    await admin.connection.create_room(OPS)
    assert Member(CERN, "member") in await admin.connection.members(OPS)


async def test_only_an_owner_makes_or_changes_a_room(world: World, admin: Party) -> None:
    async with world.party(BOB) as bob, world.party(CERN) as cern:
        await bob.settled()
        await cern.settled()
        with pytest.raises(Failed, match=r"only an owner of .* may configure it, and bob@amon.test is none"):
            await bob.connection.create_room(OPS)
        with pytest.raises(Failed, match=r"could not be entered: .*(allowed|account)"):
            await cern.connection.create_room("other@rooms.amon.test")


async def test_a_room_message_comes_with_the_real_address_of_who_said_it(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        state = await cern.joined()
        assert (state.safe, state.nick) == (True, "cern")
        assert admin.connection.say_room(OPS, "!status", payload="p1", id="j1")
        got = await cern.ear.wait(Received)
        assert (got.sender, got.reply_to, got.nick) == (ALICE, f"{ALICE}/amon", "alice")
        assert (got.room, got.kind, got.private_in_room, got.delayed) == (OPS, "groupchat", False, False)
        assert (got.text, got.payload, got.id) == ("!status", "p1", "j1")
        assert not admin.ear.all(Received), "our own words come back from the room and are nobody's"


async def test_an_address_that_the_room_does_not_show_is_nobody(world: World, admin: Party) -> None:
    # Presence is broadcast for moderators only: agents do not learn of each other, so a word of one is nobody's.
    async with world.party(CERN, rooms=(OPS,)) as cern, world.party(DESY, rooms=(OPS,)) as desy:
        await cern.joined()
        await desy.joined()
        assert desy.connection.say_room(OPS, "!reboot")
        got = await cern.ear.wait(Received)
        assert (got.sender, got.reply_to, got.nick) == (None, "", "desy")


async def test_a_private_message_through_a_room_is_marked_whatever_its_type(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        assert admin.connection.say(f"{OPS}/cern", "psst")
        got = await cern.ear.wait(Received)
        assert (got.private_in_room, got.room, got.sender, got.reply_to) == (True, OPS, ALICE, f"{OPS}/alice")
        cern.ear.forget()
        assert admin.connection.send_payload(f"{OPS}/cern", "p", id="1")
        assert (await cern.ear.wait(Received)).private_in_room


async def test_what_was_said_before_is_not_heard(world: World, admin: Party) -> None:
    await configure(admin, historylength="20")
    assert admin.connection.say_room(OPS, "!reboot all")
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        assert admin.connection.say_room(OPS, "now")
        assert (await cern.ear.wait(Received)).text == "now"


async def test_a_stranger_is_told_that_only_members_may(world: World, admin: Party) -> None:
    await admin.connection.set_members(OPS, [Member(DESY, "none")])
    async with world.party(DESY, rooms=(OPS,)) as desy:
        state = await desy.ear.wait(RoomState)
        assert state.reason == "only members may; an administrator has to add this account"
        await admin.connection.set_members(OPS, [Member(DESY, "member")])
        await desy.joined()


async def test_a_room_that_does_not_exist_is_not_made_by_going_there(world: World) -> None:
    async with world.party(ALICE, rooms=(OPS,)) as alice, world.party(CERN, rooms=(OPS,)) as cern:
        state = await alice.ear.wait(RoomState)
        assert state == RoomState(OPS, False, "alice", "there is no such room; an administrator has to create it")
        assert not (await cern.ear.wait(RoomState)).joined
        with pytest.raises(Failed, match="no such address"):
            await alice.connection.members(OPS)


async def test_who_is_kicked_comes_back(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        cern.ear.forget()
        await kick(admin, "cern")
        out = await cern.ear.wait(RoomState)
        assert (out.joined, out.reason) == (False, "we were kicked out of the room")
        assert not cern.connection.say_room(OPS, "while out")
        assert (await cern.joined()).safe


async def test_who_is_no_member_any_more_is_out_and_says_so(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        await admin.connection.set_members(OPS, [Member(CERN, "none")])
        out = await cern.ear.wait(RoomState, lambda state: not state.joined)
        assert out.reason == "we are no member of the room any more"
        assert not out.safe


async def test_a_room_that_was_destroyed_and_made_again_is_joined_again(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        cern.ear.forget()
        await admin.connection.leave(OPS)
        await admin.connection.enter(OPS)
        await admin.connection.destroy_room(OPS)
        assert (await cern.ear.wait(RoomState)).reason == "the room was destroyed"
        await admin.connection.leave(OPS)
        await admin.connection.create_room(OPS, members=[CERN])
        assert (await cern.joined()).safe


async def test_a_room_may_be_made_again_while_it_is_still_being_destroyed(world: World) -> None:
    async with world.party(ALICE, times=replace(QUICK, room_wait=6)) as alice:
        await alice.settled()
        await alice.connection.create_room(OPS)
        await alice.connection.leave(OPS)
        destroy = Element(names.IQ, {"to": OPS, "type": "set", "id": "d1"})
        destroy.append(destroy_query())
        alice.connection.post(destroy)  # and the join on its heels: ejabberd gives it to the room that ends
        await alice.connection.create_room(OPS)
        assert (await alice.joined()).safe


async def test_rooms_are_joined_again_after_the_server_restarts(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        cern.ear.forget()
        admin.ear.forget()
        await world.server.restart()
        assert (await cern.joined()).safe
        await admin.joined()
        assert admin.connection.say_room(OPS, "again")
        assert (await cern.ear.wait(Received)).sender == ALICE


async def test_a_room_that_shows_addresses_no_longer_is_unsafe_at_once(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        await configure(admin, whois="moderators")
        assert not (await cern.ear.wait(RoomState, lambda state: not state.safe)).safe
        cern.ear.forget()
        await configure(admin, whois="anyone")
        assert (await cern.ear.wait(RoomState, lambda state: state.safe)).joined


async def test_a_room_that_anybody_may_enter_is_unsafe(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        await configure(admin, membersonly="0")
        assert not (await cern.ear.wait(RoomState, lambda state: not state.safe)).safe


async def test_a_nick_that_is_taken_is_told_and_another_one_used(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,), nick="site") as cern:
        await cern.joined()
        async with world.party(DESY, rooms=(OPS,), nick="site") as desy:
            state = await desy.joined()
            assert (state.nick, state.reason) == ("site-2", "the nick site is taken")


async def test_a_sender_who_changes_nick_keeps_his_address_and_leaves_none_behind(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        rename = Element(names.PRESENCE, {"to": f"{OPS}/chief"})
        admin.connection.post(rename)
        assert admin.connection.say_room(OPS, "with another name")
        got = await cern.ear.wait(Received)
        assert (got.nick, got.sender) == ("chief", ALICE)
        assert {occupant.nick for occupant in cern.connection.occupants(OPS)} == {"chief", "cern"}


async def test_a_message_to_a_room_we_are_thrown_out_of_bounces(world: World, admin: Party) -> None:
    async with world.party(DESY) as desy:
        await desy.settled()
        message = Element(names.MESSAGE, {"to": OPS, "type": "groupchat", "id": "b1"})
        child(message, names.BODY, "let me in")
        desy.connection.post(message)
        bounced = await desy.ear.wait(Bounced)
        assert (bounced.to, bounced.id, bounced.condition) == (OPS, "b1", "not-acceptable")


async def test_leaving_a_room_stays_out_of_it(world: World, admin: Party) -> None:
    async with world.party(CERN, rooms=(OPS,)) as cern:
        await cern.joined()
        await cern.connection.leave(OPS)
        assert not cern.connection.say_room(OPS, "gone")
        assert (await cern.connection.enter(OPS)).joined


async def test_a_room_in_which_we_are_not_any_more_is_noticed_by_asking(world: World, admin: Party) -> None:
    times = replace(QUICK, room_check=0.2)
    async with world.party(CERN, rooms=(OPS,), times=times) as cern:
        await cern.joined()
        cern.ear.forget()
        # Behind the back of the room's keeper, as after a restart of a room service elsewhere.
        cern.connection.post(Element(names.PRESENCE, {"to": f"{OPS}/cern", "type": "unavailable"}))
        await cern.ear.wait(RoomState, lambda state: not state.joined)
        await cern.joined()
        before = asyncio.all_tasks()
        await cern.connection.roster()
        assert asyncio.all_tasks() == before
