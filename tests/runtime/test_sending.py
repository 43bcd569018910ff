"""Sessions on the wire: numbered parts, a window, and who hears them."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random

import pytest

from amon.runtime.payload import PayloadFront
from amon.wire import Cancel, Ended, Heard, Output, Payload, Request, decode, encode
from amon.xmpp.events import Bounced, Received
from tests.runtime.scene import ALICE, BOB, DOOR, Site
from tests.runtime.tap import Tap, tapped, until

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"
HERE = f"{ALICE}/console"


class Line:
    """A site with a tap behind the front, and a console that hears when the test wants it."""

    def __init__(self, made: Site, tap: Tap) -> None:
        self.made, self.tap = made, tap
        self.sent: list[tuple[str, Payload]] = []
        self.up = True
        self.front = PayloadFront("cern", DOOR, made.node.dispatch, self.send, made.clock, Random(1))
        self.tasks: list[asyncio.Task[None]] = []

    def send(self, to: str, payload: str, ident: str) -> bool:
        if self.up:
            self.sent.append((to, decode(payload)))
        return self.up

    def parts(self, to: str = HERE) -> list[Output]:
        return [payload for where, payload in self.sent if isinstance(payload, Output) and where == to]

    def items(self) -> list[object]:
        return [item for part in self.parts() for item in part.items]

    @property
    def end(self) -> Ended | None:
        return next((payload for _, payload in self.sent if isinstance(payload, Ended)), None)

    async def hear(self, payload: Payload, by: str = HERE) -> None:
        message = Received(by.partition("/")[0], by, "", payload=encode(payload))
        await self.front.received(message)

    async def follow(self, line: str = "tap follow", deadline: float = 30.0) -> None:
        self.tap.opened.clear()
        self.tasks.append(asyncio.create_task(self.hear(Request(ID, ("cern",), line, deadline))))
        async with asyncio.timeout(5):
            await self.tap.opened.wait()

    async def say(self, *items: object) -> None:
        """The tap gives these, and what may be sent of it is sent."""
        for item in items:
            self.tap.source.put_nowait(item)
        await until(self.tap.source.empty)
        await self.turn(0.1)

    async def turn(self, seconds: float) -> None:
        await self.made.clock.turn(seconds, min(seconds, 5))

    async def close(self) -> None:
        self.up = True
        await self.hear(Cancel(ID))
        async with asyncio.timeout(5):
            await asyncio.gather(*self.tasks)


@pytest.fixture
async def line(tmp_path: Path) -> AsyncIterator[Line]:
    async with tapped(tmp_path) as (made, tap):
        line = Line(made, tap)
        yield line
        await line.close()


async def test_a_session_is_numbered_parts_and_then_an_end_with_its_counts(line: Line) -> None:
    await line.follow()
    await line.say("one")
    await line.say("two", "three")
    assert line.parts() == [Output(ID, 1, ("one",)), Output(ID, 2, ("two", "three"))]
    await line.hear(Heard(ID, 2))
    await line.say(None)
    await until(lambda: line.end is not None)
    assert line.end is not None
    assert (line.end.state, line.end.data["said"], line.end.data["missed"]) == ("done", 3, 0)


async def test_rows_travel_as_data_with_the_same_for_people(line: Line) -> None:
    line.tasks.append(asyncio.create_task(line.hear(Request(ID, ("cern",), "tap drops count=2", 30.0))))
    await until(lambda: bool(line.parts()))
    await line.turn(0.1)
    first = line.parts()[0]
    assert first.items[0] == {"number": 0, "of": "tap"}
    assert first.text.splitlines()[0] == "number: 0, of: tap"
    assert [column[0] for column in first.columns] == ["number", "of"]


async def test_the_deadline_of_the_asker_is_not_the_end_of_a_session_that_he_hears(line: Line) -> None:
    await line.follow(deadline=1.0)
    await line.turn(60)
    await line.hear(Heard(ID, 1))
    await line.say("still here")
    assert "still here" in line.items()
    assert line.end is None


async def test_no_more_than_eight_parts_are_on_their_way_and_none_is_lost_for_it(line: Line) -> None:
    await line.follow()
    for number in range(12):
        await line.say(f"line {number}")
    assert [part.seq for part in line.parts()] == list(range(1, 9))
    await line.hear(Heard(ID, 5))
    await line.turn(0.1)
    assert [part.seq for part in line.parts()] == list(range(1, 10))
    assert line.items() == [f"line {number}" for number in range(12)]


async def test_nor_more_than_64_kib(line: Line) -> None:
    await line.follow()
    for _ in range(4):
        await line.say(*["x" * 4096] * 10)
    sent = sum(len(str(item)) for item in line.items())
    assert 64 * 1024 <= sent < 64 * 1024 + 12 * 1024
    assert len(line.parts()) < 8


async def test_who_hears_nothing_gets_a_count_instead_of_what_waits_for_ever(line: Line) -> None:
    await line.follow()
    for number in range(8):
        await line.say(f"early {number}")
    await line.say(*(f"late {number}" for number in range(1500)))
    await line.hear(Heard(ID, 8))
    await line.turn(1)
    assert line.parts()[8].missed == 500
    assert line.items()[8] == "late 500"


async def test_what_comes_quickly_goes_together(line: Line) -> None:
    await line.follow()
    await line.say(*(f"line {number}" for number in range(100)))
    assert len(line.parts()) == 2  # the first at once, the rest a moment later
    assert len(line.items()) == 100


async def test_an_idle_session_shows_that_it_is_open_and_ends_when_nobody_hears_that(line: Line) -> None:
    await line.follow()
    await line.turn(35)
    assert line.parts() == [Output(ID, 1)]
    await line.turn(60)
    await until(lambda: line.end is not None)
    assert line.end is not None
    assert "no sign for 90 s that it is read; does your console know sessions?" in line.end.text
    assert line.tap.open == 0


async def test_a_sign_every_half_minute_keeps_it_open_for_as_long_as_its_command_may(line: Line) -> None:
    await line.follow()
    for _ in range(15):
        await line.turn(30)
        await line.hear(Heard(ID, 0))
    assert line.end is None
    assert line.tap.open == 1


async def test_a_console_that_is_gone_is_not_waited_for(line: Line) -> None:
    await line.follow()
    await line.say("one")
    for to, ident in ((HERE, f"{ID}-ended"), (f"{ALICE}/other", f"{ID}-output"), (HERE, None)):
        line.front.bounced(Bounced(to, ident, "service-unavailable"))
    await line.turn(1)
    assert line.tap.open == 1
    line.front.bounced(Bounced(HERE, f"{ID}-output", "service-unavailable"))
    await until(lambda: line.end is not None)
    assert line.end is not None
    assert line.end.text == "your console is gone; 1 line, 1 s"


async def test_another_resource_of_the_same_person_neither_hears_it_nor_keeps_it(line: Line) -> None:
    await line.follow()
    await line.hear(Request(ID, ("cern",), "tap follow", 30.0), by=f"{ALICE}/other")
    await line.say("for the console")
    for _ in range(4):
        await line.turn(30)
        await line.hear(Heard(ID, 1), by=f"{ALICE}/other")
        await line.hear(Heard(ID, 1), by=f"{BOB}/console")
    assert line.parts(f"{ALICE}/other") == []
    await until(lambda: line.end is not None)
    assert line.end is not None
    assert "no sign for 90 s" in line.end.text


async def test_what_could_not_be_sent_is_sent_when_there_is_a_way_again(line: Line) -> None:
    await line.follow()
    await line.say("one")
    line.up = False
    await line.say("two")
    await line.say("three")
    line.up = True
    assert line.items() == ["one"]
    await line.turn(5)
    assert {part.seq: part.items for part in line.parts()} == {1: ("one",), 2: ("two",), 3: ("three",)}


async def test_what_was_lost_on_the_way_is_sent_again_in_its_order(line: Line) -> None:
    await line.follow()
    await line.say("one")
    await line.say("two")
    await line.say("three")
    await line.hear(Heard(ID, 1))
    await line.turn(3)
    line.sent.clear()
    await line.hear(Heard(ID, 1))  # he has not got the second: he says the same again
    assert [part.seq for part in line.parts()] == [2, 3]
    await line.hear(Heard(ID, 1))
    assert [part.seq for part in line.parts()] == [2, 3]  # not more often than every two seconds
    await line.turn(35)
    assert [part.seq for part in line.parts()] == [2, 3, 2, 3]  # nor did he say anything


@pytest.mark.parametrize("seq", [99, 2**70])
async def test_a_number_that_was_never_sent_is_taken_for_all_there_was(line: Line, seq: int) -> None:
    await line.follow()
    await line.say("one")
    await line.hear(Heard(ID, seq))
    await line.say("two")
    assert line.parts() == [Output(ID, 1, ("one",)), Output(ID, 2, ("two",))]
    await line.hear(Heard(ID, 2))
    assert line.end is None


async def test_a_word_for_a_session_that_is_not_open_is_nothing(line: Line) -> None:
    await line.hear(Heard(ID, 1))
    assert line.sent == []


async def test_the_asker_ends_it_by_the_word_that_ends_any_call(line: Line) -> None:
    await line.follow()
    await line.say("one")
    await line.hear(Cancel(ID), by=f"{BOB}/console")
    assert line.tap.open == 1
    await line.hear(Cancel(ID))
    await until(lambda: line.end is not None)
    assert line.end is not None
    assert line.end.text == "1 line, 0 s; stopped by you"
    assert line.front._sendings == {}
