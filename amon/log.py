"""Logging of the programs: one line per event on standard error, in journald's levels when systemd listens.

Source: sd-daemon(3), the `<N>` prefixes. No password is ever logged, and no stanza but in the trace that somebody asked
for, which masks what proves who we are. What a library or a bug writes all the same passes a second fence here: living
secrets are taken out of every line and every traceback.
"""

import logging
import os
import sys
import threading
import traceback
from types import TracebackType
from typing import Any

from amon.fields import discreet
from amon.text import visible

_PRIORITY = {logging.DEBUG: 7, logging.INFO: 6, logging.WARNING: 4, logging.ERROR: 3, logging.CRITICAL: 2}
_INSIDE = "  "


class _Safe(logging.Formatter):
    """Messages quote what peers sent: nothing in them may look like a line of its own, or command a terminal."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        record.message = _told(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802
        return _INSIDE + _told(super().formatException(ei))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802
        return _INSIDE + _told(stack_info)

    def format(self, record: logging.LogRecord) -> str:
        record.exc_text = None  # what another handler's formatter made of it is not ours
        return super().format(record)


class _Journal(_Safe):
    """journald stamps time and unit itself; each line of a record needs the level prefix."""

    def format(self, record: logging.LogRecord) -> str:
        prefix = f"<{_PRIORITY.get(record.levelno, 6)}>"
        return "\n".join(prefix + line for line in super().format(record).splitlines())


def _told(text: str) -> str:
    """Without secrets first: what is made visible would not be recognised any more."""
    return visible(discreet(text)).replace("\n", f"\n{_INSIDE}")


def traceback_of(error: BaseException) -> str:
    """A traceback as it may be shown, with its line end."""
    return visible(discreet("".join(traceback.format_exception(error))))


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


def guard() -> None:
    """What nobody catches is written as discreetly as the log. For a program's main, before anything else is done."""

    def uncaught(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        sys.stderr.write(traceback_of(error.with_traceback(trace)))

    def in_thread(args: threading.ExceptHookArgs) -> None:
        if args.exc_value is not None and not isinstance(args.exc_value, SystemExit):
            name = visible(discreet(args.thread.name if args.thread else "?"), lines=False)
            sys.stderr.write(f"in thread {name}:\n{traceback_of(args.exc_value)}")

    def unraisable(args: "sys.UnraisableHookArgs") -> None:
        said = visible(discreet(f"{args.err_msg or 'ignored'}: {args.object!r}"), lines=False)
        sys.stderr.write(f"{said}\n{traceback_of(args.exc_value) if args.exc_value is not None else ''}")

    sys.excepthook, threading.excepthook, sys.unraisablehook = uncaught, in_thread, unraisable
