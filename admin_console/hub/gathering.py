"""A typed line from the moment it is heard to the one summary its asker reads. The book is `line.py`, words `words.py`.

Nothing is waited for that the book does not wait for: each row ends by itself. What has been said to the asker is said
to the sites (`Gathered`), which until then are ready to say it themselves.
"""

import asyncio
import secrets
from collections.abc import Callable
from typing import Protocol

from admin_console.hub import words
from admin_console.hub.line import CONFIRM_WITHIN, GRACE, TypedLine
from amon.clock import Clock
from amon.runtime.fleet import Fleet
from amon.runtime.mailbox import Letter, Mailbox
from amon.wire import Gathered, encode

PATIENCE = 3.0  # seconds before somebody is told how many have answered
_LATE_FOR = 600.0  # seconds after the summary in which late ends are told
_TOGETHER = 3.0  # seconds that late ends are collected


class Voice(Protocol):
    def say(self, to: str, text: str, *, id: str = "", replaces: str = "") -> bool:  # noqa: A002
        """Tell somebody; in the place of what was told under the id `replaces`. Whether it went out."""
        ...


Say = Callable[[str, str, str], bool]
"""Asker, full address, text: said in pages. Whether it went out."""


class Gathering:
    """One line under way. changed: called when there is something new to be kept over a restart."""

    def __init__(
        self,
        line: TypedLine,
        fleet: Fleet,
        voice: Voice,
        say: Say,
        clock: Clock,
        prefix: str,
        changed: Callable[[], None] = lambda: None,
    ) -> None:
        self.line = line
        self.asked_at: float | None = None
        self.summed_at: float | None = None
        self._fleet, self._voice, self._say, self._clock, self._prefix = fleet, voice, say, clock, prefix
        self._changed = changed
        self._stir = asyncio.Event()
        self._phase_at = line.began
        self._notice: tuple[str, str, float, float] | None = None  # id, text, when it is due again, how much later then
        self._late_since: float | None = None

    async def run(self, letters: Mailbox) -> None:
        """Until all is told, and nothing may come any more that would put it right."""
        while True:
            now = self._clock.monotonic()
            self.line.tick(now)
            self._tell(now)
            if self._is_over(now):
                return
            await self._next(letters, max(0.0, self._next_due(now) - now))

    def confirm(self) -> None:
        """The asker said the word in the room."""
        now = self._clock.monotonic()
        self.line.confirm(now)
        self.asked_at, self._phase_at, self._notice = None, now, None
        self._changed()
        self._stir.set()

    @property
    def waits_for_yes(self) -> bool:
        return self.asked_at is not None and bool(self.line.asking)

    # What is due

    def _tell(self, now: float) -> None:
        line = self.line
        if self.summed_at is not None:
            self._tell_late(now)
        elif line.book.closed:
            self.summed_at = now
            self._to_asker(words.summary(line))
            line.book.take_changed()
        elif self.waits_for_yes:
            if self.asked_at is not None and now - self.asked_at > CONFIRM_WITHIN + GRACE:
                line.decline(now)
                self._stir.set()
        elif line.settled:
            self.asked_at = now
            self._to_asker(words.question(line, self._prefix))
        elif now - self._phase_at >= PATIENCE:
            self._tell_how_many(now)

    def _tell_how_many(self, now: float) -> None:
        """One line, corrected in place, more and more rarely: not every client shows a correction as one."""
        text = words.answered(self.line)
        if self._notice is None:
            ident = secrets.token_hex(8)
            self._notice = ident, text, now + PATIENCE, 2 * PATIENCE
            self._voice.say(self.line.typed.to, text, id=ident)
        elif now >= self._notice[2]:
            ident, before, _, later = self._notice
            self._notice = ident, text, now + later, 2 * later
            if text != before:
                self._voice.say(self.line.typed.to, text, replaces=ident)

    def _tell_late(self, now: float) -> None:
        if not self.line.told:
            return
        if self._late_since is None:
            self._late_since = now
        elif now - self._late_since >= _TOGETHER:
            self._late_since = None
            text = words.late(self.line, sorted(self.line.told))
            if text:
                self._to_asker(text)
            else:
                self._said_on()

    def _to_asker(self, text: str) -> None:
        typed = self.line.typed
        if self._say(typed.asker, typed.to, text):
            self._said_on()
        self._changed()

    def _said_on(self) -> None:
        """Whoever told it need not say it any more."""
        for site, state in self.line.take_told().items():
            known = self._fleet.sites.get(site)
            if known is not None:
                ident = self.line.typed.id
                self._fleet.connection.send_payload(known.address, encode(Gathered(ident, state)), id=f"{ident}-told")

    # Waiting

    def _is_over(self, now: float) -> bool:
        if self.summed_at is None or self.line.told:
            return False
        return not self.line.may_change or now - self.summed_at >= _LATE_FOR

    def _next_due(self, now: float) -> float:
        dues = [now + _LATE_FOR]
        book = self.line.book.next_due()
        if book is not None:
            dues.append(book)
        if self.summed_at is not None:
            dues.append(self.summed_at + _LATE_FOR)
            if self._late_since is not None:
                dues.append(self._late_since + _TOGETHER)
        elif self.asked_at is not None:
            dues.append(self.asked_at + CONFIRM_WITHIN + GRACE + 0.1)
        else:
            dues.append(self._notice[2] if self._notice is not None else self._phase_at + PATIENCE)
        return min(dues)

    async def _next(self, letters: Mailbox, within: float) -> None:
        reading = asyncio.ensure_future(letters.get())
        waiting = {reading, asyncio.ensure_future(self._stir.wait()), asyncio.ensure_future(self._clock.sleep(within))}
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
        self._stir.clear()
        if reading.done() and not reading.cancelled():
            self._enter(reading.result())
        while not letters.empty():
            self._enter(letters.get_nowait())

    def _enter(self, letter: Letter) -> None:
        self.line.enter(letter, letter.site in self._fleet.sites)
