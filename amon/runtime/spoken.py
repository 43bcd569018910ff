"""An outcome as a person reads it: the verdict first, then the columns; errors say who, what and the next step."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from amon.clock import Clock
from amon.errors import Invalid
from amon.runtime.incoming import Incoming
from amon.wire import Ended
from amon.words import Effect, State

_PATIENCE = 3.0  # seconds before a person is told that it is being done
_VERDICT = 200  # characters of a summarised answer


class Spoken:
    """The `Replies` of a typed line. broadcast: every site answers, so each says one line and unknown words nothing."""

    def __init__(self, site: str, incoming: Incoming, *, broadcast: bool, alone: bool, clock: Clock) -> None:
        self.say: Callable[[str], None] = lambda text: None
        self.confirm: Callable[[Effect, str], str] = lambda effect, plan: plan
        self._site = site
        self._incoming = incoming
        self._broadcast = broadcast
        self._alone = alone
        self._clock = clock
        self._doing = ""

    def accepted(self) -> None:
        self._doing = "working on it"

    def progress(self, text: str, fraction: float | None) -> None:
        share = f" ({fraction:.0%})" if fraction is not None else ""
        self._doing = f"{text}{share}"

    def needs_word(self, effect: Effect, plan: str) -> None:
        self.say(self.confirm(effect, plan))

    def ended(self, outcome: Ended) -> None:
        if self._broadcast and outcome.state in (State.invalid, State.refused):
            return  # a hundred sites would say the same
        self.say(self._words(outcome))

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
        if self._doing:
            self.say(f"{self._name()}{self._doing}: {self._incoming.line}")

    def _words(self, outcome: Ended) -> str:
        text = outcome.text
        if outcome.state != State.done:
            return f"{self._name()}{outcome.state}: {text}"
        if self._broadcast:
            first, _, more = text.partition("\n")
            line = verdict(outcome) or first
            return f"{self._name()}{line[:_VERDICT]}{' ...' if more and not verdict(outcome) else ''}"
        if "\n" in text:
            head = verdict(outcome) or self._incoming.line.split(" --")[0]
            return f"{self._name()}{head}\n{text}"
        return f"{self._name()}{text}"

    def _name(self) -> str:
        # Where one site was named its nick stands beside the line already.
        return "" if self._alone else f"{self._site}: "


def verdict(outcome: Ended) -> str:
    """`3 up, 1 down` for rows that have a state; nothing where rows have none."""
    rows = outcome.data
    if not isinstance(rows, list) or not rows or not all(isinstance(row, dict) and "state" in row for row in rows):
        return ""
    counts = Counter(str(row["state"]) for row in rows)
    return ", ".join(f"{count} {state}" for state, count in counts.most_common())


def said_error(site: str, wrong: Invalid) -> str:
    return f"{site}: {wrong.pointed()}"
