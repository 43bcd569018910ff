"""Memory of processes over time, and whether it stays flat."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field

FLAT = 2.0  # MB that any sample after the warm-up may lie from their median
_WARM_UP = 0.25  # of a life; caches fill, and each fault has been met once


@dataclass(slots=True)
class Life:
    """What one process took, as (seconds since the start, MB)."""

    what: str
    samples: list[tuple[float, float]] = field(default_factory=list)

    def warm(self) -> list[tuple[float, float]]:
        if not self.samples:
            return []
        first, last = self.samples[0][0], self.samples[-1][0]
        return [(at, size) for at, size in self.samples if at >= first + _WARM_UP * (last - first)]

    @property
    def middle(self) -> float:
        return statistics.median(size for _, size in self.warm())

    @property
    def farthest(self) -> float:
        """MB; of the sample that lies farthest from the middle, with its sign."""
        return max((size - self.middle for _, size in self.warm()), key=abs)

    @property
    def slope(self) -> float:
        """MB an hour, by least squares."""
        return slope(self.warm())

    @property
    def flat(self) -> bool:
        return len(self.warm()) > 1 and abs(self.farthest) <= FLAT


def slope(points: Sequence[tuple[float, float]]) -> float:
    """Of size over seconds, as size an hour."""
    if len({at for at, _ in points}) < 2:
        return 0.0
    return 3600 * statistics.linear_regression(*zip(*points, strict=True)).slope


def table(lives: Sequence[Life]) -> str:
    lines = [f"{'process':<34} {'samples':>7} {'begin':>7} {'middle':>7} {'end':>7} {'farthest':>8} {'MB/h':>7}"]
    for life in lives:
        if len(life.warm()) < 2:
            lines.append(f"{life.what:<34} {len(life.samples):>7}  too short to tell")
            continue
        begin, end = life.warm()[0][1], life.samples[-1][1]
        figures = f"{len(life.warm()):>7} {begin:>7.1f} {life.middle:>7.1f} {end:>7.1f} {life.farthest:>+8.2f}"
        lines.append(f"{life.what:<34} {figures} {life.slope:>+7.1f}  {'flat' if life.flat else 'NOT FLAT'}")
    return "\n".join(lines)
