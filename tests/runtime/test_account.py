"""An account: presence at the pace of contact lists, two fronts, unsafe rooms, and what an earlier agent left."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import cast

import pytest

from amon.access import Policy
from amon.command import Call
from amon.health import Health
from amon.runtime.account import Account, View
from amon.wire import Ended, Fetch, Request, decode, decode_health, encode
from amon.xmpp.commands import Asked, Reply, Stage
from amon.xmpp.connection import Connection
from amon.xmpp.events import Online, Received, RoomState
from tests.runtime.scene import AGENTS, ALICE, DOOR, EVE, Said, Site, door, gate, site

ROOM = "ops@rooms.example.org"
JID = f"cern@{AGENTS}"
ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"


class Wire:
    """A connection that remembers what it was given to say and to show."""

    def __init__(self) -> None:
        self.shown: list[tuple[str, str]] = []
        self.health = ""
        self.facts: list[tuple[Mapping[str, Iterable[str]], str]] = []
        self.said: list[tuple[str, str]] = []
        self.sent: list[tuple[str, str, str | None]] = []
        self.changed = asyncio.Event()
        self.answers: list[tuple[Asked, Reply]] = []
        self.reviews = 0

    async def run(self) -> None:
        await asyncio.Event().wait()

    def set_presence(self, show: str, status: str, health: str | None = None) -> None:
        self.shown.append((show, status))
        self.health = health or ""
        self.changed.set()

    def set_facts(self, facts: Mapping[str, Iterable[str]], mark: str) -> None:
        self.facts.append((facts, mark))
        self.changed.set()

    def serve(self, commanded: Callable[[Asked], None]) -> None:
        self.commanded = commanded

    def answer(self, asked: Asked, reply: Reply) -> bool:
        self.answers.append((asked, reply))
        self.changed.set()
        return True

    async def review(self) -> None:
        self.reviews += 1

    def say(self, to: str, text: str, *, unstyled: bool = False, id: str = "", replaces: str = "") -> bool:  # noqa: A002
        self.said.append((to, text))
        self.changed.set()
        return True

    def say_room(self, room: str, text: str) -> bool:
        return self.say(room, text)

    def composing(self, to: str, on: bool) -> bool:
        return True

    async def ping(self, to: str) -> bool | None:
        return True

    def send_payload(self, to: str, payload: str, *, id: str, body: str | None = None) -> bool:  # noqa: A002
        self.sent.append((to, payload, body))
        self.changed.set()
        return True


class Desk:
    def __init__(self, lab: Site, account: Account, wire: Wire) -> None:
        self.lab, self.account, self.wire = lab, account, wire

    async def wait(self, wanted: int, of: str) -> None:
        """Until the wire has so many of these."""
        async with asyncio.timeout(5):
            while len(getattr(self.wire, of)) < wanted:
                self.wire.changed.clear()
                await self.wire.changed.wait()

    async def becomes(self, health: Health) -> None:
        self.lab.lab.now = health
        self.lab.lab.env.changed()
        await settle()

    async def pass_by(self, seconds: int) -> None:
        for _ in range(seconds):
            self.lab.clock.advance(1)
            await settle()


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def view(**more: object) -> View:
    return View(**{"door": DOOR, "rooms": frozenset({ROOM}), **more})  # type: ignore[arg-type]


@asynccontextmanager
async def account(lab: Site, seen: View | None = None) -> AsyncIterator[Desk]:
    wire = Wire()
    made = Account(
        JID, seen or view(), lab.node, {"tier": "1"}, lambda listener: cast(Connection, wire), lab.clock, Random(1)
    )
    life = asyncio.create_task(made.run())
    desk = Desk(lab, made, wire)
    try:
        await desk.wait(1, "shown")
        yield desk
    finally:
        life.cancel()
        await asyncio.wait([life])


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with site(tmp_path) as lab, account(lab) as made:
        yield made


# Presence


async def test_the_first_presence_shows_health_and_facts(desk: Desk) -> None:
    assert desk.wire.shown == [("", "OK 1/1")]
    report = decode_health(desk.wire.health)
    assert (report.level, report.ok, report.modules) == ("ok", 1, ("lab",))
    ((facts, mark),) = desk.wire.facts
    assert (facts["tag"], facts["module"], len(mark)) == (["tier=1"], ["lab"], 16)
    assert (facts["parts"], facts["part"]) == (["1"], ["lab:lab"])


async def test_what_is_said_already_is_not_said_again(desk: Desk) -> None:
    for _ in range(5):
        await desk.becomes(Health.good("fine"))
    assert len(desk.wire.shown) == 1


async def test_bad_news_goes_out_at_once_and_good_news_when_it_has_settled(desk: Desk) -> None:
    await desk.becomes(Health.bad("is down"))
    assert desk.wire.shown[1:] == [("dnd", "CRIT 1/1 lab is down")]
    await desk.becomes(Health.good())
    assert len(desk.wire.shown) == 2
    await desk.pass_by(1)
    assert desk.wire.shown[2:] == [("", "OK 1/1")]


async def test_a_site_that_flaps_for_an_hour_is_told_about_once_a_minute_and_at_last_as_it_is(desk: Desk) -> None:
    for n in range(720):
        await desk.becomes(Health.bad(f"down {n}") if n % 2 else Health.good())
        await desk.pass_by(5)
    assert 50 <= len(desk.wire.shown) <= 80
    await desk.becomes(Health.bad("for good"))
    await desk.pass_by(120)
    assert desk.wire.shown[-1] == ("dnd", "CRIT 1/1 lab for good")


async def test_whoever_stops_and_starts_something_many_times_sees_each_end_at_once(desk: Desk) -> None:
    def stop(call: Call) -> None:
        desk.lab.lab.now = Health.fair("stopped", state="down")
        desk.lab.lab.env.changed()

    def start(call: Call) -> None:
        desk.lab.lab.now = Health.good()
        desk.lab.lab.env.changed()

    for n in range(20):
        for body, shown in ((stop, "WARN 1/1 lab stopped"), (start, "OK 1/1")):
            desk.lab.lab.body = body
            await desk.lab.ask("restart httpd")
            await desk.pass_by(1)
            assert desk.wire.shown[-1][1] == shown, n
    desk.lab.lab.body = lambda call: None
    shown_before = len(desk.wire.shown)
    for n in range(60):  # and then it flaps by itself
        await desk.becomes(Health.bad(f"down {n}") if n % 2 else Health.good())
        await desk.pass_by(1)
    assert len(desk.wire.shown) - shown_before <= 10


async def test_maintenance_that_ends_by_itself_shows_without_anybody_asking(desk: Desk) -> None:
    await desk.lab.ask("maintenance begin 10min 'new disks'")
    await desk.wait(2, "shown")
    assert desk.wire.shown[-1] == ("xa", f"MAINT site until 1970-01-12 13:56Z ({ALICE}: new disks)")
    await desk.pass_by(700)
    assert desk.wire.shown[-1] == ("", "OK 1/1")


async def test_a_reload_shows_other_tags_at_once_and_obeys_another_policy(desk: Desk) -> None:
    desk.account.show(view(door=door(Policy(observer=(EVE,)))), {"tier": "2"})
    await desk.wait(2, "facts")
    (_, before), (facts, after) = desk.wire.facts
    assert facts["tag"] == ["tier=2"]
    assert before != after
    assert (desk.account.may_see(EVE), desk.account.may_see(ALICE)) == (True, False)
    assert desk.wire.reviews == 1
    desk.account.received(Received(EVE, f"{EVE}/x", "look @tag:tier=2"))
    await desk.wait(1, "said")
    assert desk.lab.log == ["look all"]


async def test_an_account_reveals_only_what_it_may_also_to_targets(tmp_path: Path) -> None:
    async with site(tmp_path) as lab, account(lab, view(revealed=frozenset({"other"}))) as desk:
        await desk.becomes(Health.bad("down"))
        assert desk.wire.shown == [("", "OK 0/0")]
        assert desk.wire.facts[-1][0]["parts"] == ["0"]
        desk.account.received(Received(ALICE, f"{ALICE}/x", "look @health:crit"))
        await desk.wait(1, "said")
        assert desk.lab.log == []


async def test_names_of_parts_follow_the_picture_and_never_outrun_it(desk: Desk) -> None:
    for n in range(300):
        await desk.becomes(Health.of({f"p{n}": Health.good()}))  # the same line each time: one thing, and well
        await desk.pass_by(1)
    assert 4 <= len(desk.wire.facts) <= 7
    assert desk.wire.shown == [("", "OK 1/1")]
    await desk.becomes(Health.of({"httpd": Health.good(), "nginx": Health.good()}))
    await desk.pass_by(1)
    facts, _ = desk.wire.facts[-1]
    assert (facts["parts"], facts["part"]) == (["2"], ["lab:lab/httpd", "lab:lab/nginx"])


async def test_a_line_for_a_part_that_is_up_is_for_sites_that_have_it(desk: Desk) -> None:
    await desk.becomes(Health.of({"httpd": Health.good()}))
    for number, target in enumerate(("@lab:nosuch=up", "@service:httpd=up", "@lab:httpd=up")):
        desk.account.room(RoomState(ROOM, True, "cern", safe=True))
        desk.account.received(Received(ALICE, f"{ALICE}/x", f"!look {target}", room=ROOM, nick="a", id=str(number)))
        await settle()
    await desk.wait(1, "said")
    assert desk.lab.log == ["look all"]


async def test_presence_is_for_those_who_may_ask(desk: Desk) -> None:
    assert desk.account.may_see(ALICE)
    assert not desk.account.may_see(EVE)
    assert not desk.account.may_see(f"desy@{AGENTS}")


# Messages


def in_room(text: str, room: str = ROOM) -> Received:
    return Received(ALICE, f"{ALICE}/x", text, room=room, nick="alice", id="1", kind="groupchat")


@pytest.mark.parametrize(
    "state",
    [None, RoomState(ROOM, True, safe=False), RoomState(ROOM, False, safe=True)],
    ids=["not entered", "unsafe", "left"],
)
async def test_nothing_said_in_a_room_that_is_not_safe_is_done(desk: Desk, state: RoomState | None) -> None:
    if state is not None:
        desk.account.room(state)
    desk.account.received(in_room("cern: look"))
    desk.account.received(
        Received(ALICE, f"{ALICE}/x", "", room=ROOM, payload=encode(Request(ID, ("cern",), "look", 9.0)))
    )
    await settle()
    assert desk.lab.log == []


async def test_a_safe_room_that_is_configured_is_listened_to_and_another_is_not(desk: Desk) -> None:
    for room in (ROOM, "other@rooms.example.org"):
        desk.account.room(RoomState(room, True, "cern", safe=True))
        desk.account.received(in_room("cern: look", room))
    await desk.wait(1, "said")
    assert desk.wire.said == [(ROOM, "done")]
    assert desk.lab.log == ["look all"]


async def test_the_log_tells_the_end_of_being_out_of_a_room_too(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    desk.account.room(RoomState(ROOM, False, reason="only members may"))
    desk.account.room(RoomState(ROOM, True, "cern", safe=False, doubtful=True))
    desk.account.room(RoomState(ROOM, True, "cern", safe=True))
    assert [one.getMessage() for one in caplog.records if ROOM in one.getMessage()] == [
        f"not in {ROOM}: only members may",
        f"in {ROOM}",
    ]


async def test_a_message_with_a_payload_is_an_order_of_a_program_and_its_body_is_not_read(desk: Desk) -> None:
    order = encode(Request(ID, ("cern",), "look", 9.0))
    desk.account.received(Received(ALICE, f"{ALICE}/x", "!restart httpd @cern", payload=order))
    await desk.wait(1, "sent")
    assert desk.lab.log == ["look all"]
    to, payload, _ = desk.wire.sent[0]
    assert (to, type(decode(payload))) == (f"{ALICE}/x", Ended)


async def test_a_flood_is_refused_aloud_and_beyond_that_dropped_and_counted(desk: Desk) -> None:
    desk.lab.lab.body, go = gate(Said("seen"))
    for n in range(2000):
        desk.account.received(Received(ALICE, f"{ALICE}/x", "restart httpd", id=str(n)))
    assert desk.account.dropped == 2000 - 1024
    await desk.wait(31, "said")  # then it is taken for a program that does not read
    assert {text for _, text in desk.wire.said} == {"refused: busy with 256 calls; ask again later"}
    go.set()
    await desk.wait(31 + 256, "said")
    assert desk.lab.log.count("restart httpd") == 256


async def test_calls_of_an_earlier_agent_are_told_once_to_people_and_programs_alike(tmp_path: Path) -> None:
    async with site(tmp_path, file="j") as lab:
        lab.lab.body, _ = gate()
        ear, task = lab.begin("restart httpd", ident=ID)
        await ear.wait("accepted")
        task.cancel()
        await asyncio.wait([task])
    async with site(tmp_path, file="j") as lab, account(lab) as desk:
        desk.account.online(Online(True, f"{JID}/agent"))
        assert desk.wire.sent == []
        desk.account.online(Online(False, f"{JID}/agent"))
        desk.account.online(Online(False, f"{JID}/agent"))
        ((to, payload, body),) = desk.wire.sent
        outcome = decode(payload)
        assert isinstance(outcome, Ended)
        assert (to, outcome.state) == (f"{ALICE}/desk", "lost")
        assert body == f"cern: lab restart what=httpd: {outcome.text}"
        desk.wire.sent.clear()
        desk.account.received(Received(ALICE, f"{ALICE}/x", "", payload=encode(Fetch(ID))))
        await desk.wait(1, "sent")
        assert decode(desk.wire.sent[0][1]) == outcome


async def test_a_bug_in_a_front_costs_one_line_in_the_log(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    def say(to: str, text: str, **more: object) -> bool:
        raise ZeroDivisionError("on purpose")

    desk.wire.say = say  # type: ignore[method-assign]
    desk.account.received(Received(ALICE, f"{ALICE}/x", "look", delayed=True))
    await settle()
    assert "on purpose" in caplog.text
    assert desk.account._busy == 0


async def test_who_says_goodbye_leaves_no_listener_behind(tmp_path: Path) -> None:
    async with site(tmp_path) as lab:
        async with account(lab):
            pass
        assert (lab.node._listeners, lab.node._heralds) == ([], [])


async def test_a_form_is_answered_and_what_it_began_outlasts_its_answer(desk: Desk) -> None:
    desk.wire.commanded(Asked("do", ALICE, f"{ALICE}/x", "1", "whoami"))
    await desk.wait(1, "answers")
    ((asked, reply),) = desk.wire.answers
    assert isinstance(reply, Stage)
    assert (asked.id, reply.status) == ("1", "completed")
    assert desk.account._busy == 0


async def test_a_flood_of_forms_is_dropped_and_counted(desk: Desk) -> None:
    for number in range(2000):
        desk.wire.commanded(Asked("do", ALICE, f"{ALICE}/x", str(number), "whoami"))
    assert desk.account.dropped == 2000 - 1024
    await desk.wait(1024, "answers")
    assert desk.account._busy == 0
