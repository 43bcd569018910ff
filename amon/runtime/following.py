"""Sessions told to people who typed for them: some lines every two seconds, and whether their client is still there.

Twenty lines in two seconds are what a person reads and a phone bears; the rest is counted. Of a client that is gone
its server tells, by the error to a ping (XEP-0199); one that sleeps may (XEP-0198), for less than two minutes. What
programs write into logs is no markup: several lines stand in a fence, a single one is unstyled (XEP-0393).
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Protocol

from amon.clock import Clock
from amon.ids import short
from amon.runtime.incoming import Output, Part
from amon.words import Asker

_EVERY = 2.0  # seconds between messages
_LINES, _CHARACTERS, _LINE = 20, 4096, 200  # of a message; characters that each line may have at least
_SIZE = 2**20  # bytes: all that twenty lines can be
_PICTURE_EVERY = 10.0  # seconds between pictures that take the place of each other (XEP-0308)
_PICTURE_LINES = 60
_ASK_EVERY = 30.0  # seconds between two pings
_PATIENCE = 120.0  # seconds without an answer to any
_PATIENT = 3.0  # seconds after which it is said that it is open, though nothing came


class Say(Protocol):
    def __call__(self, to: str, text: str, /, *, unstyled: bool = False) -> bool: ...


Draw = Callable[[str, str], str]
"""A text and the id of the message it replaces, or none -> its id; empty where it could not be said so."""


class Following:
    """One session, told to one client."""

    def __init__(
        self,
        session: Output,
        head: Callable[[], str],
        say: Callable[[str, bool], object],
        ping: Callable[[], Awaitable[bool | None]],
        clock: Clock,
        draw: Draw | None = None,
    ) -> None:
        """head: what its messages begin with, if anything. ping: False if the client is gone, None if nobody knows.

        draw: corrects the last picture, where that can be done.
        """
        session.patience = _PATIENCE
        self._session = session
        self._head = head
        self._say = say
        self._ping = ping
        self._clock = clock
        self._draw = draw
        self._picture = ""
        self._every = _EVERY
        self._said_at: float | None = None
        self._began = self._asked_at = clock.monotonic()
        self._pace: asyncio.Task[None] | None = None
        self._asking: asyncio.Task[None] | None = None

    def go(self) -> None:
        """There is something to take, or it is time to look."""
        now = self._clock.monotonic()
        if self._session.over:
            self.close()
            self._tell()
            return
        if now - self._asked_at >= _ASK_EVERY and (self._asking is None or self._asking.done()):
            self._asked_at = now
            self._asking = asyncio.create_task(self._ask(), name=f"ping for {self._session.id}")
        if self._pace is None:
            wait = 0.0 if self._said_at is None else self._said_at + self._every - now
            if wait > 0:
                self._pace = asyncio.create_task(self._wait(wait), name=f"pace of {self._session.id}")
            else:
                self._tell()

    def close(self) -> None:
        for task in (self._pace, self._asking):
            if task is not None:
                task.cancel()

    async def _wait(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._pace = None
        self._tell()

    async def _ask(self) -> None:
        is_there = await self._ping()
        if is_there:
            self._session.heard()
        elif is_there is False:
            self._session.gone("your client is gone")

    def _tell(self) -> None:
        self._session.skip(_LINES)
        part, now = self._session.take(_LINES, _SIZE), self._clock.monotonic()
        if part is None:
            if self._said_at is None and now - self._began >= _PATIENT and not self._session.over:
                self._said_at = now
                self._say(f"{self._head()}; nothing yet", False)
            return
        self._said_at = now
        if part.replaces:
            self._show(part)
            return
        missed = f"({part.missed:,} line{'' if part.missed == 1 else 's'} left out)" if part.missed else ""
        above = [line for line in (self._head(), missed) if line]
        share = max(_LINE, _CHARACTERS // max(1, len(part.lines)))
        lines = [line.replace("```", "'''")[:share] for line in part.lines]
        if len(lines) == 1 and not above:
            self._say(lines[0], True)
        else:
            self._say("\n".join([*above, "```", *lines, "```"] if lines else above), False)

    def _show(self, part: Part) -> None:
        """In the place of the last picture; anew where something else was said since."""
        self._every = _PICTURE_EVERY
        lines = [line.replace("```", "'''")[:_LINE] for line in part.picture[:_PICTURE_LINES]]
        text = "\n".join([*(line for line in (self._head(),) if line), "```", *lines, "```"])
        if self._draw is None:
            self._say(text, False)
        else:
            self._picture = self._draw(text, self._picture) or self._draw(text, "")


class Followings:
    """Those of one account's chat, by the id of their request."""

    def __init__(
        self,
        say: Say,
        ping: Callable[[str], Awaitable[bool | None]],
        clock: Clock,
        draw: Callable[[str, str, str], str] | None = None,
    ) -> None:
        """draw: puts a text in the place of an earlier message to an address; see `Draw`."""
        self._draw = draw
        self._say = say
        self._ping = ping
        self._clock = clock
        self._open: dict[str, tuple[Asker, Output, Following]] = {}

    def tell(self, asker: Asker, session: Output) -> None:
        """What there is of it now; the first time, the last time and each time between."""
        if session.id not in self._open:
            is_first = True

            def head() -> str:
                nonlocal is_first
                told = f"{self.name_of(session.id)} {session.name}"
                if is_first:
                    is_first = False
                    return f"{told}, until you say stop"
                return told if len(self.of(asker)) > 1 else ""

            to = asker.reply_to
            say, ping = lambda text, raw: self._say(to, text, unstyled=raw), lambda: self._ping(to)
            draw = None if self._draw is None else partial(self._draw, to)
            self._open[session.id] = asker, session, Following(session, head, say, ping, self._clock, draw)
        following = self._open[session.id][2]
        following.go()
        if session.over:
            del self._open[session.id]

    def of(self, asker: Asker) -> dict[str, str]:
        """Ids of this person's sessions, with what they are called."""
        mine = {ident: one.name for ident, (who, one, _) in self._open.items() if who.jid == asker.jid}
        return {ident: f"{self.name_of(ident)} {name}" for ident, name in mine.items()}

    def named(self, asker: Asker, word: str) -> list[str]:
        """Ids of those that are meant by `all` or the end of an id; none if no session is meant."""
        mine = list(self.of(asker))
        if word == "ALL":
            return mine
        found = [ident for ident in mine if ident.endswith(word)] if word else mine
        return found if len(found) == 1 else []

    def name_of(self, ident: str) -> str:
        return short(ident, self._open)
