"""A job without an end, listened to aside while a test does things to its engine."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from amon.engine.asking.asked import Job
from amon.engine.asking.client import Engine
from amon.engine.messages import Batch, Spec, Tally
from tests.lab.accounts import Book, column
from tests.waiting import until


@dataclass(slots=True)
class Standing:
    """ends: epoch ns of sending, target and state, of every row."""

    job: Job
    book: Book
    ends: list[tuple[int, int, int]] = field(default_factory=list)

    def keep(self, batch: Batch) -> None:
        self.ends += zip(column(batch, "sent"), column(batch, "target"), column(batch, "state"), strict=True)

    @property
    def tally(self) -> Tally:
        """As it was last told."""
        return self.book.told[-1].tally if self.book.told else Tally()

    def count(self, state: str) -> int:
        return self.book.states[state]

    async def wait(self, state: str, more: int, within: float = 20.0) -> None:
        """Until so many rows more have ended so."""
        goal = self.count(state) + more
        await until(lambda: self.count(state) >= goal, within)


@asynccontextmanager
async def standing(engine: Engine, spec: Spec, addresses: Iterable[str]) -> AsyncIterator[Standing]:
    """Ended, and its account checked, behind the block."""
    job = await engine.begin(spec, list(addresses))
    one = Standing(job, Book())
    one.book.keep = one.keep
    listening = asyncio.create_task(one.book.listen(job))
    try:
        yield one
        await job.end()
        async with asyncio.timeout(20):
            await listening
    finally:
        listening.cancel()
        await asyncio.gather(listening, return_exceptions=True)


def most_within(stamps: Sequence[int], window: float) -> int:
    """The most packets that were sent within so many seconds, wherever these begin."""
    ordered, first, most = sorted(stamps), 0, 0
    for last, stamp in enumerate(ordered):
        while stamp - ordered[first] > window * 1e9:
            first += 1
        most = max(most, last - first + 1)
    return most
