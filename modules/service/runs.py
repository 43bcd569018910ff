"""One start of a program by driver `process`: what is written down of it, and who of it lives."""

import hashlib
import os
import signal
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from . import proc
from .settings import Service

_ROUNDS = 20  # it may be forking its way out just now, and what is killed takes a moment to go


@dataclass(frozen=True, slots=True)
class Run:
    """As it stands on the disk. No pid and no end: it was about to be started."""

    token: str
    boot: str
    digest: str
    at: float
    pid: int = 0
    ticks: int = 0
    ended: float | None = None
    good: bool = True  # stopped, or ended by itself with exit status 0
    text: str = ""  # how it ended

    @property
    def living(self) -> bool:
        return bool(self.pid) and self.ended is None

    @classmethod
    def read(cls, found: dict[str, Any] | None) -> "Run | None":
        try:
            return cls(**found) if found else None
        except TypeError:  # written by another version
            return None


def digest(service: Service) -> str:
    """Tells whether a running process was started as it would be now."""
    parts = (*service.argv, service.directory, *(f"{k}={v}" for k, v in sorted(service.environment.items())))
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def left(run: Run) -> list[proc.Process]:
    """Who lives in its process group. A pid given out again means nobody: the kernel keeps it while the group lives."""
    leader = proc.look(run.pid) if run.pid else None
    if not run.pid or (leader is not None and leader.ticks != run.ticks):
        return []
    return proc.members(run.pid)


def send(run: Run, *numbers: signal.Signals) -> None:
    """Signal its whole group, if anybody is left in it."""
    if not left(run):
        return
    for number in numbers:
        with suppress(ProcessLookupError):
            os.killpg(run.pid, number)


def end_strays(run: Run) -> int | None:
    """Kill what was started with its token and outlived it: a program gone into the background. A pid of it."""
    first, quiet = None, 0
    if not run.token:
        return None
    for _ in range(_ROUNDS):
        others = (process for process in proc.everyone() if process.alive and process.pid != run.pid)
        strays = [process.pid for process in others if proc.token_of(process.pid) == run.token]
        # Nobody, twice: one list of processes can miss parent and child, when the one ends as the other begins.
        quiet = 0 if strays else quiet + 1
        if quiet == 2:
            break
        first = first or (strays[0] if strays else None)
        for pid in strays:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
    return first
