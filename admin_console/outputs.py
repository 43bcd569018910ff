"""Long outputs of many sites, each fetched whole into a file: bounded, taken up where it broke off, proven by a digest.

A few sites at a time and of each a few parts in flight, so that neither the server nor we have much to hold, and others
are answered meanwhile. What a site says of its output, and whatever it sends, is only believed when it fits: parts that
nobody asked for are not even read.
"""

import asyncio
import errno
import os
import re
import stat
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import BinaryIO, Protocol

from admin_console.parts import AT_ONCE, PATIENCE, Fetching, Mail
from admin_console.session import Session
from admin_console.tables import MOST_LISTED, one_line
from amon.clock import Clock
from amon.errors import Failed
from amon.files import below, sync_directory, write_whole
from amon.units import format_quantity
from amon.words import Outcome, Whole

LARGEST = 65 * 2**20  # bytes; a site keeps 64 MiB and a line that says so
_TELL_EVERY = 5.0  # seconds between two notes of how it goes
_DIGEST = re.compile("[0-9a-f]{64}")
_READ = 2**20


class Ear(Protocol):
    """Whoever can be told a line that is no result."""

    def note(self, text: str) -> None: ...


class Stops(Protocol):
    """What Ctrl-C means while the block lasts; see `broadcast.Interrupts`."""

    def mean(self, act: Callable[[], None]) -> AbstractContextManager[None]: ...


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of one site's output. size: bytes. why: what is missing of it, and where it is; empty: nothing is."""

    site: str
    path: Path | None
    size: int = 0
    why: str = ""


async def save_wholes(
    session: Session,
    outcomes: Iterable[Outcome],
    ident: str,
    directory: Path,
    ear: Ear,
    *,
    at_once: int = AT_ONCE,
    patience: float = PATIENCE,
    stops: Stops | None = None,
) -> Sequence[Saved]:
    """A file in `directory` for each outcome that says something, named by its site; `ear` hears how it goes.

    ident: of the job. What is there already, and was proven by its digest, is not fetched again. `Failed` where nothing
    can be written at all. patience: seconds that a site may say nothing. stops: Ctrl-C, which ends it; what came stays.
    """
    meant = [one for one in outcomes if one.whole is not None or one.text]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as fault:
        raise Failed(f"{directory} cannot be made: {(fault.strerror or str(fault)).lower()}") from None
    with Mail(session, ident, patience) as mail:
        saving = _Saving(mail, ident, directory, meant, at_once)
        work = asyncio.ensure_future(saving.all())
        reading = asyncio.ensure_future(mail.read())
        telling = asyncio.ensure_future(saving.keep_telling(ear, session.clock))
        try:
            with stops.mean(lambda: _void(work.cancel())) if stops is not None else nullcontext():
                await asyncio.wait((work, reading), return_when=asyncio.FIRST_COMPLETED)
            if reading.done():
                reading.result()  # a bug of ours: nothing would ever come any more
        finally:
            for one in (work, reading, telling):
                one.cancel()
            await asyncio.wait((work, reading, telling))
    if work.cancelled():
        saving.stopped()
    else:
        work.result()
    for line in saving.summary():
        ear.note(line)
    return saving.done


