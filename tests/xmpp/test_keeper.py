"""Staying in a room, against a room that does what a test wants."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from random import Random
from xml.etree.ElementTree import Element

import pytest

from amon.clock import SystemClock
from amon.xmpp import names
from amon.xmpp.events import RoomState
from amon.xmpp.faults import StanzaError
from amon.xmpp.keeper import Keeper
from amon.xmpp.login import Times
from amon.xmpp.markup import child
from amon.xmpp.room import Room

OPS = "ops@rooms.amon.test"
TIMES = Times(retry_first=0.02, retry_most=0.04, room_check=0.05, room_wait=0.1, ping_wait=0.1)


class OddRoom:
    """The line to a room, and the room: keeps what was said to it, answers joins and requests as told."""

    def __init__(self) -> None:
        self.said: list[Element] = []
        self.states: list[RoomState] = []
        self.pings = 0
        self.on_join: Callable[[str], Element | None] = self.welcome
        self.on_ping: str | None = None
        self.features = ["muc_membersonly", "muc_nonanonymous"]
        self.keeper: Keeper
        self._new = asyncio.Event()

    def welcome(self, nick: str) -> Element:
        presence = Element(names.PRESENCE, {"from": f"{OPS}/{nick}"})
        user = child(presence, f"{{{names.MUC_USER}}}x")
        child(user, f"{{{names.MUC_USER}}}item", jid="cern@agents.amon.test/amon", role="participant")
        for code in ("100", "110"):
            child(user, f"{{{names.MUC_USER}}}status", code=code)
        return presence

    def refuse(self, condition: str) -> Callable[[str], Element]:
        def refusal(nick: str) -> Element:
            presence = Element(names.PRESENCE, {"from": f"{OPS}/{nick}", "type": "error"})
            child(child(presence, names.ERROR), f"{{{names.STANZAS}}}{condition}")
            return presence

        return refusal

    def say(self, presence: Element) -> None:
        if self.keeper.room.presence(presence):
            self.keeper.stir()

    def post(self, element: Element) -> bool:
        self.said.append(element)
        if element.find(f"{{{names.MUC}}}x") is not None:
            answer = self.on_join(element.get("to", "").rpartition("/")[2])
            if answer is not None:
                asyncio.get_running_loop().call_soon(self.say, answer)
        return True

    async def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element:
        if content.tag == names.PING:
            self.pings += 1
            self._new.set()
            if self.on_ping is not None:
                raise StanzaError(self.on_ping, "")
            return Element(names.IQ)
        result = Element(names.IQ)
        query = child(result, f"{{{names.DISCO_INFO}}}query")
        for feature in self.features:
            child(query, f"{{{names.DISCO_INFO}}}feature", var=feature)
        return result

    def dress(self, presence: Element) -> None:
        child(presence, names.SHOW, "dnd")

    def report(self, state: RoomState) -> None:
        self.states.append(state)
        self._new.set()

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(5):
            while not condition():
                self._new.clear()
                await self._new.wait()


@asynccontextmanager
async def kept(odd: OddRoom, times: Times = TIMES, joined: bool = False) -> AsyncIterator[OddRoom]:
    room = Room(OPS, "cern")
    odd.keeper = Keeper(room, odd, odd.report, times, SystemClock(), Random(1))
    if joined:
        room.presence(odd.welcome("cern"))
    task = asyncio.create_task(odd.keeper.keep())
    try:
        yield odd
    finally:
        task.cancel()
        await asyncio.wait((task,))


async def test_the_presence_that_joins_asks_for_no_history_and_shows_the_health() -> None:
    async with kept(OddRoom()) as odd:
        await odd.until(lambda: bool(odd.states))
        history = odd.said[0].find(f"{{{names.MUC}}}x/{{{names.MUC}}}history")
        assert history is not None
        assert history.get("maxstanzas") == "0"
        assert odd.said[0].findtext(names.SHOW) == "dnd"
        assert odd.states == [RoomState(OPS, True, "cern", "", True)]


async def test_a_taken_nick_is_followed_by_others_and_then_by_a_fault() -> None:
    odd = OddRoom()
    odd.on_join = odd.refuse("conflict")
    async with kept(odd):
        await odd.until(lambda: bool(odd.states))
        tried = [presence.get("to", "").rpartition("/")[2] for presence in odd.said[:9]]
        assert tried == ["cern", *(f"cern-{number}" for number in range(2, 10))]
        assert odd.states[0].reason == "the name is taken"


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("forbidden", "not allowed for this account"),
        ("registration-required", "only members may"),
        ("not-authorized", "a password is needed"),
        ("item-not-found", "no such address"),
        ("gone", "it is gone"),
    ],
)
async def test_a_refusal_is_told_and_the_room_tried_again(condition: str, reason: str) -> None:
    odd = OddRoom()
    odd.on_join = odd.refuse(condition)
    async with kept(odd):
        await odd.until(lambda: bool(odd.states))
        assert reason in odd.states[0].reason
        odd.on_join = odd.welcome
        await odd.until(lambda: odd.states[-1].joined)


async def test_a_room_that_does_not_answer_is_told_and_tried_again() -> None:
    odd = OddRoom()
    odd.on_join = lambda nick: None
    async with kept(odd):
        await odd.until(lambda: bool(odd.states))
        assert odd.states[0].reason == "the room does not answer"
        odd.on_join = odd.welcome
        await odd.until(lambda: odd.states[-1].joined)


async def test_a_join_that_is_lost_is_sent_again_before_anything_is_told() -> None:
    odd = OddRoom()
    answers = [None, odd.welcome("cern")]
    odd.on_join = lambda nick: answers.pop(0)
    async with kept(odd):
        await odd.until(lambda: bool(odd.states))
        assert odd.states == [RoomState(OPS, True, "cern", "", True)]
        assert [presence.get("to") for presence in odd.said] == [f"{OPS}/cern"] * 2


async def test_a_room_that_has_begun_to_answer_is_not_asked_again() -> None:
    odd = OddRoom()

    def one_of_many(nick: str) -> Element:
        asyncio.get_running_loop().call_later(TIMES.room_wait * 0.8, odd.say, odd.welcome(nick))
        alice = odd.welcome("alice")
        alice[0][:] = [part for part in alice[0] if not part.tag.endswith("status")]
        return alice

    odd.on_join = one_of_many
    async with kept(odd):
        await odd.until(lambda: bool(odd.states))
        assert (odd.states[0].joined, len(odd.said)) == (True, 1)
        assert set(odd.keeper.room.occupants) == {"alice", "cern"}


@pytest.mark.parametrize("condition", [None, "service-unavailable", "feature-not-implemented"])
async def test_answers_that_say_we_are_in_the_room_change_nothing(condition: str | None) -> None:
    odd = OddRoom()
    odd.on_ping = condition
    async with kept(odd):
        await odd.until(lambda: odd.pings >= 3)
        assert [state.joined for state in odd.states] == [True]


@pytest.mark.parametrize("condition", ["not-acceptable", "item-not-found", "not-allowed"])
async def test_an_answer_that_says_we_are_out_brings_us_back(condition: str) -> None:
    odd = OddRoom()
    odd.on_ping = condition
    async with kept(odd):
        await odd.until(lambda: [state.joined for state in odd.states[:3]] == [True, False, True])
        assert odd.states[1].reason == "the room had forgotten us"


async def test_one_unanswered_question_is_no_proof_but_two_are() -> None:
    odd = OddRoom()
    odd.on_ping = "timeout"
    async with kept(odd):
        await odd.until(lambda: len(odd.states) >= 2)
        assert odd.pings == 2
        assert not odd.states[1].joined


async def test_a_resumed_session_looks_whether_it_is_still_in() -> None:
    async with kept(OddRoom(), joined=True) as odd:
        await odd.until(lambda: odd.pings == 1)
        assert not odd.said, "nothing was joined again"


async def test_a_room_that_throws_us_out_again_and_again_is_not_stormed() -> None:
    odd = OddRoom()
    odd.features = []
    times = replace(TIMES, retry_first=0.05, retry_most=5, stable=60)

    def kick(nick: str) -> Element:
        presence = odd.welcome(nick)
        out = Element(names.PRESENCE, {"from": f"{OPS}/{nick}", "type": "unavailable"})
        user = child(out, f"{{{names.MUC_USER}}}x")
        for code in ("110", "307"):
            child(user, f"{{{names.MUC_USER}}}status", code=code)
        asyncio.get_running_loop().call_later(0.005, odd.say, out)
        return presence

    odd.on_join = kick
    async with kept(odd, times):
        started = asyncio.get_running_loop().time()
        await odd.until(lambda: len([state for state in odd.states if not state.joined]) >= 4)
        # At least half of 0.05, 0.1 and 0.2 s.
        assert asyncio.get_running_loop().time() - started > 0.175
        assert odd.states[1].reason == "we were kicked out of the room"


async def test_a_room_whose_nature_nobody_tells_is_not_safe() -> None:
    odd = OddRoom()
    odd.features = []
    async with kept(odd):
        await odd.until(lambda: bool(odd.states))
        assert (odd.states[0].joined, odd.states[0].safe) == (True, False)
