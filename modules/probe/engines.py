"""The packet engine as an instance holds it: looked for until it is there, and its standing job over all targets.

The client (`amon.engine.asking.client`) comes back by itself to an engine that went; what is here finds the first one,
keeps what the engine says of itself, and turns batches into results.
"""

import asyncio
import logging
from array import array
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from msgspec import structs

from amon.clock import Clock
from amon.engine.asking.client import NOWHERE, Engine, Gap, Job, connect
from amon.engine.messages import Batch, Denied, Ended, Sample, Spec, State, Taken, Tally
from amon.errors import Failed, Refused

from .targets import Targets

USUAL = Path("/run/amon-engine/socket")
_LOOK_FIRST, _LOOK_MOST = 1.0, 60.0  # seconds between two looks for an engine that is not there
_AGAIN = 5.0  # seconds until a job that the engine refused or ended is asked for again


class EngineKeeper:
    """engine: None while there is none; `trouble` says why. changed: called when that becomes another.

    wanted: whether somebody said that there is one; else nobody minds that there is none.
    """

    def __init__(self, path: Path | None, tenant: str, name: str, clock: Clock, changed: Callable[[], None]) -> None:
        self.path = path or USUAL
        self.wanted = path is not None
        self.engine: Engine | None = None
        self.sample: Sample | None = None
        self.trouble = ""
        self.found = asyncio.Event()
        self._tenant, self._client = tenant, name
        self._clock = clock
        self._changed = changed

    async def run(self) -> None:
        """For ever."""
        wait = _LOOK_FIRST
        while True:
            try:
                async with connect(self.path, self._tenant, client=self._client) as engine:
                    await self._hold(engine)
            except (Failed, Refused, OSError) as fault:
                self._say(None, str(fault))
            await self._clock.sleep(wait)
            wait = min(_LOOK_MOST, wait * 2)

    async def _hold(self, engine: Engine) -> None:
        engine.on_sample = self._heard
        engine.on_change = lambda trouble: self._say(engine, trouble)
        self._say(engine, "")
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._say(None, "closed")

    def _heard(self, sample: Sample) -> None:
        self.sample = sample
        self._changed()

    def _say(self, engine: Engine | None, trouble: str) -> None:
        is_news = (self.engine is None, bool(self.trouble)) != (engine is None, bool(trouble))
        self.engine, self.trouble = engine, trouble
        if engine is not None:
            self.found.set()
        else:
            self.found.clear()
            self.sample = None
        if is_news:
            self._changed()


@dataclass(frozen=True, slots=True)
class Listing:
    """A list as the engine has it: targets with an address. rows: the place in `targets` of each; None: the same."""

    targets: Targets
    addresses: bytes
    rows: "array[int] | None" = None

    @classmethod
    def of(cls, targets: Targets) -> "Listing":
        if not targets.missing:
            return cls(targets, targets.addresses)
        rows = targets.reachable()
        return cls(targets, b"".join(targets.addresses[16 * row : 16 * row + 16] for row in rows), rows)

    def placed(self, batch: Batch) -> Batch:
        """With the places of our list."""
        if self.rows is None:
            return batch
        rows = self.rows
        told = array("I", (rows[one] if one < len(rows) else NOWHERE for one in batch.column("target")))
        return structs.replace(batch, columns={**batch.columns, "target": told.tobytes()})


@dataclass(slots=True)
class JobNow:
    """What is known of the job that probes all targets."""

    job: Job | None = None
    tally: Tally = field(default_factory=Tally)
    held: bool = False
    gaps: int = 0
    odd: int = 0
    """Batches that made no sense."""
    trouble: str = ""
    batches: int = 0
    denied: tuple[Denied, ...] = ()
    listing: Listing | None = None
    """Whose places those of `denied` are."""


