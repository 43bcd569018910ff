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


class Ask(Protocol):
    def __call__(self, effect: Effect, plan: str, signature: bool, /) -> str:
        """What to say instead of doing it."""
        ...


class Spoken:
    """The `Replies` of a typed line. line: what was asked; never said again, there may be a secret in it.

    complain: whether it may still be said that something was wrong with it.
    """

    def __init__(
        self, site: str, line: str, reach: Reach, say: Say, ask: Ask, complain: Callable[[], bool], clock: Clock
    ) -> None:
        self._site = site
        self._what = line.partition(" ")[0]
        self._reach = reach
        self._say = say
        self._ask = ask
        self._complain = complain
        self._clock = clock
        self._doing = ""

    def accepted(self, what: str) -> None:
        self._what = what
        self._doing = "working on it"

    def progress(self, text: str, fraction: float | None) -> None:
        share = f" ({fraction:.0%})" if fraction is not None else ""
        self._doing = f"{text}{share}"

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None:
        self.say(self.asks_back(effect, plan, signature))

    def asks_back(self, effect: Effect, plan: str, signature: bool) -> str:
        """What is said of it; from now on the answer to that is waited for."""
        return self._ask(effect, plan, signature)

    def say(self, text: str) -> None:
        self._say(text)

    def output(self, session: Output) -> None:
        session.gone("sessions are not told here")

    def ended(self, outcome: Ended) -> None:
        if outcome.state == State.invalid and self._reach.broad:
            return
        if outcome.state == State.refused and self._reach is Reach.unsaid:
            return  # whoever types @all wants to know where he may not
        if outcome.state in (State.invalid, State.refused) and not self._complain():
            return
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
        if self._doing and not self._reach.broad:
            self._say(f"{self._name()}{self._doing}: {self._what}")

    def _words(self, outcome: Ended) -> tuple[str, str]:
        """What is said now, and what only on `more`."""
        text = outcome.text or "nothing"
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
