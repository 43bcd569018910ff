"""The fleet of a hub over days: who comes, who goes, who may see it, and a connection that comes back."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import cast

from admin_console.hub.fleet import HubFleet
from amon.access import Signers
from amon.testing import FakeClock
from amon.wire import HealthReport, encode_health
from amon.xmpp.connection import Connection
from amon.xmpp.events import Online, Seen
from amon.xmpp.roster import Contact, Member

AGENTS, HUB, ALICE, BOB = "agents.example.org", "hub@example.org", "alice@example.org", "bob@example.org"
ROOM = "ops@rooms.example.org"


@dataclass
class Wire:
    account: str = HUB
    admins: tuple[str, ...] = (ALICE, BOB, HUB)
    sites: tuple[str, ...] = ("cern", "desy")
    reviews: int = 0
    contacts: list[Contact] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)

    async def members(self, room: str, affiliations: Iterable[str] = ("member",)) -> list[Member]:
        assert room == ROOM
        if tuple(affiliations) == ("member",):
            return [Member(f"{name}@{AGENTS}", "member") for name in self.sites]
        return [Member(jid, "admin") for jid in self.admins]

    async def review(self) -> None:
        self.reviews += 1

    async def roster(self) -> list[Contact]:
        return self.contacts

    async def subscribe(self, jid: str, name: str = "", groups: Iterable[str] = ()) -> None:
        self.contacts.append(Contact(jid, name, "to", tuple(groups)))

    async def unsubscribe(self, jid: str) -> None:
        self.removed.append(jid)


def fleet_on(wire: Wire) -> HubFleet:
    fleet = HubFleet(ROOM, FakeClock(), {}, Signers())
    fleet.connection = cast(Connection, wire)
    return fleet


def show(fleet: HubFleet, name: str) -> None:
    fleet.seen(Seen(f"{name}@{AGENTS}", "agent", True, "", "OK 1/1", encode_health(HealthReport("ok", 1))))


async def test_sites_that_are_enrolled_come_in_and_revoked_ones_go() -> None:
    wire = Wire()
    fleet = fleet_on(wire)
    await fleet.refresh()
    show(fleet, "cern")
    assert set(fleet.sites) == {"cern", "desy"}
    wire.sites = ("cern", "ral")
    await fleet.refresh()
    assert set(fleet.sites) == {"cern", "ral"}
    assert fleet.sites["cern"].online
    assert wire.removed == [f"desy@{AGENTS}"]
    show(fleet, "desy")
    assert "desy" not in fleet.sites


async def test_who_commands_may_see_it_and_who_does_not_any_more_is_taken_out() -> None:
    wire = Wire()
    fleet = fleet_on(wire)
    assert not fleet.may_see(ALICE)
    await fleet.refresh()
    assert fleet.may_see(ALICE)
    assert fleet.may_see(BOB.upper())
    assert not fleet.may_see(HUB)
    assert not fleet.may_see(f"cern@{AGENTS}")
    before = wire.reviews
    wire.admins = (ALICE, HUB)
    await fleet.refresh()
    assert not fleet.may_see(BOB)
    assert wire.reviews == before + 1


async def test_a_connection_that_came_back_does_not_make_all_sites_seem_gone() -> None:
    wire = Wire()
    fleet = fleet_on(wire)
    await fleet.refresh()
    show(fleet, "cern")
    known = [fleet.settled]
    for resumed in (True, False):
        fleet.online(Online(resumed, f"{HUB}/hub-1"))
        known.append(fleet.settled)
    assert fleet.returned.is_set()
    await fleet.refresh()
    assert [*known, fleet.settled] == [True, True, False, True]


async def test_a_site_says_itself_whether_it_lets_this_hub_gather() -> None:
    fleet = fleet_on(Wire())
    await fleet.refresh()
    show(fleet, "cern")
    assert fleet.gathers("cern") is None
    for mark, hubs in {"a": (HUB,), "b": ("other@example.org",), "c": ()}.items():
        fleet.known[mark] = {"gatherer": hubs} if hubs else {"agent": ("1",)}
        fleet.seen(Seen(f"cern@{AGENTS}", "agent", True, "", "OK", encode_health(HealthReport("ok", 1)), mark))
        assert fleet.gathers("cern") is (hubs == (HUB,))
