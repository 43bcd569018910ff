"""The audit's table: each line chained to the one before it, nothing changed, and only the oldest ever dropped.

A line's number and hash are found inside the transaction that writes it, from what is in the table then. So a group of
lines that is rolled back leaves no hole, and a crash leaves a chain that ends earlier and goes on from there.

`anchor` is what the oldest line that is still there follows: the beginning, or the last line that was dropped. That
lines were dropped is itself a line. Sources: sqlite.org/lang_createtrigger.html; sqlite.org/lang_conflict.html: REPLACE
deletes without asking triggers on DELETE, so numbers that are taken are refused on INSERT.
"""

import secrets
import sqlite3
from dataclasses import dataclass
from typing import Any

from amon.access import AuditRecord, Line, Link, digest_of, hash_of
from amon.store.writer import Raw

_FIELDS = "time_seconds, account, asker, room, id, line, allowed, rule, outcome, key, effect"
_BEFORE = "time_seconds, account, asker, room, id, line, allowed, rule, outcome"  # all that it had before the chain
_TABLES = (
    "CREATE TABLE audit (seq INTEGER PRIMARY KEY, time_seconds REAL NOT NULL, account TEXT NOT NULL,"
    " asker TEXT NOT NULL, room TEXT, id TEXT NOT NULL, line TEXT NOT NULL, allowed INTEGER NOT NULL,"
    " rule TEXT NOT NULL, outcome TEXT NOT NULL, key TEXT NOT NULL, effect TEXT NOT NULL, hash BLOB NOT NULL)",
    "CREATE TABLE audit_anchor (one INTEGER PRIMARY KEY CHECK (one = 1), chain BLOB NOT NULL, seq INTEGER NOT NULL,"
    " hash BLOB NOT NULL)",
)
# Against a slip of ours and of a person with sqlite3; whoever means it can drop the triggers, and the hashes tell.
_GUARDS = (
    "CREATE TRIGGER audit_stays BEFORE UPDATE ON audit BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_kept BEFORE DELETE ON audit WHEN OLD.seq > (SELECT seq FROM audit_anchor)"
    " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_grows BEFORE INSERT ON audit WHEN NEW.seq <= (SELECT max(seq) FROM audit)"
    " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_anchor_one BEFORE INSERT ON audit_anchor"
    " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_anchor_stays BEFORE DELETE ON audit_anchor"
    " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
    "CREATE TRIGGER audit_anchor_follows BEFORE UPDATE ON audit_anchor WHEN NEW.chain IS NOT OLD.chain"
    " OR NEW.seq <= OLD.seq OR NEW.hash IS NOT (SELECT hash FROM audit WHERE seq = NEW.seq)"
    " BEGIN SELECT RAISE(ABORT, 'the audit is append-only'); END",
)


@dataclass(frozen=True, slots=True)
class Query:
    """Which lines: those after a number; or the last `count` that fit, from which a page gives the oldest.

    since, until: epoch seconds. who: a bare address. filtered: whether lines in between are left out; then only lines
    of `account` and of the agent itself are looked at, or which are left out would tell of the others.
    """

    count: int = 100
    after: int | None = None
    since: float | None = None
    until: float | None = None
    who: str = ""
    refused: bool = False
    account: str | None = None

    @property
    def filtered(self) -> bool:
        return bool(self.until is not None or self.who or self.refused)


@dataclass(frozen=True, slots=True)
class Page:
    """Some lines, oldest first. chain: its name, drawn when it began. before: what the first of `lines` follows.

    more: there are lines that were meant and are not here.
    """

    chain: str
    anchor: Link
    head: Link
    before: Link
    lines: tuple[Line, ...]
    more: bool


def create(db: sqlite3.Connection) -> None:
    """The table, with its lines chained if they are from before the chain. Nothing if it is there already."""
    columns = {row[1] for row in db.execute("PRAGMA table_info(audit)")}
    if "hash" in columns:
        return
    if columns:
        db.execute("ALTER TABLE audit RENAME TO audit_before")
    for statement in _TABLES:
        db.execute(statement)
    beginning = secrets.token_bytes(32)
    db.execute("INSERT INTO audit_anchor VALUES (1, ?, 0, ?)", (beginning, beginning))
    if columns:
        db.executemany(_INSERT, _chained(db, beginning))
        db.execute("DROP TABLE audit_before")
    for statement in _GUARDS:
        db.execute(statement)


def append(db: sqlite3.Connection, record: AuditRecord) -> Link:
    """Write the line that comes next."""
    seq, before = (db.head if isinstance(db, Raw) else None) or _head(db)
    row = _row(record, seq + 1, before)
    db.execute(_INSERT, row)
    if isinstance(db, Raw):
        db.head = seq + 1, row[-1]
    return Link(seq + 1, row[-1].hex())


