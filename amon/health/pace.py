"""When a changed picture is told: bad news at once, all else at about one a minute; a flapping site stays quiet.

A token bucket: `burst` pictures may follow each other, then one each `every` seconds. The burst lets an admin who
restarts a service see it come back at once. News that is worse than what was told last may borrow one token beyond an
empty bucket.
"""

from amon.health.board import Picture


class Pace:
    """Pure: `now` is handed in (monotonic seconds). What says the same as what was told last is never due."""

    def __init__(self, every: float = 60.0, burst: int = 3) -> None:
        self.every = every
        self.burst = burst
        self._told: Picture | None = None
        self._tokens = float(burst)
        self._counted = 0.0

    def due(self, picture: Picture, now: float) -> float | None:
        """Seconds to wait before telling `picture`; 0 is now, None is never: it says what was said already."""
        if self._told is not None and _meaning(self._told) == _meaning(picture):
            return None
        tokens = self._tokens_at(now)
        worse = self._told is None or picture.level > self._told.level
        needed = 0.0 if worse else 1.0
        return max(0.0, (needed - tokens) * self.every)

    def told(self, picture: Picture, now: float) -> None:
        self._tokens = self._tokens_at(now) - 1
        self._counted = now
        self._told = picture

    def _tokens_at(self, now: float) -> float:
        return min(float(self.burst), self._tokens + (now - self._counted) / self.every)


def _meaning(picture: Picture) -> object:
    return picture.status, picture.level, [(t.name, t.level, t.state) for t in picture.troubles]
