"""One writer for one SQLite file: what comes in while a transaction runs goes together into the next (group commit).

Sources: sqlite.org/wal.html and sqlite.org/pragma.html#pragma_synchronous: in WAL mode a commit survives a crash of the
process always, and a power loss only with synchronous=FULL, which is one fsync per transaction.
"""

import asyncio
import os
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiosqlite

from amon.errors import Failed

_MOST = 512  # pieces of work in one transaction
_PROBE = 262_144  # bytes
_END = 5.0  # seconds for a thread that has nothing to do any more

Work = Callable[[sqlite3.Connection], Any]


@dataclass(slots=True)
class _Piece:
    work: Work
    durable: bool
    done: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())


class Raw(sqlite3.Connection):
    """head: number and hash of the last line of the audit, while one transaction lasts (chain.py)."""

    head: tuple[int, bytes] | None = None


class Database(aiosqlite.Connection):
    """A connection that runs a whole function in its thread: one hop for a transaction instead of one per statement.

    path: the file, None in memory. opened: which file was there then; one of the same name need not be the same.
    """

    path: Path | None = None
    opened: os.stat_result | None = None

    async def call(self, work: Callable[..., Any], *args: Any) -> Any:
        return await self._execute(work, self._conn, *args)  # type: ignore[no-untyped-call]


async def open_database(path: Path | str, name: str = "the journal") -> Database:
    """The file at `path` (made 0600 if it is new) in WAL mode. `Failed` says what is wrong with it.

    name: what it is called in messages.
    """

    def connect() -> sqlite3.Connection:
        # A dozen statements are all that a call needs; each one kept costs kilobytes in every agent of a process.
        return sqlite3.connect(path, isolation_level=None, cached_statements=12, check_same_thread=False, factory=Raw)

    db = Database(connect, iter_chunk_size=64)
    try:
        if path != ":memory:":
            Path(path).touch(mode=0o600)
            Path(path).chmod(0o600)
            db.path, db.opened = Path(path), Path(path).stat()
        await db
        await db.call(lambda raw: raw.execute("PRAGMA journal_mode = WAL").close())
        await db.call(_begin_small)
    except (sqlite3.Error, OSError) as fault:
        await db.close()
        if db._thread.is_alive():  # one that could not connect is told to end, and nobody waits until it has
            db._thread.join(_END)
        step = "mend it, or move it away to begin a new one: what was done before is then forgotten"
        raise Failed(f"{name} {path} cannot be opened: {fault}; {step}") from fault
    return db


def _begin_small(raw: sqlite3.Connection) -> None:
    """Pages one by one, 256 KiB of them at most. A cache that begins larger than two takes 20 at once (pcache1.c)."""
    for step in ("PRAGMA cache_size = 2", "PRAGMA shrink_memory", "SELECT 1 FROM sqlite_schema"):
        raw.execute(step).fetchall()
    raw.execute("PRAGMA cache_size = -256").close()


