"""The journal of calls: a request is accepted at most once, and its outcome is kept until it has aged out.

A record is keyed by who asked and the request's id, so that nobody reads another's outcome by guessing an id. What
changes the site is on the disk (synced) before it starts; every outcome is written before it is sent. The audit is
beside it (chain.py); lines that tell of a call are written in one transaction with what they tell of.
"""

import asyncio
import dataclasses
import os
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amon.access import AuditRecord, Link
from amon.errors import Failed
from amon.health import Maintenance
from amon.store import chain
from amon.store.writer import Writer, open_database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    asker TEXT NOT NULL, id TEXT NOT NULL, account TEXT NOT NULL, reply_to TEXT NOT NULL, line TEXT NOT NULL,
    effect TEXT NOT NULL, accepted_seconds REAL NOT NULL, state TEXT, outcome TEXT, ended_seconds REAL,
    note TEXT, noted_seconds REAL, asked TEXT NOT NULL DEFAULT '', PRIMARY KEY (asker, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_by_age ON calls (accepted_seconds);
CREATE TABLE IF NOT EXISTS born (one INTEGER PRIMARY KEY CHECK (one = 1), time_seconds REAL NOT NULL);
CREATE TABLE IF NOT EXISTS maintenance (
    scope TEXT PRIMARY KEY, until_seconds REAL NOT NULL, reason TEXT NOT NULL, by_jid TEXT NOT NULL
);
"""
AUDIT_LINES = 1_000_000  # kept: some 350 MB
PAGE_LINES = 100  # of the audit in one answer
_CALL = (
    "asker, id, account, reply_to, line, effect, accepted_seconds, state, outcome, ended_seconds, note, noted_seconds,"
    " asked"
)
_PLACES = ", ".join("?" * 13)
_LATER = {  # columns that files of earlier versions do not have
    "note": "TEXT",
    "noted_seconds": "REAL",
    "asked": "TEXT NOT NULL DEFAULT ''",
}
_LONGEST_NOTE = 200  # characters


@dataclass(frozen=True, slots=True)
class Record:
    """One call: who asked what, and once it ended, its state and the payload that told so. Times: epoch seconds.

    note: the last that it said of its progress while it was under way, and when. asked: `amon.ids.digest` of the body
    in which it was asked; empty where it came in none (a typed line, a form) and for calls of earlier versions.
    """

    asker: str
    id: str
    account: str
    reply_to: str
    line: str
    effect: str
    accepted: float
    state: str | None = None
    outcome: str | None = None
    ended: float | None = None
    note: str | None = None
    noted: float | None = None
    asked: str = ""


class Journal:
    """Opened with `async with Journal.open(path)`; closing writes what is still waiting."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._lost = 0
        self._sink: Callable[[AuditRecord, Link | None], None] = lambda record, link: None

    @classmethod
    @asynccontextmanager
    async def open(
        cls, path: Path | str = ":memory:", fsync: Callable[[int], None] = os.fsync
    ) -> AsyncIterator["Journal"]:
        db = await open_database(path)
        writer = Writer(db, fsync)
        running = asyncio.create_task(writer.run(), name="journal writer")
        try:
            await writer.do(_create)
            yield cls(writer)
        finally:
            await writer.close()
            await asyncio.wait([running])
            await db.close()

    @property
    def fault(self) -> str:
        """Why a write did not succeed, until `probe` finds it mended; empty while all is well."""
        return self._writer.fault

    def watch(self, watcher: Callable[[], None]) -> None:
        """Call `watcher` when writing begins to fail, and when it is well again."""
        self._writer.watch = watcher

    def audit_to(self, sink: Callable[[AuditRecord, Link | None], None]) -> None:
        """Hand each line of the audit to `sink` too, when it is written. Its link is None if it could not be."""
        self._sink = sink

    async def probe(self, now: float) -> None:
        """Look whether what was broken is mended; `Failed` if not. now: epoch seconds, for the line that says so."""
        await self._writer.probe()
        lost, self._lost = self._lost, 0
        if lost:
            await self.audit(chain.note(now, f"{lost} lines could not be written while the journal was broken"))

    @property
    def transactions(self) -> int:
        return self._writer.transactions

    async def accept(self, record: Record, *, durable: bool, audit: AuditRecord | None = None) -> Record | None:
        """Write that this call begins, and `audit` with it. None: it is new. Else what is known of it, and nothing is
        written: it must not begin again."""
        known, link = await self._writer.do(lambda db: _accept(db, record, audit), durable=durable)
        if audit is not None and link is not None:
            self._sink(audit, link)
        return known if isinstance(known, Record) else None

    async def end(self, record: Record, audit: AuditRecord) -> None:
        """Write how it ended, and the audit line with it. A call that was not accepted before is written whole."""
        await self._told(audit, lambda db: _end(db, record, audit))

    def progress(self, asker: str, ident: str, text: str, now: float) -> None:
        """Keep what a call under way says of its progress, in case it never says more. It is gone if the disk is slow.

        now: epoch seconds.
        """
        sql = "UPDATE calls SET note = ?, noted_seconds = ? WHERE asker = ? AND id = ? AND state IS NULL"
        self._writer.offer(lambda db: db.execute(sql, (text[:_LONGEST_NOTE], now, asker, ident)).close())

    async def audit(self, record: AuditRecord) -> None:
        await self._told(record, lambda db: chain.append(db, record))

    async def _told(self, audit: AuditRecord, work: Callable[[sqlite3.Connection], Link]) -> None:
        """The line goes to the sink whether or not it can be written here."""
        try:
            link: Link = await self._writer.do(work)
        except Failed:
            self._lost += 1
            self._sink(audit, None)
            raise
        self._sink(audit, link)

    async def find(self, asker: str, ident: str) -> Record | None:
        found = await self._writer.do(lambda db: _find(db, asker, ident))
        return found if isinstance(found, Record) else None

    async def interrupted(self) -> list[Record]:
        """Calls that began and never ended: the agent was stopped or died in them."""
        found: list[Record] = await self._writer.do(lambda db: _records(db, "state IS NULL"))
        return found

    async def recent(self, most: int) -> list[AuditRecord]:
        """The last audit lines, newest first."""
        found: list[AuditRecord] = await self._writer.do(lambda db: chain.recent(db, most))
        return found

    async def page(self, query: chain.Query, most: int = PAGE_LINES) -> chain.Page:
        """At most so many of the audit's lines that are meant, with where their chain begins and ends."""
        found: chain.Page = await self._writer.do(lambda db: chain.page(db, query, most))
        # Somebody will remember the end of the chain: after a power loss it must still be there.
        await self._writer.sync()
        return found

    async def born(self, now: float) -> float:
        """When this file was made (epoch seconds): `now`, if it is new. What is older than it may have been lost."""
        when: float = await self._writer.do(lambda db: _born(db, now))
        return when

    async def forget(self, before: float, lines: int = AUDIT_LINES, *, now: float) -> None:
        """Drop calls begun and ended before `before` (epoch seconds, as `now`), and old audit lines beyond `lines`."""
        await self._writer.do(lambda db: _forget(db, before, lines, now))

    async def begin_maintenance(self, one: Maintenance) -> None:
        values = (one.scope, one.until, one.reason, one.by)
        await self._writer.do(
            lambda db: db.execute("INSERT OR REPLACE INTO maintenance VALUES (?, ?, ?, ?)", values).close(),
            durable=True,
        )

    async def end_maintenance(self, scope: str) -> None:
        await self._writer.do(
            lambda db: db.execute("DELETE FROM maintenance WHERE scope = ?", [scope]).close(), durable=True
        )

    async def maintenances(self) -> list[Maintenance]:
        rows = await self._writer.do(lambda db: db.execute("SELECT * FROM maintenance").fetchall())
        return [Maintenance(*row) for row in rows]


def _create(db: sqlite3.Connection) -> None:
    for statement in _SCHEMA.split(";"):
        db.execute(statement)
    there = {row[1] for row in db.execute("PRAGMA table_info(calls)")}
    for name, kind in _LATER.items():
        if name not in there:
            db.execute(f"ALTER TABLE calls ADD COLUMN {name} {kind}")
    chain.create(db)


def _born(db: sqlite3.Connection, now: float) -> float:
    db.execute("INSERT OR IGNORE INTO born VALUES (1, ?)", [now])
    return float(db.execute("SELECT time_seconds FROM born").fetchone()[0])


def _accept(db: sqlite3.Connection, record: Record, audit: AuditRecord | None) -> tuple[Record | None, Link | None]:
    known = _find(db, record.asker, record.id)
    if known is not None:
        return known, None
    db.execute(f"INSERT INTO calls ({_CALL}) VALUES ({_PLACES})", _values(record))
    return None, chain.append(db, audit) if audit is not None else None


def _end(db: sqlite3.Connection, record: Record, audit: AuditRecord) -> Link:
    db.execute(f"INSERT OR REPLACE INTO calls ({_CALL}) VALUES ({_PLACES})", _values(record))
    return chain.append(db, audit)


def _find(db: sqlite3.Connection, asker: str, ident: str) -> Record | None:
    row = db.execute(f"SELECT {_CALL} FROM calls WHERE asker = ? AND id = ?", (asker, ident)).fetchone()
    return Record(*row) if row else None


def _forget(db: sqlite3.Connection, before: float, lines: int, now: float) -> None:
    # Both stamps: a clock that was wrong at the one may have been right at the other.
    sql = "DELETE FROM calls WHERE accepted_seconds < ? AND state IS NOT NULL AND COALESCE(ended_seconds, 0) < ?"
    db.execute(sql, (before, before))
    chain.prune(db, lines, now)


def _records(db: sqlite3.Connection, where: str) -> list[Record]:
    return [Record(*row) for row in db.execute(f"SELECT {_CALL} FROM calls WHERE {where} ORDER BY accepted_seconds")]


def _values(record: Any) -> tuple[Any, ...]:
    return tuple(getattr(record, field.name) for field in dataclasses.fields(record))
