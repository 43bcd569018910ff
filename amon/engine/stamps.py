"""Moments: send stamps by interpolation, the kernel's wall-clock stamps as monotonic time, and how far ours are off.

The kernel stamps packets with CLOCK_REALTIME (Documentation/networking/timestamping.rst), which may be set; everything
here ends as nanoseconds of CLOCK_MONOTONIC, which may not (clock_gettime(2)).
"""

import time
from collections.abc import Callable, Sequence

import numpy as np

from amon.engine.shapes import I64, Span

STEP = 2_000
"""ns by which the clocks may differ more or less between two looks, and we still call it no step; beside a thousandth
of the time between them. Both are slewed alike (clock_gettime(2)); to read two clocks takes a moment."""
SLACK = 50_000
"""ns a stamp may lie outside the time it was taken in: reading two clocks takes a moment."""
LAG = 1_000_000
"""ns a packet may be on its way to a socket after it was stamped."""
STEPS = 8
"""Differences of the clocks that are remembered while a socket is never empty."""
GAIN = 0.05
"""What one sample weighs in the long run."""
SAMPLE_MOST, LEAD_MOST = 5_000, 50_000
"""ns: what of one sample's error counts, and what a batch may need before its first packet."""
MEASURED = 4096
"""Errors that are kept until somebody asks."""


def interpolate(spans: Sequence[Span]) -> I64:
    """When each packet of the spans went out, as if all took equally long; stamps are of the middle of its share."""
    counts, begins, ends = np.array([(span.count, span.begin, span.end) for span in spans], np.int64).reshape(-1, 3).T
    # Twice the place of each packet in its span, and one.
    odd = 2 * np.arange(counts.sum()) + 1 - np.repeat(2 * (np.cumsum(counts) - counts), counts)
    stamps: I64 = np.repeat(begins, counts) + np.repeat(ends - begins, counts) * odd // np.repeat(2 * counts, counts)
    return stamps


def clocks_apart() -> int:
    """CLOCK_REALTIME minus CLOCK_MONOTONIC, ns: of three tries the one that took the least time."""
    best, apart = 1 << 62, 0
    for _ in range(3):
        before, wall, after = time.monotonic_ns(), time.time_ns(), time.monotonic_ns()
        if after - before < best:
            best, apart = after - before, wall - (before + after) // 2
    return apart


class RealtimeToMonotonic:
    """For the stamps of one socket, which are converted each time it is drained.

    A packet came between the last time the socket was empty and now. If the clock was stepped in between, each stamp is
    read by that difference of the clocks which puts it there; if it was slewed, by the difference it had at that time.
    After a step by less than that time a few stamps may be off by it. lag: ns by which a packet may be handed over
    later than it was stamped, though the socket looked empty.
    """

    def __init__(self, now: int | None = None, apart: Callable[[], int] = clocks_apart, *, lag: int = LAG) -> None:
        self._read = apart
        self._lag = lag
        self._apart = apart()
        self._looked = time.monotonic_ns() if now is None else now
        self._since = self._looked - lag
        self._before: list[tuple[int, int]] = []  # what it was before, and until when at most
        self.unplaced = 0
        """Stamps that no difference puts where they belong: clipped into it."""

    @property
    def remembered(self) -> int:
        """Differences of the clocks that stamps still to come may have."""
        return len(self._before) + 1

    def convert(self, stamps: I64, now: int, emptied: bool = True) -> I64:
        """stamps: CLOCK_REALTIME ns, of what was in the socket until `now` (monotonic). emptied: nothing was left."""
        apart, known = self._read(), self._apart
        self._apart = apart
        if abs(apart - known) > STEP + (now - self._looked) // 1000:
            self._before = [*self._before[2 - STEPS :], (known, now)]
        if self._before:
            result = self._place(stamps, now)
        else:
            result = self._slewed(stamps - apart, apart - known, now)
        self._looked = now
        if emptied:
            self._since = now - self._lag
            self._before = [(one, until) for one, until in self._before if until > self._since]
        return result

    def _slewed(self, stamps: I64, moved: int, now: int) -> I64:
        if abs(moved) < STEP // 2 or now <= self._looked:
            return stamps
        share = np.clip((now - stamps) / (now - self._looked), 0, 1)
        return stamps + (share * moved).astype(np.int64)

    def _place(self, stamps: I64, now: int) -> I64:
        low, high = self._since - SLACK, now + SLACK
        result = np.clip(stamps - self._apart, self._since, now)
        open_ = np.ones(len(stamps), np.bool_)
        for apart in (self._apart, *(one for one, _ in reversed(self._before))):
            moved = stamps - apart
            fits = open_ & (moved >= low) & (moved <= high)
            result[fits] = moved[fits]
            open_ &= ~fits
        self.unplaced += int(open_.sum())
        return result


class Course:
    """How a batch goes out through one socket: some time passes before its first packet, and somewhere in the time that
    is left for each the driver gets it. Both are learnt from the kernel's stamps of a sample."""

    def __init__(self) -> None:
        self._lead, self._share, self._seen = 0.0, 0.5, 0

    def span(self, count: int, begin: int, end: int) -> Span:
        """Such that `interpolate` gives what the kernel would; between these two moments the call was made."""
        lead, each = self._parts(count, end - begin)
        first = begin + lead + (self._share - 0.5) * each
        return Span(count, round(first), round(first + each * count))

    def learn(self, place: int, count: int, begin: int, end: int, moment: int) -> None:
        """The kernel stamped packet `place` of `count` at this moment (monotonic)."""
        lead, each = self._parts(count, end - begin)
        missed = moment - begin - lead - (place + self._share) * each
        if abs(missed) > LEAD_MOST:
            return  # the process was held up in the middle: that teaches nothing
        missed = min(max(missed, -SAMPLE_MOST), SAMPLE_MOST)
        self._seen += 1
        weight = missed * max(GAIN, 1 / (self._seen + 1))
        late = (place + self._share) / count
        self._lead = min(max(self._lead + weight * (1 - late), 0.0), LEAD_MOST)
        self._share = min(max(self._share + weight * late / max(each, 1.0), 0.0), 1.0)

    def _parts(self, count: int, took: int) -> tuple[float, float]:
        lead = min(self._lead, took * 0.9)
        return lead, (took - lead) / count


class Errors:
    """How far our stamps were off on a sample, ns: ours minus the kernel's. The newest `MEASURED` until taken."""

    def __init__(self) -> None:
        self._values: list[int] = []

    def note(self, ours: int, kernels: int) -> None:
        self._values.append(ours - kernels)
        del self._values[:-MEASURED]

    def take(self) -> I64:
        values, self._values = self._values, []
        return np.array(values, np.int64)
