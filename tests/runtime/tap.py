"""A module that goes on telling, and an ear that reads it as fast as the test lets it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from amon.command import Call, command
from amon.fields import Field
from amon.module import Env, Module
from amon.runtime.incoming import Output, Part
from amon.runtime.node import Spec
from amon.testing import FakeClock
from tests.runtime.scene import Ear, Site, site

Token = Annotated[str, Field("a password", pattern=r".*", longest=64, secret=True)]


@dataclass(frozen=True, slots=True)
class Drop:
    number: Annotated[int, Field("which")]
    of: Annotated[str, Field("where from")] = "tap"


class Tap(Module[None]):
    """Tells what the test puts into `source`; None ends it. `log` has what was let go."""

    def __init__(self, env: Env[None], log: list[str]) -> None:
        super().__init__(env)
        self.log = log
        self.source: asyncio.Queue[Any] = asyncio.Queue()
        self.open = 0
        self.opened = asyncio.Event()

    @command(timeout=600)
    async def follow(self, call: Call, token: Token = "") -> AsyncIterator[str]:
        """Tell what comes."""
        self.open += 1
        self.opened.set()
        try:
            while (item := await self.source.get()) is not None:
                if isinstance(item, BaseException):
                    raise item
                yield item
        finally:
            self.open -= 1
            self.log.append("let go")

    @command()
    async def drops(self, call: Call, count: Annotated[int, Field("how many")] = 3) -> AsyncIterator[Drop]:
        """Tell drops, as fast as it can."""
        for number in range(count):
            yield Drop(number)

    @command()
    async def stubborn(self, call: Call) -> AsyncIterator[str]:
        """Take no notice of being ended."""
        while True:
            try:
                yield await self.source.get()
            except asyncio.CancelledError:
                self.log.append("not now")


class Reader(Ear):
    """Takes all there is whenever there is something, as long as `reads`."""

    def __init__(self, *, reads: bool = True) -> None:
        super().__init__()
        self.reads = reads
        self.session: Output | None = None
        self.parts: list[Part] = []
        self.told = 0

    def output(self, session: Output) -> None:
        self.session = session
        self.told += 1
        if self.reads:
            self.take()
        super().output(session)

    def take(self, items: int = 10_000, size: int = 10**9) -> None:
        assert self.session is not None
        while (part := self.session.take(items, size)) is not None:
            self.parts.append(part)
            self.session.heard()

    @property
    def items(self) -> list[Any]:
        return [item for part in self.parts for item in part.items]

    async def wait_items(self, count: int) -> None:
        async with asyncio.timeout(5):
            while len(self.items) < count:
                self.changed.clear()
                await self.changed.wait()


@asynccontextmanager
async def tapped(folder: Path, clock: FakeClock | None = None) -> AsyncIterator[tuple[Site, Tap]]:
    """A site with the instance `tap` beside `lab`."""
    log: list[str] = []
    spec = Spec("tap", "tap", Tap, make=lambda env: Tap(env, log))
    async with site(folder, clock=clock, specs=(spec,)) as made:
        module = made.node.find("tap")
        assert isinstance(module, Tap)
        yield made, module


async def begun(
    made: Site, tap: Tap, line: str = "tap follow", *, reads: bool = True, **more: Any
) -> "tuple[Reader, asyncio.Task[None]]":
    """A session that is open."""
    reader = Reader(reads=reads)
    tap.opened.clear()
    task = asyncio.create_task(made.node.dispatch.handle(made.incoming(line, **more), reader))
    async with asyncio.timeout(5):
        await tap.opened.wait()
    return reader, task


async def until(condition: Callable[[], bool]) -> None:
    """A few turns of the loop away."""
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a few turns of the loop away
            await asyncio.sleep(0)
