"""One job from what is wanted to a closed book: outcomes as they come, a question before a change, two ways to stop."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from admin_console.keeping import Keeping
from admin_console.probed import probed, strangers
from admin_console.session import Session
from admin_console.wish import Report, Wish, chosen, judged
from amon.errors import Failed
from amon.ids import new_id
from amon.job import Book, ExitCode, draw_seed
from amon.runtime.gather import Gathering, Job, gathering
from amon.runtime.proofs import Word
from amon.wire import Output
from amon.words import Outcome

if TYPE_CHECKING:
    from admin_console.hub.gate import SlotGate


@dataclass(frozen=True, slots=True)
class Question:
    """Sites that did nothing yet, because somebody has to say yes first.

    plans: by site, what it would do. signature: at least one wants it signed; a yes then signs it with his key. later:
    sites whose turn is still to come, which said nothing yet: a yes is for them, too.
    """

    line: str
    plans: Mapping[str, str]
    signature: bool
    later: tuple[str, ...] = ()

    @property
    def names(self) -> list[str]:
        """All sites that a yes is for."""
        return sorted((*self.plans, *self.later))


class Unasked(Exception):
    """Nobody is there who could be asked."""


Ask = Callable[[Question], Awaitable[bool]]


async def nobody(question: Question) -> bool:
    raise Unasked


class Run:
    """`async for outcome in run` gives the outcome of each site when it has ended, each site once.

    It begins when it is iterated or waited for with `finish`. Whoever leaves the loop early ends the waiting and not
    the job: the sites go on, and the job's id brings their outcomes.

    ask: is asked for a yes when sites want one; without it nothing is changed that wants one. on_output: gets what
    streaming commands say, with the site's name; sites send no more than it has taken, and what
    it gives back is waited for if it can be. on_change: called after each
    change of the book. note: told lines that are no result.
    """

    def __init__(self, session: Session, wish: Wish, keeping: Keeping | None = None, job: Job | None = None) -> None:
        """job: one that was begun before; its rows are in the book that is kept, and nothing is sent but questions."""
        self.wish = wish
        self.ask: Ask = nobody
        self.on_change: Callable[[], None] = _nothing
        self.on_output: Callable[[str, Output], object] = _no_output
        self.on_begin: Callable[[], None] = _nothing
        self.note: Callable[[str], None] = _no_note
        self.report: Report | None = None
        self._session = session
        self._keeping = keeping or Keeping(None, session)
        self._keeping.taken_back = self.cancel
        self._resumed = job
        self._gathering: Gathering | None = None
        self._task: asyncio.Task[Report] | None = None
        self._ended: asyncio.Queue[Outcome | None] = asyncio.Queue()
        self._told: set[str] = set()
        self._lasting: asyncio.Task[None] | None = None
        self._gate: SlotGate | None = None
        self._stopped = False
        self._unasked = False

    # What one may look at

    @property
    def gathering(self) -> Gathering:
        """The job at work. `Failed` before it has begun: until then nobody knows which sites are meant."""
        if self._gathering is None:
            raise Failed("this job has not begun; iterate over it, or wait for `finish`")
        return self._gathering

    @property
    def id(self) -> str:
        return self.gathering.job.id

    @property
    def book(self) -> Book:
        return self.gathering.book

    @property
    def words(self) -> Mapping[str, Word]:
        """How far each answer is to be trusted."""
        return self.gathering.words

    @property
    def stopped(self) -> bool:
        return self._stopped

    # What one may do

    async def __aiter__(self) -> AsyncIterator[Outcome]:
        task = self._begin()
        try:
            while (outcome := await self._ended.get()) is not None:
                yield outcome
            await task
        finally:
            await _end(task)

    async def finish(self) -> Report:
        """Wait for the closed book."""
        task = self._begin()
        try:
            return await asyncio.shield(task)
        finally:
            await _end(task)

    def cancel(self) -> None:
        """Tell the sites to stop; told again, their word is not waited for any more."""
        if self._gathering is None:
            return
        if self._stopped:
            self.book.cancel(self._session.clock.monotonic(), 0)
        self._stopped = True
        self._gathering.cancel()

    # How it goes

    def _begin(self) -> "asyncio.Task[Report]":
        if self._task is None:
            self._task = asyncio.create_task(self._drive(), name="job")
            self._task.add_done_callback(lambda _: self._ended.put_nowait(None))
        return self._task

    async def _drive(self) -> Report:
        session = self._session
        job = await (self._job() if self._resumed is None else self._informed(self._resumed))
        sign = self.wish.sign
        with gathering(session.fleet, session.room, job, session.clock, session.signed, sign) as under_way:
            self._gathering = under_way
            under_way.watch = self._changed
            under_way.on_output = None if self.on_output is _no_output else self._output
            self.on_begin()
            try:
                await self._at_work(under_way)
            finally:  # also where nobody waits any more: the book of jobs has what is known until now
                if self._lasting is not None:
                    self._lasting.cancel()
                self._changed()
                await self._keeping.close(under_way)
            exit_code = ExitCode.refused if self._unasked else judged(under_way.book, under_way.words)
            self.report = Report(self.wish, job, under_way.book, exit_code, under_way.words)
        return self.report

    def _output(self, site: str, output: Output) -> object:
        """The first words of a session begin its time; what takes them may have to be waited for."""
        if self._lasting is None and self.wish.lasts is not None:
            self._lasting = asyncio.create_task(self._stop_after(self.wish.lasts), name="length of sessions")
        return self.on_output(site, output)

    async def _stop_after(self, seconds: float) -> None:
        await self._session.clock.sleep(seconds)
        self.cancel()

    async def _at_work(self, job: Gathering) -> None:
        from admin_console.hub.gate import gated  # few jobs want slots

        session = self._session
        slots = gated(job, self.wish.rolling.slots, session.fleet, session.room, session.hub, session.clock)
        async with slots as self._gate:
            await self._keeping.begin(job.job, self.wish)
            job.send()
            await self._collected(job)

    async def _collected(self, job: Gathering) -> None:
        await job.collect()
        while job.asking:  # for a yes, and then perhaps for a signature
            self._unasked = not await self._settle(job) or self._unasked
            await job.collect()

    async def _job(self) -> Job:
        """The request, with the names it is for frozen."""
        wish, now = self.wish, self._session.clock.time()
        seed = wish.rolling.seed if wish.rolling.seed is not None else draw_seed()
        meant = await chosen(self._session, wish.target)
        names = wish.rolling.names(meant, seed)
        if len(names) < len(meant):
            self.note(f"{len(names)} of {len(meant)} sites; --seed {seed} takes the same again")
        job = Job(
            new_id(now),
            wish.line,
            names,
            wish.deadline,
            wish.accept_by,
            wish.dry_run,
            confirmed=wish.yes,
            plan=wish.rolling.plan(len(names), seed),
            queue_until=wish.queue_until,
        )
        job = await self._informed(job)
        # Whoever cannot sign hears it before anything is sent; in a batch each signature is made when its turn comes.
        return await self._session.signed(job) if wish.sign and not job.plan.batch else job

    async def _informed(self, job: Job) -> Job:
        """The job with what sites need to know of those that its line names."""
        for note in strangers(self._session.fleet, job.line):
            self.note(note)
        return replace(job, probed=await probed(self._session.fleet, job.line))

    async def _settle(self, job: Gathering) -> bool:
        """Some sites did nothing yet: somebody has to say yes, or to sign. False: nobody could."""
        if self._stopped:
            job.decline("you stopped it; nothing was done")
            return True
        unsigned = any(asked.signature for asked in job.asking.values())
        plans = {name: asked.text for name, asked in job.asking.items()}
        try:
            meant = await self._asked(Question(self.wish.line, plans, unsigned, job.later))
        except Unasked:
            job.decline("nobody was there to say yes; nothing was done")
            return False
        if not meant:
            job.decline("you did not say yes; nothing was done")
            return True
        again = job.again()
        try:
            job.confirm(await self._session.signed(again) if unsigned or self.wish.sign else again)
        except Failed as fault:
            self.note(f"not signed, so nothing was done: {fault}")
            job.decline(f"not signed; nothing was done: {fault}")
            return False
        return True

    async def _asked(self, question: Question) -> bool:
        """A yes that was said beforehand need not be seen by anybody."""
        return True if self.wish.yes and self.ask is nobody else await self.ask(question)

    def _changed(self) -> None:
        assert self._gathering is not None
        rows = self._gathering.book.take_changed()
        for row in rows:
            if row.outcome is not None and row.site not in self._told:
                self._told.add(row.site)
                self._ended.put_nowait(row.outcome)
        self._keeping.note(self._gathering, rows)
        if self._gate is not None:
            self._gate.ended(rows)
        self.on_change()


async def _end(task: "asyncio.Task[Report]") -> None:
    """Whoever does not wait any more leaves nothing behind that does."""
    if not task.done():
        task.cancel()
        await asyncio.wait((task,))


def _nothing() -> None:
    pass


def _no_output(site: str, output: Output) -> None:
    pass


def _no_note(text: str) -> None:
    pass
