"""A site tells a hub what was typed for many, and speaks for itself whenever the hub does not."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from amon.access import Policy
from amon.command import Call
from amon.ids import code, digest
from amon.runtime.chat import Chat
from amon.runtime.gathered import Gatherer, hub_in
from amon.runtime.incoming import Door
from amon.testing import FakeClock
from amon.wire import Accepted, Ended, Gathered, NeedsWord, Payload
from amon.xmpp.room import Occupant
from tests.runtime.scene import ALICE, EVE, Site, door, gate, site
from tests.runtime.talk import DESK, ROOM, Talk

HUB = "hub@example.org/hub-1"
LATER = "hub@example.org/hub-2"


class Hub:
    """Hears what a site tells it; `there` is its address in the room."""

    def __init__(self, clock: FakeClock) -> None:
        self.there: str | None = HUB
        self.reached = True
        self.told: list[tuple[str, Payload]] = []
        self.asked: list[str] = []
        self.changed = asyncio.Event()
        self.site = Gatherer(lambda room: self.there if room == ROOM else None, self._send, clock)

    def _send(self, to: str, payload: Payload, asked: str) -> bool:
        self.told.append((to, payload))
        self.asked.append(asked)
        self.changed.set()
        return self.reached

    async def wait(self, count: int) -> Payload:
        """The last of so many that were told."""
        async with asyncio.timeout(5):
            while len(self.told) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.told[count - 1][1]

    def says(self, ident: str, state: str = "", *, told: bool = True, by: str = HUB) -> None:
        self.site.heard(by, Gathered(ident, state, told))


class Crowd(Talk):
    """A room with a hub in it."""

    def __init__(self, lab: Site) -> None:
        super().__init__(lab)
        self.hub = Hub(lab.clock)
        self.chat = self._front(door())
        self._tasks: list[asyncio.Task[None]] = []

    def _front(self, at: Door) -> Chat:
        return Chat(
            "cern", at, self.lab.node.dispatch, self.voice, self.lab.clock, self.facts, gatherer=lambda: self.hub.site
        )

    def begin(self, text: str, by: str = ALICE, **more: object) -> "asyncio.Task[None]":
        """Say it in the room; the site is at it until the hub has said on what became of it."""
        message = self.message(text, by, room=ROOM, kind="groupchat", **more)
        return asyncio.create_task(self.chat.received(message))

    async def said(self, count: int = 1) -> str:
        """What the site itself has said so far."""
        async with asyncio.timeout(5):
            while len(self.voice.said) < count:
                self.voice.changed.clear()
                await self.voice.changed.wait()
        return self.voice.said[-1][1]


@pytest.fixture
async def crowd(tmp_path: Path) -> AsyncIterator[Crowd]:
    async with site(tmp_path) as lab:
        yield Crowd(lab)


async def test_what_is_typed_for_many_goes_to_the_hub_and_not_to_the_person(crowd: Crowd) -> None:
    crowd.lab.lab.body = lambda call: "all is well"
    under_way = crowd.begin("!look @all")
    ended = await crowd.hub.wait(1)
    assert isinstance(ended, Ended)
    assert (ended.state, ended.text, crowd.hub.told[0][0]) == ("done", "all is well", HUB)
    assert crowd.hub.asked == [digest(ended.id, "look")]
    crowd.hub.says(ended.id, "done")
    await over(under_way)
    assert crowd.voice.said == []


@pytest.mark.parametrize("line", ["cern: look", "!look @cern"])
async def test_a_line_to_one_site_is_answered_by_the_site(crowd: Crowd, line: str) -> None:
    crowd.lab.lab.body = lambda call: "all is well"
    assert await crowd.room(line) == [(ROOM, "all is well")]
    assert crowd.hub.told == []


async def test_one_to_one_the_hub_hears_nothing(crowd: Crowd) -> None:
    crowd.lab.lab.body = lambda call: "all is well"
    assert await crowd.alone("look") == ["all is well"]
    assert crowd.hub.told == []


async def test_without_a_hub_in_the_room_the_site_answers(crowd: Crowd) -> None:
    crowd.lab.lab.body = lambda call: "all is well"
    crowd.hub.there = None
    assert await crowd.room("!look @all") == [(DESK, "cern: all is well")]


async def test_a_hub_that_cannot_be_reached_leaves_the_answer_to_the_site(crowd: Crowd) -> None:
    crowd.lab.lab.body = lambda call: "all is well"
    crowd.hub.reached = False
    assert await crowd.room("!look @all") == [(DESK, "cern: all is well")]


async def test_what_comes_back_from_the_hub_is_said_by_the_site(crowd: Crowd) -> None:
    crowd.lab.lab.body = lambda call: "all is well"
    under_way = crowd.begin("!look @all")
    ended = await crowd.hub.wait(1)
    crowd.hub.site.bounced(HUB, ended.id)
    await over(under_way)
    assert crowd.voice.said == [(DESK, "cern: all is well")]


async def test_a_hub_that_leaves_or_is_silent_or_knows_nothing_leaves_it_to_the_site(crowd: Crowd) -> None:
    crowd.lab.lab.body = lambda call: "all is well"
    for number, end in enumerate(("leaves", "silent", "unknown"), 1):
        crowd.voice.said.clear()
        crowd.hub.there = HUB
        under_way = crowd.begin("!look @all")
        ended = await crowd.hub.wait(number)
        if end == "leaves":
            crowd.hub.there = None
        if end == "unknown":
            crowd.hub.says(ended.id, told=False)
        else:
            await elapse(crowd.lab.clock, under_way, 4 if end == "leaves" else 48)
        await over(under_way)
        assert crowd.voice.said == [(DESK, "cern: all is well")], end


async def over(task: "asyncio.Future[Any]") -> None:
    """The site has done with it."""
    async with asyncio.timeout(5):
        await task


async def elapse(clock: FakeClock, task: "asyncio.Task[None]", seconds: int) -> None:
    """So many seconds, one after the other, as long as the site is at it."""
    for _ in range(seconds):
        for _ in range(20):
            await asyncio.sleep(0)
        if not task.done():
            clock.advance(1)


async def test_a_patient_hub_is_believed_for_three_quarters_of_a_minute(crowd: Crowd) -> None:
    under_way = crowd.begin("!look @all")
    ended = await crowd.hub.wait(1)
    await elapse(crowd.lab.clock, under_way, 44)
    assert crowd.voice.said == []
    crowd.hub.says(ended.id, "done")
    await over(under_way)
    assert crowd.voice.said == []


async def test_a_hub_that_comes_back_is_told_again(crowd: Crowd) -> None:
    under_way = crowd.begin("!look @all")
    ended = await crowd.hub.wait(1)
    crowd.hub.there = LATER
    await elapse(crowd.lab.clock, under_way, 4)
    assert crowd.hub.told == [(HUB, ended), (LATER, ended)]
    crowd.hub.says(ended.id, by=HUB)
    assert not under_way.done()
    crowd.hub.says(ended.id, by=LATER)
    await over(under_way)
    assert crowd.voice.said == []


async def test_nobody_but_the_hub_it_was_told_can_say_that_it_was_said_on(crowd: Crowd) -> None:
    crowd.lab.lab.body = lambda call: "all is well"
    under_way = crowd.begin("!look @all")
    ended = await crowd.hub.wait(1)
    for liar in (f"{EVE}/hub-1", "hub@example.org/hub-0", "hub@example.org"):
        crowd.hub.says(ended.id, by=liar)
    crowd.hub.site.bounced(f"{EVE}/hub-1", ended.id)
    await elapse(crowd.lab.clock, under_way, 40)
    assert not under_way.done()
    crowd.hub.there = None
    await elapse(crowd.lab.clock, under_way, 4)
    await over(under_way)
    assert crowd.voice.said == [(DESK, "cern: all is well")]


async def test_a_call_that_takes_its_time_is_accepted_first_and_each_end_is_said_on(crowd: Crowd) -> None:
    body, ready = gate("restarted")
    begun = asyncio.Event()

    def begin(call: Call) -> object:
        begun.set()
        return body(call)

    crowd.lab.lab.body = begin
    under_way = crowd.begin("!restart httpd @all")
    asked = await crowd.hub.wait(1)
    assert isinstance(asked, NeedsWord)
    crowd.hub.says(asked.id, "needs-word")
    await over(under_way)
    again = crowd.begin(f"!yes {code(asked.id)}")
    async with asyncio.timeout(5):
        await begun.wait()
    await elapse(crowd.lab.clock, again, 1)
    assert await crowd.hub.wait(2) == Accepted(asked.id)
    await elapse(crowd.lab.clock, again, 31)
    running = await crowd.hub.wait(3)
    assert isinstance(running, Ended)
    assert running.state == "running"
    crowd.hub.says(asked.id, "running")
    ready.set()
    done = await crowd.hub.wait(4)
    assert isinstance(done, Ended)
    assert (done.state, done.id) == ("done", asked.id)
    crowd.hub.says(asked.id, "running")  # of the one before
    assert not again.done()
    crowd.hub.says(asked.id, "done")
    await over(again)
    assert crowd.voice.said == []
    assert crowd.lab.log == ["plan httpd", "restart httpd"]


async def test_a_plan_that_the_hub_did_not_say_is_asked_by_the_site_with_the_same_word(crowd: Crowd) -> None:
    under_way = crowd.begin("!restart httpd @all")
    asked = await crowd.hub.wait(1)
    crowd.hub.there = None
    await elapse(crowd.lab.clock, under_way, 4)
    await over(under_way)
    assert f"!yes {code(asked.id)} in the room" in crowd.voice.said[0][1]
    crowd.voice.said.clear()
    assert [text for _, text in await crowd.room(f"!yes {code(asked.id)}")] == ["cern: done"]


async def test_a_yes_to_one_site_alone_is_answered_there_and_the_hub_hears_of_it(crowd: Crowd) -> None:
    under_way = crowd.begin("!restart httpd @all")
    asked = await crowd.hub.wait(1)
    crowd.hub.says(asked.id)
    await over(under_way)
    assert await crowd.alone(f"yes {code(asked.id)}") == ["cern: done"]
    ended = await crowd.hub.wait(2)
    assert isinstance(ended, Ended)
    assert (ended.id, ended.state) == (asked.id, "done")


async def test_a_change_without_a_target_is_told_and_no_question_is_open(crowd: Crowd) -> None:
    under_way = crowd.begin("!restart httpd")
    asked = await crowd.hub.wait(1)
    assert isinstance(asked, NeedsWord)
    crowd.hub.says(asked.id)
    await over(under_way)
    assert await crowd.room(f"!yes {code(asked.id)}") == []
    assert crowd.lab.log == ["plan httpd"]


async def test_a_mistyped_or_late_yes_is_left_to_the_hub_while_it_is_there(crowd: Crowd) -> None:
    under_way = crowd.begin("!restart httpd @all")
    asked = await crowd.hub.wait(1)
    crowd.hub.says(asked.id)
    await over(under_way)
    word = code(asked.id)
    assert await crowd.room(f"!yes {word[:2]}") == []
    crowd.hub.there = None
    assert "did you mean" in (await crowd.room(f"!yes {word[:2]}"))[0][1]
    crowd.hub.there = HUB
    crowd.lab.clock.advance(61)
    assert await crowd.room(f"!yes {word}") == []
    assert crowd.lab.log == ["plan httpd"]


async def test_what_would_not_be_said_in_a_crowd_is_told_to_the_hub_which_says_it_once(crowd: Crowd) -> None:
    for number, (line, by, state) in enumerate(
        [
            ("!lokk @all", ALICE, "invalid"),
            ("!wipe x @all", "bob@example.org", "refused"),
            ("!look @all", EVE, "refused"),
        ],
        1,
    ):
        under_way = crowd.begin(line, by)
        ended = await crowd.hub.wait(number)
        assert isinstance(ended, Ended)
        assert ended.state == state
        crowd.hub.says(ended.id)
        await over(under_way)
    assert crowd.voice.said == []


async def test_only_so_many_lines_wait_for_the_hub_and_the_site_says_what_is_beyond(crowd: Crowd) -> None:
    crowd.lab.lab.body = lambda call: "all is well"
    waiting = [crowd.begin("!look @all") for _ in range(64)]
    await crowd.hub.wait(64)
    async with asyncio.timeout(5):
        assert await crowd.room("!look @all") == [(DESK, "cern: all is well")]
    for _, payload in list(crowd.hub.told):
        crowd.hub.says(payload.id)
    await over(asyncio.gather(*waiting))
    assert crowd.voice.said == [(DESK, "cern: all is well")]


async def test_the_same_line_delivered_twice_is_said_on_once(crowd: Crowd) -> None:
    crowd.lab.lab.body, ready = gate("all is well")
    first, second = crowd.begin("!look @all", id="m1"), crowd.begin("!look @all", id="m1")
    await asyncio.sleep(0)
    ready.set()
    ended = await crowd.hub.wait(1)
    crowd.hub.says(ended.id)
    await over(asyncio.gather(first, second))
    assert crowd.voice.said == []
    assert crowd.hub.told == [(HUB, ended)]


def test_a_hub_is_known_by_its_real_address_and_a_console_of_the_same_account_is_none() -> None:
    def occupant(full: str | None, nick: str = "hub") -> Occupant:
        return Occupant(nick, full and full.partition("/")[0], full, "moderator", "admin")

    here = [occupant(f"{EVE}/hub-1"), occupant(None), occupant("hub@example.org/amon-1"), occupant(HUB, "nick")]
    assert hub_in(here, "hub@example.org") == HUB
    assert hub_in(here[:3], "hub@example.org") is None
    assert hub_in([*here, occupant(LATER, "hub-2")], "hub@example.org") == LATER


def test_a_policy_that_names_nobody_has_no_hub() -> None:
    assert door(Policy(gatherer="nobody")).authority.gatherer == ""
