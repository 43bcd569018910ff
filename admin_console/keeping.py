"""What a job leaves in the console's own book as it goes, and how it is taken up again from there."""

import asyncio
import contextlib
import json
from collections.abc import Callable, Iterable
from dataclasses import asdict

from admin_console.session import Session
from admin_console.wish import Wish
from amon.job import Row
from amon.runtime.gather import Gathering, Job
from amon.runtime.proofs import Word
from amon.store.ledger import KeptJob, KeptRow, Ledger
from amon.wire import Ended, Whole, WireError, encode
from amon.words import Outcome

_LOOK_EVERY = 1.0  # seconds between two looks whether somebody has taken the job back


class Keeping:
    """One job's way into the ledger; without one it keeps nothing.

    The job is there before anything of it is sent; its rows follow in groups, behind the job's back.
    """

    def __init__(self, ledger: Ledger | None, session: Session, *, detached: bool = False) -> None:
        self._ledger = ledger
        self._session = session
        self._detached = detached
        self._changed: dict[str, Row] = {}
        self._stir = asyncio.Event()
        self._writing: asyncio.Task[None] | None = None
        self._held = contextlib.ExitStack()
        self._listening: asyncio.Task[None] | None = None
        self.taken_back: Callable[[], None] = _nothing
        """Called when another console of ours has ended the job."""
        self.begins_others = False
        """Whether sites wait for us to begin them, so that another console may take the job back from us."""

    async def begin(self, job: Job, wish: Wish) -> None:
        """On the disk when it returns."""
        if self._ledger is None:
            return
        slots = wish.rolling.slots
        kept = KeptJob(
            job.id,
            self._session.connection.account,
            job.line,
            str(wish.target),
            job.names,
            self._session.clock.time(),
            job.deadline,
            job.accept_by,
            job.dry_run,
            job.confirmed,
            json.dumps(asdict(job.plan) | ({"slots": slots} if slots else {})),
            job.queue_until,
            self._detached,
        )
        if job.queue_until is not None or job.plan.batch or job.plan.canary or job.plan.splay or slots:
            self.begins_others = self.hold(job.id)  # so that nobody else begins those who wait
        await self._ledger.begin(kept)

    def hold(self, ident: str) -> bool:
        """Whether it is we who begin sites of this job, until all is written; False: another process does."""
        return self._ledger is None or self._held.enter_context(self._ledger.holding(ident))

    def note(self, job: Gathering, rows: Iterable[Row]) -> None:
        """These rows are different now."""
        if self._ledger is None:
            return
        self._changed.update((row.site, row) for row in rows)
        if self._writing is None:
            self._writing = asyncio.create_task(self._write(job), name="book of jobs")
            if self.begins_others:
                self._listening = asyncio.create_task(self._until_taken_back(job), name="job taken back")
        self._stir.set()

    async def close(self, job: Gathering) -> None:
        """All that is known is written; the job is at its end if its book is closed."""
        with self._held:
            beside = [task for task in (self._writing, self._listening) if task is not None]
            for task in beside:
                task.cancel()
            if beside:
                await asyncio.wait(beside)
            await self._flush(job)
            if self._ledger is not None and job.book.closed:
                await self._ledger.end(job.job.id, self._session.clock.time())

    async def _write(self, job: Gathering) -> None:
        while True:
            await self._stir.wait()
            self._stir.clear()
            await self._flush(job)

    async def _until_taken_back(self, job: Gathering) -> None:
        """`amon job ID --cancel` elsewhere ends the job in the book."""
        assert self._ledger is not None
        while not await self._ledger.has_ended(job.job.id):
            await self._session.clock.sleep(_LOOK_EVERY)
        self.taken_back()

    async def _flush(self, job: Gathering) -> None:
        rows, self._changed = self._changed, {}
        if self._ledger is not None and rows:
            now = self._session.clock.time()
            words = job.words
            kept = [
                kept_row(job.job.id, row, words.get(row.site, Word.none), now, job.sent_to(row.site))
                for row in rows.values()
            ]
            await self._ledger.note(kept)


def _nothing() -> None:
    pass


def kept_row(job: str, row: Row, word: Word, now: float, bodies: tuple[str, ...] = ()) -> KeptRow:
    """A row as the ledger keeps it. now: epoch seconds; a row's own times are of a clock that ends with us.

    bodies: digests of those in which its site was asked.
    """
    payload = None if row.outcome is None else _payload(job, row.outcome)
    told = (row.reported, row.late, now, not row.waits, word, bodies)
    return KeptRow(job, row.site, row.state, row.text, payload, *told)


def _payload(job: str, outcome: Outcome) -> str | None:
    answer, told = outcome.answer, outcome.whole
    whole = None if told is None else Whole(told.size, told.digest, told.lines, told.cut)
    columns = tuple((column.name, column.unit, column.about) for column in answer.columns)
    ended = Ended(job, outcome.state, answer.text, answer.data, columns, outcome.seconds, outcome.cut, whole)
    try:
        return encode(ended)
    except WireError:  # tamed data may be longer than it came
        return None
