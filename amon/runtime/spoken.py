"""An outcome as a person reads it: the verdict first, then the columns; errors say who, what and the next step."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from enum import Enum
from typing import Protocol

from amon.clock import Clock
from amon.errors import Invalid
from amon.runtime.incoming import Output
from amon.text import visible
from amon.wire import Ended
from amon.words import Effect, State

_PATIENCE = 3.0  # seconds before a person is told that it is being done
_CORRECT_EVERY, _CORRECTIONS = 10.0, 6  # seconds between two corrections, and how many: some clients show each
_VERDICT = 200  # characters of a summarised answer


class Reach(Enum):
    """How many a line is for. alone: this site, by name. some: by a target. everyone: typed so. unsaid: no target."""

    alone = "alone"
    some = "some"
    everyone = "everyone"
    unsaid = "unsaid"

    @property
    def broad(self) -> bool:
        """Every site answers, so each says one line, and what a hundred would say alike is not said at all."""
        return self in (Reach.everyone, Reach.unsaid)


class Say(Protocol):
    def __call__(self, text: str, rest: str = "", /) -> None:
        """Say `text` now and keep `rest` for `more`."""
        ...


class Note(Protocol):
    def __call__(self, text: str, replaces: str, /) -> str:
        """Say how far it is, instead of the message of that id, if any: the id of that line; empty if it could not."""
        ...


class Ask(Protocol):
    def __call__(self, effect: Effect, plan: str, signature: bool, /) -> str:
        """What to say instead of doing it."""
        ...


class Spoken:
    """The `Replies` of a typed line. line: what was asked; never said again, there may be a secret in it.

    complain: whether it may still be said that something was wrong with it. follow: tells a session, and gives how what
    follows of it is said. note: says how far it is where that can be corrected in place.
    """

    def __init__(
        self,
        site: str,
        line: str,
        reach: Reach,
        say: Say,
        ask: Ask,
        complain: Callable[[], bool],
        clock: Clock,
        follow: Callable[[Output], Say] | None = None,
        note: Note | None = None,
    ) -> None:
        self._site = site
        self._what = line.partition(" ")[0]
        self._reach = reach
        self._say = say
        self._ask = ask
        self._complain = complain
        self._clock = clock
        self._follow = follow
        self._note = note
        self._doing = ""
        self.told: Ended | None = None  # how it ended, once that is said
        self._is_session = self._moves = self._is_noted = False

    def accepted(self, what: str) -> None:
        self._what = what
        self._doing = "working on it"

    def progress(self, text: str, fraction: float | None) -> None:
        share = f" ({fraction:.0%})" if fraction is not None else ""
        self._doing = f"{text}{share}"
        self._moves = True

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None:
        self.say(self.asks_back(effect, plan, signature))

    def asks_back(self, effect: Effect, plan: str, signature: bool) -> str:
        """What is said of it; from now on the answer to that is waited for."""
        return self._ask(effect, plan, signature)

    def say(self, text: str) -> None:
        self._say(text)

    def output(self, session: Output) -> None:
        self._doing = ""
        self._is_session = True
        if self._follow is not None:
            self._say = self._follow(session)
        else:
            session.gone("nobody reads it")

    def ended(self, outcome: Ended) -> None:
        if outcome.state == State.running and self._is_noted:
            return  # a line above says so already, and goes on saying it
        if outcome.state == State.invalid and self._reach.broad:
            return
        if outcome.state == State.refused and self._reach is Reach.unsaid:
            return  # whoever types @all wants to know where he may not
        if outcome.state in (State.invalid, State.refused) and not self._complain():
            return
        self.told = outcome
        self._say(*self._words(outcome))

    @asynccontextmanager
    async def patience(self) -> AsyncIterator[None]:
        """After a while, and only then, say that it is being done."""
        waiting = asyncio.create_task(self._say_doing(), name="patience")
        try:
            yield
        finally:
            waiting.cancel()

    async def _say_doing(self) -> None:
        await self._clock.sleep(_PATIENCE)
        if not self._doing or self._reach.broad:
            return
        if self._note is None:
            self._say(self._how_far())
        else:
            await self._go_on_saying(self._note)

    async def _go_on_saying(self, note: "Note") -> None:
        """One line, corrected now and then while it is the last thing that was said (XEP-0308)."""
        said = self._how_far()
        ident = note(said, "")
        self._is_noted = bool(ident) and self._moves
        for _ in range(_CORRECTIONS):
            await self._clock.sleep(_CORRECT_EVERY)
            if self._how_far() != said:
                said = self._how_far()
                ident = ident and note(said, ident)
                self._is_noted = bool(ident)
            if not ident:
                return

    def _how_far(self) -> str:
        return f"{self._name()}{self._doing}: {self._what}"

    def _words(self, outcome: Ended) -> tuple[str, str]:
        """What is said now, and what only on `more`."""
        text = outcome.text or "nothing"
        if self._is_session:
            return f"{self._name()}{self._what} {'ended' if outcome.state == State.done else outcome.state}: {text}", ""
        if outcome.state != State.done:
            return f"{self._name()}{outcome.state}: {text}", ""
        found = visible(verdict(outcome), lines=False)  # of data, which only its reader makes visible
        first, _, rest = text.partition("\n")
        if not rest:
            return f"{self._name()}{text}", ""
        if self._reach.broad:
            return f"{self._name()}{(found or first)[:_VERDICT]}", text if found else rest
        return f"{self._name()}{found or self._what}\n{text}", ""

    def _name(self) -> str:
        # Where one site was named its nick stands beside the line already.
        return "" if self._reach is Reach.alone else f"{self._site}: "


def verdict(outcome: Ended) -> str:
    """`3 up, 1 down` for rows that have a state, `httpd up` for one thing that has; nothing where there is none."""
    data = outcome.data
    if isinstance(data, dict) and "state" in data:
        return f"{data.get('name', '')} {data['state']}".strip()
    if not isinstance(data, list) or not data or not all(isinstance(row, dict) and "state" in row for row in data):
        return ""
    counts = Counter(str(row["state"]) for row in data)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def said_error(site: str, wrong: Invalid) -> str:
    return f"{site}: {wrong.pointed()}"
