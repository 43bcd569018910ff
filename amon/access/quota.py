"""How often one address may do something that costs us: be told that it has no role, be written into the audit."""


class Quota:
    """At most `most` times in `every` seconds for each of those who come. Pure; `now` is handed in (seconds).

    Remembers at most `known` of them: whoever comes when it is full has nothing left, until the periods of others end.
    """

    def __init__(self, most: int, every: float, known: int = 1000) -> None:
        self.most = most
        self.every = every
        self.known = known
        self._used: dict[str, tuple[float, int]] = {}

    def take(self, who: str, now: float) -> int:
        """How many times were left before this one; 0 means no."""
        since, used = self._used.get(who, (now, 0))
        if now - since >= self.every:
            since, used = now, 0
        if used >= self.most or not self._has_room(who, now):
            return 0
        self._used[who] = (since, used + 1)
        return self.most - used

    def __len__(self) -> int:
        return len(self._used)

    def _has_room(self, who: str, now: float) -> bool:
        if who in self._used or len(self._used) < self.known:
            return True
        self._used = {other: one for other, one in self._used.items() if now - one[0] < self.every}
        return len(self._used) < self.known
