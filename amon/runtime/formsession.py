"""Sessions of forms: whose, how far, until when; and the ear of a call that was asked for by one.

Bound to the full address that began, found by an id that cannot be guessed, few for each person and few in all, and
forgotten when nobody has touched them for a while. slixmpp's are none of that (see amon.xmpp.commands).
"""

import asyncio
import secrets
from dataclasses import dataclass, field
from typing import Literal

from amon.clock import Clock
from amon.command.declare import Command
from amon.ids import digest
from amon.runtime.incoming import Incoming, Output
from amon.tasks import wait_event
from amon.wire import Challenge, Ended
from amon.words import Asker, Effect, State
from amon.xmpp.commands import Asked, Reply

LIFE = 300.0  # seconds since it was touched
MOST_OF_ONE, MOST = 8, 200  # sessions of one person, of all
LINES = 40  # of a stream that one form shows
_TAKEN = 65_536  # bytes taken of a stream at once


class Heard:
    """The `Replies` of a request that a form made: keeps what was said until somebody looks."""

    def __init__(self) -> None:
        self.doing = ""
        self.word: tuple[Effect, str, bool] | None = None
        self.outcome: Ended | None = None
        self.lines: list[str] = []  # the first of a stream
        self._stirred = asyncio.Event()

    @property
    def settled(self) -> bool:
        return self.word is not None or self.outcome is not None

    def accepted(self, what: str) -> None:
        self.doing = self.doing or "it has begun"

    def progress(self, text: str, fraction: float | None) -> None:
        self.doing = f"{fraction:.0%}, {text}" if fraction is not None else text

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None:
        self.word = (effect, plan, signature)
        self._stirred.set()

    def output(self, session: Output) -> None:
        session.heard()
        while len(self.lines) < LINES and (part := session.take(LINES - len(self.lines), _TAKEN)) is not None:
            self.lines = part.picture[: LINES - 1] if part.replaces else [*self.lines, *part.lines]
        if len(self.lines) >= LINES:
            self._stirred.set()

    def ended(self, outcome: Ended) -> None:
        if outcome.state != State.running:  # that it goes on is seen without being told
            self.outcome = outcome
            self._stirred.set()

    async def wait(self, clock: Clock, seconds: float) -> None:
        """Until there is something to show, or so long."""
        await wait_event(self._stirred, clock, seconds)


@dataclass(slots=True, eq=False)
class Session:
    """One person at one form. stage: what he was shown last; `over`: its end, which is only said again.

    incoming: what is asked for, as it was planned; heard: its ear. answered: what the last step was and what was said
    to it, so that the same step sent again is not taken twice.
    """

    id: str
    asker: Asker
    touched: float
    node: str
    instance: str
    command: Command | None = None
    stage: Literal["choose", "fields", "confirm", "sign", "doing", "over"] = "choose"
    given: dict[str, tuple[str, ...]] = field(default_factory=dict, repr=False)
    incoming: Incoming | None = field(default=None, repr=False)
    heard: Heard = field(default_factory=Heard, repr=False)
    plan: tuple[Effect, str] | None = field(default=None, repr=False)
    challenge: Challenge | None = field(default=None, repr=False)
    busy: bool = False
    answered: tuple[str, Reply] | None = field(default=None, repr=False)

    def repeated(self, asked: Asked) -> Reply | None:
        """What was said to this very step, if it has come before."""
        return self.answered[1] if self.answered is not None and self.answered[0] == _mark(asked) else None

    def forget(self) -> None:
        """Over: nothing of what was filled in is kept."""
        self.stage, self.given, self.incoming, self.plan, self.challenge = "over", {}, None, None, None
        self.heard = Heard()

    def remember(self, asked: Asked, reply: Reply) -> Reply:
        self.answered = (_mark(asked), reply)
        return reply


class Sessions:
    """All of one account."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._all: dict[str, Session] = {}

    def __len__(self) -> int:
        return len(self._all)

    def open(self, asker: Asker, node: str, instance: str, command: Command | None) -> Session:
        """A new one. Who has too many loses his oldest; where all have, the oldest goes."""
        self.sweep()
        mine = [one for one in self._all.values() if one.asker.jid == asker.jid]
        if len(mine) >= MOST_OF_ONE:
            self.close(_first(mine))
        elif len(self._all) >= MOST:
            self.close(_first(list(self._all.values())))
        made = Session(secrets.token_urlsafe(16), asker, self._clock.monotonic(), node, instance, command)
        self._all[made.id] = made
        return made

    def find(self, ident: str, full: str) -> Session | None:
        """The one with this id, if it belongs to this very address and is not too old. Touches it."""
        self.sweep()
        found = self._all.get(ident)
        if found is None or found.asker.full != full:
            return None
        found.touched = self._clock.monotonic()
        return found

    def close(self, session: Session) -> None:
        self._all.pop(session.id, None)

    def sweep(self) -> None:
        """Forgets those that nobody has touched for too long."""
        now = self._clock.monotonic()
        for one in list(self._all.values()):
            if now - one.touched > LIFE and not one.busy:
                self.close(one)


def _mark(asked: Asked) -> str:
    """Stands for one step: values may be secret, and are not kept for this."""
    filled = [part for name, values in (asked.values or {}).items() for part in (name, str(len(values)), *values)]
    return digest(asked.id, asked.action, *filled)


def _first(several: list[Session]) -> Session:
    """Whose end costs least: one that is over, else the one that was touched longest ago."""
    return min(several, key=lambda one: (one.stage != "over", one.touched))
