"""Where the audit goes besides the journal: journald and syslog of this host, so that a copy leaves the agent's hands.

Sources: systemd, "Native Journal Protocol" (systemd.io/JOURNAL_NATIVE_PROTOCOL) and systemd.journal-fields(7); the form
that syslog(3) writes to /dev/log, which is RFC 3164, 4.1 without a host name. Both are datagrams to a socket of this
host: one that is not there, or that takes nothing more, loses the line and never holds up a request.

What an asker chose stands in many fields. A line end in one would begin a field, or an entry, of its own: none passes.
"""

import json
import logging
import os
import socket
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Literal

from amon.access import AuditRecord, Link
from amon.clock import Clock
from amon.health import Health
from amon.text import visible

SinkName = Literal["journald", "syslog"]
SOCKETS: Mapping[str, Path] = {"journald": Path("/run/systemd/journal/socket"), "syslog": Path("/dev/log")}

_NAME = "amon-agent"
_AUTHPRIV = 10  # RFC 3164, 4.1.1: messages of security and authorization
_WARNING, _INFO = 4, 6
_LONGEST = 1024  # characters of one field
_CALM = 60.0  # seconds without a loss, after which a sink is well again
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Sinks:
    """Takes each line of the audit, as `Journal.audit_to` hands it out.

    trouble: told under `audit-NAME` when a sink loses lines, and None when it is well again.
    """

    def __init__(
        self,
        names: Iterable[SinkName],
        trouble: Callable[[str, Health | None], None],
        clock: Clock,
        sockets: Mapping[str, Path] = SOCKETS,
    ) -> None:
        self._names = tuple(dict.fromkeys(names))
        self._trouble = trouble
        self._clock = clock
        self._sockets = sockets
        self._socket: socket.socket | None = None
        self._lost_at: dict[str, float] = {}
        self._log = logging.getLogger("amon.audit")

    def __call__(self, record: AuditRecord, link: Link | None) -> None:
        """Send it on. link: its place in the chain; None if the journal could not take it."""
        for name in self._names:
            entry = journald_entry(record, link) if name == "journald" else syslog_entry(record, link, os.getpid())
            try:
                self._send(entry, self._sockets[name])
            except OSError as fault:
                self._lost(name, fault)
            else:
                self._sent(name)

    def close(self) -> None:
        """Nothing is sent from now on, and nobody is told of troubles."""
        for name in self._lost_at:
            self._trouble(f"audit-{name}", None)
        self._names = ()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _send(self, entry: bytes, to: Path) -> None:
        if self._socket is None:
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            self._socket.setblocking(False)
        self._socket.sendto(entry, str(to))

    def _lost(self, name: str, fault: OSError) -> None:
        """Said once, however many lines are lost."""
        known = name in self._lost_at
        self._lost_at[name] = self._clock.monotonic()
        if not known:
            said = f"lines of the audit do not get to {name}: {fault.strerror or fault}"
            self._log.warning("%s (%s)", said, self._sockets[name])
            self._trouble(f"audit-{name}", Health.fair(said, state="lost"))

    def _sent(self, name: str) -> None:
        if name in self._lost_at and self._clock.monotonic() - self._lost_at[name] >= _CALM:
            del self._lost_at[name]
            self._log.info("the audit gets to %s again", name)
            self._trouble(f"audit-{name}", None)


def journald_entry(record: AuditRecord, link: Link | None) -> bytes:
    """One datagram: `NAME=VALUE` lines, as the protocol has them for values without a line end."""
    fields = {
        "MESSAGE": f"{record.asker or _NAME}: {record.line}: {record.outcome}",
        "PRIORITY": str(_priority(record)),
        "SYSLOG_FACILITY": str(_AUTHPRIV),
        "SYSLOG_IDENTIFIER": _NAME,
        **{f"AMON_{name.upper()}": value for name, value in _fields(record, link).items()},
    }
    return "".join(f"{name}={_safe(value)}\n" for name, value in fields.items()).encode(errors="replace")


def syslog_entry(record: AuditRecord, link: Link | None, pid: int) -> bytes:
    """One datagram in ASCII; each value in quotes as JSON has them, so that none can look like two."""
    when = datetime.fromtimestamp(record.time)  # local time, as RFC 3164 wants it
    stamp = f"{_MONTHS[when.month - 1]} {when.day:2} {when:%H:%M:%S}"
    told = " ".join(f"{name}={json.dumps(_safe(value))}" for name, value in _fields(record, link).items() if value)
    return f"<{8 * _AUTHPRIV + _priority(record)}>{stamp} {_NAME}[{pid}]: audit {told}".encode()


def _fields(record: AuditRecord, link: Link | None) -> dict[str, str]:
    r = record
    return {
        "seq": "" if link is None else str(link.seq), "hash": "" if link is None else link.hash,
        "asker": r.asker, "line": r.line, "outcome": r.outcome, "allowed": "yes" if r.allowed else "no",
        "rule": r.rule, "key": r.key, "effect": r.effect, "account": r.account, "room": r.room or "", "id": r.id,
    }  # fmt: skip


def _priority(record: AuditRecord) -> int:
    return _INFO if record.allowed and not record.outcome.startswith("refused") else _WARNING


def _safe(value: str) -> str:
    return visible(value[:_LONGEST], lines=False)
