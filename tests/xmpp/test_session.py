"""Sessions on a real server: coming up, being cut, coming back; nothing is lost unsaid, nothing is left behind."""

import asyncio
from dataclasses import replace

import pytest

from amon.xmpp.events import Bounced, Offline, Online, Received
from amon.xmpp.login import Limits
from tests.xmpp.party import ALICE, BOB, CERN, EVE, QUICK, Relay, World


async def test_a_message_goes_from_one_account_to_another(world: World) -> None:
    async with world.party(ALICE) as alice, world.party(CERN) as cern:
        await alice.settled()
        await cern.settled()
        assert alice.connection.send_payload(cern.connection.jid, '{"a":"<&>\u00e9"}', id="j1", body="do it")
        got = await cern.ear.wait(Received)
        assert (got.sender, got.reply_to, got.id) == (ALICE, f"{ALICE}/amon", "j1")
        assert (got.payload, got.text, got.kind) == ('{"a":"<&>\u00e9"}', "do it", "normal")
        assert not got.delayed


async def test_direct_tls_carries_a_session(world: World) -> None:
    async with world.party(ALICE, tls="direct", port=world.server.tls_port) as alice:
        await alice.settled()


async def test_a_session_that_is_cut_is_resumed_and_nothing_is_lost(world: World) -> None:
    async with (
        Relay(world.server.c2s_port) as relay,
        world.party(CERN, port=relay.port) as cern,
        world.party(ALICE) as alice,
    ):
        await cern.settled()
        await alice.settled()
        relay.close()
        await cern.ear.wait(Offline)
        for number in range(5):
            assert alice.connection.send_payload(cern.connection.jid, str(number), id=f"m{number}")
        relay.heal()
        again = await cern.ear.wait(Online, lambda event: event.resumed)
        assert again.lost == ()
        await cern.ear.wait(Received, lambda message: message.payload == "4")
        assert [m.payload for m in cern.ear.all(Received)] == ["0", "1", "2", "3", "4"]
        # XEP-0198, 5: what waited for us comes marked, so that nobody runs it late without looking.
        assert all(m.delayed for m in cern.ear.all(Received))


async def test_what_was_under_way_when_the_network_went_silent_arrives_after_the_resumption(world: World) -> None:
    async with (
        Relay(world.server.c2s_port) as relay,
        world.party(CERN, port=relay.port) as cern,
        world.party(ALICE) as alice,
    ):
        await cern.settled()
        await alice.settled()
        relay.silence()
        assert cern.connection.send_payload(alice.connection.jid, "into the dark", id="d1")
        offline = await cern.ear.wait(Offline)
        assert (offline.fault, "does not answer any more" in offline.reason) == ("silent", True)
        relay.heal()
        assert (await alice.ear.wait(Received)).payload == "into the dark"
        await cern.ear.wait(Online, lambda event: event.resumed)
        assert len(alice.ear.all(Received)) == 1


async def test_counting_survives_many_messages_both_ways_and_several_resumptions(world: World) -> None:
    async with (
        Relay(world.server.c2s_port) as relay,
        world.party(CERN, port=relay.port) as cern,
        world.party(ALICE) as alice,
    ):
        await cern.settled()
        await alice.settled()
        for turn in range(3):
            for number in range(60):
                assert cern.connection.send_payload(alice.connection.jid, f"{turn}.{number}", id=f"u{turn}.{number}")
                assert alice.connection.send_payload(cern.connection.jid, f"{turn}.{number}", id=f"d{turn}.{number}")
            cern.ear.heard = [e for e in cern.ear.heard if isinstance(e, Received)]
            relay.cut()
            await cern.ear.wait(Online, lambda event: event.resumed)
        expected = [f"{turn}.{number}" for turn in range(3) for number in range(60)]
        await cern.ear.until(lambda: len(cern.ear.all(Received)) >= 180)
        await alice.ear.until(lambda: len(alice.ear.all(Received)) >= 180)
        assert [m.payload for m in alice.ear.all(Received)] == expected
        assert [m.payload for m in cern.ear.all(Received)] == expected


async def test_the_connection_comes_back_after_the_server_restarts(world: World) -> None:
    async with world.party(CERN) as cern:
        await cern.settled()
        cern.ear.forget()
        await world.server.restart()
        online = await cern.ear.wait(Online)
        assert not online.resumed
        assert cern.ear.all(Offline)
        await cern.settled()


async def test_the_connection_comes_back_after_the_server_was_gone_and_tells_what_was_lost(world: World) -> None:
    async with world.party(CERN) as cern:
        await cern.settled()
        cern.ear.forget()
        world.server.kill()
        cern.connection.send_payload(ALICE, "never acknowledged", id="lost-1")
        await cern.ear.wait(Offline, lambda event: event.fault == "refused")
        assert not cern.connection.send_payload(ALICE, "no session", id="not-sent")
        await world.server.start()
        online = await cern.ear.wait(Online)
        assert (online.resumed, online.lost) == (False, ("lost-1",))


