"""From how targets are to parts of health: limits, a hold before something is better, and groups where they are many.

A few targets have a part each; many are told by group: a warning if any of its targets is not well, critical if half
of them are critical. Pure: time is handed in.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping

from amon.health import Health, Level

from .settings import Limits
from .standing import Standing
from .targets import Targets

_NAMED = 5  # targets of a group that its text names


class Judge:
    """The level of each target of a list, and since when (epoch seconds)."""

    def __init__(self, limits: Limits, targets: Targets, standing: Standing) -> None:
        self._limits = limits
        self._targets = targets
        self._standing = standing
        self._levels = array("B", bytes(len(targets)))
        self.bad: dict[int, tuple[Level, float]] = {}
        self._better: dict[int, float] = {}

    def look(self, rows: Iterable[int], now: float) -> bool:
        """At those that have news; whether any has another level."""
        changed = False
        for row in rows:
            level = self._level(row)
            before = self._levels[row]
            if level == before:
                self._better.pop(row, None)
            elif level > before:
                self._better.pop(row, None)
                changed = self._set(row, level, now)
            elif now - self._better.setdefault(row, now) >= self._limits.hold:
                changed = self._set(row, level, now)
        return changed

    def look_again(self, now: float) -> bool:
        """At those that were better for a while."""
        return self.look(list(self._better), now) if self._better else False

    def level(self, row: int) -> Level:
        return Level(self._levels[row])

    def _set(self, row: int, level: Level, now: float) -> bool:
        self._levels[row] = level
        self._better.pop(row, None)
        if level is Level.ok:
            self.bad.pop(row, None)
        else:
            self.bad[row] = level, now
        return True

    def _level(self, row: int) -> Level:
        limits, standing = self._limits, self._standing
        loss = standing.loss(row, limits.window)
        if loss is None:
            return Level.ok
        percent, rtt = 100 * loss, standing.rtt[row]
        if percent >= limits.loss_crit or _above(rtt, limits.rtt_crit):
            return Level.critical
        return Level.warning if percent >= limits.loss_warn or _above(rtt, limits.rtt_warn) else Level.ok

    def parts(self) -> Mapping[str, Health]:
        if len(self._targets) <= self._limits.parts:
            return {self._targets.called(row): self.health(row) for row in range(len(self._targets))}
        return self._groups()

    def health(self, row: int) -> Health:
        """Of one target."""
        text = self.text(row)
        if row not in self.bad:
            return Health.good(text)
        level, since = self.bad[row]
        return Health(level, text, self.state(row), since)

    def state(self, row: int) -> str:
        """One word for targets of requests (`service:uplink/*=down`)."""
        loss = self._standing.loss(row, self._limits.window) or 0.0
        if 100 * loss >= self._limits.loss_warn:
            return "down" if loss == 1.0 else "lossy"
        return "slow" if row in self.bad and _above(self._standing.rtt[row], self._limits.rtt_warn) else "up"

    def text(self, row: int) -> str:
        loss, rtt = self._standing.loss(row, self._limits.window), self._standing.rtt[row]
        if loss is None:
            return "not probed yet"
        said = f"{100 * loss:.3g} % lost" if loss else "no loss"
        return f"{said}, rtt {1000 * rtt:.3g} ms" if rtt else said

    def _groups(self) -> Mapping[str, Health]:
        targets = self._targets
        of = Counter(targets.group)
        bad: dict[int, list[int]] = {}
        for row in sorted(self.bad, key=lambda row: (-self.bad[row][0], self.bad[row][1])):
            bad.setdefault(targets.group[row], []).append(row)
        return {
            targets.groups[group] or "targets": self._group(bad.get(group, []), count) for group, count in of.items()
        }

    def _group(self, bad: list[int], count: int) -> Health:
        if not bad:
            return Health.good(f"{count} targets")
        critical = sum(self.bad[row][0] is Level.critical for row in bad)
        named = ", ".join(f"{self._targets.called(row)} {self.state(row)}" for row in bad[:_NAMED])
        text = f"{len(bad)} of {count} not well: {named}{' ...' if len(bad) > _NAMED else ''}"
        since = min(self.bad[row][1] for row in bad)
        if 2 * critical >= count:
            return Health.bad(text, since=since)
        return Health.fair(text, state="part", since=since)


def _above(rtt: float, limit: float | None) -> bool:
    return limit is not None and rtt > limit
