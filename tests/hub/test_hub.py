"""The hub with a real server and real agents: one line typed, one answer; and nobody is silent without it."""

from pathlib import Path

import pytest

from admin_console.hub.run import living
from admin_console.hub.settings import load
from admin_console.rooms import create_room
from amon.ids import code, new_id, typed_id
from amon.notify import Notify
from amon.wire import Ended, encode
from tests.admin_console.ground import ALICE, BOB, OPS, Ground
from tests.hub.stage import HUB, POLICY, Person, alive, hub_account, hub_of, knows, person
from tests.waiting import until

SITES = ("cern", "desy", "ral")


def word_of(text: str) -> str:
    """The word that the question names."""
    return text.partition("!yes ")[2][:3]


def kept(ground: Ground, name: str) -> str:
    path = next((ground.folder / name / "state").rglob("kept"), None)
    return path.read_text() if path is not None else ""


async def fleet(ground: Ground, *names: str, policy: str = POLICY) -> Path:
    path = await hub_account(ground)
    for name in names:
        await ground.site(name, policy=policy)
    return path


async def test_a_line_for_all_is_answered_by_one_summary(ground: Ground) -> None:
    path = await fleet(ground, *SITES)
    async with hub_of(ground, path) as hub, person(ground) as alice:
        await knows(hub, *SITES)
        alice.type("!odd echo hello @all")
        text = await alice.told("all 3 done")
        assert text.startswith("odd ")
        assert "cern, desy, ral: hello" in text
        alice.type("!odd try @cern,desy")
        assert "cern, desy: it works" in await alice.told("all 2 done")
        alice.write(HUB, "details")
        await alice.told("done: it works")
        assert alice.tellers == {"hub"}
        assert len(alice.heard) == 3


async def test_a_site_that_is_away_is_in_the_book_and_costs_no_waiting(ground: Ground) -> None:
    path = await fleet(ground, "cern", "desy")
    await ground.member("gone")
    async with hub_of(ground, path) as hub, person(ground) as alice:
        await knows(hub, "cern", "desy")
        alice.type("!odd echo hello @all")
        text = await alice.told("2 of 3 done, 1 not-here", within=3)
        assert "gone: not-here: was offline" in text


async def test_a_change_is_asked_back_once_and_its_word_is_good_for_all(ground: Ground) -> None:
    path = await fleet(ground, *SITES)
    async with hub_of(ground, path) as hub, person(ground) as alice:
        await knows(hub, *SITES)
        alice.type("!odd keep this @all")
        asked = await alice.told("would change all 3 sites: within 50 s say !yes")
        assert "cern, desy, ral: would keep this" in asked
        assert kept(ground, "cern") == ""
        word = word_of(asked)
        alice.type(f"!yes {word[:2]}")
        assert f"did you mean !yes {word}?" in await alice.told("nothing was done")
        alice.type(f"!yes {word}")
        assert "cern, desy, ral: kept this" in await alice.told("all 3 done")
        assert alice.tellers == {"hub"}
        assert [kept(ground, name) for name in SITES] == ["this\n"] * 3
        alice.type(f"!yes {word}")
        await alice.told("for the second time")
        assert [kept(ground, name) for name in SITES] == ["this\n"] * 3


async def test_a_change_without_a_target_is_answered_by_one_line_that_says_how(ground: Ground) -> None:
    path = await fleet(ground, *SITES)
    async with hub_of(ground, path) as hub, person(ground) as alice:
        await knows(hub, *SITES)
        alice.type("!odd keep this")
        text = await alice.told("say which, @cern, @tag:NAME=VALUE or @all; nothing was done")
        assert "\n" not in text
        assert len(alice.heard) == 1


async def test_what_must_be_signed_says_so_once(ground: Ground) -> None:
    signers = ground.folder / "signers"
    signers.write_text(f"{ALICE} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n")
    path = await hub_account(ground)
    for name in ("cern", "desy"):
        await ground.site(name, policy=POLICY.replace("admin", "owner"), more=f'signers = "{signers}"')
    async with hub_of(ground, path) as hub, person(ground) as alice:
        await knows(hub, "cern", "desy")
        alice.type("!odd wipe @all")
        assert "cern, desy: refused: must be signed" in await alice.told("all 2 refused")


async def test_mistakes_and_refusals_that_a_crowd_would_not_say_are_said_once(ground: Ground) -> None:
    path = await fleet(ground, *SITES)
    async with hub_of(ground, path) as hub, person(ground) as alice, person(ground, BOB) as bob:
        await knows(hub, *SITES)
        alice.type("!odd ehco hello @all")
        assert "invalid" in await alice.told("all 3 invalid")
        bob.type("!odd echo hello @all")
        assert "bob@amon.test has no role here" in await bob.told("all 3 refused")
        alice.type("!odd echo @tag:")
        await alice.told("tag")
        alice.type("!odd echo hello @cern,ralf")
        assert "no site named ralf; did you mean ral?" in await alice.told("ralf")
        assert alice.tellers | bob.tellers == {"hub"}


async def test_without_a_hub_each_site_answers_itself(ground: Ground) -> None:
    await fleet(ground, *SITES)
    async with person(ground) as alice:
        alice.type("!odd echo hello @all")
        await alice.wait(lambda: alice.tellers == set(SITES))
        assert {text for _, text in alice.heard} == {f"{name}: hello" for name in SITES}


