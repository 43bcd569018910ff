"""What a driver is: who starts, stops and looks. It decides nothing; `keeper.py` does."""

import logging
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from typing import Literal, Protocol

from amon.clock import Clock
from amon.module.base import Spawn

from .states import Seen

Verb = Literal["start", "stop", "restart"]


@dataclass(frozen=True, slots=True)
class World:
    """Given to a driver. `stir` is called when the service may have changed; tasks of `spawn` end with the instance."""

    clock: Clock
    spawn: Spawn
    stir: Callable[[], None]
    log: logging.Logger


class Driver(Protocol):
    """One service, driven one way. All but `see` and `open` raise `Failed` when it does not work."""

    async def open(self) -> bool:
        """Find the service as it is; True if it has never been started and should be now."""
        ...

    async def see(self) -> Seen:
        """How it is now. Never raises for what the host does."""
        ...

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def restart(self) -> None: ...

    async def last_lines(self) -> tuple[str, ...]:
        """The end of its log, bounded and clean; `Failed` where it cannot be read, which is not the same as empty."""
        ...

    def follow(self, lines: int) -> AsyncGenerator[str, None]:
        """Its log as it grows, after the last `lines` lines of it; `Failed` where it cannot be read."""
        ...

    def says(self, verb: Verb) -> tuple[str, ...]:
        """What would be called, in order: for a dry run."""
        ...
