"""A clock that stands still until it is turned. Sleepers wake when their time has come, never by waiting."""

import asyncio
import heapq


class FakeClock:
    """Starts at `now` (epoch seconds); its monotonic time starts at 0 and goes along."""

    def __init__(self, now: float = 1_000_000.0) -> None:
        self._epoch = now
        self._passed = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._count = 0
        self._fell_asleep = asyncio.Event()

    def time(self) -> float:
        return self._epoch + self._passed

    def monotonic(self) -> float:
        return self._passed

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._sleepers, (self._passed + seconds, self._count, waiting))
        self._fell_asleep.set()
        await waiting

    def advance(self, seconds: float) -> None:
        """Turn the clock on and wake those whose time has come, the earliest first. They run when the loop does."""
        self._passed += seconds
        while self._sleepers and self._sleepers[0][0] <= self._passed:
            _, _, waiting = heapq.heappop(self._sleepers)
            if not waiting.done():
                waiting.set_result(None)

    def step_back(self, seconds: float) -> None:
        """What NTP or an administrator does: the time of day goes back, the monotonic time does not."""
        self._epoch -= seconds

    async def turn(self, seconds: float, step: float = 1.0) -> None:
        """Advance in steps and let everybody run in between, for work that sleeps again and again."""
        left = seconds
        while left > 0:
            self.advance(min(step, left))
            left -= step
            for _ in range(20):
                await asyncio.sleep(0)

    async def wait_sleepers(self, count: int) -> None:
        """Until so many sleep: what was woken has done its work, threads included, and sleeps again."""
        while self.sleepers() < count:
            self._fell_asleep.clear()
            await self._fell_asleep.wait()

    def sleepers(self) -> int:
        return sum(1 for _, _, waiting in self._sleepers if not waiting.done())
