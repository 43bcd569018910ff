"""The console's own book of jobs: what was asked of whom and what came of it, which stays when the console ends.

Three rules. A job is on the disk before anything of it is sent. Rows are written behind the job's back, in groups. And
a book that cannot be written is said once and stops nothing: what sites did is in their own journals, and they can be
asked again. Several consoles and a courier may have the same file open (sqlite.org/wal.html, 2.2 Concurrency).
"""

import asyncio
import json
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from amon.errors import Failed, Refused
from amon.store.hold import hold, is_held
from amon.store.writer import Writer, open_database

T = TypeVar("T")

KEPT = 30 * 86_400.0  # seconds that a job is kept
MOST_JOBS = 2_000
MOST_BYTES = 512 * 1024 * 1024  # of all outcomes together
_NAMED = 6  # ids in an error
_LONGEST_TEXT = 2_000  # characters of a row beside its outcome, which has the text in full
_LETTERS = frozenset("0123456789ABCDEFGHJKMNPQRSTVWXYZ")  # amon.ids
_SCHEMA = """
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, asker TEXT NOT NULL, line TEXT NOT NULL, target TEXT NOT NULL, names TEXT NOT NULL,
    created_seconds REAL NOT NULL, deadline REAL NOT NULL, accept_by REAL NOT NULL, dry_run INTEGER NOT NULL,
    confirmed INTEGER NOT NULL, plan TEXT NOT NULL, queue_until_seconds REAL, detached INTEGER NOT NULL,
    ended_seconds REAL, bytes INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS jobs_by_age ON jobs (created_seconds);
CREATE TABLE IF NOT EXISTS rows (
    job TEXT NOT NULL, site TEXT NOT NULL, state TEXT NOT NULL, text TEXT NOT NULL, reported INTEGER NOT NULL,
    late INTEGER NOT NULL, changed_seconds REAL NOT NULL, asked INTEGER NOT NULL, word TEXT NOT NULL, outcome TEXT,
    bodies TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (job, site)
);
"""
_JOB = (
    "id, asker, line, target, names, created_seconds, deadline, accept_by, dry_run, confirmed, plan,"
    " queue_until_seconds, detached, ended_seconds"
)
_ROW = "job, site, state, text, outcome, reported, late, changed_seconds, asked, word, bodies"
_LATER = "bodies"  # column of `rows` that files of earlier versions do not have


@dataclass(frozen=True, slots=True)
class KeptJob:
    """A job as it was sent. names: the sites it was for, frozen. Times: epoch seconds; deadline, accept_by: seconds.

    plan: JSON of how it was spread over the sites. queue_until: until when sites that are offline may still get it.
    detached: nobody waited for it. ended: when its book was closed; None while something of it is open.
    """

    id: str
    asker: str
    line: str
    target: str
    names: tuple[str, ...]
    created: float
    deadline: float
    accept_by: float
    dry_run: bool = False
    confirmed: bool = False
    plan: str = "{}"
    queue_until: float | None = None
    detached: bool = False
    ended: float | None = None


@dataclass(frozen=True, slots=True)
class KeptRow:
    """One site of a job. state: one of `amon.words.State`. outcome: the payload that told its end.

    reported: the end is the site's own word. late: it was put right after it had ended. changed: epoch seconds.
    asked: the request went out to it. word: how far its answer is to be trusted (`amon.runtime.proofs.Word`).
    bodies: `amon.ids.digest` of each body in which it went out, as the site's signature names it.
    """

    job: str
    site: str
    state: str
    text: str = ""
    outcome: str | None = None
    reported: bool = False
    late: bool = False
    changed: float = 0.0
    asked: bool = False
    word: str = ""
    bodies: tuple[str, ...] = ()


