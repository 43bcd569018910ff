"""Presence, subscriptions and facts: shown to those who may see them, and to nobody else."""

import pytest

from amon.errors import Failed
from amon.xmpp.events import Online, Seen
from amon.xmpp.faults import StanzaError
from tests.xmpp.party import ALICE, CERN, EVE, Relay, World


async def test_health_reaches_who_may_see_it_and_follows_its_changes(world: World) -> None:
    async with world.party(ALICE) as alice, world.party(CERN, may_see=lambda jid: jid == ALICE) as cern:
        cern.connection.set_presence("dnd", "CRIT 1/7 httpd down", '{"crit":1}')
        await alice.settled()
        await cern.settled()
        await alice.connection.subscribe(CERN, "CERN", ["sites"])
        seen = await alice.ear.wait(Seen, lambda event: event.available)
        assert (seen.jid, seen.resource, seen.show) == (CERN, "amon", "dnd")
        assert (seen.status, seen.health) == ("CRIT 1/7 httpd down", '{"crit":1}')
        cern.connection.set_facts({"module": ["host", "service"], "tag": ["tier=1"]}, "f00d")
        cern.connection.set_presence("", "OK 7/7", '{"crit":0}')
        seen = await alice.ear.wait(Seen, lambda event: event.status == "OK 7/7")
        assert (seen.show, seen.health, seen.site) == ("", '{"crit":0}', "f00d")
        (contact,) = await alice.connection.roster()
        assert (contact.jid, contact.name, contact.groups, contact.seen) == (CERN, "CERN", ("sites",), True)
    assert not (await alice.ear.wait(Seen, lambda event: not event.available)).available


async def test_facts_and_health_set_together_are_one_presence(world: World) -> None:
    async with world.party(ALICE) as alice, world.party(CERN) as cern:
        await alice.settled()
        await cern.settled()
        await alice.connection.subscribe(CERN)
        await alice.ear.wait(Seen, lambda event: event.available)
        await cern.connection.roster()
        await alice.connection.roster()
        alice.ear.forget()
        cern.connection.set_facts({"a": ["1"]}, "m1")
        cern.connection.set_presence("away", "WARN", "h")
        await cern.connection.roster()
        await alice.connection.roster()
        assert alice.ear.all(Seen) == [Seen(CERN, "amon", True, "away", "WARN", "h", "m1")]


async def test_a_stranger_gets_neither_presence_nor_facts_and_is_not_asked_back(world: World) -> None:
    async with world.party(EVE) as eve, world.party(CERN, may_see=lambda jid: jid == ALICE) as cern:
        await eve.settled()
        await cern.settled()
        await eve.connection.subscribe(CERN)
        await eve.connection.roster()
        with pytest.raises(StanzaError, match="nobody there answers") as caught:
            await eve.connection.facts(cern.connection.jid)
        assert caught.value.condition == "service-unavailable"
        assert not [seen for seen in eve.ear.all(Seen) if seen.available]
        assert not await cern.connection.roster()


async def test_who_may_no_longer_see_us_is_removed_at_the_next_session(world: World) -> None:
    async with world.party(EVE) as eve:
        await eve.settled()
        async with world.party(CERN) as cern:
            await cern.settled()
            await eve.connection.subscribe(CERN)
            await eve.ear.wait(Seen, lambda event: event.available)
        eve.ear.forget()
        async with world.party(CERN, may_see=lambda jid: False) as cern:
            await cern.settled()
            await eve.connection.roster()
            assert not [seen for seen in eve.ear.all(Seen) if seen.available]
            assert not any(contact.sees_us for contact in await cern.connection.roster())


async def test_who_may_no_longer_see_us_is_removed_when_asked(world: World) -> None:
    allowed = {EVE}
    async with world.party(EVE) as eve, world.party(CERN, may_see=allowed.__contains__) as cern:
        await eve.settled()
        await cern.settled()
        await eve.connection.subscribe(CERN)
        await eve.ear.wait(Seen, lambda event: event.available)
        eve.ear.forget()
        allowed.clear()
        await cern.connection.review()
        await eve.ear.wait(Seen, lambda event: not event.available)


