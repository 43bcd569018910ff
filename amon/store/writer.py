"""One writer for one SQLite file: what comes in while a transaction runs goes together into the next (group commit).

Sources: sqlite.org/wal.html and sqlite.org/pragma.html#pragma_synchronous: in WAL mode a commit survives a crash of the
process always, and a power loss only with synchronous=FULL, which is one fsync per transaction.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiosqlite

from amon.errors import Failed

_MOST = 512  # pieces of work in one transaction

Work = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class _Piece:
    work: Work
    durable: bool
    done: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Database(aiosqlite.Connection):
    """A connection that runs a whole function in its thread: one hop for a transaction instead of one per statement."""

    async def call(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._execute(work, self._conn, *args)  # type: ignore[no-untyped-call]


async def open_database(path: Path | str) -> Database:
    """The file at `path` (made 0600 if it is new) in WAL mode. `Failed` says what is wrong with it."""

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(path, isolation_level=None, cached_statements=32, check_same_thread=False)

    if path != ":memory:":
        Path(path).touch(mode=0o600)
    db = Database(connect, iter_chunk_size=64)
    try:
        await db
        await db.call(lambda raw: raw.execute("PRAGMA journal_mode = WAL").close())
        await db.call(lambda raw: raw.execute("PRAGMA cache_size = -256").close())  # KiB; the tables are small
    except (sqlite3.Error, OSError) as fault:
        await db.close()
        raise Failed(f"the journal {path} cannot be opened: {fault}") from fault
    return db


class Writer:
    """Runs pieces of work, each a plain function on the sqlite3 connection, in the database's own thread."""

    def __init__(self, db: Database) -> None:
        self._db = db
        self._waiting: asyncio.Queue[_Piece] = asyncio.Queue(maxsize=4 * _MOST)
        self.transactions = 0
        self.fault = ""

    async def do(self, work: Work, *, durable: bool = False) -> Any:
        """Its result when it is committed (and on the disk, if `durable`). `Failed` where the disk says no."""
        piece = _Piece(work, durable)
        await self._waiting.put(piece)
        return await piece.done

    async def run(self) -> None:
        while True:
            pieces = [await self._waiting.get()]
            while not self._waiting.empty() and len(pieces) < _MOST:
                pieces.append(self._waiting.get_nowait())
            await self._together(pieces)

    async def drain(self) -> None:
        """Write what is still waiting; called when no more will come."""
        while not self._waiting.empty():
            await self._together([self._waiting.get_nowait()])

    async def _together(self, pieces: list[_Piece]) -> None:
        durable = any(piece.durable for piece in pieces)
        try:
            results = await self._db.call(_transaction, [piece.work for piece in pieces], durable)
        except (sqlite3.Error, OSError) as fault:
            # The whole transaction is rolled back: nobody is told that something is kept which is not.
            self.fault = str(fault)
            _settle(pieces, [Failed(f"the site's journal cannot be written: {fault}")] * len(pieces))
        else:
            self.fault = ""
            self.transactions += 1
            _settle(pieces, results)


def _settle(pieces: list[_Piece], results: list[Any]) -> None:
    for piece, result in zip(pieces, results, strict=True):
        if piece.done.done():
            continue  # who asked has gone
        if isinstance(result, Exception):
            piece.done.set_exception(result)
        else:
            piece.done.set_result(result)


def _transaction(db: sqlite3.Connection, works: list[Work], durable: bool) -> list[Any]:
    db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    db.execute("BEGIN IMMEDIATE")
    try:
        results = [work(db) for work in works]
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return results
