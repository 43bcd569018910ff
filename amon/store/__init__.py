"""What is kept: the journal of calls (each at most once, outcomes until they have aged out), the audit, maintenance.

SQLite through aiosqlite. One writer task per file gathers what has come in meanwhile into one transaction, so a hundred
calls cost about as many disk syncs as one. The console's book of jobs (ledger.py) is beside the journal; no agent needs
it, so it is imported by its own name.
"""

from amon.store.chain import Page, Query
from amon.store.journal import Journal, Record

__all__ = ["Journal", "Page", "Query", "Record"]
