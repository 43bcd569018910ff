"""Sessions: commands that go on telling. Each stands between its generator and one reader, and is bounded everywhere.

Theory. The generator is read as fast as it speaks, into a buffer of fixed size. A front takes from it as fast as its
asker reads; what nobody took is dropped, the oldest first, and counted. So the speed of neither end is the other's, and
neither can make memory grow. Nobody holds a session open for ever: it ends when it has told all, when its asker stops
it or gives no sign any more, at its time or its size, when he may not have it any more, when its instance goes. However
it ends, the generator is closed where it waits, and what it holds is given back before its end is told.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterable
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from amon.clock import Clock
from amon.command import Ask, answer_of
from amon.command.answer import columns_of
from amon.errors import Failed, Refused
from amon.fields import Field, Secret, discreet
from amon.ids import short
from amon.runtime import caps
from amon.runtime.incoming import Audience, Incoming, Part
from amon.text import visible
from amon.units import format_quantity
from amon.words import Column

PATIENCE = 90.0  # seconds without a sign of the asker
ITEM_MOST = 4096  # characters of one item; what is longer is cut
PICTURE_MOST = 24_576  # characters of one that takes the place of the last
LOOK_EVERY = 5.0  # seconds between looks at the right, the instance, the asker and the time
_CLOSE_WITHIN = 5.0  # seconds of the machine that a generator has to let go
_BREATH = 64  # items after which others have their turn

_json = msgspec.json.Encoder()
_log = logging.getLogger("amon.sessions")


@dataclass(frozen=True, slots=True)
class Limits:
    """of_one, of_site: sessions at once. waiting, waiting_bytes: in the buffer. items, size: of a whole session."""

    of_one: int = 8
    of_site: int = 64
    waiting: int = 1000
    waiting_bytes: int = 256 * 1024
    items: int = 2_000_000
    size: int = 512 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Course:
    """What became of a session."""

    said: Annotated[int, Field("lines or rows it had")]
    missed: Annotated[int, Field("of these left out: nobody was there fast enough")]
    lasted: Annotated[float, Field("how long it was open", unit="s")]
    why: Annotated[str, Field("what ended it")] = ""

    def __str__(self) -> str:
        parts = [f"{self.said:,} line{'' if self.said == 1 else 's'}"]
        if self.missed:
            parts.append(f"{self.missed:,} left out")
        parts.append(format_quantity(round(self.lasted), "s"))
        return f"{', '.join(parts)}{f'; {self.why}' if self.why else ''}"


class Session:
    """One that is open; an `Output` for the front of its asker.

    withdrawn: why he may not have it any more, or nothing. is_running: whether the module is there that it reads.
    """

    def __init__(
        self,
        incoming: Incoming,
        ask: Ask,
        audience: Audience,
        withdrawn: Callable[[], str],
        is_running: Callable[[], bool],
        clock: Clock,
        limits: Limits,
    ) -> None:
        self.id, self.name, self.instance = incoming.id, ask.name, ask.instance
        self.incoming = incoming
        self.patience = PATIENCE
        self.over = False
        self.began, self.since = clock.monotonic(), clock.time()
        self.lasts = ask.command.timeout
        self.said = self.taken = self.missed = 0
        self.replaces = ask.command.replaces
        self._replaced = 0
        self._hidden: tuple[Secret, ...] = ask.hidden
        self._audience = audience
        self._withdrawn, self._is_running = withdrawn, is_running
        self._clock = clock
        self._limits = limits
        self._waiting: deque[tuple[Any, str, int]] = deque()
        self._size = self._total = self._untold = 0
        self._columns: tuple[Column, ...] = ()
        self._heard_at, self._was_heard = self.began, False
        self._told_all = False
        self._end: asyncio.Future[str | Exception] = asyncio.get_running_loop().create_future()

    async def run(self, items: AsyncGenerator[object, None]) -> Course:
        """Until it ends; what ended it well is in the course, else raised. The generator is closed then."""
        reading = asyncio.create_task(self._read(items), name=f"session {self.id}")
        reading.add_done_callback(self._read_out)
        try:
            why = await self._end
        finally:
            await self._close(reading)
        if isinstance(why, Exception):
            raise why
        return self.course(why)

    def course(self, why: str = "") -> Course:
        lasted = round(self._clock.monotonic() - self.began, 3)
        return Course(self.said, self.said - self.taken - self._replaced, lasted, why)

    def end(self, why: str | Exception) -> None:
        """End it, well or with an error; the first word counts."""
        if not self._end.done():
            self._end.set_result(why)

    # What its front does (incoming.Output)

    def take(self, items: int, size: int) -> Part | None:
        values: list[Any] = []
        lines: list[str] = []
        left = size
        while self._waiting and len(values) < items and (not values or self._waiting[0][2] <= left):
            value, text, cost = self._waiting.popleft()
            values.append(value)
            lines.append(text)
            left -= cost
            self._size -= cost
        self.taken += len(values)
        missed, self._untold = self._untold, 0
        if self._told_all and not self._waiting:
            self.end("it has told all")
        told = (tuple(values), tuple(lines), self._columns, missed, self.replaces)
        return Part(*told) if values or missed else None

    def skip(self, keep: int) -> None:
        while len(self._waiting) > keep:
            self._drop()

    def _drop(self) -> None:
        self._size -= self._waiting.popleft()[2]
        self.missed += 1
        self._untold += 1

    def heard(self) -> None:
        self._heard_at, self._was_heard = self._clock.monotonic(), True

    def gone(self, why: str) -> None:
        self.end(Failed(why))

    # Looking after it

    def look(self) -> float:
        """End it if its time has come; seconds until the next look."""
        now = self._clock.monotonic()
        withdrawn = self._withdrawn()
        if withdrawn:
            self.end(Refused(visible(withdrawn)))
        elif not self._is_running():
            self.end(Failed(f"{self.instance} was stopped"))
        elif now - self._heard_at >= self.patience:
            self.end(Failed(self._silence()))
        elif now - self.began >= self.lasts:
            self.end(f"its time of {format_quantity(self.lasts, 's')} is over; ask again")
        else:
            self._tell()
            return min(LOOK_EVERY, self.began + self.lasts - now)
        return LOOK_EVERY

    def _silence(self) -> str:
        if self._was_heard:
            return f"whoever asked is gone: no sign of him for {self.patience:g} s"
        return f"no sign for {self.patience:g} s that it is read; does your console know sessions? update it"

    def _tell(self) -> None:
        self._audience.output(self)

    # Reading the generator

    async def _read(self, items: AsyncGenerator[object, None]) -> None:
        count = 0
        try:
            async with aclosing(items):
                async for item in items:
                    if self._end.done():  # it did not take notice of being cancelled
                        break
                    self._put(item)
                    count += 1
                    if count % _BREATH == 0:  # one that never waits must not keep all others from their turn
                        await asyncio.sleep(0)
        except SystemExit as leaving:
            raise RuntimeError(f"wanted to end the whole program (exit {leaving.code})") from leaving

    def _put(self, item: object) -> None:
        value, text = self._made(item)
        size = len(text) + (0 if isinstance(value, str) else len(_json.encode(value)))
        self.said += 1
        self._total += size
        was_empty = not self._waiting
        if self.replaces:
            self._replaced += len(self._waiting)
            self._waiting.clear()
            self._size = 0
        self._waiting.append((value, text, size))
        self._size += size
        while len(self._waiting) > self._limits.waiting or self._size > self._limits.waiting_bytes:
            self._drop()
        if was_empty:
            self._tell()
        if self.said >= self._limits.items or self._total >= self._limits.size:
            self.end(f"its limit of {self._limits.items:,} lines or {self._limits.size:,} B is reached; ask again")

    def _made(self, item: object) -> tuple[Any, str]:
        """As data and as one line, without secrets; data that is too large is told as its text alone."""
        if isinstance(item, str):
            text = visible(discreet(item[: 2 * ITEM_MOST], self._hidden), lines=False)[:ITEM_MOST]
            return text, text
        most = PICTURE_MOST if self.replaces else ITEM_MOST
        answer = caps.discreetly(answer_of(item, most), self._hidden)
        if not self._columns:
            self._columns = columns_of(type(item))
        text = (answer.text if self.replaces else answer.text.replace("\n", ", "))[:most]
        return (answer.data if len(_json.encode(answer.data)) <= most else text), text

    def _read_out(self, reading: "asyncio.Task[None]") -> None:
        """The generator came to an end, by itself or by ours."""
        if reading.cancelled():
            self.end(RuntimeError("was ended by a cancellation that nobody asked for"))
        elif isinstance(fault := reading.exception(), Exception):
            self.end(fault)
        elif self._waiting:
            self._told_all = True  # it ends when that is read
            self._tell()
        else:
            self.end("it has told all")

    async def _close(self, reading: "asyncio.Task[None]") -> None:
        ended_itself = reading.done()
        reading.cancel()
        await asyncio.wait([reading], timeout=_CLOSE_WITHIN)
        if not reading.done():
            _log.error("%s of %s does not let go of what it holds", self.name, self.incoming.asker)
        elif not ended_itself and not reading.cancelled() and (fault := reading.exception()) is not None:
            _log.error("closing %s", self.name, exc_info=fault)
        self.over = True
        self._tell()


class Sessions:
    """All that are open at a site."""

    def __init__(self, clock: Clock, limits: Limits | None = None) -> None:
        self._clock = clock
        self._limits = limits or Limits()
        self._open: dict[tuple[str, str, str], Session] = {}
        self._watch: asyncio.Task[None] | None = None

    def begin(
        self,
        incoming: Incoming,
        ask: Ask,
        audience: Audience,
        withdrawn: Callable[[], str],
        is_running: Callable[[], bool],
    ) -> Session:
        """A new one; `Refused` where there are too many, or many sites would talk at once to somebody who types."""
        if incoming.typed and incoming.sites > 1:
            raise Refused("this goes on and on: ask one site by its name, or each one to one")
        mine = [one for one in self.all() if one.incoming.asker.jid == incoming.asker.jid]
        if len(mine) >= self._limits.of_one:
            raise Refused(f"you have {len(mine)} sessions open here; end one first: sessions stop ID")
        if len(self._open) >= self._limits.of_site:
            raise Refused(f"{len(self._open)} sessions are open at this site and no more may be; ask again later")
        session = Session(incoming, ask, audience, withdrawn, is_running, self._clock, self._limits)
        self._open[incoming.key] = session
        return session

    async def run(self, session: Session, items: AsyncGenerator[object, None]) -> Course:
        """To its end, whatever that is."""
        if self._watch is None:
            self._watch = asyncio.create_task(self._look(), name="sessions")
        try:
            return await session.run(items)
        finally:
            del self._open[session.incoming.key]
            if not self._open:
                self._watch.cancel()
                self._watch = None

    def all(self) -> list[Session]:
        return list(self._open.values())

    def name_of(self, session: Session) -> str:
        """The shortest end of its id that no other here shares."""
        return short(session.id, [other.id for other in self.all()])

    def end_of(self, instances: Iterable[str]) -> None:
        """Those of instances that are about to be stopped."""
        names = frozenset(instances)
        for session in self.all():
            if session.instance in names:
                session.end(Failed(f"{session.instance} was stopped"))

    async def _look(self) -> None:
        """While any is open. What goes wrong in one's look is its own end."""
        while True:
            wait = LOOK_EVERY
            for session in self.all():
                try:
                    wait = min(wait, session.look())
                except Exception as bug:
                    session.end(bug)
            await self._clock.sleep(max(0.05, wait))
