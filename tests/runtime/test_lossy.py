"""Both ends of a session over a way that loses: whatever is lost, what is heard is in order, once, and complete."""

import asyncio
from collections import deque
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from amon.runtime.incoming import Part
from amon.runtime.listening import Listening
from amon.runtime.mailbox import Letter
from amon.runtime.sending import WINDOW, Sending
from amon.testing import FakeClock
from amon.wire import Cancel, Heard, Output, Payload

ID = "01JD8M5W8X1V6Q2R3S4T5V6W7X"


class Source:
    """A session that keeps the last ten items, as the real one keeps a thousand."""

    id, name, patience, over = ID, "tap follow", 90.0, False

    def __init__(self) -> None:
        self.said = self.missed = 0
        self.waiting: deque[str] = deque()

    def say(self, count: int) -> None:
        for _ in range(count):
            self.waiting.append(f"line {self.said}")
            self.said += 1
        self.skip(10)

    def skip(self, keep: int) -> None:
        while len(self.waiting) > keep:
            self.waiting.popleft()
            self.missed += 1

    def take(self, items: int, size: int) -> Part | None:
        if not self.waiting:
            return None
        taken = tuple(self.waiting.popleft() for _ in range(min(3, len(self.waiting))))
        missed, self.missed = self.missed, 0
        return Part(taken, taken, (), missed)

    def heard(self) -> None: ...

    def gone(self, why: str) -> None:
        raise AssertionError(why)


class Way:
    """Source, sender, way and listener. up: False loses all that is sent, and may say so or not."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.source = Source()
        self.there: deque[Output] = deque()
        self.back: deque[Heard] = deque()
        self.refuses = False
        self.heard: list[str] = []
        self.missed = 0
        self.most = 0
        self.sending = Sending(self.source, self.send, self.clock)
        self.listening = Listening(ID, self.answer, self.hear, lambda letter: None, self.clock)

    def send(self, payload: Payload) -> bool:
        assert isinstance(payload, Output)
        if not self.refuses:
            self.there.append(payload)
        return not self.refuses

    def answer(self, site: str, word: Heard | Cancel) -> None:
        if isinstance(word, Heard):  # the other is said when nobody listens any more
            self.back.append(word)

    def hear(self, site: str, part: Output) -> None:
        self.heard += [str(item) for item in part.items]
        self.missed += part.missed

    async def do(self, what: str) -> None:
        if what == "say":
            self.source.say(5)
            self.sending.go()
        elif what == "arrive" and self.there:
            self.arrive(self.there.popleft())
        elif what == "twice" and self.there:
            self.arrive(self.there[0])
        elif what == "answer" and self.back:
            self.sending.heard(self.back.popleft().seq)
        elif what == "lose":
            self.there.clear()
        elif what == "deafen":
            self.back.clear()
        elif what == "cut":
            self.refuses = not self.refuses
        else:
            self.clock.advance(5)
            self.sending.go()
        for _ in range(4):
            await asyncio.sleep(0)
        self.most = max(self.most, len(self.sending._unheard))

    def arrive(self, part: Output) -> None:
        self.listening.came(Letter("cern", part, self.clock.monotonic(), size=100), part)

    async def heal(self) -> None:
        """From now on nothing is lost; both do what they do every few seconds."""
        self.refuses = False
        for _ in range(20):
            while self.there or self.back:
                await self.do("arrive")
                await self.do("answer")
            await self.do("time")

    def close(self) -> None:
        self.sending.close()
        self.listening.close()


@settings(max_examples=100)
@given(
    st.lists(st.sampled_from(("say", "say", "arrive", "arrive", "twice", "answer", "lose", "deafen", "cut", "time")))
)
def test_whatever_is_lost_what_is_heard_is_in_order_once_and_complete(events: list[str]) -> None:
    async def story() -> None:
        way = Way()
        try:
            for what in events:
                await way.do(what)
            await way.heal()
        finally:
            way.close()
        numbers = [int(line.split()[1]) for line in way.heard]
        assert numbers == sorted(set(numbers))
        assert len(numbers) + way.missed == way.source.said
        assert way.most <= WINDOW

    asyncio.run(story())


def test_it_is_so_in_a_long_story_too() -> None:
    dice = Random(7)

    async def story() -> None:
        way = Way()
        try:
            for _ in range(2000):
                await way.do(dice.choice(("say", "arrive", "arrive", "answer", "answer", "twice", "time", "lose")))
            await way.heal()
        finally:
            way.close()
        assert len(way.heard) + way.missed == way.source.said
        assert len(way.heard) > 300

    asyncio.run(story())