class StandingJob:
    """One job without an end. take: gets each batch. told: called when its state is another. gap: with begin, end
    (epoch seconds) and why, where the engine was away."""

    def __init__(
        self, keeper: EngineKeeper, clock: Clock, log: logging.Logger,
        take: Callable[[Batch, Listing], None], told: Callable[[], None], gap: Callable[[float, float, str], None],
    ) -> None:  # fmt: skip
        self.now = JobNow()
        self._lists: dict[int, Listing] = {}
        self._keeper, self._clock, self._log = keeper, clock, log
        self._take, self._told, self._gap = take, told, gap
        self._paused = False

    async def run(self, spec: Spec, listing: Listing) -> None:
        """Until cancelled."""
        while True:
            await self._keeper.found.wait()
            engine = self._keeper.engine
            try:
                if engine is not None:
                    await self._once(engine, spec, listing)
            except (Failed, Refused) as fault:
                self._say(str(fault))
            finally:
                self.now.job = None
            await self._clock.sleep(_AGAIN)

    async def _once(self, engine: Engine, spec: Spec, listing: Listing) -> None:
        async with await engine.begin(spec, listing.addresses) as job:
            self._lists = {job.edition: listing}
            self.now.job, self.now.denied, self.now.listing = job, job.denied, listing
            self._say("")
            if self._paused:
                await job.pause()
            async for report in job:
                self._hear(report, job)

    def _hear(self, report: Taken | Batch | State | Ended | Gap, job: Job) -> None:
        if isinstance(report, Batch):
            self.now.batches += 1
            self._hear_batch(report)
        elif isinstance(report, State):
            self.now.tally, self.now.held = report.tally, report.held
            self._told()
        elif isinstance(report, Gap):
            self.now.gaps += 1
            begin, end = (datetime.fromtimestamp(one, UTC).strftime("%H:%M:%SZ") for one in (report.begin, report.end))
            self._log.warning("the engine probed nothing from %s to %s: %s", begin, end, report.text)
            self._gap(report.begin, report.end, report.text)
        elif isinstance(report, Ended):
            self._say(report.text or "the engine has ended it")
        else:
            self.now.denied, self.now.listing = job.denied, self._lists.get(report.edition)

    def _hear_batch(self, batch: Batch) -> None:
        """One that makes no sense is passed over: whatever is at that socket, it is another process."""
        listing = self._lists.get(batch.edition)
        if listing is None:
            return
        try:
            self._take(listing.placed(batch), listing)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as odd:
            self.now.odd += 1
            self._log.warning("a batch of the engine makes no sense: %s", odd)

    async def change(self, spec: Spec, listing: Listing) -> bool:
        """Without a stop: the old list is probed until the new one is in force. False: there is no job to change."""
        job = self.now.job
        if job is None:
            return False
        before = self._lists.get(job.edition)
        self._lists = {job.edition + 1: listing, **({job.edition: before} if before is not None else {})}
        await job.change(spec=spec, targets=listing.addresses)
        return True

    def not_probed(self) -> Iterator[tuple[int, str]]:
        """Rows of our list that the engine must not probe, and why; of very many the first."""
        listing = self.now.listing
        for one in self.now.denied if listing is not None else ():
            for place in one.rows:
                rows = listing.rows if listing is not None else None
                if place != NOWHERE:
                    yield (place if rows is None else rows[place]), one.text

    async def pause(self, paused: bool) -> None:
        self._paused = paused
        if self.now.job is not None:
            await (self.now.job.pause() if paused else self.now.job.resume())

    def _say(self, trouble: str) -> None:
        if trouble != self.now.trouble:
            self.now.trouble = trouble
            self._told()


class ForProbes:
    """The engine as single probes use it: a job that is not waited for any more is ended at once."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def begin(self, spec: Spec, addresses: bytes) -> "Shot":
        return Shot(await self._engine.begin(spec, addresses))


class Shot:
    """A job of one probe."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self.denied = job.denied

    @property
    def away(self) -> float | None:
        """Since when (epoch seconds) its engine is away; None while it is there."""
        return next((part.lost[0] for part in self._job.parts if part.live and part.lost is not None), None)

    async def __aiter__(self) -> AsyncIterator[Batch | State | Ended]:
        async for report in self._job:
            if isinstance(report, Batch | State | Ended):
                yield report

    async def end(self) -> None:
        self._job.leave()
