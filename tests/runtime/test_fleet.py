"""The fleet as a console sees it: members, presence, tags by their mark, and whose mail is whose."""

from collections.abc import Callable

import pytest

from amon.runtime.about import mark_of, tell_parts
from amon.runtime.fleet import GROUP, Fleet
from amon.target import parse, select
from amon.wire import Ended, encode
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.roster import Contact
from tests.runtime.console import Desk, jid

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
TIER_1 = {"agent": ("1.0",), "tag": ("tier=1", "country=ch")}


@pytest.fixture
def desk() -> Desk:
    return Desk()


def chosen(desk: Desk, target: str) -> tuple[str, ...]:
    return select(parse(target), desk.fleet.facts())


async def test_members_are_the_fleet_whether_or_not_they_are_there(desk: Desk) -> None:
    await desk.enter("cern", "desy", online=False)
    desk.show("cern")
    assert {name: site.online for name, site in desk.fleet.sites.items()} == {"cern": True, "desy": False}
    assert chosen(desk, "all") == ("cern", "desy")


async def test_two_sites_of_one_name_are_told_apart_by_their_address(desk: Desk) -> None:
    await desk.fleet.enter(["cern@a.example", "CERN@b.example", "desy@a.example"])
    assert list(desk.fleet.sites) == ["cern@a.example", "cern@b.example", "desy"]


async def test_presence_is_asked_of_those_who_do_not_show_it_yet(desk: Desk) -> None:
    desk.wire.contacts = [
        Contact(jid("cern"), "cern", "both", ()),
        Contact(jid("desy"), "desy", "none", (), asked=True),
        Contact(jid("kek"), "kek", "none", ()),
    ]
    new = await desk.fleet.enter(map(jid, ("cern", "desy", "fnal", "kek")))
    assert desk.wire.subscribed == [jid("desy"), jid("fnal"), jid("kek")]
    assert new == ("fnal", "kek")  # desy was asked before and says nothing: it is not there


async def test_former_members_leave_our_group_of_contacts_and_nobody_else_does(desk: Desk) -> None:
    desk.wire.contacts = [
        Contact(jid("cern"), "cern", "both", (GROUP,)),
        Contact(jid("gone"), "gone", "to", (GROUP,)),
        Contact(jid("other"), "other", "to", (GROUP,)),
        Contact(jid("friend"), "friend", "both", ("Friends",)),
        Contact(jid("kept"), "kept", "both", (GROUP, "Mine")),
        Contact(jid("plain"), "plain", "both", ()),
    ]
    await desk.fleet.enter([jid("cern")], elsewhere={"other"})
    assert desk.wire.removed == [jid("gone")]


async def test_a_site_that_does_not_let_us_see_it_is_hidden_until_it_shows_itself(desk: Desk) -> None:
    desk.fleet.seen(Seen(jid("desy"), "", False, refused=True))  # before the list of members came
    await desk.enter("cern", "desy", "kek", online=False)
    desk.fleet.seen(Seen(jid("cern"), "", False, refused=True))
    assert {name: site.hidden for name, site in desk.fleet.sites.items()} == {"cern": True, "desy": True, "kek": False}
    desk.show("cern")
    assert not desk.fleet.sites["cern"].hidden
    desk.fleet.online(Online(False, "a@b/c"))
    assert not desk.fleet.sites["desy"].hidden


async def test_presence_that_came_before_the_member_list_is_not_lost(desk: Desk) -> None:
    desk.show("cern", "crit", show="dnd")
    desk.show("stranger")
    await desk.enter("cern", online=False)
    site = desk.fleet.sites["cern"]
    assert (site.online, site.show, site.address) == (True, "dnd", f"{jid('cern')}/agent")
    assert "stranger" not in desk.fleet.sites


async def test_presence_of_a_crowd_of_strangers_is_not_kept(desk: Desk) -> None:
    for n in range(12_000):
        desk.fleet.seen(Seen(f"s{n}@elsewhere.example", "x", n % 2 == 0, refused=n % 2 == 1))
    assert len(desk.fleet._seen_early) + len(desk.fleet._refused_early) == 10_000


async def test_targets_are_chosen_by_what_presence_says(desk: Desk) -> None:
    await desk.enter("cern", "desy", "fnal")
    desk.show("desy", "crit")
    desk.go("fnal")
    assert chosen(desk, "health:crit") == ("desy",)
    assert chosen(desk, "health:ok") == ("cern",)
    assert chosen(desk, "health:unknown") == ("fnal",)
    assert chosen(desk, "service:httpd=down") == ("desy",)
    assert chosen(desk, "service:httpd=up") == ("cern",)
    assert chosen(desk, "module:service") == ("cern", "desy")


