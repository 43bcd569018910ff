"""Work in steps, each of them told: one that fails does not keep the others from being done, and is told at the end."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from amon.errors import Failed

T = TypeVar("T")
R = TypeVar("R")
AT_ONCE = 20  # requests to a server under way


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that was to be done, and how it went. next: what a person does about it."""

    what: str
    ok: bool
    text: str = ""
    next: str = ""

    def __str__(self) -> str:
        text = f": {self.text}" if self.text else ""
        step = f"; next: {self.next}" if self.next else ""
        return f"{'' if self.ok else 'FAILED '}{self.what}{text}{step}"


@dataclass(slots=True)
class Steps:
    """What was done about `about`, in order. said: hears each step as it ends."""

    about: str
    said: Callable[[str], None] = lambda text: None
    done: list[Step] = field(default_factory=list)

    @property
    def failed(self) -> list[Step]:
        return [step for step in self.done if not step.ok]

    async def do(self, what: str, work: Awaitable[str | None], step: str = "", done: str = "") -> bool:
        """Does one thing; what it returns, or `done`, is told with it. step: what to do if it fails."""
        try:
            self.note(what, await work or done)
        except Failed as fault:
            self._tell(Step(what, False, str(fault), "" if "next:" in str(fault) else step))
            return False
        return True

    def note(self, what: str, text: str = "", step: str = "") -> None:
        self._tell(Step(what, True, text, step))

    def _tell(self, step: Step) -> None:
        self.done.append(step)
        self.said(str(step))

    def document(self) -> dict[str, Any]:
        """For programs. Stable: keys are added, never renamed."""
        steps = [{"step": one.what, "ok": one.ok, "text": one.text, "next": one.next} for one in self.done]
        return {"about": self.about, "ok": not self.failed, "steps": steps}


async def each(
    work: Callable[[T], Awaitable[R]], things: Iterable[T], progress: Callable[[int, int], None] = lambda n, of: None
) -> "list[tuple[T, R | Failed]]":
    """The same for many, a few at once; a result or a reason for each, in order. progress: hears how many are done."""
    wanted: Sequence[T] = tuple(things)
    limit = asyncio.Semaphore(AT_ONCE)
    ended = 0

    async def one(thing: T) -> tuple[T, R | Failed]:
        nonlocal ended
        async with limit:
            try:
                return thing, await work(thing)
            except Failed as fault:
                return thing, fault
            finally:
                ended += 1
                progress(ended, len(wanted))

    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(one(thing)) for thing in wanted]
    return [task.result() for task in running]
