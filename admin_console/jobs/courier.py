"""What brings queued jobs to sites that come back, when nobody sits at the console: one process for a book of jobs.

All it knows is in the book, so one that was killed is replaced by another that does the rest. There is one because it
holds a lock (flock(2)), which ends with the process, however it ends. It is in a session of its own (setsid(2)), so
that the terminal it was begun from can go.
"""

import asyncio
import contextlib
import logging
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path

from admin_console.api import Console
from admin_console.jobs.earlier import taken_up
from admin_console.session import Setup
from amon.errors import Failed, Refused
from amon.files import below
from amon.store.hold import hold, is_held
from amon.store.ledger import Ledger
from amon.words import State
from amon.xmpp.address import bare

LOOK_EVERY = 1.0  # seconds between two looks into the book for jobs that are new
_AGAIN = (5.0, 60.0)  # seconds before the server is tried again, and at most
_TRIES, _TRY_EVERY = 20, 0.2  # times and seconds for a courier that is there to end
_LOG_MOST = 1_000_000  # bytes; a log longer than that is begun anew

Sleep = Callable[[float], Awaitable[None]]


def lock_of(ledger: Path, account: str) -> Path:
    """Each account delivers its own jobs: sites know who asked, and nobody else can ask again."""
    return below(ledger.parent, f"courier-{account}.lock")


def log_of(ledger: Path) -> Path:
    return ledger.with_name("courier.log")


def is_running(ledger: Path) -> bool:
    """Whether a courier delivers what is queued in this book."""
    return any(is_held(lock) for lock in ledger.parent.glob("courier-*.lock"))


def start(ledger: Path, words: Sequence[str]) -> int:
    """Begin a courier that outlives us; its process id. words: the command, as `amon --config FILE courier`.

    One that finds another at work waits a moment for its end and goes: a job that is new is found by whoever is there.
    """
    log = log_of(ledger)
    with contextlib.suppress(OSError):
        if log.stat().st_size > _LOG_MOST:
            log.unlink()
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        process = subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=descriptor, stderr=descriptor, start_new_session=True, cwd="/"
        )
    except OSError as fault:
        raise Failed(f"no courier could be begun: {fault.strerror}") from None
    finally:
        os.close(descriptor)
    return process.pid


async def take_over(setup: Setup, ledger: Ledger | None, note: Callable[[str], None]) -> None:
    """Whoever leaves while something of his is queued leaves it to a courier."""
    if setup.ledger is None or ledger is None or not await ledger.queued():
        return
    try:
        start(setup.ledger, words_for(setup))
    except Failed as fault:
        note(f"{fault}; what is queued is delivered by whoever follows it: amon jobs")
    else:
        note("what is queued is delivered by a courier, also when this terminal is gone; next: amon jobs")


def words_for(setup: Setup) -> tuple[str, ...]:
    """How to call ourselves, whichever way we were called."""
    program = (sys.executable, "-P", "-c", "from admin_console.cli.main import main; main()")
    return *program, "--config", str(setup.config.absolute()), "courier"


async def serve(setup: Setup, sleep: Sleep = asyncio.sleep) -> None:
    """What `amon courier` does: be the only one, and deliver."""
    from amon.log import set_up

    set_up("info")
    ledger, log = _book(setup), logging.getLogger("amon.courier")
    for _ in range(_TRIES):  # one that is just ending has not seen the job that we were begun for
        with hold(lock_of(ledger, bare(setup.settings.jid))) as ours:
            if ours:
                await deliver(setup, sleep)
                return
        await sleep(_TRY_EVERY)
    log.info("another courier is at work; it finds what is new")


async def deliver(setup: Setup, sleep: Sleep = asyncio.sleep) -> None:
    """Until nothing is queued any more. Says to the log what it does; a server that is away is tried again."""
    log, (wait, longest) = logging.getLogger("amon.courier"), _AGAIN
    async with Ledger.open(_book(setup), log.error) as book:
        while await _queued(setup, book):
            try:
                await _connected(setup, book, log, sleep)
                wait = _AGAIN[0]
            except (Failed, Refused) as fault:
                log.warning("%s; trying again in %g s", fault, wait)
                await sleep(wait)
                wait = min(2 * wait, longest)
                await _expire(setup, book)
    log.info("nothing is queued any more")


async def _queued(setup: Setup, book: Ledger) -> set[str]:
    """Jobs of this account that wait for somebody, by their ids."""
    account = bare(setup.settings.jid)
    return {job.id for job in await book.queued() if job.asker == account}


async def _expire(setup: Setup, book: Ledger) -> None:
    """Without a server: what waited for its site for too long by now has expired; nobody was asked."""
    now = setup.clock.time()
    for job in await book.queued():
        if job.queue_until is not None and job.queue_until <= now and not book.is_held(job.id):
            rows = [row for row in await book.rows(job.id) if row.state == State.pending and not row.asked]
            words = "was not reached in time: the server was away"
            await book.note([replace(row, state=State.expired, text=words, changed=now) for row in rows])
            await book.end(job.id, now)


async def _connected(setup: Setup, book: Ledger, log: logging.Logger, sleep: Sleep) -> None:
    """With a session that is up: each queued job in a task of its own, and those that come meanwhile.

    What is not queued any more was cancelled by another console, and is let go.
    """
    async with Console(setup=setup, say=log.error) as console:
        under: dict[str, asyncio.Task[None]] = {}
        try:
            while idents := await _queued(setup, book):
                for ident in idents - under.keys():
                    if not book.is_held(ident):  # by an `amon run` that stays, or by who follows it
                        under[ident] = asyncio.create_task(_one(console, ident, log, sleep), name=f"job {ident}")
                for ident, task in list(under.items()):
                    if task.done():
                        del under[ident]
                    elif ident not in idents:
                        task.cancel()
                await sleep(LOOK_EVERY)
        finally:
            for task in under.values():
                task.cancel()
            if under:
                await asyncio.wait(under.values())


async def _one(console: Console, ident: str, log: logging.Logger, sleep: Sleep) -> None:
    """One job to its end. What cannot be taken up, whyever, is not tried each second, with a line in the log each."""
    assert console.ledger is not None
    try:
        run = await taken_up(console.session, console.ledger, ident, follow=True)
        run.note = lambda text: log.info("%s: %s", ident, text)
        log.info("%s: taken up", ident)
        report = await run.finish()
        log.info("%s: %s", ident, report.book.summary())
    except (Failed, Refused) as fault:
        log.info("%s: %s", ident, fault)
        await sleep(_AGAIN[1])
    except Exception:
        log.exception("%s", ident)
        await sleep(_AGAIN[1])


def _book(setup: Setup) -> Path:
    if setup.ledger is None:
        raise Failed("this console keeps no book of jobs, so nothing can be queued")
    setup.ledger.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    return setup.ledger