async def test_only_the_agents_own_resource_going_takes_the_site_away(desk: Desk) -> None:
    await desk.enter("cern")
    desk.go("cern", "a phone with the same account")
    desk.fleet.seen(Seen(jid("cern"), "phone", True, "chat", "hello", None))
    assert desk.fleet.sites["cern"].online
    assert desk.fleet.sites["cern"].show == ""
    desk.go("cern")
    assert not desk.fleet.sites["cern"].online


@pytest.mark.parametrize("health", ["", "null", "[" * 2000, '{"level":7}', "x" * 100_000])
async def test_a_hostile_presence_is_a_site_of_unknown_health(desk: Desk, health: str) -> None:
    await desk.enter("cern", online=False)
    desk.fleet.seen(Seen(jid("cern"), "agent", True, "", "", health, None))
    assert desk.fleet.sites["cern"].online
    assert chosen(desk, "health:unknown") == ("cern",)


async def test_what_an_old_session_knew_is_forgotten_with_a_new_one(desk: Desk) -> None:
    await desk.enter("cern")
    trouble = Offline("the network was cut", 5.0)
    desk.fleet.offline(trouble)
    assert desk.fleet.trouble == trouble
    desk.fleet.online(Online(False, "alice@example.org/x"))
    assert desk.fleet.trouble != trouble
    assert not desk.fleet.sites["cern"].online


# Tags


async def test_tags_are_asked_once_for_each_mark(desk: Desk) -> None:
    await desk.enter("cern", "desy", "fnal")
    for name in ("cern", "desy"):
        desk.wire.tags[jid(name)] = TIER_1
        desk.show(name, mark=mark_of(TIER_1))
    await desk.fleet.look_up()
    assert chosen(desk, "tag:tier=1") == ("cern", "desy")
    assert desk.fleet.sites["cern"].agent == "1.0"
    desk.show("cern", "warn", mark=mark_of(TIER_1))
    asked = len(desk.wire.asked)
    await desk.fleet.look_up()
    assert len(desk.wire.asked) == asked
    assert chosen(desk, "tag:tier=1") == ("cern", "desy")


async def test_a_part_that_is_up_is_one_that_the_site_has(desk: Desk) -> None:
    await desk.enter("cern", "desy", "fnal")
    for name, parts in (
        ("cern", ["service/httpd"]),
        ("desy", ["service/nginx"]),
        ("fnal", [f"s/{n}" for n in range(300)]),
    ):
        told = tell_parts(dict.fromkeys(parts, "service"))
        facts = {"agent": ("1.0",), **{key: tuple(values) for key, values in told.items()}}
        desk.wire.tags[jid(name)] = facts
        desk.show(name, mark=mark_of(facts))
    await desk.fleet.look_up()
    assert chosen(desk, "service:httpd=up") == ("cern", "fnal")  # of three hundred, none can be told
    assert chosen(desk, "service:nginx=up") == ("desy", "fnal")
    desk.show("cern", "crit", mark=desk.fleet.sites["cern"].mark)
    assert chosen(desk, "service:httpd=up") == ("fnal",)


async def test_a_fleet_that_was_known_before_asks_nobody(desk: Desk) -> None:
    fleet = Fleet(desk.clock, {mark_of(TIER_1): TIER_1})
    fleet.connection = desk.fleet.connection
    desk.fleet = fleet
    await desk.enter("cern")
    desk.show("cern", mark=mark_of(TIER_1))
    await fleet.look_up()
    assert desk.wire.asked == []
    assert fleet.sites["cern"].tags == {"tier": "1", "country": "ch"}


async def test_a_site_that_is_away_keeps_its_tags_and_one_that_was_not_seen_yet_can_be_asked(desk: Desk) -> None:
    mark = mark_of(TIER_1)
    fleet = Fleet(desk.clock, {mark: TIER_1}, marks={"cern": mark, "zagreb": "long forgotten"})
    fleet.connection = desk.fleet.connection
    desk.fleet = fleet
    desk.wire.tags[jid("fnal")] = TIER_1
    await desk.enter("cern", "fnal", "zagreb", "bari", online=False)
    await fleet.look_up(unseen=True)
    assert chosen(desk, "tag:tier=1") == ("cern", "fnal")
    assert not fleet.sites["cern"].online
    assert {asked.partition("/")[0] for asked in desk.wire.asked} == {jid(name) for name in ("fnal", "zagreb", "bari")}


