"""A job that was begun before, by this console or one that is gone, taken up from the book of jobs.

All sites that have not reported their end are asked again (`Fetch`), and what they know amends the book. A site never
does it twice: it knows the id of the job.
"""

import asyncio
import json
from collections.abc import Callable, Sequence
from dataclasses import replace

from admin_console.hub.gate import gated
from admin_console.keeping import Keeping
from admin_console.run import Run
from admin_console.session import Session
from admin_console.wish import Report, Rolling, Wish, judged
from amon.errors import Failed, Invalid, Refused
from amon.ids import new_id
from amon.job import Book, Event, Plan
from amon.job.states import TABLE
from amon.runtime.delivery import tell
from amon.runtime.gather import Gathering, Job, gathering
from amon.runtime.proofs import Word
from amon.runtime.resuming import restored
from amon.store.ledger import KeptJob, KeptRow, Ledger
from amon.target import All, Expression, parse
from amon.target.jobs import OfJob
from amon.wire import Cancel
from amon.words import State

_UNKNOWN = TABLE[State.silent, Event.unknown][1]
_FOLLOWED = 86_400.0  # seconds that a site may be at it, for who follows
REMEMBERED = 6 * 86_400.0
"""Seconds after which nobody is begun any more: after seven days sites forget what they did, and would do it again."""

FAILED = (State.failed, State.lost, State.silent, State.not_here, State.not_started, State.expired)
"""Ends after which the same may be asked once more."""


class Earlier(Run):
    """follow: until every site has said its end, and those who are not there had their time; begins whose turn it is.

    Else nobody is begun, and those who are at it are waited for as long as the job was meant to take, no longer.
    cancels: tell whoever may be at it to stop.
    """

    def __init__(
        self,
        session: Session,
        ledger: Ledger,
        kept: KeptJob,
        rows: Sequence[KeptRow],
        *,
        follow: bool = False,
        cancels: bool = False,
    ) -> None:
        super().__init__(session, wish_of(kept), Keeping(ledger, session), job_of(kept, session.clock.time()))
        self.kept = kept
        self._ledger = ledger
        self._rows = rows
        self._follow = follow
        self._cancels = cancels

    async def _at_work(self, job: Gathering) -> None:
        if not self._follow:
            job.resume(self._rows, begins=False)
            await self._fetched(job)
            await (self._end_it(job) if self._cancels else self._as_long_as_meant(job))
            return
        if not self._keeping.hold(self.kept.id):
            raise Refused(f"another amon of yours is at it; next: follow it there, or amon job {self.kept.id[-6:]}")
        self._rows = await self._ledger.rows(self.kept.id)  # as whoever held it before has left them
        if not is_plan_known(self.kept) and not all(row.asked for row in self._rows):
            raise Refused(
                "another version of amon has begun this job, and how it goes through its sites is not known here; "
                f"next: update amon, or amon job {self.kept.id[-6:]} --cancel"
            )
        session, slots = self._session, self.wish.rolling.slots
        async with gated(job, slots, session.fleet, session.room, session.hub, session.clock) as self._gate:
            await self._followed(job)

    async def _followed(self, job: Gathering) -> None:
        job.book.deadline = _FOLLOWED
        self._keeping.begins_others = self.kept.ended is None
        now = self._session.clock.time()
        job.resume(self._rows, begins=now - self.kept.created < REMEMBERED)
        if now - self.kept.created >= REMEMBERED:
            job.book.stop("its turn did not come while sites remember", self._session.clock.monotonic())
        if self._gate is not None:
            self._gate.hold(row.site for row in job.book.rows() if not row.state.ended and not row.waits)
        await self._fetched(job)
        await self._collected(job)
        await job.until(lambda: self.stopped or not _running(job))

    async def _fetched(self, job: Gathering) -> None:
        """What was concluded is told to nobody before its site was asked: it may know better."""
        job.watch = lambda: self.on_change()
        await job.fetch()
        await self._said_no(job)
        job.watch = self._changed
        self._changed()

    async def _said_no(self, job: Gathering) -> None:
        """A refusal is in no site's journal, because nothing began: it is heard by asking what it would do now."""
        before = {row.site: row for row in self._rows}
        doubtful = (row.site for row in job.book.rows() if row.text == _UNKNOWN and not row.reported)
        names = tuple(name for name in doubtful if name in before)
        if not names:
            return
        clock, kept = self._session.clock, self.kept
        within = kept.deadline if kept.dry_run else kept.accept_by
        told = (within, kept.accept_by, True, kept.confirmed)
        with gathering(self._session.fleet, None, Job(new_id(clock.time()), kept.line, names, *told), clock) as asked:
            try:
                asked.send()
            except Failed:  # no session: it stays in doubt
                return
            await asked.collect()
        for row in asked.book.rows():
            says_no = row.state in (State.refused, State.invalid)
            if row.outcome is not None and row.reported and (says_no or self.kept.dry_run):
                now = clock.monotonic()
                job.book.restore(restored(before[row.site], now, clock.time()), now)
                job.book.ended(row.outcome, now)
                if row.site in asked.words:
                    job.words[row.site] = asked.words[row.site]

    async def _as_long_as_meant(self, job: Gathering) -> None:
        left = self.kept.created + self.kept.deadline + job.book.grace - self._session.clock.time()
        await self._at_most(left, job, lambda: not job.book.under_way)

    async def _end_it(self, job: Gathering) -> None:
        for name in _running(job):
            tell(self._session.fleet, name, Cancel(job.job.id))
        self._stopped = True
        job.cancel()
        await self._at_most(job.book.grace + 0.5, job, lambda: job.book.closed and not _running(job))

    async def _at_most(self, seconds: float, job: Gathering, condition: Callable[[], bool]) -> None:
        if seconds <= 0 or condition():
            return
        waiting = {
            asyncio.ensure_future(job.until(condition)),
            asyncio.ensure_future(self._session.clock.sleep(seconds)),
        }
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.wait(waiting)
        for one in done:
            one.result()


