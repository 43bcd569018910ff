"""When each target is probed, without the packet engine: a fixed place in the interval, in permuted order, for ever.

A target's phase comes from a hash of its address and the instance's name, and visits are at multiples of the interval
of the wall clock. So a list that is read again moves nobody else, an agent that starts anew goes on where it would be,
without a burst and without a gap, and two instances do not hit the same target together. What was missed (a suspended
host, too much under way) is skipped and counted, never made up for.
"""

import asyncio
from array import array
from bisect import bisect_right
from collections.abc import Awaitable, Callable
from contextlib import suppress
from hashlib import blake2b
from random import Random

from amon.clock import Clock

from .targets import Targets

RATE_MOST = 50.0
"""Measurements a second of one instance, where no packet engine is."""
AT_ONCE = 256
"""Measurements under way; the next ones are skipped."""
LATE_MOST = 1.0
"""Seconds after its time, or the interval if that is less, a visit is skipped instead of made late."""
_LOOK = 60.0  # seconds of sleep at most: a wall clock that is stepped meanwhile is noticed


def stretched(interval: float, targets: int, rate: float = RATE_MOST) -> float:
    """The interval that so many targets can have."""
    return max(interval, targets / rate)


class Rounds:
    """When who is due. Pure. Times are of the wall clock, epoch seconds."""

    def __init__(self, targets: Targets, interval: float, seed: str) -> None:
        self.interval = interval
        phases = array("d", (_phase(targets, row, seed) * interval for row in range(len(targets))))
        self._order = array("I", sorted(range(len(targets)), key=phases.__getitem__))
        self._phases = array("d", (phases[row] for row in self._order))

    def __len__(self) -> int:
        return len(self._order)

    def after(self, now: float) -> tuple[int, int]:
        """The first visit behind this moment, as (round, place in the order)."""
        number, inside = divmod(now, self.interval)
        place = bisect_right(self._phases, inside)
        return (int(number), place) if place < len(self) else (int(number) + 1, 0)

    def visit(self, at: tuple[int, int]) -> tuple[float, int]:
        """When it is due, and for which row of the list."""
        number, place = at
        return number * self.interval + self._phases[place], self._order[place]

    def next(self, at: tuple[int, int]) -> tuple[int, int]:
        number, place = at
        return (number, place + 1) if place + 1 < len(self) else (number + 1, 0)


def _phase(targets: Targets, row: int, seed: str) -> float:
    """0 to 1, the same for the same target in whatever list."""
    digest = blake2b(targets.text(row).encode(), digest_size=8, key=seed.encode()[:64]).digest()
    return int.from_bytes(digest) / 2**64


class Runner:
    """Makes the visits of one list until it is cancelled. measure: what a visit is; must not raise.

    jitter: each visit is moved at random within this share of the interval, later.
    """

    def __init__(
        self, clock: Clock, measure: Callable[[int], Awaitable[None]], random: Random, *, jitter: float = 0.0
    ) -> None:
        self._clock = clock
        self._measure = measure
        self._random = random
        self._jitter = jitter
        self.paused = False
        self.begun = self.skipped = 0
        """Visits that were begun, and those that were not: late, or too much was under way."""
        self.late = 0.0
        """Seconds, the largest lateness of a visit so far."""
        self.under_way: set[asyncio.Task[None]] = set()

    async def run(self, rounds: Rounds) -> None:
        if not len(rounds):
            return
        at = rounds.after(self._clock.time())
        while True:
            due, row = rounds.visit(at)
            now = self._clock.time()
            if due > now:
                await self._clock.sleep(min(due - now, _LOOK))
                if self._clock.time() < due:  # not yet, or the clock was put back
                    at = self._again(rounds, at)
                    continue
            at = self._visited(rounds, at, due, row)

    def _again(self, rounds: Rounds, at: tuple[int, int]) -> tuple[int, int]:
        """A clock that was put back by more than a round begins the schedule of that time."""
        due, _ = rounds.visit(at)
        return rounds.after(self._clock.time()) if due - self._clock.time() > rounds.interval else at

    def _visited(self, rounds: Rounds, at: tuple[int, int], due: float, row: int) -> tuple[int, int]:
        late = self._clock.time() - due
        if late > min(LATE_MOST, rounds.interval):
            following = rounds.after(self._clock.time())
            self.skipped += 0 if self.paused else _between(rounds, at, following)
            return following
        if not self.paused:
            self.late = max(self.late, late)
            self._begin(row, rounds.interval)
        return rounds.next(at)

    def _begin(self, row: int, interval: float) -> None:
        if len(self.under_way) >= AT_ONCE:
            self.skipped += 1
            return
        self.begun += 1
        task = asyncio.ensure_future(self._visit(row, interval))
        self.under_way.add(task)
        task.add_done_callback(self.under_way.discard)

    async def _visit(self, row: int, interval: float) -> None:
        if self._jitter:
            await self._clock.sleep(self._random.uniform(0, self._jitter) * interval)
        await self._measure(row)

    async def close(self) -> None:
        """What is under way is ended, and let go of."""
        tasks = list(self.under_way)
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


def _between(rounds: Rounds, first: tuple[int, int], last: tuple[int, int]) -> int:
    return max(0, (last[0] - first[0]) * len(rounds) + last[1] - first[1])
