"""What is kept: the journal of calls (each at most once, outcomes until they have aged out), the audit, maintenance.

SQLite through aiosqlite. One writer task per file gathers what has come in meanwhile into one transaction, so a hundred
calls cost about as many disk syncs as one.
"""

from amon.store.chain import Page, Query
from amon.store.journal import Journal, Record

__all__ = ["Journal", "Page", "Query", "Record"]
