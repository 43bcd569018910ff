"""Other sites: named on demand, told by a console, kept for chats and for a mesh; each account's apart."""

from pathlib import Path
from random import Random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.access import Authority
from amon.errors import Refused
from amon.runtime.incoming import Door, Incoming
from amon.testing import FakeClock, stage
from amon.testing.stage import OWNER, POLICY, Stage, _Ear
from amon.wire import Ended
from amon.words import Asker
from modules.probe import ProbeModule, Settings
from modules.probe.peers import (
    ADDRESSES_MOST,
    SITES_MOST,
    STALE,
    Known,
    PeerBook,
    Peers,
    address_of,
    is_host,
    tamed,
)
from modules.probe.settings import Echo
from tests.modules.probe.probeworlds import Names
from tests.waiting import until

MADE = Settings(allow=("127.0.0.0/8",), mesh=True, interval=0.2)
FLEET = {"stage": "127.0.0.1", "desy": "127.0.0.2", "kek": "127.0.0.3 ::1", "ral": ""}


def world(**more: Any) -> dict[str, Any]:
    names = Names({"probe.desy.example": ("127.0.0.2",)})
    return {"name": "probe", "resolver": names, "random": Random(1), **more}


async def ask(
    site: Stage, line: str, sites: dict[str, str] | None = None, *, account: str = "stage", by: str = OWNER,
    dry_run: bool = False,
) -> Ended:  # fmt: skip
    """As a console does, which sends along what it knows of the sites that the line names."""
    ear = _Ear()
    door = Door(account, Authority(POLICY, "agents.example.org"), "stage@agents.example.org")
    ident = f"01J{int(site.clock.time()):023}"[:26]
    site.clock.advance(1)  # type: ignore[attr-defined]
    await site.node.dispatch.handle(Incoming(ident, Asker(by), line, door, dry_run=dry_run, probed=sites or {}), ear)
    return ear.outcomes[-1]


# On demand, between any two


async def test_a_site_is_probed_at_the_address_that_came_with_the_line() -> None:
    async with stage(ProbeModule, MADE, **world()) as site:
        outcome = await ask(site, "probe ping @desy -c 1 -W 0.5", {"desy": "127.0.0.2"})
        assert outcome.state == "done"
        assert (outcome.data["target"], outcome.data["address"], outcome.data["answered"]) == ("desy", "127.0.0.2", 1)
        assert outcome.text.startswith("desy (127.0.0.2): 1 of 1 answered")


async def test_several_sites_and_groups_of_them_are_probed_at_once_but_not_this_one() -> None:
    async with stage(ProbeModule, MADE, **world()) as site:
        outcome = await ask(site, "probe ping @all 127.0.0.9 -c 1", FLEET)
        assert [row["target"] for row in outcome.data] == ["desy", "kek", "127.0.0.9"]
        outcome = await ask(site, "probe ping @tag:tier=1 -c 1", {"kek": "127.0.0.3"})
        assert outcome.data["target"] == "kek"


@pytest.mark.parametrize(
    ("line", "sites", "says"),
    [
        ("ping @ral", FLEET, 'ral tells no probe address; next: [tags] probe = "ADDRESS" in its agent.toml'),
        ("ping @dseyy", {"desy": "127.0.0.2"}, "no site is called 'dseyy'; did you mean desy?; next: amon sites"),
        ("ping @desy", {}, "this site was told of none. A console sends along what it knows"),
        ("ping @desy family=6", {"desy": "127.0.0.2"}, "desy tells no IPv6 address; it has 127.0.0.2"),
        ("ping @all", {"ral": ""}, "none of these sites tells a probe address"),
        ("ping @all", {f"s{n}": "127.0.0.2" for n in range(17)}, "these are 17 sites; at most 16"),
        ("ping @(", {"desy": "127.0.0.2"}, ""),
    ],
)
async def test_what_is_missing_is_said_with_the_next_step(line: str, sites: dict[str, str], says: str) -> None:
    async with stage(ProbeModule, MADE, **world()) as site:
        outcome = await ask(site, f"probe {line}", sites)
        assert outcome.state in ("refused", "invalid")
        assert says in outcome.text