async def test_a_site_with_the_mark_of_another_cannot_tell_tags_for_it(desk: Desk) -> None:
    await desk.enter("cern", "zagreb")
    desk.wire.tags = {jid("zagreb"): {"tag": ("tier=9",)}, jid("cern"): TIER_1}
    for name in ("cern", "zagreb"):
        desk.show(name, mark=mark_of(TIER_1))
    await desk.fleet.look_up()
    assert chosen(desk, "tag:tier=9") == ()
    assert desk.fleet.sites["cern"].tags["tier"] == "1"


async def test_a_site_that_does_not_tell_its_tags_has_none(desk: Desk) -> None:
    await desk.enter("cern")
    desk.show("cern", mark="something")
    await desk.fleet.look_up()
    assert desk.fleet.sites["cern"].tags == {}


# Mail


async def test_mail_goes_to_the_job_it_names_under_the_name_of_who_really_sent_it(desk: Desk) -> None:
    await desk.enter("cern")
    with desk.fleet.mail(ID) as letters:
        desk.hear(jid("cern"), Ended(ID, "done"))
        desk.hear("eve@example.org", Ended(ID, "done"))
        desk.hear("cern", Ended(ID, "done"))
        desk.hear(jid("cern"), Ended(ID[:-1] + "Y", "done"))
        assert [letters.get_nowait().site for _ in range(letters.qsize())] == ["cern", "eve@example.org", "@cern"]
    desk.hear(jid("cern"), Ended(ID, "done"))
    assert letters.empty()


async def test_what_is_no_payload_or_came_through_a_room_is_no_mail(desk: Desk) -> None:
    await desk.enter("cern")
    with desk.fleet.mail(ID) as letters:
        for message in (
            Received(jid("cern"), "", "hello"),
            Received(jid("cern"), "", "", payload="{}"),
            Received(None, "", "", payload=encode(Ended(ID, "done"))),
            Received(jid("cern"), "", "", room="ops@x", payload=encode(Ended(ID, "done"))),
        ):
            desk.fleet.received(message)
        assert letters.empty()


async def test_a_bounce_and_a_goodbye_are_mail_for_every_job_they_concern(desk: Desk) -> None:
    await desk.enter("cern")
    with desk.fleet.mail(ID) as letters:
        desk.fleet.bounced(Bounced(f"{jid('cern')}/agent", f"{ID}-ask", "service-unavailable"))
        desk.fleet.bounced(Bounced(f"{jid('cern')}/agent", "another", "service-unavailable"))
        desk.fleet.bounced(Bounced("eve@example.org/x", f"{ID}-ask", "service-unavailable"))
        desk.go("cern")
        found = [letters.get_nowait() for _ in range(letters.qsize())]
        assert [(one.site, one.gone, one.text) for one in found] == [
            ("cern", False, "not there (service-unavailable)"),
            ("cern", True, ""),
        ]


async def test_who_waits_for_a_change_is_woken_by_each(desk: Desk) -> None:
    await desk.enter("cern")
    changes: list[Callable[[], None]] = [
        lambda: desk.show("cern", "warn"),
        lambda: desk.go("cern"),
        lambda: desk.fleet.room(RoomState("ops@x", True)),
        lambda: desk.fleet.offline(Offline("gone", 1.0)),
        lambda: desk.fleet.online(Online(True, "a@b/c")),
    ]
    for change in changes:
        desk.fleet.changed.clear()
        change()
        assert desk.fleet.changed.is_set()


def test_nobody_needs_a_consoles_presence(desk: Desk) -> None:
    assert not desk.fleet.may_see(jid("cern"))


async def test_jobs_hear_who_comes_and_goes_and_that_our_own_connection_is_there_again(desk: Desk) -> None:
    await desk.enter("cern")
    with desk.fleet.mail(ID) as mail:
        desk.show("cern")  # it was there already
        desk.go("cern")
        desk.show("cern")
        desk.fleet.online(Online(True, "alice@example.org/x"))
        desk.fleet.online(Online(False, "alice@example.org/x"))
        found = [mail.get_nowait() for _ in range(4)]
        assert mail.empty()
    assert [(one.site, one.gone, one.here) for one in found] == [
        ("cern", True, False),
        ("cern", False, True),
        ("", False, False),
        ("", False, True),
    ]


async def test_a_bounce_says_what_it_was_that_came_back(desk: Desk) -> None:
    await desk.enter("cern")
    with desk.fleet.mail(ID) as mail:
        for ident in (ID, f"{ID}-ask", f"{ID}-fetch", f"{ID}-cancel"):
            desk.fleet.bounced(Bounced(f"{jid('cern')}/agent", ident, "service-unavailable"))
        assert [mail.get_nowait().of for _ in range(4)] == ["", "ask", "fetch", "cancel"]
