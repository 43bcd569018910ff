"""From how targets are to parts of health: limits, a hold before something is better, and groups where they are many.

A few targets have a part each; many are told by group: a warning if any of its targets is not well, critical if half
of them are critical. Pure: time is handed in. A million targets may be lost in one second: nothing here is an object
for each of them, and to ask how a group is does not look at all of them.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from amon.health import Health, Level

from .settings import Limits
from .standing import Standing
from .targets import Targets

_NAMED = 5  # targets of a group that its text names


@dataclass(slots=True)
class _Group:
    """bad, critical: how many of its targets are. named: some of them. since: when the first of these became so."""

    bad: int = 0
    critical: int = 0
    since: float = 0.0
    named: dict[int, None] = field(default_factory=dict)


class Judge:
    """The level of each target of a list, and since when (epoch seconds).

    counts: whether packets are counted, so that what is not good is lost. A page that says 500 is not lost.
    """

    def __init__(self, limits: Limits, targets: Targets, standing: Standing, *, counts: bool = True) -> None:
        self._good, self._bad = ("no loss", "lost") if counts else ("good", "not good")
        self._limits = limits
        self._targets = targets
        self._standing = standing
        self._levels = bytearray(len(targets))
        self._since = array("d", bytes(8 * len(targets)))
        self._better = array("d", bytes(8 * len(targets)))
        self._waiting = 0
        self._sizes = Counter(targets.group)
        self._of = {group: _Group() for group in self._sizes}
        self.bad_count = 0

    def look(self, rows: Iterable[int], now: float) -> bool:
        """At those that have news; whether any has another level."""
        changed = False
        for row in rows:
            level, before = self._level(row), self._levels[row]
            if level < before:
                if not self._better[row]:
                    self._better[row] = max(now, 1e-9)
                    self._waiting += 1
                if now - self._better[row] < self._limits.hold:
                    continue
            elif level == before:
                self._no_better(row)
                continue
            self._set(row, level, now)
            changed = True
        return changed

    def look_again(self, now: float) -> bool:
        """At those that were better for a while."""
        return self.look(self.waiting(), now)

    def waiting(self) -> "array[int]":
        """Rows that were better when they were looked at, and not for long enough."""
        return array("I", (row for row, since in enumerate(self._better) if since)) if self._waiting else array("I")

    def level(self, row: int) -> Level:
        return Level(self._levels[row])

    def bad(self) -> Iterator[int]:
        """Rows that are not well, the critical ones first."""
        for level in (Level.critical, Level.warning):
            row = self._levels.find(level)
            while row >= 0:
                yield row
                row = self._levels.find(level, row + 1)

    def _no_better(self, row: int) -> None:
        if self._better[row]:
            self._better[row] = 0.0
            self._waiting -= 1

    def _set(self, row: int, level: Level, now: float) -> None:
        before = self._levels[row]
        self._levels[row] = level
        self._since[row] = now
        self._no_better(row)
        group = self._of[self._targets.group[row]]
        change = (level is not Level.ok) - (before != Level.ok)
        if change > 0 and not group.bad:
            group.since = now
        group.bad += change
        self.bad_count += change
        group.critical += (level is Level.critical) - (before == Level.critical)
        if level is Level.ok:
            group.named.pop(row, None)
        elif len(group.named) < _NAMED:
            group.named[row] = None

    def _level(self, row: int) -> Level:
        limits, standing = self._limits, self._standing
        loss = standing.loss(row, limits.window)
        if loss is None:
            return Level.ok
        percent, rtt = 100 * loss, standing.rtt[row]
        if (loss and percent >= limits.loss_crit) or _above(rtt, limits.rtt_crit):
            return Level.critical
        lossy = loss and percent >= limits.loss_warn
        return Level.warning if lossy or _above(rtt, limits.rtt_warn) else Level.ok

    def parts(self) -> Mapping[str, Health]:
        targets = self._targets
        if len(targets) <= self._limits.parts:
            return {targets.called(row): self.health(row) for row in range(len(targets))}
        return {
            targets.groups[place] or "targets": self._group(group, self._sizes[place])
            for place, group in self._of.items()
        }

    def health(self, row: int) -> Health:
        """Of one target."""
        text, level = self.text(row), self.level(row)
        return Health.good(text) if level is Level.ok else Health(level, text, self.state(row), self._since[row])

    def state(self, row: int) -> str:
        """One word for targets of requests (`service:uplink/*=down`)."""
        loss = self._standing.loss(row, self._limits.window) or 0.0
        if 100 * loss >= self._limits.loss_warn and loss:
            return "down" if loss == 1.0 else "lossy"
        return "slow" if self._levels[row] and _above(self._standing.rtt[row], self._slow) else "up"

    @property
    def _slow(self) -> float | None:
        return self._limits.rtt_warn if self._limits.rtt_warn is not None else self._limits.rtt_crit

    def text(self, row: int) -> str:
        loss, rtt = self._standing.loss(row, self._limits.window), self._standing.rtt[row]
        if loss is None:
            return "not probed yet"
        said = f"{100 * loss:.3g} % {self._bad}" if loss else self._good
        return f"{said}, rtt {1000 * rtt:.3g} ms" if rtt else said

    def _group(self, group: _Group, size: int) -> Health:
        if not group.bad:
            return Health.good(f"{size} targets")
        named = ", ".join(f"{self._targets.called(row)} {self.state(row)}" for row in group.named)
        more = " ..." if group.bad > len(group.named) else ""
        text = f"{group.bad} of {size} not well: {named}{more}"
        if 2 * group.critical >= size:
            return Health.bad(text, since=group.since)
        return Health.fair(text, state="part", since=group.since)


def _above(rtt: float, limit: float | None) -> bool:
    return limit is not None and rtt > limit