async def test_the_address_of_a_site_passes_the_fence_like_any_other() -> None:
    async with stage(ProbeModule, MADE, **world()) as site:
        outcome = await ask(site, "probe ping @desy -c 1", {"desy": "169.254.169.254"})
        assert outcome.data["state"] == "unmeasured"


# Peers


async def test_peers_are_planned_told_with_what_is_new_and_absent_and_kept(tmp_path: Path) -> None:
    async with stage(ProbeModule, MADE, state=tmp_path, **world(clock=FakeClock())) as site:
        plan = await ask(site, "probe peers @all", FLEET, dry_run=True)
        assert plan.text.startswith(
            "2 other sites with an address, version 1; new: desy, kek, ral; no probe address: ral"
        )
        assert (await site.ask("probe sites")).data == []  # a plan changes nothing
        told = await ask(site, "probe peers @all", FLEET)
        assert (told.state, told.data["sites"], told.data["absent"]) == ("done", 2, ["ral"])
        again = await ask(site, "probe peers @all", {"stage": "127.0.0.1", "desy": "127.0.0.7", "in2p3": "127.0.0.8"})
        assert (again.data["new"], again.data["changed"], again.data["gone"]) == (["in2p3"], ["desy"], ["kek", "ral"])
        assert again.data["version"] == 2
        more = await ask(site, "probe peers @kek", {"kek": "127.0.0.3"})  # less than all only adds
        assert (more.data["gone"], more.data["sites"]) == ([], 3)
    async with stage(ProbeModule, MADE, state=tmp_path, **world(clock=FakeClock())) as site:
        rows = (await site.ask("probe sites")).data
        assert [(row["site"], row["addresses"]) for row in rows] == [
            ("desy", ["127.0.0.7"]),
            ("in2p3", ["127.0.0.8"]),
            ("kek", ["127.0.0.3"]),
        ]
        assert {row["by"] for row in rows} == {OWNER}


async def test_a_chat_uses_the_peers_that_were_told_last_and_says_how_old_they_are() -> None:
    clock = FakeClock()
    async with stage(ProbeModule, MADE, **world(clock=clock)) as site:
        await ask(site, "probe peers @all", FLEET)
        assert "desy (127.0.0.2): 1 of 1 answered" in await site.say("probe ping @desy -c 1 -i 0.01")
        said = await site.say("probe ping @fnal -c 1")
        assert f"no site is called 'fnal' among the 4 that {OWNER} told of 0 s ago" in said
        assert "only a console knows tags and health" in await site.say("probe ping @tag:tier=1")
        assert "comes with a console" in await site.say("probe peers @all")
        clock.advance(STALE + 1)
        assert "old: told 7 d" in str((await site.ask("probe sites")).data)


async def test_what_one_organisation_told_another_cannot_ask_for() -> None:
    async with stage(ProbeModule, MADE, **world(clock=FakeClock())) as site:
        await ask(site, "probe peers @all", FLEET, account="ours")
        assert (await ask(site, "probe sites", account="theirs")).data == []
        assert (await ask(site, "probe ping @desy -c 1", account="theirs")).state == "refused"


async def test_a_mesh_probes_all_other_sites_that_have_an_address_by_their_names() -> None:
    clock = FakeClock()
    async with stage(ProbeModule, MADE, **world(clock=clock)) as site:
        await until(lambda: "peers" in site.health.parts)
        assert "amon run all probe peers @all" in site.health.parts["peers"].text
        await ask(site, "probe peers @all", FLEET)
        course = site.module.course
        await until(lambda: len(course.targets) == 2)
        assert {course.targets.called(row): course.targets.address(row) for row in range(2)} == {
            "desy": "127.0.0.2",
            "kek": "127.0.0.3",
        }
        await clock.turn(5, 0.1)
        await until(lambda: set(site.health.parts) >= {"desy", "kek"})
        assert "peers" not in site.health.parts
        assert f"other sites: told by {OWNER} " in str((await site.ask("probe status")).data["notes"])
        await ask(site, "probe peers @all", {"desy": "127.0.0.2"})
        await until(lambda: len(course.targets) == 1)


