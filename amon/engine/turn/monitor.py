"""The monitor of the monitor: what the engine itself costs, how late it is, and what its layers dropped."""

import os
import resource
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from msgspec import structs

from amon.engine.messages import Sample, Tally
from amon.engine.shapes import I64

SECOND = 1_000_000_000
_PAGE = os.sysconf("SC_PAGE_SIZE")
_LATE_MOST = 4096


class Monitor:
    """Takes notes as the loop turns, and makes one sample a second of them."""

    def __init__(self, now: int) -> None:
        self._since = now
        self._cpu = _cpu()
        self._sent = 0
        self._received = 0
        self._late: list[int] = []
        self._errors: list[I64] = []
        self._stamps: tuple[int, int] | None = None
        self._last: Sample | None = None

    def is_due(self, now: int) -> bool:
        return now - self._since >= SECOND

    def woke(self, late: int) -> None:
        """A turn began so many ns after it should have."""
        if len(self._late) < _LATE_MOST:
            self._late.append(late)

    def sent(self, count: int) -> None:
        self._sent += count

    def received(self, count: int) -> None:
        self._received += count

    def off(self, errors: I64) -> None:
        """Send stamps were off by so many ns."""
        if len(errors):
            self._errors = [*self._errors[-63:], errors]
            absolute = np.abs(np.concatenate(self._errors))
            self._stamps = int(np.percentile(absolute, 50)), int(np.percentile(absolute, 99))

    def sample(self, now: int, wall: int, tally: Tally, drops: Mapping[str, int]) -> Sample:
        """What happened since the last one, and begins a new span. The caller fills in what it knows itself."""
        self._last = self._made(now, wall, tally, drops)
        self._since, self._cpu, self._sent, self._received, self._late = now, _cpu(), 0, 0, []
        return self._last

    def between(self, now: int, wall: int, tally: Tally, drops: Mapping[str, int]) -> Sample:
        """The last sample with the totals of this moment; before the first one, what happened until now. It begins no
        span, so that who asks often takes nothing from the others, nor from the watchdog."""
        if self._last is None:
            return self._made(now, wall, tally, drops)
        return structs.replace(self._last, at=wall / SECOND, tally=tally, drops=dict(drops), stamps=self._stamps)

    def _made(self, now: int, wall: int, tally: Tally, drops: Mapping[str, int]) -> Sample:
        span = max(1, now - self._since)
        late = np.array(self._late or [0])
        return Sample(
            at=wall / SECOND,
            span=span / SECOND,
            sent=self._sent,
            received=self._received,
            cpu=(_cpu() - self._cpu) * SECOND / span,
            memory=_memory(),
            tally=tally,
            drops=dict(drops),
            late=(int(np.percentile(late, 50)), int(np.percentile(late, 99)), int(late.max())),
            stamps=self._stamps,
        )


def _cpu() -> float:
    """Seconds of processor time of this process, system included."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _memory() -> int:
    """Resident bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
