"""The journal of calls: a request is accepted at most once, and its outcome is kept until it has aged out.

A record is keyed by who asked and the request's id, so that nobody reads another's outcome by guessing an id. What
changes the site is on the disk (synced) before it starts; every outcome is written before it is sent.
"""

import asyncio
import dataclasses
import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amon.access import AuditRecord
from amon.health import Maintenance
from amon.store.writer import Writer, open_database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS calls (
    asker TEXT NOT NULL, id TEXT NOT NULL, account TEXT NOT NULL, reply_to TEXT NOT NULL, line TEXT NOT NULL,
    effect TEXT NOT NULL, accepted_seconds REAL NOT NULL, state TEXT, outcome TEXT, ended_seconds REAL,
    PRIMARY KEY (asker, id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS calls_by_age ON calls (accepted_seconds);
CREATE TABLE IF NOT EXISTS audit (
    time_seconds REAL NOT NULL, account TEXT NOT NULL, asker TEXT NOT NULL, room TEXT, id TEXT NOT NULL,
    line TEXT NOT NULL, allowed INTEGER NOT NULL, rule TEXT NOT NULL, outcome TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS maintenance (
    scope TEXT PRIMARY KEY, until_seconds REAL NOT NULL, reason TEXT NOT NULL, by_jid TEXT NOT NULL
);
"""
AUDIT_LINES = 1_000_000  # kept: some 200 MB
_CALL = "asker, id, account, reply_to, line, effect, accepted_seconds, state, outcome, ended_seconds"


@dataclass(frozen=True, slots=True)
class Record:
    """One call: who asked what, and once it ended, its state and the payload that told so. Times: epoch seconds."""

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


class Journal:
    """Opened with `async with Journal.open(path)`; closing writes what is still waiting."""

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    @classmethod
    @asynccontextmanager
    async def open(cls, path: Path | str = ":memory:") -> AsyncIterator["Journal"]:
        db = await open_database(path)
        writer = Writer(db)
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

    async def probe(self) -> None:
        """Look whether what was broken is mended; `Failed` if not."""
        await self._writer.probe()

    @property
    def transactions(self) -> int:
        return self._writer.transactions

    async def accept(self, record: Record, *, durable: bool) -> Record | None:
        """Write that this call begins. None: it is new. Else what is known of it: it must not begin again."""
        known = await self._writer.do(lambda db: _accept(db, record), durable=durable)
        return known if isinstance(known, Record) else None

    async def end(self, record: Record, audit: AuditRecord) -> None:
        """Write how it ended, and the audit line with it. A call that was not accepted before is written whole."""
        await self._writer.do(lambda db: _end(db, record, audit))

    async def audit(self, record: AuditRecord) -> None:
        await self._writer.do(lambda db: _audit(db, record))

    async def find(self, asker: str, ident: str) -> Record | None:
        found = await self._writer.do(lambda db: _find(db, asker, ident))
        return found if isinstance(found, Record) else None

    async def interrupted(self) -> list[Record]:
        """Calls that began and never ended: the agent was stopped or died in them."""
        found: list[Record] = await self._writer.do(lambda db: _records(db, "state IS NULL"))
        return found

    async def recent(self, most: int) -> list[AuditRecord]:
        """The last audit lines, newest first."""
        found: list[AuditRecord] = await self._writer.do(lambda db: _recent(db, most))
        return found

    async def forget(self, before: float, lines: int = AUDIT_LINES) -> None:
        """Drop ended calls older than `before` (epoch seconds), and audit lines beyond the last so many."""
        await self._writer.do(lambda db: _forget(db, before, lines))

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


def _accept(db: sqlite3.Connection, record: Record) -> Record | None:
    known = _find(db, record.asker, record.id)
    if known is None:
        db.execute(f"INSERT INTO calls ({_CALL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _values(record))
    return known


def _end(db: sqlite3.Connection, record: Record, audit: AuditRecord) -> None:
    db.execute(f"INSERT OR REPLACE INTO calls ({_CALL}) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", _values(record))
    _audit(db, audit)


def _audit(db: sqlite3.Connection, record: AuditRecord) -> None:
    db.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", _values(record)[:9])


def _find(db: sqlite3.Connection, asker: str, ident: str) -> Record | None:
    row = db.execute(f"SELECT {_CALL} FROM calls WHERE asker = ? AND id = ?", (asker, ident)).fetchone()
    return Record(*row) if row else None


def _forget(db: sqlite3.Connection, before: float, lines: int) -> None:
    db.execute("DELETE FROM calls WHERE accepted_seconds < ? AND state IS NOT NULL", [before])
    db.execute("DELETE FROM audit WHERE rowid <= (SELECT max(rowid) FROM audit) - ?", [lines])


def _records(db: sqlite3.Connection, where: str) -> list[Record]:
    return [Record(*row) for row in db.execute(f"SELECT {_CALL} FROM calls WHERE {where} ORDER BY accepted_seconds")]


def _recent(db: sqlite3.Connection, most: int) -> list[AuditRecord]:
    rows = db.execute("SELECT * FROM audit ORDER BY rowid DESC LIMIT ?", [most]).fetchall()
    fields = [field.name for field in dataclasses.fields(AuditRecord)][:9]
    return [AuditRecord(**dict(zip(fields, row, strict=True)) | {"allowed": bool(row[6])}) for row in rows]


def _values(record: Any) -> tuple[Any, ...]:
    return tuple(getattr(record, field.name) for field in dataclasses.fields(record))
