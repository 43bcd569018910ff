"""Lines at work: one after the other, as they were typed; sessions, and what ends with &, beside them.

A line that waits for its turn has its target already: what is selected afterwards is for those that come after it.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from admin_console.broadcast import Interrupts
from admin_console.run import Run
from amon.errors import Invalid
from amon.ids import short

_MOST = 100  # lines that wait, and lines under way


@dataclass(slots=True, eq=False)
class Doing:
    """One line. id: of its job, empty before that has begun. turned: it has ended, or nothing waits for its end.

    streams: it is a session.
    """

    line: str
    beside: bool = False
    interrupts: Interrupts = field(default_factory=Interrupts)
    began: float = field(default_factory=time.monotonic)
    id: str = ""
    run: Run | None = None
    streams: bool = False
    turned: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[int] | None" = None

    def begins(self, run: Run) -> None:
        """Its job is on its way."""
        self.id, self.run = run.id, run

    def session(self) -> None:
        """It tells something as it goes: the next line need not wait for it."""
        self.streams = True
        self.turned.set()

    def stop(self) -> None:
        """Tell the sites; what has not begun just ends."""
        if self.id:
            self.interrupts.hit()
        elif self.task is not None:
            self.task.cancel()


class Work:
    """changed: called when something begins or ends."""

    def __init__(self, changed: Callable[[], None] = lambda: None) -> None:
        self.under_way: list[Doing] = []
        self.waiting: list[Doing] = []
        self._changed = changed
        self._turn = asyncio.Lock()

    def put(self, doing: Doing, work: Callable[[], Coroutine[Any, Any, int]]) -> "asyncio.Task[int]":
        """It begins when those before it have turned. `Invalid` when too much waits already."""
        if len(self.waiting) + len(self.under_way) >= _MOST:
            raise Invalid(f"{_MOST} lines are under way or wait; stop some of them first")
        self.waiting.append(doing)
        doing.task = asyncio.create_task(self._one(doing, work), name=f"line {doing.line[:40]}")
        return doing.task

    async def _one(self, doing: Doing, work: Callable[[], Coroutine[Any, Any, int]]) -> int:
        doing_it: asyncio.Task[int] | None = None
        try:
            async with self._turn:  # asyncio.Lock is fair: in the order in which they were put
                self.waiting.remove(doing)
                self.under_way.append(doing)
                doing.began = time.monotonic()
                if doing.beside:
                    doing.turned.set()
                doing_it = asyncio.create_task(work())
                doing_it.add_done_callback(lambda _: doing.turned.set())
                self._changed()
                await doing.turned.wait()
            return await doing_it
        finally:
            if doing_it is not None and not doing_it.done():
                doing_it.cancel()
                await asyncio.wait((doing_it,))
            for held in (self.waiting, self.under_way):
                if doing in held:
                    held.remove(doing)
            self._changed()

    def interrupt(self) -> bool:
        """Ctrl-C: the line that others wait for is stopped. False: there is none."""
        current = [doing for doing in self.under_way if not doing.streams and not doing.beside]
        for doing in current[-1:]:
            doing.stop()
        return bool(current)

    def ids(self) -> list[tuple[str, Doing]]:
        """What is under way, by the shortest ends of their ids."""
        known = {doing.id: doing for doing in self.under_way if doing.id}
        return [(short(ident, known), doing) for ident, doing in known.items()]

    def meant(self, ident: str) -> list[Doing]:
        """By the end of an id, `all`, or nothing said where there is only one. `Invalid` says what could be meant."""
        found = self.ids()
        names = ", ".join(f"{name} ({doing.line[:40]})" for name, doing in found)
        if not found and not self.under_way:
            raise Invalid("nothing is under way")
        if ident.lower() == "all" or (not ident and len(self.under_way) == 1):
            return [*self.under_way, *self.waiting]
        if not ident:
            raise Invalid(f"which one? {names}; or stop all")
        ends = [doing for _, doing in found if doing.id.endswith(ident.upper())]
        if len(ends) != 1:
            raise Invalid(f"{'no job' if not ends else 'more than one job'} under way ends in {ident[:26]!r}: {names}")
        return ends

    async def end(self, within: float) -> None:
        """Sessions are stopped, and have so many seconds to say so; for the rest nobody waits any more."""
        tasks = [doing.task for doing in (*self.under_way, *self.waiting) if doing.task is not None]
        for doing in [*self.under_way]:
            if doing.streams:
                doing.stop()
        sessions = [doing.task for doing in self.under_way if doing.streams and doing.task is not None]
        if sessions:
            await asyncio.wait(sessions, timeout=within)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
