"""How long to wait before the next try: doubling, bounded, jittered so that a fleet does not come back as one."""

from random import Random


class Backoff:
    """Waits of `first`, doubled up to `most` seconds, each between half and the whole of it."""

    def __init__(self, first: float, most: float, random: Random) -> None:
        self._first, self._most, self._random = first, most, random
        self._tries = 0

    def next(self) -> float:
        wait = min(self._most, self._first * float(1 << min(self._tries, 30)))
        self._tries += 1
        return wait * self._random.uniform(0.5, 1.0)

    def reset(self) -> None:
        self._tries = 0
