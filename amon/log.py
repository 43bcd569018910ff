"""Logging of the programs: one line per event on standard error, in journald's levels when systemd listens.

Source: sd-daemon(3), the `<N>` prefixes. No password is ever logged, and no stanza but in the trace that somebody asked
for, which masks what proves who we are.
"""

import logging
import os
import sys

from amon.text import visible

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}


class _Safe(logging.Formatter):
    """Messages quote what peers sent: nothing in them may look like a line of its own, or command a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = visible(record.message).replace("\n", "\n  ")
        return super().formatMessage(record)


class _Journal(_Safe):
    """journald stamps time and unit itself; each line of a record needs the level prefix."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITY.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def set_up(level: str = "info") -> None:
    """Send everything from `level` up to standard error. Called by a program's main, never by a library room."""
    handler = logging.StreamHandler(sys.stderr)
    if os.environ.get("JOURNAL_STREAM"):
        handler.setFormatter(_Journal("%(name)s: %(message)s"))
    else:
        handler.setFormatter(_Safe("%(asctime)s %(levelname)-7s %(name)s: %(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
