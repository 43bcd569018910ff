"""What `amon sites` and `amon run` do, given a console and a face; the demo does it by the same functions."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from admin_console.api import Console
from admin_console.broadcast import Face, Interrupts, watched
from admin_console.session import Session, Setup, in_fleet
from admin_console.tables import shared_names
from admin_console.wish import Report, Wish, chosen
from amon.job import ExitCode
from amon.runtime.fleet import Site
from amon.target import Expression
from amon.words import State

_OUR_OPTIONS = ("--timeout", "--accept-by", "--sign")


class FleetFace(Protocol):
    """Where the fleet is shown."""

    def fleet(self, sites: Sequence[Site], now: float) -> None: ...
    def note(self, text: str) -> None: ...


async def show_sites(console: Setup, face: FleetFace, target: Expression) -> None:
    """Log in, look, show."""
    async with in_fleet(console) as session:
        await sites_of(session, face, target)


async def sites_of(session: Session, face: FleetFace, target: Expression) -> None:
    """The sites that are meant, as their presence shows them, offline ones too."""
    await session.fleet.look_up()
    names = await chosen(session, target)
    sites = [session.fleet.sites[name] for name in names]
    face.fleet(sites, session.clock.time())
    shared = shared_names(sites)
    if shared:
        face.note(shared)


async def run_broadcast(
    setup: Setup, face: Face, wish: Wish, interrupts: Interrupts | None = None, *, save: Path | None = None
) -> Report:
    """Log in, ask, show; Ctrl-C stops the job and not the console. save: a directory for all of each output."""
    async with Console(setup=setup, say=face.note) as console:
        interrupts = interrupts or Interrupts()
        with interrupts.caught():
            try:
                report = await watched(console.wished(wish), face, interrupts)
            except asyncio.CancelledError:
                await _leave(setup, console, wish, face)
                raise
            if save is not None:
                report = await save_outputs(console.session, report, save, face, interrupts)
        if wish.line.startswith(("help", "complete")):
            from admin_console.shell.overheard import overhear

            overhear(setup.cache, console.session.room, console.session.sites(), report)
    hint_at_options(face, report)
    return report


async def _leave(setup: Setup, console: Console, wish: Wish, face: Face) -> None:
    """We were told to go, and sites may still wait for the job."""
    if wish.queue_until is not None:
        from admin_console.jobs.courier import take_over

        await take_over(setup, console.ledger, face.note)


async def save_outputs(
    session: Session, report: Report, directory: Path, face: Face, interrupts: Interrupts | None = None
) -> Report:
    """A file for each site that said something. What could not be had is no answer, for the exit code too.

    interrupts: Ctrl-C ends it; what came so far is kept.
    """
    from admin_console.outputs import save_wholes

    outcomes = [row.outcome for row in report.book.rows() if row.outcome is not None and row.reported]
    saved = await save_wholes(session, outcomes, report.job.id, directory, face, stops=interrupts)
    is_whole = not any(one.why for one in saved)
    return report if is_whole or report.exit else replace(report, exit=ExitCode.no_answer)


def hint_at_options(face: Face, report: Report) -> None:
    """Our own options behind the target go to the sites, and no site knows them."""
    behind = [word for word in _OUR_OPTIONS if word in report.job.line.split()]
    if behind and report.exit is ExitCode.refused and set(report.book.counts()) == {State.invalid}:
        face.note(f"if {behind[0]} was meant for amon: its options stand before the target")