class Writer:
    """Runs pieces of work, each a plain function on the sqlite3 connection, in the database's own thread.

    fault: why a write failed. It stays until `probe` finds that all is well: on a disk that is nearly full the small
    pieces go on succeeding between the large ones. watch: called when it begins and when it ends. fsync: as os.fsync.
    name: what the file is called in messages.
    """

    def __init__(self, db: Database, fsync: Callable[[int], None] = os.fsync, name: str = "the site's journal") -> None:
        self._db = db
        self._fsync = fsync
        self._name = name
        self._waiting: asyncio.Queue[_Piece | None] = asyncio.Queue(maxsize=4 * _MOST)
        self._closed = False
        self.watch: Callable[[], None] = lambda: None
        self.transactions = 0
        self.fault = ""

    async def do(self, work: Work, *, durable: bool = False) -> Any:
        """Its result when it is committed (and on the disk, if `durable`). `Failed` where the disk says no."""
        if self._closed:
            raise Failed(f"{self._name} is closed: the program is stopping")
        piece = _Piece(work, durable)
        await self._waiting.put(piece)
        return await piece.done

    def offer(self, work: Work) -> None:
        """Do it with whatever comes next, and tell nobody. Nothing is done while too much waits already."""
        if self._closed or self._waiting.qsize() >= _MOST:
            return
        piece = _Piece(work, durable=False)
        piece.done.cancel()
        self._waiting.put_nowait(piece)

    async def sync(self) -> None:
        """Put on the disk what is committed by now, or as much of it as the disk takes."""
        if self._db.path is not None:
            await self._db.call(_sync, Path(f"{self._db.path}-wal"), self._fsync)

    async def probe(self) -> None:
        """Try to write more than a call needs; `Failed` if it still cannot be done."""
        await self.do(_probe, durable=True)
        self._noted("")

    async def run(self) -> None:
        """Until `close`, and then until all that had come in before is written."""
        open_ = True
        while open_:
            taken = [await self._waiting.get()]
            while not self._waiting.empty() and len(taken) < _MOST:
                taken.append(self._waiting.get_nowait())
            open_ = None not in taken
            await self._together([piece for piece in taken if piece is not None])

    async def close(self) -> None:
        self._closed = True
        await self._waiting.put(None)

    async def _together(self, pieces: list[_Piece]) -> None:
        if not pieces:
            return
        durable = any(piece.durable for piece in pieces)
        try:
            results = await self._db.call(_transaction, [piece.work for piece in pieces], durable, self._db)
        except Exception as fault:
            # The whole transaction is rolled back: nobody is told that something is kept which is not.
            if _is_of_the_file(fault):
                self._noted(str(fault))
            elif len(pieces) > 1:  # something in one of them cannot be written; it must not take the others with it
                for piece in pieces:
                    await self._together([piece])
                return
            _settle(pieces, [Failed(f"{self._name} cannot be written: {fault}; look at its disk")] * len(pieces))
        else:
            self.transactions += 1
            _settle(pieces, results)

    def _noted(self, fault: str) -> None:
        changed = bool(fault) is not bool(self.fault)
        self.fault = fault
        if changed:
            self.watch()


def _sync(db: sqlite3.Connection, log: Path, fsync: Callable[[int], None]) -> None:
    """sqlite.org/wal.html, 2.2: what is committed and not yet in the database is in this file."""
    try:
        with log.open("rb") as file:
            fsync(file.fileno())
    except OSError:  # a broken disk is told by what writes to it
        return


def _probe(db: sqlite3.Connection) -> None:
    db.execute("CREATE TABLE IF NOT EXISTS probe (filler BLOB)")
    db.execute(f"INSERT INTO probe VALUES (zeroblob({_PROBE}))")
    db.execute("DELETE FROM probe")


def _check_there(db: Database) -> None:
    """SQLite goes on writing into a file that was deleted: all it keeps is gone when the agent ends."""
    if db.path is None or db.opened is None:
        return
    try:
        there = os.path.samestat(db.path.stat(), db.opened)
    except OSError:
        there = False
    if not there:
        raise FileNotFoundError(f"{db.path.name} was taken away or replaced; restart what has it open")


def _is_of_the_file(fault: Exception) -> bool:
    """Whether the file or its disk is to blame (full, locked, corrupt), and not what was to be written."""
    return isinstance(fault, sqlite3.OperationalError | OSError) or type(fault) is sqlite3.DatabaseError


def _settle(pieces: list[_Piece], results: list[Any]) -> None:
    for piece, result in zip(pieces, results, strict=True):
        if piece.done.done():
            continue  # who asked has gone
        if isinstance(result, Exception):
            piece.done.set_exception(result)
        else:
            piece.done.set_result(result)


def _transaction(db: Raw, works: list[Work], durable: bool, home: Database) -> list[Any]:
    if durable:
        _check_there(home)
    db.execute(f"PRAGMA synchronous = {'FULL' if durable else 'NORMAL'}")
    db.execute("BEGIN IMMEDIATE")
    db.head = None  # of what was rolled back nothing may be left
    try:
        results = [work(db) for work in works]
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return results
