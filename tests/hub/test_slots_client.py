"""The console's side of slots, before a hub that answers as its book says, and before none."""

import asyncio
from typing import cast

import pytest

from admin_console.hub.slots import LEASE, SlotBook
from admin_console.hub.slots_client import Slots, parse_slots
from amon.errors import Failed, Refused
from amon.ids import new_id
from amon.runtime.fleet import Fleet
from amon.testing import FakeClock
from amon.wire import SlotLease, SlotWish, decode, encode
from amon.xmpp.connection import Connection
from amon.xmpp.events import Received
from amon.xmpp.room import Occupant

ROOM, HUB, ALICE, BOB = "ops@rooms.example.org", "hub@example.org", "alice@example.org", "bob@example.org"
HUB_FULL = f"{HUB}/hub-1"


class Wire:
    """A connection into a room with a hub in it. deaf: the hub hears nothing any more."""

    def __init__(self, clock: FakeClock) -> None:
        self.account = ALICE
        self.book = SlotBook()
        self.clock = clock
        self.fleet = Fleet(clock)
        self.fleet.connection = cast(Connection, self)
        self.there = True
        self.deaf = False
        self.wishes: list[SlotWish] = []

    def occupants(self, room: str) -> tuple[Occupant, ...]:
        return (Occupant("hub", HUB, HUB_FULL, "moderator", "admin"),) if self.there and room == ROOM else ()

    def send_payload(self, to: str, payload: str, *, id: str, body: str | None = None) -> bool:  # noqa: A002
        wish = decode(payload)
        assert isinstance(wish, SlotWish)
        assert to == HUB_FULL
        self.wishes.append(wish)
        if not self.deaf:
            for reply_to, lease in self.book.wish(ALICE, f"{ALICE}/amon-1", wish, self.clock.time()):
                if reply_to.startswith(ALICE):
                    self.hear(lease)
        return True

    def hear(self, lease: SlotLease, by: str = HUB) -> None:
        self.fleet.received(Received(by, f"{by}/hub-1", "", payload=encode(lease), id=f"{lease.id}-lease"))

    def of_another(self, *sites: str, ident: str = new_id(9.0)) -> None:
        """Bob's console says which sites it has."""
        for reply_to, lease in self.book.wish(BOB, f"{BOB}/amon-2", SlotWish(ident, "db", 2, sites), self.clock.time()):
            if reply_to.startswith(ALICE):
                self.hear(lease)

    def slots(self) -> Slots:
        return Slots(self.fleet, ROOM, HUB, "db", 2, self.clock)


@pytest.fixture
async def wire() -> Wire:
    return Wire(FakeClock())


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_so_many_may_begin_and_the_next_when_one_has_ended(wire: Wire) -> None:
    async with wire.slots().lent() as slots:
        slots.want(["cern", "desy", "ral"])
        await settle()
        assert slots.held == ("cern", "desy")
        slots.release("cern")
        await settle()
        assert slots.held == ("desy", "ral")
    assert wire.book.lines() == []


async def test_slots_of_another_console_are_waited_for(wire: Wire) -> None:
    wire.of_another("bnl", "fnal")
    stirred = 0

    def stir() -> None:
        nonlocal stirred
        stirred += 1

    async with wire.slots().lent() as slots:
        slots.watch = stir
        waiting = asyncio.ensure_future(slots.acquire("cern"))
        await settle()
        assert not waiting.done()
        before = stirred
        wire.of_another("fnal")
        async with asyncio.timeout(5):
            await waiting
        assert stirred > before
        assert slots.held == ("cern",)


async def test_a_lease_is_renewed_while_the_block_lasts(wire: Wire) -> None:
    async with wire.slots().lent() as slots:
        slots.want(["cern"])
        await settle()
        for _ in range(8):
            wire.clock.advance(LEASE / 4)
            await settle()
            wire.book.expire(wire.clock.time())
        assert slots.held == ("cern",)
        assert wire.book.lines() == ["db: cern of 2 for alice@example.org"]


async def test_a_hub_that_is_not_there_or_does_not_answer_is_said_so(wire: Wire) -> None:
    wire.there = False
    async with wire.slots().lent() as slots:
        with pytest.raises(Failed, match=r"hub@example.org is not in ops@rooms.example.org, so no slot of db"):
            await slots.acquire("cern")
    wire.there, wire.deaf = True, True
    async with wire.slots().lent() as slots:
        waiting = asyncio.ensure_future(slots.acquire("cern"))
        await settle()
        wire.clock.advance(10)
        with pytest.raises(Failed, match="does not answer"):
            async with asyncio.timeout(5):
                await waiting


async def test_nobody_but_the_hub_lends(wire: Wire) -> None:
    wire.deaf = True
    async with wire.slots().lent() as slots:
        slots.want(["cern"])
        await settle()
        ident = wire.wishes[-1].id
        wire.hear(SlotLease(ident, "db", ("cern",), 60), by="eve@example.org")
        wire.hear(SlotLease(ident, "other", ("cern",), 60))
        await settle()
        assert not slots.held
        wire.hear(SlotLease(ident, "db", ("cern", "never-asked"), 60))
        await settle()
        assert list(slots.held) == ["cern"]


async def test_what_the_hub_refuses_is_a_failure_with_its_words(wire: Wire) -> None:
    wire.deaf = True
    async with wire.slots().lent() as slots:
        waiting = asyncio.ensure_future(slots.acquire("cern"))
        await settle()
        wire.hear(SlotLease(wire.wishes[-1].id, "db", refused="200 jobs hold or want slots already"))
        with pytest.raises(Failed, match="200 jobs"):
            async with asyncio.timeout(5):
                await waiting


async def test_a_slot_that_was_lent_to_others_meanwhile_is_told(wire: Wire) -> None:
    async with wire.slots().lent() as slots:
        slots.want(["cern"])
        await settle()
        wire.hear(SlotLease(wire.wishes[-1].id, "db", ()))
        await settle()
        assert "lent the slot db of cern to others" in slots.trouble
        assert slots.held == ("cern",)


@pytest.mark.parametrize("text", ["", "db", "db=", "db=0", "db=257", "db=two", "=2", "Db=2", "d b=2", "-x=2", "db=²"])
def test_what_is_no_slot_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Refused, match=r"db-upgrade=2|1 to 256"):
        parse_slots(text)


def test_a_slot_is_a_name_and_a_number() -> None:
    assert parse_slots("db-upgrade=2") == ("db-upgrade", 2)
