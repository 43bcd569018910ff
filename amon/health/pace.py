"""When a changed picture is told: bad news at once, all else at about one a minute; a flapping site stays quiet.

A token bucket: `burst` pictures may follow each other, then one each `every` seconds. The burst lets an admin who
restarts a service see it come back at once, also right after the agent's own start, which on a busy machine takes four
or five pictures. News that is worse than what was told last may borrow one token beyond an empty bucket; what is not
worse must have stood for `settle` seconds, so that nobody is told of a restart's steps. What a person asked for and
got costs nothing: each such call brings a token, so whoever stops and starts a service ten times sees it ten times.
"""

from amon.health.board import Picture


class Pace:
    """Pure: `now` is handed in (monotonic seconds). Compare pictures by what they mean, not by their text."""

    def __init__(self, every: float = 60.0, burst: int = 8, settle: float = 0.5) -> None:
        self.every = every
        self.burst = burst
        self.settle = settle
        self._told: Picture | None = None
        self._next: Picture | None = None
        self._next_since = 0.0
        self._tokens = float(burst)
        self._counted = 0.0

    def due(self, picture: Picture, now: float) -> float | None:
        """Seconds to wait before telling `picture`; 0 is now, None is never: it says what was said already."""
        if self._told is not None and _meaning(self._told) == _meaning(picture):
            self._next = None
            return None
        if self._next is None or _meaning(self._next) != _meaning(picture):
            self._next, self._next_since = picture, now
        tokens = self._tokens_at(now)
        if self._told is None or picture.level > self._told.level:
            return max(0.0, -tokens * self.every)
        return max(0.0, (1.0 - tokens) * self.every, self._next_since + self.settle - now)

    def told(self, picture: Picture, now: float) -> None:
        self._tokens = self._tokens_at(now) - 1
        self._counted = now
        self._told, self._next = picture, None

    def grant(self, now: float) -> None:
        """Somebody had something changed here: what became of it is told at once, whatever was told before."""
        self._tokens = min(float(self.burst), max(1.0, self._tokens_at(now) + 1))
        self._counted = now

    def _tokens_at(self, now: float) -> float:
        return min(float(self.burst), self._tokens + (now - self._counted) / self.every)


def _meaning(picture: Picture) -> object:
    return picture.status, picture.level, [(t.name, t.level, t.state) for t in picture.troubles]
