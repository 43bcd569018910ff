"""A program run to its end on one core, and what it cost by the kernel's account. Sources: getrusage(2), wait4(2)."""

import os
import subprocess
import tempfile
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from time import monotonic

from tests.lab.namespaces import Namespace

CORE = 0
"""Where probers run; who listens to them runs elsewhere."""


@dataclass(frozen=True, slots=True)
class Run:
    """seconds: from its start to its end, of ours from the first packet. cpu: user and system seconds.

    matched: replies it knows of. mismatched: answers put down to the wrong probe.
    """

    sent: int
    matched: int
    seconds: float
    cpu: float
    mismatched: int = 0

    @property
    def rate(self) -> float:
        return self.sent / self.seconds

    @property
    def per_million(self) -> float:
        """CPU seconds per million packets sent."""
        return self.cpu / max(1, self.sent) * 1e6


@dataclass(frozen=True, slots=True)
class Ended:
    said: str
    seconds: float
    cpu: float


def finish(space: Namespace, argv: Sequence[str], within: float) -> Ended:
    """Pinned to `CORE`. What takes longer than `within` seconds is killed; what it was until then is told."""
    with tempfile.TemporaryFile() as said:
        began = monotonic()
        child = subprocess.Popen(
            [*space.words, "taskset", "-c", str(CORE), *argv],
            stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
        late = threading.Timer(within, child.kill)
        late.start()
        try:
            _, status, used = os.wait4(child.pid, 0)
        finally:
            late.cancel()
            late.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        said.seek(0)
        return Ended(said.read().decode(errors="replace"), monotonic() - began, used.ru_utime + used.ru_stime)


def middle_of(runs: Sequence[Run], key: Callable[[Run], float]) -> Run:
    """The run in the middle by this figure: its other figures belong to it."""
    return sorted(runs, key=key)[len(runs) // 2]