async def test_facts_are_told_to_who_may_know(world: World) -> None:
    async with world.party(ALICE) as alice, world.party(CERN) as cern:
        await alice.settled()
        await cern.settled()
        assert await alice.connection.facts(cern.connection.jid) == {}
        cern.connection.set_facts({"module": ["host", "service"], "tag": ["tier=1"], "odd": ["<&>"]}, "m")
        assert await alice.connection.facts(cern.connection.jid) == {
            "module": ("host", "service"),
            "tag": ("tier=1",),
            "odd": ("<&>",),
        }
        with pytest.raises(Failed, match="nobody there answers"):
            await alice.connection.facts("nobody@agents.amon.test/x")


async def test_presence_is_shown_again_after_the_server_restarts(world: World) -> None:
    async with world.party(ALICE) as alice, world.party(CERN) as cern:
        await alice.settled()
        cern.connection.set_presence("away", "WARN 1/7")
        await cern.settled()
        await alice.connection.subscribe(CERN)
        await alice.ear.wait(Seen)
        alice.ear.forget()
        await world.server.restart()
        assert (await alice.ear.wait(Seen, lambda event: event.available)).status == "WARN 1/7"


async def test_what_changed_while_we_were_cut_off_is_shown_after_the_resumption(world: World) -> None:
    async with Relay(world.server.c2s_port) as relay, world.party(ALICE) as alice:
        await alice.settled()
        async with world.party(CERN, port=relay.port) as cern:
            await cern.settled()
            await alice.connection.subscribe(CERN)
            await alice.ear.wait(Seen)
            relay.close()
            cern.connection.set_presence("dnd", "CRIT 2/7")
            relay.heal()
            await cern.ear.wait(Online, lambda event: event.resumed)
            assert (await alice.ear.wait(Seen, lambda event: event.show == "dnd")).status == "CRIT 2/7"


async def test_a_request_without_session_fails_at_once(world: World) -> None:
    await world.server.stop()
    async with world.party(ALICE) as alice:
        with pytest.raises(StanzaError, match="no session"):
            await alice.connection.roster()
        with pytest.raises(StanzaError, match="no session"):
            await alice.connection.enter("ops@rooms.amon.test")


async def test_a_message_larger_than_servers_take_is_refused_and_the_session_lives(world: World) -> None:
    async with world.party(ALICE) as alice:
        await alice.settled()
        with pytest.raises(Failed, match="larger than the 256 KiB"):
            alice.connection.send_payload(CERN, "é" * 200_000, id="1")
        assert alice.connection.send_payload(CERN, "x" * 200_000, id="2")
        await alice.connection.roster()


async def test_who_does_not_guard_its_presence_takes_it_from_nobody_and_lets_no_stranger_in(world: World) -> None:
    async with world.party(EVE) as eve:
        await eve.settled()
        async with world.party(ALICE) as alice:
            await alice.settled()
            await eve.connection.subscribe(ALICE)
            await eve.ear.wait(Seen, lambda event: event.available)
        async with (
            world.party(CERN) as stranger,
            world.party(ALICE, may_see=lambda jid: False, guards_presence=False) as console,
        ):
            await stranger.settled()
            await console.settled()
            await stranger.connection.subscribe(ALICE)
            await stranger.ear.wait(Seen, lambda event: event.refused and event.jid == ALICE)
            assert [contact.jid for contact in await console.connection.roster() if contact.sees_us] == [EVE]
        assert not any(event.refused for event in eve.ear.all(Seen))


async def test_a_client_that_is_there_answers_a_ping_and_of_one_that_is_gone_its_server_says_so(world: World) -> None:
    async with world.party(ALICE) as alice:
        async with world.party(CERN) as cern:
            await alice.settled()
            await cern.settled()
            there = cern.connection.jid
            assert await alice.connection.ping(there) is True
        assert await alice.connection.ping(there) is False
    assert await alice.connection.ping(there) is None  # without a session nobody knows