def prune(db: sqlite3.Connection, keep: int, now: float) -> None:
    """Drop the oldest lines but the last `keep`, and write down which. now: epoch seconds."""
    seq, _ = _head(db)
    anchor = db.execute("SELECT seq FROM audit_anchor").fetchone()[0]
    last = seq - keep
    if last <= anchor:
        return
    row = db.execute("SELECT hash FROM audit WHERE seq = ?", [last]).fetchone()
    db.execute("UPDATE audit_anchor SET seq = ?, hash = ?", (last, row[0]))
    db.execute("DELETE FROM audit WHERE seq <= ?", [last])
    append(db, note(now, f"dropped lines {anchor + 1} to {last}, the last of them {row[0].hex()}"))


def note(now: float, outcome: str) -> AuditRecord:
    """A line that the agent writes of itself."""
    return AuditRecord(now, "", "", None, "", "audit", True, "", outcome)


def recent(db: sqlite3.Connection, most: int) -> list[AuditRecord]:
    """The last lines, newest first."""
    rows = db.execute(f"SELECT {_FIELDS} FROM audit ORDER BY seq DESC LIMIT ?", [most])
    return [_record(row) for row in rows]


def page(db: sqlite3.Connection, query: Query, most: int) -> Page:
    """At most so many of the lines that are meant."""
    chain, anchor = _anchor(db)
    seq, head = _head(db)
    after, (where, values) = _after(db, query, anchor.seq), _where(query)
    if query.after is None:
        inner = f"SELECT seq FROM audit WHERE {where} ORDER BY seq DESC LIMIT ?"
        first = db.execute(f"SELECT min(seq) FROM ({inner})", (after, *values, query.count)).fetchone()[0]
        after = seq if first is None else first - 1
    most = min(most, query.count)
    sql = f"SELECT seq, hash, {_FIELDS} FROM audit WHERE {where} ORDER BY seq LIMIT ?"
    rows = db.execute(sql, (after, *values, most + 1)).fetchall()
    lines = tuple(_line(row) for row in rows[:most])
    before = _link(db, rows[0][0] - 1, anchor) if rows else Link(seq, head.hex())
    return Page(chain, anchor, Link(seq, head.hex()), before, lines, len(rows) > most)


_INSERT = f"INSERT INTO audit (seq, {_FIELDS}, hash) VALUES ({', '.join('?' * 13)})"


def _after(db: sqlite3.Connection, query: Query, anchor: int) -> int:
    """The line that all those meant come after. Since a time they are one piece, also where a clock was set back."""
    after = anchor if query.after is None else query.after
    if query.since is None:
        return after
    older = "SELECT seq FROM audit WHERE time_seconds < ? ORDER BY seq DESC LIMIT 1"
    found = db.execute(older, [query.since]).fetchone()
    return max(after, found[0] if found else anchor)


def _where(query: Query) -> tuple[str, tuple[Any, ...]]:
    """The condition, of which the first value is a line that all come after, and its other values.

    One bound of `seq` alone: of two SQLite takes either to find the place, and reads the whole table by the other.
    """
    parts: list[tuple[str, Any]] = []
    if query.filtered and query.account is not None:
        parts.append(("account IN ('', ?)", query.account))
    if query.until is not None:
        parts.append(("time_seconds <= ?", query.until))
    if query.who:
        parts.append(("asker = ?", query.who))
    if query.refused:
        parts.append(("outcome LIKE ?", "refused%"))
    return " AND ".join(["seq > ?", *(text for text, _ in parts)]), tuple(value for _, value in parts)


def _chained(db: sqlite3.Connection, before: bytes) -> Any:
    """The rows of the table that had no chain, in the order they were written in."""
    for seq, row in enumerate(db.execute(f"SELECT {_BEFORE} FROM audit_before ORDER BY rowid"), start=1):
        made = _row(_record(row), seq, before)
        before = made[-1]
        yield made


def _anchor(db: sqlite3.Connection) -> tuple[str, Link]:
    chain, seq, hashed = db.execute("SELECT chain, seq, hash FROM audit_anchor").fetchone()
    return chain.hex(), Link(seq, hashed.hex())


def _link(db: sqlite3.Connection, seq: int, anchor: Link) -> Link:
    row = db.execute("SELECT hash FROM audit WHERE seq = ?", [seq]).fetchone()
    return Link(seq, row[0].hex()) if row else anchor


def _head(db: sqlite3.Connection) -> tuple[int, bytes]:
    row = db.execute("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetchone()
    row = row or db.execute("SELECT seq, hash FROM audit_anchor").fetchone()
    return row[0], row[1]


def _row(record: AuditRecord, seq: int, before: bytes) -> tuple[Any, ...]:
    r = record
    hashed = hash_of(before, seq, digest_of(r))
    fields = (r.time, r.account, r.asker, r.room, r.id, r.line, r.allowed, r.rule, r.outcome, r.key, r.effect)
    return (seq, *fields, hashed)


def _record(row: tuple[Any, ...]) -> AuditRecord:
    time, account, asker, room, ident, line, allowed, *rest = row
    return AuditRecord(time, account, asker, room, ident, line, bool(allowed), *rest)


def _line(row: tuple[Any, ...]) -> Line:
    record = _record(row[2:])
    return Line(row[0], record, digest_of(record).hex(), row[1].hex())