def _running(job: Gathering) -> list[str]:
    """Sites that said that they are still at it, when their time was up."""
    return [row.site for row in job.book.rows() if row.state is State.running]


async def taken_up(
    session: Session, ledger: Ledger, ident: str, *, follow: bool = False, cancels: bool = False
) -> Earlier:
    """The job whose id ends so, ready to be waited for with `finish`. `Refused` if it is not here, or not yours."""
    kept = await ledger.find(ident)
    if kept.asker != session.connection.account:
        raise Refused(
            f"{kept.asker} asked for {kept.id[-6:]}, and sites tell nobody else what became of it; "
            "next: use the configuration of that account"
        )
    return Earlier(session, ledger, kept, await ledger.rows(kept.id), follow=follow, cancels=cancels)


def job_of(kept: KeptJob, now: float) -> Job:
    """As it was sent, with the time that is left. Sites that have left the fleet stay in it: what they said counts."""
    plan = plan_of(kept)
    if plan.within is not None:
        plan = replace(plan, within=max(0.0, kept.created + plan.within - now))
    told = (kept.deadline, kept.accept_by, kept.dry_run, kept.confirmed)
    return Job(kept.id, kept.line, kept.names, *told, plan=plan, queue_until=kept.queue_until)


def wish_of(kept: KeptJob) -> Wish:
    told = (kept.deadline, kept.accept_by, kept.dry_run, kept.confirmed)
    return Wish(_target(kept), kept.line, *told, rolling=Rolling(slots=slots_of(kept)), queue_until=kept.queue_until)


def plan_of(kept: KeptJob) -> Plan:
    """How it was spread over its sites; all at once where that was written by another version (`is_plan_known`)."""
    return _read_plan(kept) or Plan()


def is_plan_known(kept: KeptJob) -> bool:
    """Whether those who wait may be begun: what is not known here may have been what held them back."""
    return _read_plan(kept) is not None


def _read_plan(kept: KeptJob) -> Plan | None:
    try:
        told = json.loads(kept.plan)
        told.pop("slots", None)
        return Plan(**told)
    except (AttributeError, TypeError, ValueError):
        return None


def slots_of(kept: KeptJob) -> tuple[str, int] | None:
    """Which slots it passed through, and how many there are of them; none where it wanted none."""
    try:
        name, of = json.loads(kept.plan)["slots"]
    except (KeyError, TypeError, ValueError):
        return None
    return str(name), int(of)


def kept_report(kept: KeptJob, rows: Sequence[KeptRow], now: float, epoch: float) -> Report:
    """How it stands by the book alone. now, epoch: the same moment, monotonic and since the epoch."""
    book = Book(kept.id, kept.names, now, kept.accept_by, kept.deadline, turns=True)
    for row in rows:
        if row.site in book:
            book.restore(restored(row, now, epoch), now)
    words = {row.site: Word(row.word) for row in rows if row.word and row.word in set(Word)}
    return Report(wish_of(kept), job_of(kept, epoch), book, judged(book, words), words)


def is_known(rows: Sequence[KeptRow]) -> bool:
    """Whether every site has said its end, so that nobody needs to be asked."""
    return all(row.reported and row.state != State.running for row in rows)


async def once_more(ledger: Ledger, ident: str, *, yes: bool = False, sign: bool = False) -> Wish:
    """What to ask so that the sites where it did not end well get the same again, as a new job.

    `Refused` where there are none. It goes through the sites at the pace of the first.
    """
    kept = await ledger.find(ident)
    failed = [row.site for row in await ledger.rows(kept.id) if row.state in FAILED]
    if not failed:
        raise Refused(f"nothing of {kept.id} failed, by the book; next: amon job {kept.id[-6:]}, which asks the sites")
    target = OfJob(kept.id, tuple(FAILED), frozenset(name.lower() for name in failed))
    plan = plan_of(kept)
    rolling = Rolling(
        batch=str(plan.batch) if plan.batch else "",
        canary=min(plan.canary, len(failed)),
        max_failures="" if plan.max_failures is None else str(plan.max_failures),
        splay=plan.splay,
        within=plan.within,
        slots=slots_of(kept),
    )
    return Wish(target, kept.line, kept.deadline, kept.accept_by, kept.dry_run, yes, sign, rolling)


def _target(kept: KeptJob) -> Expression:
    """As it was written; only shown, since the names are frozen."""
    try:
        return parse(kept.target, jobs=True)
    except Invalid:
        return All()