async def test_a_mesh_may_be_of_one_organisation_alone() -> None:
    made = Settings(mesh=True, account="ours", interval=0.2)
    async with stage(ProbeModule, made, **world()) as site:
        await ask(site, "probe peers @all", {"kek": "127.0.0.3"}, account="theirs")
        await ask(site, "probe peers @all", {"desy": "127.0.0.2"}, account="ours")
        course = site.module.course
        await until(lambda: len(course.targets) == 1)
        assert course.targets.called(0) == "desy"


async def test_peers_are_answered_by_udp_echo_and_strangers_are_not() -> None:
    made = Settings(allow=("127.0.0.0/8",), echo=Echo(port=0))
    async with stage(ProbeModule, made, **world()) as site:
        await ask(site, "probe peers @all", {"desy": "127.0.0.2"})
        assert site.module._is_peer("127.0.0.2", None)
        assert not site.module._is_peer("127.0.0.3", None)


# What is kept


def test_what_consoles_say_is_bounded_and_only_what_is_sound_is_kept() -> None:
    kept, odd = tamed({
        "CERN": "192.0.2.1 192.0.2.1 2001:db8::1", "a b": "192.0.2.2", "x\x1b[2J": "192.0.2.3",
        "desy": "http://desy/ ;rm probe.desy.example 10.0.0.300",
        "many": " ".join(f"192.0.2.{n}" for n in range(20)),
    })  # fmt: skip
    assert kept["cern"] == ("192.0.2.1", "2001:db8::1")
    assert kept["desy"] == ("probe.desy.example",)
    assert len(kept["many"]) == ADDRESSES_MOST
    assert set(kept) == {"cern", "desy", "many"}
    assert all(one.isprintable() for one in odd)
    assert len(tamed({f"s{n}": "" for n in range(SITES_MOST + 5)})[0]) == SITES_MOST


@pytest.mark.parametrize("written", ["", "[]", '{"accounts": {"main": {}}}', '{"accounts": 1}', "\x00", "[" * 100_000])
def test_a_file_that_cannot_be_read_is_told_and_replaced_by_the_next_word(tmp_path: Path, written: str) -> None:
    path = tmp_path / "peers.json"
    path.write_text(written)
    book = PeerBook(path)
    book.load()
    assert "next: tell the peers again" in book.fault
    assert book.of("main") == Peers()
    book.tell("main", Peers(1, 5.0, "alice", {"desy": ("192.0.2.1",)}, "cern"))
    again = PeerBook(path)
    again.load()
    assert (again.fault, again.of("main")) == ("", Peers(1, 5.0, "alice", {"desy": ("192.0.2.1",)}, "cern"))


def test_the_address_of_the_wanted_family_is_taken_and_a_name_where_there_is_none() -> None:
    told = ("192.0.2.1", "2001:db8::1", "probe.example")
    assert [address_of("x", told, family) for family in ("any", 4, 6)] == ["192.0.2.1", "192.0.2.1", "2001:db8::1"]
    assert address_of("x", ("192.0.2.1", "probe.example"), 6) == "probe.example"
    with pytest.raises(Refused, match="no IPv6 address"):
        address_of("x", ("192.0.2.1",), 6)


def test_globs_and_not_are_understood_where_only_names_are_known() -> None:
    known = Known({"t2-a": ("192.0.2.1",), "t2-b": ("192.0.2.2",), "cern": ("192.0.2.3",)}, False)
    assert set(known.meant("@t2*")) == {"t2-a", "t2-b"}
    assert set(known.meant("@(all and not t2*)")) == {"cern"}


@given(st.dictionaries(st.text(max_size=20), st.text(max_size=60), max_size=20))
def test_whatever_a_console_says_of_sites_what_is_kept_is_sound(said: dict[str, str]) -> None:
    kept, odd = tamed(said)
    assert len(kept) <= len(said)
    for name, told in kept.items():
        assert name.isprintable()
        assert name == name.lower()
        assert all(is_host(one) for one in told)
    assert all(one.isprintable() for one in odd)