async def test_a_cancelled_connection_says_goodbye_and_leaves_no_task(world: World) -> None:
    before = asyncio.all_tasks()
    async with world.party(BOB) as bob:
        await bob.settled()
        async with world.party(ALICE, rooms=("ops@rooms.amon.test",)) as alice:
            await alice.settled()
            await bob.connection.subscribe(ALICE)
        assert not alice.connection.online
    assert alice.task.cancelled()
    assert asyncio.all_tasks() == before


async def test_a_connection_that_is_cancelled_while_it_waits_to_retry_leaves_no_task(world: World) -> None:
    before = asyncio.all_tasks()
    await world.server.stop()
    async with world.party(BOB) as bob:
        await bob.ear.wait(Offline)
    assert asyncio.all_tasks() == before


async def test_what_was_sent_just_before_the_end_arrives(world: World) -> None:
    async with world.party(ALICE) as alice:
        await alice.settled()
        async with world.party(CERN) as cern:
            await cern.settled()
            for number in range(20):
                assert cern.connection.send_payload(alice.connection.jid, str(number), id=str(number))
        await alice.ear.wait(Received, lambda message: message.payload == "19")


async def test_what_was_heard_just_before_the_end_does_not_bounce(world: World) -> None:
    async with world.party(ALICE) as alice:
        await alice.settled()
        async with world.party(CERN) as cern:
            await cern.settled()
            assert alice.connection.say(cern.connection.jid, "do it")
            await cern.ear.wait(Received)
        await alice.connection.roster()  # after all that the server had to say about the other one
        assert not alice.ear.all(Bounced), "it was heard; a bounce would say that nothing was done"


async def test_the_second_session_of_the_same_resource_makes_the_first_wait_long(world: World) -> None:
    async with world.party(CERN) as first:
        await first.settled()
        async with world.party(CERN) as second:
            await second.settled()
            offline = await first.ear.wait(Offline)
            assert offline.fault == "conflict"
            assert "running twice" in offline.reason
            assert offline.retry_in >= QUICK.retry_refused / 2


async def test_waits_grow_and_differ(world: World) -> None:
    await world.server.stop()
    times = replace(QUICK, retry_first=0.02, retry_most=0.3)
    async with world.party(CERN, times=times) as cern:
        await cern.ear.until(lambda: len(cern.ear.all(Offline)) >= 7)
        waits = [event.retry_in for event in cern.ear.all(Offline)]
    assert 0.01 <= waits[0] <= 0.02
    assert 0.15 <= waits[6] <= 0.3
    assert len(set(waits)) == len(waits)


async def test_a_stanza_that_is_too_long_costs_itself_and_not_the_session(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    async with world.party(ALICE) as alice, world.party(CERN, limits=Limits(stanza=100_000)) as cern:
        await alice.settled()
        await cern.settled()
        assert alice.connection.send_payload(cern.connection.jid, "x" * 200_000, id="1")
        assert alice.connection.send_payload(cern.connection.jid, "after it", id="2")
        assert (await cern.ear.wait(Received)).payload == "after it"
        assert "the content of a stanza was not read: it is longer than 97 KiB" in caplog.text
        assert not cern.ear.all(Offline)


async def test_who_may_see_us_hears_that_his_message_was_too_long_and_a_stranger_does_not(world: World) -> None:
    small, knows = Limits(stanza=100_000), lambda jid: jid == ALICE
    async with (
        world.party(ALICE) as alice,
        world.party(EVE) as eve,
        world.party(CERN, limits=small, may_see=knows) as cern,
    ):
        for party in (alice, eve, cern):
            await party.settled()
        for party in (eve, alice):
            assert party.connection.send_payload(cern.connection.jid, "x" * 200_000, id="long")
        bounced = await alice.ear.wait(Bounced)
        await eve.connection.roster()
        assert (bounced.to, bounced.id, bounced.condition) == (cern.connection.jid, "long", "policy-violation")
        assert not eve.ear.all(Bounced)


@pytest.mark.parametrize("turns", range(6))
async def test_stopped_in_the_moment_in_which_the_session_breaks_it_stops(world: World, turns: int) -> None:
    async with Relay(world.server.c2s_port) as relay, world.party(ALICE, port=relay.port) as alice:
        await alice.up()
        relay.cut()
        async with asyncio.timeout(5):
            while alice.connection.online:  # noqa: ASYNC110 the very turn of the loop counts here
                await asyncio.sleep(0)
        for _ in range(turns):  # of the event loop
            await asyncio.sleep(0)
        alice.task.cancel()
        await asyncio.wait((alice.task,), timeout=3)
        assert alice.task.cancelled()
