"""Sessions in a chat: typed, told in bearable pieces to who typed, and ended when he says so or is gone."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from amon.ids import typed_id
from tests.runtime.scene import ALICE, BOB, Site
from tests.runtime.talk import DESK, ROOM, Talk
from tests.runtime.tap import Tap, tapped, until


class Chatter(Talk):
    """People who type lines that go on and on."""

    def __init__(self, made: Site, tap: Tap) -> None:
        super().__init__(made)
        self.tap = tap
        self.tasks: list[asyncio.Task[None]] = []

    async def follow(self, line: str = "tap follow", by: str = ALICE, **more: object) -> str:
        """Begin one; the end of its id."""
        message = self.message(line, by, **more)
        self.tap.opened.clear()
        self.tasks.append(asyncio.create_task(self.chat.received(message)))
        async with asyncio.timeout(5):
            await self.tap.opened.wait()
        return typed_id(by, message.room, message.id or "")[-4:]

    async def say(self, *items: object) -> None:
        for item in items:
            self.tap.source.put_nowait(item)
        await until(self.tap.source.empty)
        for _ in range(5):
            await asyncio.sleep(0)

    @property
    def said(self) -> list[str]:
        return [text for _, text in self.voice.said]

    async def turn(self, seconds: float) -> None:
        await self.lab.clock.turn(seconds, min(seconds, 5))

    async def ended(self) -> None:
        async with asyncio.timeout(5):
            await asyncio.gather(*self.tasks)


@pytest.fixture
async def chat(tmp_path: Path) -> AsyncIterator[Chatter]:
    async with tapped(tmp_path) as (made, tap):
        chatter = Chatter(made, tap)
        yield chatter
        for session in made.node.dispatch.sessions.all():
            made.node.dispatch.cancel(session.incoming.key)
        await chatter.ended()


async def test_lines_come_as_they_are_said_and_stop_ends_it_with_a_count(chat: Chatter) -> None:
    name = await chat.follow()
    await chat.say("one")
    assert chat.said == [f"{name} tap follow, until you say stop\n```\none\n```"]
    await chat.turn(2)
    await chat.say("two", "three")
    await chat.turn(2)
    chat.voice.said.clear()
    await chat.chat.received(chat.message("Stop"))
    await chat.ended()
    assert chat.said == ["tap follow ended: 3 lines, 4 s; stopped by you"]
    assert chat.tap.open == 0


async def test_one_that_has_nothing_to_say_says_that_it_is_open(chat: Chatter) -> None:
    name = await chat.follow()
    assert chat.said == []
    await chat.turn(20)
    assert chat.said == [f"{name} tap follow, until you say stop; nothing yet"]
    await chat.say("one")
    await chat.turn(2)
    assert chat.said[1:] == ["one"]


async def test_there_is_one_message_in_two_seconds_and_twenty_lines_in_it_and_the_rest_is_counted(
    chat: Chatter,
) -> None:
    await chat.follow()
    await chat.say("first")
    chat.voice.said.clear()
    await chat.say(*(f"line {number}" for number in range(332)))
    assert chat.said == []
    await chat.turn(2)
    (text,) = chat.said
    assert text.splitlines()[0] == "(312 lines left out)"
    assert text.splitlines()[2:-1] == [f"line {number}" for number in range(312, 332)]
    await chat.alone("stop")
    await chat.ended()
    assert "333 lines, 312 left out" in chat.said[-1]


async def test_raw_lines_are_no_markup(chat: Chatter) -> None:
    await chat.follow()
    await chat.say("first")
    await chat.turn(2)
    chat.voice.said.clear()
    await chat.say("*not bold*")
    assert chat.said == ["*not bold*"]
    assert chat.voice.unstyled == {"*not bold*"}
    await chat.say("```", "a fence")
    await chat.turn(2)
    assert chat.said[-1] == "```\n'''\na fence\n```"


async def test_a_message_is_bounded_whatever_a_log_has_in_it(chat: Chatter) -> None:
    await chat.follow()
    await chat.say("first")
    await chat.turn(2)
    await chat.say(*["x" * 100_000] * 30)
    await chat.turn(2)
    _, alone, many = chat.said
    assert len(alone) == 4096
    assert len(many.splitlines()) == 23  # the count, the fence and all that is not left out
    assert 4000 < len(many) < 4300


async def test_several_at_once_are_told_apart_and_ended_one_by_one(chat: Chatter) -> None:
    first = await chat.follow()
    second = await chat.follow()
    for number in range(10):  # whichever gets it
        await chat.say(f"line {number}")
        await chat.turn(2)
    assert {text.split()[0] for text in chat.said} == {first, second}
    (asked,) = await chat.alone("stop")
    assert asked.startswith("several are open: ")
    assert f"{first} tap follow" in asked
    await chat.alone(f"stop {first.lower()}")
    await until(lambda: [one.id[-4:] for one in chat.lab.node.dispatch.sessions.all()] == [second])
    await chat.alone("stop all")
    await chat.ended()
    assert chat.tap.open == 0


async def test_cancel_ends_them_too(chat: Chatter) -> None:
    await chat.follow()
    await chat.follow()
    await chat.alone("cancel")
    await chat.ended()
    assert chat.tap.open == 0


async def test_nobody_stops_what_another_follows(chat: Chatter) -> None:
    name = await chat.follow()
    for word in ("stop", "stop all", f"stop {name}", "cancel"):
        await chat.alone(word, BOB)
    assert chat.tap.open == 1


async def test_stop_is_a_word_like_others_where_no_session_is_meant(chat: Chatter) -> None:
    (nothing,) = await chat.alone("stop httpd")
    assert nothing.startswith("invalid: there is no 'stop' here")
    await chat.follow()
    (other,) = await chat.alone("stop httpd")
    assert other.startswith("invalid: there is no 'stop' here")
    assert chat.tap.open == 1


async def test_in_a_room_one_named_site_tells_its_asker_alone(chat: Chatter) -> None:
    await chat.follow("cern: tap follow", room=ROOM, kind="groupchat")
    await chat.say("one", None)
    await chat.ended()
    assert {to for to, _ in chat.voice.said} == {DESK}
    assert chat.said[-1].startswith("tap follow ended: 1 line")


async def test_in_a_room_many_sites_are_not_followed_at_once(chat: Chatter) -> None:
    assert await chat.room("!tap follow @all") == [
        (DESK, "cern: refused: this goes on and on: ask one site by its name, or each one to one")
    ]
    assert await chat.room("!tap follow") == []


async def test_a_client_is_asked_every_half_minute_whether_it_is_there(chat: Chatter) -> None:
    await chat.follow()
    await chat.turn(600 - 10)
    assert chat.tap.open == 1
    assert 15 <= chat.voice.pings <= 20


async def test_who_is_gone_is_told_nothing_more(chat: Chatter) -> None:
    await chat.follow()
    chat.voice.is_there = False
    await chat.turn(35)
    await chat.ended()
    assert chat.said[-1].startswith("tap follow failed: your client is gone")


async def test_a_client_that_sleeps_for_a_minute_keeps_its_session_and_for_two_does_not(chat: Chatter) -> None:
    await chat.follow()
    await chat.turn(60)
    chat.voice.is_there = None
    await chat.turn(60)
    chat.voice.is_there = True
    await chat.turn(60)
    assert chat.tap.open == 1
    chat.voice.is_there = None
    await chat.turn(160)
    await chat.ended()
    assert "no sign of him for 120 s" in chat.said[-1]


async def test_the_last_lines_come_before_the_end(chat: Chatter) -> None:
    await chat.follow()
    await chat.say("one")
    chat.voice.said.clear()
    await chat.say("two", "three", None)
    await chat.turn(2)
    await chat.ended()
    assert chat.said[0] == "```\ntwo\nthree\n```"
    assert chat.said[1].startswith("tap follow ended: 3 lines")


async def test_no_line_says_that_it_is_being_done_and_none_is_left_running(chat: Chatter) -> None:
    before = len(asyncio.all_tasks())
    await chat.follow()
    await chat.say("one")
    await chat.turn(40)
    assert len(chat.said) == 1
    await chat.alone("stop")
    await chat.ended()
    await asyncio.sleep(0)
    assert len(asyncio.all_tasks()) == before
