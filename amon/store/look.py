"""The console's book of jobs read in place, for what waits for nobody: completion of ids, targets that name a job.

Read-only (sqlite.org/uri.html, mode=ro). What was written while this reads is read the next time.
"""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from amon.errors import Failed
from amon.store.ledger import KeptJob, KeptRow, checked_end, ending_in, one_of, rows_of

_PATIENCE = 2.0  # seconds


def known_ids(path: Path, most: int = 200) -> list[str]:
    """Ids of the last jobs, newest first. A fault is silence: somebody is typing."""
    with contextlib.suppress(sqlite3.Error, OSError), _opened(path) as db:
        return [row[0] for row in db.execute("SELECT id FROM jobs ORDER BY created_seconds DESC LIMIT ?", [most])]
    return []


def job_in(path: Path, end_of_id: str) -> tuple[KeptJob, list[KeptRow]]:
    """The job whose id ends so, and its sites. `Refused` where none does or several do, `Failed` for a fault."""
    end = checked_end(end_of_id)
    if not path.exists():
        return one_of(end, ()), []
    try:
        with _opened(path) as db:
            job = one_of(end, ending_in(db, end))
            return job, rows_of(db, job.id)
    except sqlite3.Error as fault:
        raise Failed(
            f"the book of jobs {path} cannot be read: {fault}; next: move it away to begin a new one"
        ) from None


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[sqlite3.Connection]:
    if not path.exists():
        raise FileNotFoundError(path)
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=_PATIENCE)) as db:
        yield db
