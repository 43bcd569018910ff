"""A job as who asked for it sees it: one, however many engines share its targets, and whatever happens to them.

A job without an end (`rounds=None`) is begun again where an engine has come back; one with an end is over for the
targets of an engine that went.
"""

import asyncio
import logging
from array import array
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from types import TracebackType

from msgspec import structs

from amon.engine.asking.link import Link
from amon.engine.asking.shares import Address, Listed, Part, packed, split
from amon.engine.asking.sums import denials, tallies
from amon.engine.messages import (
    TARGETS_MOST,
    Batch,
    Begin,
    Denied,
    End,
    Ended,
    Pause,
    Ready,
    Refused,
    Resume,
    Spec,
    State,
    Taken,
    Tally,
    Targets,
)
from amon.errors import Failed, Invalid
from amon.errors import Refused as RefusedError

_FULL, _LOW = 4 * 1024 * 1024, 1024 * 1024
"""Bytes of batches nobody has read: from the first on the engine is asked to pause, down from the second to go on."""


@dataclass(frozen=True, slots=True)
class Gap:
    """An engine was away, and probed nothing of this job between these moments (epoch seconds). tally: the last it said
    before; what was in flight then, nobody knows the end of. Tallies begin anew behind it."""

    job: int
    begin: float
    end: float
    tally: Tally
    text: str = ""


JobReport = Taken | Batch | State | Ended | Gap