class _Saving:
    def __init__(self, mail: Mail, ident: str, directory: Path, outcomes: Sequence[Outcome], at_once: int) -> None:
        self.done: list[Saved] = []
        self._mail, self._ident, self._directory, self._outcomes = mail, ident, directory, outcomes
        self._gate = asyncio.Semaphore(at_once)

    async def all(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for outcome in self._outcomes:
                tasks.create_task(self._one(outcome), name=f"output of {outcome.site}")

    async def _one(self, outcome: Outcome) -> None:
        async with self._gate:
            try:
                self.done.append(await self._saved(outcome))
            except Failed as fault:
                self.done.append(Saved(outcome.site, None, 0, str(fault)))
            except OSError as fault:
                self.done.append(Saved(outcome.site, None, 0, f"cannot be written: {(fault.strerror or '').lower()}"))

    async def _saved(self, outcome: Outcome) -> Saved:
        path = below(self._directory, f"{outcome.site}.txt")
        if outcome.whole is None:
            text = outcome.text.encode()
            await asyncio.to_thread(write_whole, path, text)
            why = "cut, and its site keeps no more of it" if outcome.cut else ""
            return Saved(outcome.site, path, len(text), why)
        whole = _believable(outcome.whole)
        if await asyncio.to_thread(_digest_of, path, whole.size) != whole.digest:
            await self._fetched(outcome.site, path, whole)
        why = "cut at its site, which keeps no more of it" if whole.cut else ""
        return Saved(outcome.site, path, whole.size, why)

    async def _fetched(self, site: str, path: Path, whole: Whole) -> None:
        """Into a file beside it that bears the digest, so that it is known again; in place when it is proven."""
        part = path.with_name(f".{path.name}.{whole.digest[:16]}.part")
        file = await asyncio.to_thread(_opened, part)
        try:
            fetching = Fetching(site, whole, file)
            await asyncio.to_thread(fetching.take_up)
            await self._mail.fetch(fetching)
            if fetching.digest != whole.digest:
                part.unlink()
                raise Failed("what it sent is not what it had said (another digest); nothing of it is kept")
            await asyncio.to_thread(os.fsync, file.fileno())
        finally:
            file.close()
        part.replace(path)
        sync_directory(path.parent)

    def stopped(self) -> None:
        """Nobody waits for the others."""
        there = {one.site for one in self.done}
        missing = [one.site for one in self._outcomes if one.site not in there]
        self.done += [Saved(site, None, 0, "stopped by you") for site in missing]

    async def keep_telling(self, ear: Ear, clock: Clock) -> None:
        told = ""
        while True:
            await clock.sleep(_TELL_EVERY)
            so_far = sum(one.size for one in self.done) + self._mail.under_way
            of = sum(min(one.whole.size, LARGEST) if one.whole else len(one.text) for one in self._outcomes)
            line = f"saving: {len(self.done)} of {_sites(len(self._outcomes))}, {_size(so_far)} of {_size(of)}"
            if line != told:
                ear.note(line)
                told = line

    def summary(self) -> list[str]:
        """What is there, and what is missing and where."""
        there = [one for one in self.done if one.path is not None]
        missing = sorted((one for one in self.done if one.why), key=lambda one: one.site)
        size = _size(sum(one.size for one in there))
        lines = [f"saved {len(there)} of {_sites(len(self._outcomes))} to {self._directory}, {size}"]
        lines += [f"{one_line(one.site)}: {one_line(one.why)}" for one in missing[:MOST_LISTED]]
        if len(missing) > MOST_LISTED:
            lines.append(f"and {len(missing) - MOST_LISTED} more")
        if any(one.path is None for one in missing):
            lines.append(f"what came so far is kept; next: amon job {self._ident} --save {self._directory}")
        return lines


def _believable(whole: Whole) -> Whole:
    if whole.size > LARGEST:
        raise Failed(f"says that it has {whole.size:.3g} bytes, and no site keeps more than 64 MiB; not fetched")
    if not _DIGEST.fullmatch(whole.digest):
        raise Failed("does not say which digest its output has; not fetched")
    return whole


def _opened(part: Path) -> BinaryIO:
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(part, flags, 0o600)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EEXIST, "something else is there")
    return os.fdopen(descriptor, "r+b")


def _digest_of(path: Path, size: int) -> str:
    seen = sha256()
    with suppress(OSError), path.open("rb") as file:
        if os.fstat(file.fileno()).st_size == size:
            while block := file.read(_READ):
                seen.update(block)
            return seen.hexdigest()
    return ""


def _sites(count: int) -> str:
    return f"{count} {'site' if count == 1 else 'sites'}"


def _size(size: int) -> str:
    return format_quantity(size, "B")


def _void(_: object) -> None:
    """For callbacks that give back what nobody wants."""
