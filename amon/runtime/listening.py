"""The sessions of one job as its asker hears them: each part once, in order, no faster than he reads. See `sending.py`.

A site may send what it likes. Only the next part of a site that was asked is taken, as many as its window allows and as
fit into the memory set aside for all of them; what else comes is passed over and the last number said again. How much
of a site is read at all is given back to it (`Gate`) only when a part has been heard: so it can be as fast as its
reader, and no faster.

Nor does it hold its asker for ever by what it sends. Only parts in their order, and those said once more, show that a
session is open and put off the deadline of its row; the first must come before that; and a day later it is let go.
"""

import asyncio
import inspect
import logging
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from amon.clock import Clock
from amon.job import Book
from amon.runtime.mailbox import Letter
from amon.tasks import wait_event
from amon.wire import Cancel, Heard, Output

_WINDOW = 8  # parts of one site that wait
_KEPT_MOST = 64 * 1024 * 1024  # bytes of all that wait
_SIGN_EVERY = 25.0  # seconds between two signs that we are there; a site waits for 90
_AGAIN_LEAST = 1.0  # seconds between two answers to what was heard already or comes too early
_KEEP_EVERY = 1.0  # seconds between two times that a row is put off; less than the grace of any deadline
_OPEN_FOR = 95.0  # seconds after its last word for which a session counts as open; a site says one each 30
_LONGEST = 86_400.0  # seconds from its first part after which a session is told to end and holds nobody any more
_LAST_WITHIN = 5.0  # seconds that who reads has for what is left when the job is over

Hear = Callable[[str, Output], Any]  # site, part; may be a coroutine, whose end is waited for before the next

_log = logging.getLogger("amon.listening")


@dataclass(slots=True)
class _Site:
    """taken: number of the last part that waits or was heard; heard: of the last that was heard.

    opened: when its first part came; last: when one came that shows that it is open. let_go: it has had its day.
    """

    opened: float = math.inf
    last: float = -math.inf
    let_go: bool = False
    taken: int = 0
    heard: int = 0
    again: float = 0.0
    waiting: deque[Letter] = field(default_factory=deque)


class Listening:
    """say: sends a word to a site. hear: gets each part. heard: told of each letter when it has been read."""

    def __init__(
        self,
        job: str,
        say: Callable[[str, Heard | Cancel], object],
        hear: Hear,
        heard: Callable[[Letter], None],
        clock: Clock,
    ) -> None:
        self._job = job
        self._say = say
        self._hear = hear
        self._heard = heard
        self._clock = clock
        self._sites: dict[str, _Site] = {}
        self._turn: deque[str] = deque()
        self._size = 0
        self._stirred = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._tasks = (
            asyncio.create_task(self._read(), name=f"reading the sessions of {job}"),
            asyncio.create_task(self._show(), name=f"being there for the sessions of {job}"),
        )

    def came(self, letter: Letter, part: Output) -> None:
        """A part of a site that was asked."""
        site = self._sites.get(letter.site)
        if site is None:
            site = self._sites[letter.site] = _Site()
        if 0 < part.seq <= site.taken + 1:  # the next, or one of before: our word was on its way, or is lost
            site.last, site.opened = letter.at, min(site.opened, letter.at)
        fits = len(site.waiting) < _WINDOW and self._size + letter.size <= _KEPT_MOST
        if part.seq != site.taken + 1 or not fits:
            if letter.at - site.again >= _AGAIN_LEAST:
                site.again = letter.at
                self._say(letter.site, Heard(self._job, site.heard))
            return
        site.taken = part.seq
        site.waiting.append(letter)
        self._size += letter.size
        self._turn.append(letter.site)
        self._idle.clear()
        self._stirred.set()

    def keep(self, book: Book, now: float) -> None:
        """What is open has no deadline: who is asked for a session waits for no answer. Too late it does not open."""
        for name, site in self._sites.items():
            row = book[name]
            if row.state.ended or site.let_go or site.opened > row.due:
                continue
            if now - site.last < _OPEN_FOR and now - row.asked >= _KEEP_EVERY:
                book.ask(name, now)

    def ended(self, name: str) -> None:
        """It has told its end. What waits of it is still read."""
        site = self._sites.get(name)
        if site is not None:
            site.last = -math.inf

    async def rest(self) -> None:
        """Until all that came has been read, or for a moment."""
        if not self._idle.is_set():
            await wait_event(self._idle, self._clock, _LAST_WITHIN)

    def close(self) -> None:
        """Nobody listens any more; whose session is still open hears so at once, and not after a silence."""
        for task in self._tasks:
            task.cancel()
        now = self._clock.monotonic()
        for name, site in self._sites.items():
            if now - site.last < _OPEN_FOR:
                self._say(name, Cancel(self._job))

    async def _read(self) -> None:
        """Give one part after the other to who reads, whose time it may take."""
        while True:
            await self._stirred.wait()
            self._stirred.clear()
            while self._turn:
                name = self._turn.popleft()
                site = self._sites[name]
                letter = site.waiting.popleft()
                part = letter.payload
                assert isinstance(part, Output)
                await self._hand(name, part)
                self._size -= letter.size
                site.heard = part.seq
                self._heard(letter)
                self._say(name, Heard(self._job, site.heard))
            self._idle.set()

    async def _hand(self, name: str, part: Output) -> None:
        if not (part.items or part.missed):
            return  # only a sign of life
        try:
            answer = self._hear(name, part)
            if inspect.isawaitable(answer):
                await answer
        except Exception:  # a face that cannot show one part may show the next
            _log.exception("a part of %s could not be shown", name)

    async def _show(self) -> None:
        """While a session is open its site hears now and then that we are there, however long who reads takes.

        Or that it must end, again and again while it goes on; its row then ends by the site's word or at its deadline.
        """
        while True:
            await self._clock.sleep(_SIGN_EVERY)
            now = self._clock.monotonic()
            for name, site in self._sites.items():
                if now - site.last < _OPEN_FOR:
                    site.let_go = now - site.opened >= _LONGEST
                    self._say(name, Cancel(self._job) if site.let_go else Heard(self._job, site.heard))
