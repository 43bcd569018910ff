"""The monitor of the monitor: what the engine, or this loop, says of itself, as data and as parts of health."""

from collections.abc import Iterator

from amon.engine.messages import Sample
from amon.health import Health
from amon.units import format_quantity

from .answers import Monitor
from .course import Course

LATE_MOST = 0.05
"""Seconds: when one tick of a hundred is later, packets leave too late to be trusted in their time."""

QUEUED_MOST = 32 * 2**20
"""Bytes of results that wait in the engine: when there are more its clients are too slow, and it pauses their jobs."""


def monitor_of(course: Course, sample: Sample | None, way: str) -> Monitor:
    """sample: what the engine said last; without one the counts of this loop."""
    counts = course.statistics()
    if sample is None:
        runner = course.runner
        return Monitor(
            way=way, rate=0.0 if course.paused else len(course.targets) / course.interval, received=0.0, cpu=None,
            memory=None, late_p50=None, late_p99=None, late_most=runner.late, in_flight=len(runner.under_way), ahead=0,
            queued=0, kept=course.window.size, skipped=counts["skipped"], lost=counts["lost"], drops={},
            notes=("no packet engine: these are the counts of this loop",),
        )  # fmt: skip
    span = max(sample.span, 1e-9)
    return Monitor(
        way=way,
        rate=round(sample.sent / span, 1),
        received=round(sample.received / span, 1),
        cpu=round(100 * sample.cpu, 1),
        memory=sample.memory,
        late_p50=sample.late[0] / 1e9,
        late_p99=sample.late[1] / 1e9,
        late_most=sample.late[2] / 1e9,
        in_flight=sample.in_flight,
        ahead=sample.ahead,
        queued=sample.queued,
        kept=course.window.size,
        skipped=sample.tally.skipped,
        lost=sample.tally.lost,
        drops={name: count for name, count in sorted(sample.drops.items()) if count},
        stamps=None if sample.stamps is None else sample.stamps[1] / 1e9,
        notes=sample.notes,
    )


class Watch:
    """Compares one sample with the one before: totals say nothing of now."""

    def __init__(self) -> None:
        self._before: Sample | None = None
        self._drops: dict[str, int] = {}

    def look(self, sample: Sample | None) -> Iterator[tuple[str, Health]]:
        """Parts of health. The same sample again says the same again."""
        if sample is None:
            self._before, self._drops = None, {}
            return
        if sample is not self._before:
            before = self._before.drops if self._before is not None else sample.drops
            self._drops = {name: count - before.get(name, 0) for name, count in sample.drops.items()}
            self._before = sample
        dropped = {name: count for name, count in self._drops.items() if count > 0}
        if dropped:
            text = ", ".join(f"{count} at {name}" for name, count in sorted(dropped.items())[:5])
            yield "drops", Health.fair(f"the engine dropped packets itself: {text}", state="drops")
        if sample.queued > QUEUED_MOST:
            waiting = format_quantity(sample.queued, "B")
            yield "queue", Health.fair(f"{waiting} of results wait in the engine until they are taken", state="full")
        if sample.late[1] / 1e9 > LATE_MOST:
            yield "pace", Health.fair(f"1 tick of 100 is {sample.late[1] / 1e9:.3g} s late", state="late")
