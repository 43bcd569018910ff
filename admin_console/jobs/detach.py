"""`amon run --detach`: gone as soon as every site has taken it, or has not in its time. The id is what is left."""

import asyncio
import contextlib
from collections.abc import Iterator

from admin_console.api import Console
from admin_console.broadcast import Face, Interrupts, watched
from admin_console.jobs import courier
from admin_console.jobs.naming import short_of
from admin_console.keeping import Keeping
from admin_console.run import Run
from admin_console.session import Session, Setup
from admin_console.wish import Report, Wish
from amon.errors import Failed, Invalid, Refused
from amon.job import ExitCode, Wait, exit_code
from amon.runtime.gather import Job
from amon.store.ledger import Ledger
from amon.words import State

QUEUE_MOST = 6 * 86_400.0
"""Seconds that a job may wait for a site: after seven days sites forget what they did, and could do it twice."""


class Detaching(Run):
    """taken: set when no site has still to say whether it takes the job."""

    def __init__(self, session: Session, wish: Wish, keeping: Keeping) -> None:
        super().__init__(session, wish, keeping)
        self.taken = asyncio.Event()

    def _changed(self) -> None:
        super()._changed()
        if all(row.state is not State.pending or row.waits is Wait.offline for row in self.book.rows()):
            self.taken.set()


class _Written(Keeping):
    """Nothing is sent of a job that is not in the book: when we are gone, the book is all that knows it."""

    def __init__(self, ledger: Ledger, session: Session) -> None:
        super().__init__(ledger, session, detached=True)
        self._book = ledger

    async def begin(self, job: Job, wish: Wish) -> None:
        await super().begin(job, wish)
        try:
            await self._book.find(job.id)
        except Refused:
            raise Failed(
                "the book of jobs does not take this one, so nobody could ask for it again; nothing was sent; "
                "next: mend that, or leave out --detach"
            ) from None


def check(wish: Wish, now: float, *, detach: bool) -> None:
    """`Invalid` for what nobody would be there to do. now: epoch seconds."""
    rolling = wish.rolling
    if detach and (rolling.batch or rolling.canary or rolling.splay or rolling.slots):
        raise Invalid(
            "--detach leaves nobody who begins the next sites; leave out --batch, --canary, --splay and --slots, "
            "or let it run without --detach"
        )
    if wish.queue_until is not None and wish.queue_until - now > QUEUE_MOST:
        raise Invalid("--queue-until is at most 6 days ahead: sites remember for 7 days what they did")
    if wish.queue_until is not None and rolling.slots:
        raise Invalid("--slots are lent to a console that waits, not for days; leave out --queue-until, or --slots")
    if wish.queue_until is not None and not (wish.yes or wish.dry_run):
        raise Invalid(
            "with --queue-until nobody may be there to be asked when a site comes back; say --yes at once, or --dry-run"
        )


async def run_detached(setup: Setup, face: Face, wish: Wish, interrupts: Interrupts | None = None) -> tuple[str, int]:
    """Begin it and go: the short id, for standard output, and the exit code of what is known by then."""
    check(wish, setup.clock.time(), detach=True)
    interrupts = interrupts or Interrupts()
    async with Console(setup=setup, say=face.note) as console:
        if setup.ledger is None or console.ledger is None:
            raise Failed("this console keeps no book of jobs, so nobody could ask for the job again")
        run = Detaching(console.session, wish, _Written(console.ledger, console.session))
        with interrupts.caught():
            await _until_taken(run, _Mute(face), interrupts)
        name = short_of(run.id, setup.ledger)
        queued = [row for row in run.book.rows() if row.waits is Wait.offline]
        face.note(f"job {name}: {run.book.summary()}; next: amon job {name}")
    if queued:
        courier.start(setup.ledger, courier.words_for(setup))
        face.note(f"queued for {len(queued)} of them; a courier delivers it, also when this terminal is gone")
    ended = [row.state for row in run.book.rows() if row.state.ended]
    return name, int(exit_code(ended) if ended else ExitCode.all_done)


async def _until_taken(run: Detaching, face: Face, interrupts: Interrupts) -> None:
    whole = asyncio.create_task(watched(run, face, interrupts), name="detaching")
    taken = asyncio.create_task(run.taken.wait())
    try:
        await asyncio.wait({whole, taken}, return_when=asyncio.FIRST_COMPLETED)
        if whole.done():
            whole.result()  # an error is one
    finally:
        for task in (whole, taken):
            task.cancel()
        await asyncio.wait({whole, taken})


class _Mute:
    """The face of somebody who is there to be asked and shown no result."""

    def __init__(self, face: Face) -> None:
        self._face = face
        self.can_ask = face.can_ask
        self.note = face.note
        self.ask = face.ask

    @contextlib.contextmanager
    def watching(self, run: Run) -> Iterator[None]:
        yield

    def output(self, site: str, output: object) -> None: ...
    def report(self, report: Report) -> None: ...