async def test_sites_that_name_no_hub_answer_themselves_beside_it(ground: Ground) -> None:
    path = await fleet(ground, "cern", "desy")
    await ground.site("free", policy=f'admin = ["{ALICE}"]\nobserver = ["{HUB}"]')
    async with hub_of(ground, path) as hub, person(ground) as alice:
        await knows(hub, "cern", "desy")
        await until(lambda: hub.fleet.sites["free"].online)
        alice.type("!odd echo hello @all")
        text = await alice.told("all 2 done")
        assert "free: told you themselves" in text
        await alice.told("free: hello", by="free")
        assert alice.tellers == {"hub", "free"}


async def test_a_hub_that_leaves_before_it_has_told_leaves_it_to_the_sites(ground: Ground) -> None:
    path = await fleet(ground, "cern", "desy")
    await ground.site("slow", instances="[instance.odd]\n[instance.odd.settings]\nwaits = true\n", policy=POLICY)
    async with person(ground) as alice:
        async with hub_of(ground, path) as hub:
            await knows(hub, "cern", "desy", "slow")
            alice.type("!odd late @all")
            await alice.told("2 of 3 answered")
        await alice.wait(lambda: {"cern", "desy"} <= alice.tellers)
        assert "cern: it works" in [text for who, text in alice.heard if who == "cern"]


async def test_a_hub_that_was_started_anew_goes_on_with_what_it_was_told_again(ground: Ground) -> None:
    path = await fleet(ground, *SITES)
    async with person(ground) as alice:
        async with hub_of(ground, path) as hub:
            await knows(hub, *SITES)
            alice.type("!odd keep this @all")
            word = word_of(await alice.told("would change all 3 sites"))
        async with hub_of(ground, path) as hub:
            await knows(hub, *SITES)
            await until(lambda: any(line.asking for line in hub.lines.values()))
            alice.type(f"!yes {word}")
            text = await alice.told("all 3 done")
        assert "cern, desy, ral: kept this" in text
        assert "I was started anew meanwhile" in text
        assert alice.tellers == {"hub"}


async def test_its_presence_is_the_fleets_and_for_those_who_command_only(ground: Ground) -> None:
    path = await fleet(ground, "cern", "desy")
    await ground.site("bad", instances="[instance.odd]\n[instance.odd.settings]\nwell = false\n", policy=POLICY)
    await ground.server.add_account("eve@amon.test", "correct horse")
    async with hub_of(ground, path) as hub, person(ground) as alice:
        await knows(hub, "cern", "desy", "bad")
        await alice.connection.subscribe(HUB)
        await alice.wait(lambda: HUB in alice.seen_of and alice.seen_of[HUB].show == "dnd")
        assert alice.seen_of[HUB].status.startswith("CRIT 1/3: bad disk full")
        assert not hub.fleet.may_see("eve@amon.test")
        alice.write(HUB, "status")
        text = await alice.told("CRIT 1/3")
        assert "bad" in text
        assert "desy" not in text
        alice.write(HUB, "status cern")
        await alice.told("cern: ok")
        alice.write(HUB, "uptime")
        await alice.told(f"say it in the room {OPS}: !uptime @all; I collect the answers")


async def test_a_hub_that_is_no_admin_of_the_room_says_the_next_step_and_is_there_when_it_was_done(
    ground: Ground,
) -> None:
    await ground.site("cern", policy=POLICY)
    path = await hub_account(ground, admin=False)
    told: list[str] = []

    class Ear(Notify):
        def status(self, text: str) -> None:
            told.append(text)

    async with living(load(path), Ear()) as hub:
        await until(lambda: told)
        assert told[0].startswith("UNKNOWN ")
        assert "next: an owner of it runs amon room create --admin hub@amon.test" in told[0]
        assert not hub.ready.is_set()
        await create_room(ground.console(), [], [HUB])
        await until(hub.ready.is_set)
        await until(lambda: told[-1] == "OK 1/1")


async def test_who_may_not_command_is_not_heard(ground: Ground) -> None:
    path = await fleet(ground, "cern")
    async with hub_of(ground, path) as hub:
        await knows(hub, "cern")
        eve = "eve@amon.test"
        await ground.server.add_account(eve, "correct horse")
        stranger = Person(ground, eve)
        async with alive(stranger), person(ground) as alice:
            stranger.write(HUB, "status")
            stranger.connection.send_payload(HUB, encode(Ended(new_id(1.0), "done")), id=new_id(1.0))
            alice.write(HUB, "status")
            await alice.told("OK 1/1")
            assert stranger.heard == []


async def test_answers_to_lines_that_nobody_typed_and_of_those_who_are_no_sites_change_nothing(ground: Ground) -> None:
    path = await fleet(ground, "cern", "desy")
    async with hub_of(ground, path) as hub, person(ground) as alice, person(ground, BOB) as bob:
        await knows(hub, "cern", "desy")
        ident = typed_id(ALICE, OPS, "m1")
        for who in (alice, bob):  # persons who say that they are sites
            for state in ("failed", "refused"):
                to = hub.fleet.connection.jid
                who.connection.send_payload(to, encode(Ended(ident, state, "a lie")), id=f"{ident}-ended")
        assert alice.connection.say_room(OPS, "!odd echo hello @all", id="m1")
        text = await alice.told("all 2 done")
        assert "lie" not in text
        assert code(ident)


@pytest.mark.parametrize("ground", ["prosody", pytest.param("ejabberd", marks=pytest.mark.servers)], indirect=True)
async def test_it_works_on_both_servers(ground: Ground) -> None:
    path = await fleet(ground, "cern", "desy")
    async with hub_of(ground, path) as hub, person(ground) as alice:
        await knows(hub, "cern", "desy")
        for number in range(5):
            alice.type(f"!odd echo n{number} @all")
            assert f"cern, desy: n{number}" in await alice.told(f": n{number}")
        assert alice.tellers == {"hub"}
