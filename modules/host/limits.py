"""From a value to a level, with slack: a value that sits at a limit does not flap."""

from collections.abc import Collection

from amon.health import Level


def next_level(before: Level, value: float, warn: float, crit: float, slack: float) -> Level:
    """The level now. What was bad stays so until the value is `slack` percent of the limit below it."""
    back = 1 - slack / 100
    if value >= crit or (before is Level.critical and value > crit * back):
        return Level.critical
    if value >= warn or (before >= Level.warning and value > warn * back):
        return Level.warning
    return Level.ok


class Levels:
    """The last level of each thing that is watched, and since when (epoch seconds)."""

    def __init__(self, slack: float) -> None:
        self._slack = slack
        self._last: dict[str, tuple[Level, float]] = {}

    def judge(self, what: str, value: float, warn: float, crit: float, now: float) -> Level:
        """The level that this value means, after what was before."""
        before, _ = self._last.get(what, (Level.ok, now))
        return self.note(what, next_level(before, value, warn, crit, self._slack), now)

    def note(self, what: str, level: Level, now: float) -> Level:
        if what not in self._last or self._last[what][0] is not level:
            self._last[what] = level, now
        return level

    def since(self, what: str) -> float:
        return self._last[what][1]

    def keep_only(self, kept: Collection[str]) -> None:
        """Forget the rest: a mount that went begins anew when it comes back."""
        self._last = {what: held for what, held in self._last.items() if what in kept}