class Job:
    """An `async for` over it gives `Batch`, `State`, `Gap`, after `change` `Taken`, and at last `Ended`. Within `async
    with` it is ended at the end of the block, and what comes after that nobody hears.

    Batches are numbered through, and `edition` says in which list their `target` is a place: 0 the first, then one more
    with each `change`.

    Who reads slowly has the engine pause this job (it says `held`), and no other one.
    """

    def __init__(self, number: int, spec: Spec, addresses: bytes, answer_within: float) -> None:
        self.number, self.spec, self.addresses = number, spec, addresses
        self.edition = 0
        """Counts the lists, and what else was changed."""
        self.parts: list[Part] = []
        self.over = False
        """Nothing comes any more."""
        self.buffered = 0
        """Bytes of batches that nobody has read."""
        self.on_drained: Callable[[], None] = lambda: None
        self._within = answer_within
        self._items: deque[JobReport] = deque()
        self._stirred = asyncio.Event()
        self._log = logging.getLogger("amon.engine.asking.client")
        self._orders = asyncio.Lock()
        self._paused = self._held = self._left = self._ending = False
        self._seq = 0
        self._why = ""
        """The last that was refused unasked: why the job may end soon."""

    @property
    def standing(self) -> bool:
        """Whether it is begun again where an engine has come back."""
        return self.spec.rounds is None and not (self._ending or self._left or self.over)

    @property
    def _probed(self) -> Iterator[Taken]:
        return (part.taken for part in self.parts if part.taken is not None and not part.all_denied)

    @property
    def targets(self) -> int:
        return sum(taken.targets for taken in self._probed)

    @property
    def rate(self) -> float:
        """Packets per second it comes to."""
        return sum(taken.rate for taken in self._probed)

    @property
    def denied(self) -> tuple[Denied, ...]:
        """What is not probed, and why, by place in the list."""
        return denials(one for part in self.parts for one in part.denied)

    # --- what is asked

    async def pause(self) -> None:
        self._paused = True
        await self._tell(Pause(self.number))

    async def resume(self) -> None:
        self._paused = False
        if not self._held:
            await self._tell(Resume(self.number))

    async def end(self) -> None:
        """No packet more. What is under way is still heard of; `Ended` is the last."""
        self._ending = True
        await self._tell(End(self.number))
        for part in self.parts:
            if part.lost is not None and part.ended is None:
                part.ended = Ended(self.number, part.tally, part.lost[1])
        self._settle()

    def leave(self) -> None:
        """Nobody listens any more: it is ended."""
        self._left = True
        self._items.clear()
        self.buffered = 0
        for part in self.parts:
            if part.live and part.link.up:
                part.link.post(End(self.number))
            elif part.live:
                part.ended = Ended(self.number, part.tally)
        self._settle()
        self.on_drained()

    async def change(self, *, spec: Spec | None = None, targets: "bytes | Iterable[Address] | None" = None) -> None:
        """Another spec, other targets, or both, from one round to the next. `Refused` if the engine will not."""
        if self.over:
            raise Invalid("this job has ended; next: begin another one")
        before = self.spec, self.addresses
        if targets is not None:
            self.addresses = targets if isinstance(targets, bytes) else packed(targets)
        self.spec = spec or self.spec
        self.edition += 1
        try:
            await self.begin([part.link for part in self.parts])
        except RefusedError:
            self.spec, self.addresses = before
            raise

    async def __aenter__(self) -> "Job":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave()

    # --- what is heard

    def __aiter__(self) -> AsyncIterator[JobReport]:
        return self

    async def __anext__(self) -> JobReport:
        while not self._items:
            if self.over:
                raise StopAsyncIteration
            self._stirred.clear()
            await self._stirred.wait()
        item = self._items.popleft()
        if isinstance(item, Batch):
            self.buffered -= _weight(item)
            if self._held and self.buffered <= _LOW:
                self._hold(False)
            self.on_drained()
        return item

    def hear(self, link: Link, report: "Taken | Batch | State | Ended | Refused") -> None:
        part = next((one for one in self.parts if one.link is link), None)
        if part is None or not part.begun:
            return
        if isinstance(report, Taken):
            part.take(report)
            if self.edition:
                self._take(Taken(self.number, self.targets, self.rate, self.denied, part.following.edition))
        elif isinstance(report, Refused):
            if not part.refuse(report.text):
                self._log.warning("job %d: %s", self.number, report.text)
                self._why = report.text
        elif isinstance(report, Batch):
            self._take(structs.replace(part.placed(report), seq=self._seq))
            self._seq += 1
        elif isinstance(report, State):
            part.state = report
            self._take_state()
        else:
            part.ended = structs.replace(report, text=report.text or self._why)
            self._settle()

    def lose(self, link: Link, at: float, why: str) -> None:
        """Its engine has gone."""
        for part in self.parts:
            if part.link is link and part.live:
                part.lost = at, why
                part.fail(Failed(f"the engine went away: {why}"))
                if not self.standing:
                    part.ended = Ended(self.number, part.tally, f"the engine went away: {why}")
        self._settle()

    def refuse(self, link: Link, why: str) -> None:
        """Its engine has come back, but will not have this job any more."""
        for part in self.parts:
            if part.link is link:
                part.begun, part.ended = True, Ended(self.number, part.tally, why)
        self._settle()

    def stop(self) -> None:
        """The connection is closed for good."""
        self.over = True
        self._stirred.set()

    def _take(self, item: JobReport) -> None:
        if self._left:
            return
        self._items.append(item)
        self._stirred.set()
        if isinstance(item, Batch):
            self.buffered += _weight(item)
            if not self._held and self.buffered >= _FULL:
                self._hold(True)

    def _take_state(self) -> None:
        """Of several that nobody has read the newest is enough."""
        held = self._held or any(part.state.held for part in self.parts if part.state is not None and part.live)
        state = State(self.number, tallies(part.tally for part in self.parts), self._paused, held)
        if self._items and isinstance(self._items[-1], State):
            self._items.pop()
        self._take(state)

    def _settle(self) -> None:
        """Once all parts have ended, the job has."""
        if self.over or any(part.live for part in self.parts):
            return
        begun = [part for part in self.parts if part.begun]
        texts = dict.fromkeys(part.ended.text for part in begun if part.ended is not None and part.ended.text)
        self._take(Ended(self.number, tallies(part.tally for part in begun), "; ".join(texts)))
        self.stop()

    def _hold(self, held: bool) -> None:
        self._held = held
        if self._paused:
            return
        for part in self.parts:
            if part.live and part.link.up:
                part.link.post(Pause(self.number) if held else Resume(self.number))

    # --- what engines are told

    async def _tell(self, order: "Pause | Resume | End") -> None:
        async with self._orders:
            for part in self.parts:
                if part.live and part.link.up:
                    await part.link.send(order)

    async def begin(self, links: Sequence[Link], again: "Sequence[Link] | None" = None, at: float = 0.0) -> None:
        """Hands out the targets. again: only to these, which were away until `at`."""
        async with self._orders:
            shares = await split(self.addresses, len(links))
            known = {part.link: part for part in self.parts}
            for part in self.parts:
                if part.link not in links:
                    self._take_gap(part, at)
            self.parts = [known.get(link) or Part(link) for link in links]
            try:
                async with asyncio.timeout(self._within):
                    for part, (addresses, index) in zip(self.parts, shares, strict=True):
                        if again is None or part.link in again:
                            await self._begin_part(part, addresses, index, at)
                    await self._wait_taken()
            except TimeoutError:
                raise Failed(f"the engine has not taken the targets within {self._within:g} s") from None
            finally:
                for part in self.parts:
                    _forget(part.answer)
                    part.answer = None

    async def _begin_part(self, part: Part, addresses: bytes, index: "array[int] | None", at: float) -> None:
        if not addresses and not part.begun:
            return
        self._take_gap(part, at)
        if part.lost is not None:
            part.renew()
        part.begun, part.ended = True, None
        if not addresses:
            await part.link.send(End(self.number))
            return
        part.answer, part.following = asyncio.get_running_loop().create_future(), Listed(self.edition, index)
        await part.link.send(Begin(self.number, self._share(len(addresses))))
        for first in range(0, len(addresses), 16 * TARGETS_MOST):
            await part.link.send(Targets(self.number, addresses[first : first + 16 * TARGETS_MOST]))
        await part.link.send(Ready(self.number))
        if self._paused or self._held:
            await part.link.send(Pause(self.number))

    def _take_gap(self, part: Part, at: float) -> None:
        if part.lost is not None and part.ended is None:
            since, why = part.lost
            self._take(Gap(self.number, since, at, part.tally, why))

    def _share(self, length: int) -> Spec:
        """The rate is shared as the targets are."""
        if self.spec.rate is None or length == len(self.addresses):
            return self.spec
        return structs.replace(self.spec, rate=self.spec.rate * length / len(self.addresses))

    async def _wait_taken(self) -> None:
        """All have answered then. An engine that may probe nothing of its share refuses it; that others may counts."""
        answers = {part.link: part.answer for part in self.parts if part.answer is not None}
        if answers:
            await asyncio.wait(answers.values())
        taken = any(part.live for part in self.parts)
        for part in self.parts:
            if part.link in answers and not (taken and part.all_denied):
                answers[part.link].result()


def _forget(answer: "asyncio.Future[Taken] | None") -> None:
    """Nobody waits for it any more; what it holds counts as seen."""
    if answer is not None and not answer.cancel() and not answer.cancelled():
        answer.exception()


def _weight(batch: Batch) -> int:
    return sum(map(len, batch.columns.values())) + len(batch.sources) + 256