class Ledger:
    """Opened with `async with Ledger.open(path)`. say: is told, once, that the book cannot be written."""

    def __init__(self, writer: Writer | None, say: Callable[[str], None]) -> None:
        self._writer = writer
        self._say = say
        self._complained = False
        self._path: Path | None = None

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        path: Path | str = ":memory:",
        say: Callable[[str], None] = lambda text: None,
        fsync: Callable[[int], None] = os.fsync,
    ) -> AsyncIterator["Ledger"]:
        """The file at `path`, 0600 in a directory of its own with 0700. One that cannot be opened keeps nothing."""
        try:
            if path != ":memory:":
                Path(path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                Path(path).parent.chmod(0o700)
            db = await open_database(path, "the book of jobs")
        except (Failed, OSError) as fault:
            ledger = cls(None, say)
            ledger._complain(fault)
            yield ledger
            return
        writer = Writer(db, fsync, "the book of jobs")
        running = asyncio.create_task(writer.run(), name="ledger writer")
        ledger = cls(writer, say)
        ledger._path = db.path
        try:
            await ledger._do(_create, None)
            yield ledger
        finally:
            await writer.close()
            await asyncio.wait([running])
            await db.close()

    async def begin(self, job: KeptJob) -> None:
        """Write the job down, with a row for each of its sites; it is on the disk when this returns.

        The same job again changes nothing. What is too old, and what is too much, is forgotten with it.
        """
        await self._do(lambda db: _begin(db, job), None, durable=True)

    async def note(self, rows: Iterable[KeptRow]) -> None:
        """Write down how these sites stand now."""
        kept = list(rows)
        if kept:
            await self._do(lambda db: _note(db, kept), None)

    async def end(self, ident: str, when: float) -> None:
        """Nothing of it is open any more."""
        sql = "UPDATE jobs SET ended_seconds = ? WHERE id = ?"
        await self._do(lambda db: db.execute(sql, (when, ident)).close(), None)

    async def has_ended(self, ident: str) -> bool:
        """Whether somebody wrote down that nothing of it is open."""
        sql = "SELECT 1 FROM jobs WHERE id = ? AND ended_seconds IS NOT NULL"
        return await self._do(lambda db: db.execute(sql, [ident]).fetchone() is not None, False)

    async def find(self, end_of_id: str) -> KeptJob:
        """The job whose id ends so. `Refused` where none does, or several do."""
        end = checked_end(end_of_id)
        return one_of(end, await self._do(lambda db: ending_in(db, end), list[KeptJob]()))

    async def rows(self, ident: str) -> list[KeptRow]:
        """Every site of a job, by name."""
        return await self._do(lambda db: rows_of(db, ident), list[KeptRow]())

    async def recent(self, most: int) -> list[KeptJob]:
        """The last jobs, newest first."""
        sql = f"SELECT {_JOB} FROM jobs ORDER BY created_seconds DESC, id DESC LIMIT ?"
        return await self._do(lambda db: [_job(row) for row in db.execute(sql, [most])], [])

    async def queued(self) -> list[KeptJob]:
        """Jobs that are held for sites which are offline, oldest first."""
        sql = f"SELECT {_JOB} FROM jobs WHERE queue_until_seconds IS NOT NULL AND ended_seconds IS NULL ORDER BY id"
        return await self._do(lambda db: [_job(row) for row in db.execute(sql)], [])

    async def counts(self, idents: Sequence[str]) -> dict[str, dict[str, int]]:
        """For each job, how many of its sites are in which state."""
        found: dict[str, dict[str, int]] = {ident: {} for ident in idents}
        for ident, state, count in await self._do(lambda db: _counts(db, idents), list[tuple[str, str, int]]()):
            found[ident][state] = count
        return found

    async def ids(self) -> list[str]:
        """Of all jobs, newest first."""
        sql = "SELECT id FROM jobs ORDER BY created_seconds DESC, id DESC"
        return await self._do(lambda db: [row[0] for row in db.execute(sql)], [])

    async def forget(self, before: float) -> None:
        """Drop the jobs from before then (epoch seconds), and the oldest of those that are too many or too large."""
        await self._do(lambda db: _forget(db, before), None)

    @contextmanager
    def holding(self, ident: str) -> Iterator[bool]:
        """While the block lasts we are who delivers this job; False: another process is."""
        if self._path is None:
            yield True
            return
        with hold(self._path.with_name(f"held-{ident}")) as ours:
            yield ours

    def is_held(self, ident: str) -> bool:
        """Whether some process delivers this job."""
        return self._path is not None and is_held(self._path.with_name(f"held-{ident}"))

    async def _do(self, work: Callable[[sqlite3.Connection], T], otherwise: T, *, durable: bool = False) -> T:
        """A book that is broken is one that knows nothing: whoever reads it hears why, once."""
        if self._writer is None:
            return otherwise
        try:
            done: T = await self._writer.do(work, durable=durable)
            return done
        except Failed as fault:
            self._complain(fault)
            return otherwise

    def _complain(self, fault: Exception) -> None:
        if not self._complained:
            self._complained = True
            self._say(f"{fault}; jobs go on all the same, and their sites keep what they did")


def _create(db: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        db.execute(statement)
    if not _has_later(db):
        db.execute(f"ALTER TABLE rows ADD COLUMN {_LATER} TEXT NOT NULL DEFAULT ''")


def _has_later(db: sqlite3.Connection) -> bool:
    return any(row[1] == _LATER for row in db.execute("PRAGMA table_info(rows)"))


def _begin(db: sqlite3.Connection, job: KeptJob) -> None:
    _forget(db, job.created - KEPT)
    j = job
    values = (
        *(j.id, j.asker, j.line, j.target, json.dumps(j.names), j.created, j.deadline, j.accept_by, j.dry_run),
        *(j.confirmed, j.plan, j.queue_until, j.detached, j.ended),
    )
    db.execute(f"INSERT OR IGNORE INTO jobs ({_JOB}) VALUES ({', '.join('?' * 14)})", values)
    fresh = ((job.id, name, "pending", "", 0, 0, job.created, 0, "") for name in job.names)
    sql = "INSERT OR IGNORE INTO rows (job, site, state, text, reported, late, changed_seconds, asked, word)"
    db.executemany(f"{sql} VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", fresh)


def _note(db: sqlite3.Connection, rows: Sequence[KeptRow]) -> None:
    """Only rows of jobs that are still kept: a courier may hold one that was forgotten meanwhile.

    What a site said stays against what another console, which has not heard it, concluded; and what was sent, against
    one that has not sent it.
    """
    sql = (
        f"INSERT OR REPLACE INTO rows ({_ROW})"
        " SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, CASE WHEN ?11 != '' THEN ?11"
        " ELSE coalesce((SELECT bodies FROM rows WHERE job = ?1 AND site = ?2), '') END"
        " WHERE EXISTS (SELECT 1 FROM jobs WHERE id = ?1) AND (?6 OR"
        " NOT EXISTS (SELECT 1 FROM rows WHERE job = ?1 AND site = ?2 AND reported AND state != 'running'))"
    )
    for r in rows:
        said = (r.state, r.text[:_LONGEST_TEXT], r.outcome, r.reported, r.late, r.changed)
        db.execute(sql, (r.job, r.site, *said, r.asked, r.word, " ".join(r.bodies)))
    grown: dict[str, int] = {}
    for r in rows:
        grown[r.job] = grown.get(r.job, 0) + len(r.outcome or "")
    db.executemany("UPDATE jobs SET bytes = bytes + ? WHERE id = ?", [(size, ident) for ident, size in grown.items()])


def checked_end(text: str) -> str:
    """The end of an id as it is written in the book; `Refused` for what is none."""
    end = text.strip().upper()
    if not end or not set(end) <= _LETTERS:
        raise Refused(f"{text[:64]!r} is no id of a job; next: amon jobs")
    return end


def one_of(end: str, found: Sequence[KeptJob]) -> KeptJob:
    """The one job whose id ends so; `Refused` where none does, or several do."""
    if not found:
        raise Refused(f"no job is known here whose id ends in {end[:26]}; next: amon jobs")
    if len(found) > 1:
        more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
        names = ", ".join(job.id for job in found[:_NAMED])
        raise Refused(f"{end} stands for several jobs: {names}{more}; next: say more of its end")
    return found[0]


def ending_in(db: sqlite3.Connection, end: str) -> list[KeptJob]:
    sql = f"SELECT {_JOB} FROM jobs WHERE substr(id, ?) = ? ORDER BY created_seconds DESC"
    return [_job(row) for row in db.execute(sql, (-len(end), end))]


def rows_of(db: sqlite3.Connection, ident: str) -> list[KeptRow]:
    """Also of a file that was not opened for writing since it was an earlier version's."""
    columns = _ROW if _has_later(db) else _ROW.replace(_LATER, "''")
    return [_row(row) for row in db.execute(f"SELECT {columns} FROM rows WHERE job = ? ORDER BY site", [ident])]


def _counts(db: sqlite3.Connection, idents: Sequence[str]) -> list[tuple[str, str, int]]:
    sql = "SELECT job, state, count(*) FROM rows WHERE job = ? GROUP BY state"
    return [row for ident in idents for row in db.execute(sql, [ident])]


def _forget(db: sqlite3.Connection, before: float) -> None:
    """Oldest first. What is still queued for somebody stays, however old."""
    sql = (
        "SELECT id, created_seconds, bytes, queue_until_seconds, ended_seconds FROM jobs ORDER BY created_seconds DESC"
    )
    jobs = size = 0
    for ident, created, more, queued, ended in db.execute(sql).fetchall():
        jobs, size = jobs + 1, size + more
        held = queued is not None and ended is None
        if not held and (created < before or jobs >= MOST_JOBS or size > MOST_BYTES):
            db.execute("DELETE FROM rows WHERE job = ?", [ident])
            db.execute("DELETE FROM jobs WHERE id = ?", [ident])


def _job(row: tuple[Any, ...]) -> KeptJob:
    ident, asker, line, target, names, created, deadline, accept_by, dry, confirmed, *rest = row
    plan, queue_until, detached, ended = rest
    told = (created, deadline, accept_by, bool(dry), bool(confirmed), plan, queue_until, bool(detached), ended)
    return KeptJob(ident, asker, line, target, tuple(json.loads(names)), *told)


def _row(row: tuple[Any, ...]) -> KeptRow:
    job, site, state, text, outcome, reported, late, changed, asked, word, bodies = row
    told = (bool(reported), bool(late), changed, bool(asked), word, tuple(bodies.split()))
    return KeptRow(job, site, state, text, outcome, *told)
