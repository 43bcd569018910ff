"""What `amon jobs` and `amon job` do, given a console and a face."""

import asyncio
from pathlib import Path

from admin_console.api import Console
from admin_console.broadcast import Face, Interrupts, shown, watched
from admin_console.fleet import save_outputs
from admin_console.jobs.courier import is_running
from admin_console.jobs.earlier import Earlier, is_known, kept_report, once_more, taken_up
from admin_console.jobs.listing import jobs_listing
from admin_console.jobs.naming import short_of
from admin_console.plain import PlainFace
from admin_console.session import Setup
from admin_console.tables import listed
from admin_console.wish import Report, judged
from amon.errors import Failed
from amon.store.ledger import KeptJob, KeptRow, Ledger
from amon.target.jobs import jobs_in


async def show_jobs(setup: Setup, face: PlainFace, most: int) -> None:
    path = _book(setup)
    async with Ledger.open(path, face.note) as ledger:
        face.listing(await jobs_listing(ledger, most, courier=is_running(path)))


async def show_job(
    setup: Setup,
    face: Face,
    ident: str,
    *,
    follow: bool = False,
    cancels: bool = False,
    save: Path | None = None,
    interrupts: Interrupts | None = None,
) -> int:
    """Its table, with what sites say now; the exit code. Where the server is away, as it stands by the book.

    save: a directory for all of each output.
    """
    async with Ledger.open(_book(setup), face.note) as ledger:
        kept = await ledger.find(ident)
        rows = await ledger.rows(kept.id)
    if is_known(rows) and save is None:
        return _shown(face, _by_book(setup, kept, rows))
    interrupts = interrupts or Interrupts()
    try:
        async with Console(setup=setup, say=face.note) as console:
            assert console.ledger is not None
            run = await taken_up(console.session, console.ledger, kept.id, follow=follow, cancels=cancels)
            with interrupts.caught():
                report = await watch(run, face, interrupts, short_of(kept.id, setup.ledger))
                code = _shown(face, report)
                if save is not None:
                    code = int((await save_outputs(console.session, report, save, face, interrupts)).exit)
            return code
    except Failed as fault:
        if follow or cancels or save is not None:
            raise
        face.note(f"the sites could not be asked: {fault}")
        return _shown(face, _by_book(setup, kept, rows))


async def watch(run: Earlier, face: Face, interrupts: Interrupts, name: str) -> Report:
    """The job before a person or a program. Ctrl-C ends the watching and not the job."""
    finishing = asyncio.ensure_future(run.finish())

    def leave() -> None:
        finishing.cancel()

    with shown(run, face, interrupts, leave, face.output):
        await asyncio.wait((finishing,))
    if not finishing.cancelled():
        return finishing.result()
    face.note(f"the job goes on; next: amon job {name}")
    return Report(run.wish, run.gathering.job, run.book, judged(run.book, run.words), run.words)


async def try_again(
    setup: Setup, face: Face, ident: str, *, yes: bool, sign: bool, interrupts: Interrupts | None = None
) -> int:
    """The same line as a new job, for the sites where it did not go well; asks before changing as `amon run` does."""
    interrupts = interrupts or Interrupts()
    async with Console(setup=setup, say=face.note) as console:
        assert console.ledger is not None
        wish = await once_more(console.ledger, ident, yes=yes, sign=sign)
        left = [name for term in jobs_in(wish.target) for name in sorted(term.sites or ())]
        left = [name for name in left if name not in console.session.fleet.sites]
        if left:
            face.note(f"not asked, because they have left the fleet: {listed(left)}")
        with interrupts.caught():
            report = await watched(console.wished(wish), face, interrupts)
    face.note(f"this is job {short_of(report.job.id, setup.ledger)}")
    return int(report.exit)


def _by_book(setup: Setup, kept: KeptJob, rows: list[KeptRow]) -> Report:
    return kept_report(kept, rows, setup.clock.monotonic(), setup.clock.time())


def _shown(face: Face, report: Report) -> int:
    face.report(report)
    if any(row.waits.unasked for row in report.book.rows()):
        face.note(f"some sites wait for their turn; next: amon job {report.job.id[-6:]} --follow begins them")
    return int(report.exit)


def _book(setup: Setup) -> Path:
    if setup.ledger is None:
        raise Failed("this console keeps no book of jobs")
    return setup.ledger
