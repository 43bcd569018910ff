"""An agent's end of the engine: asks for jobs and hears what became of every packet. Needs no numpy.

    async with connect(Path("/run/amon-engine/socket"), "ops") as engine:
        async with await engine.begin(Spec(rounds=3), ["192.0.2.1", "2001:db8::1"]) as job:
            async for report in job:
                ...

An engine of several cores has a socket for each, `PATH.0`, `PATH.1`, ...: nobody here notices. An engine that goes away
is looked for with growing patience, and jobs without an end are begun again with a `Gap` that says so.
"""

import asyncio
import logging
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random

from amon.engine.asking.asked import Gap, Job, JobReport
from amon.engine.asking.link import Link
from amon.engine.asking.recording import Recordings
from amon.engine.asking.shares import NOWHERE, Address, packed, whose
from amon.engine.asking.sums import samples, welcomes
from amon.engine.messages import (
    VERSION,
    AnyReport,
    Ask,
    Batch,
    Capture,
    Captured,
    Ended,
    Hello,
    Refused,
    Sample,
    Spec,
    State,
    Taken,
    Welcome,
)
from amon.errors import Failed, Invalid
from amon.errors import Refused as RefusedError

__all__ = ["NOWHERE", "Address", "Engine", "Gap", "Job", "JobReport", "Times", "connect", "packed", "sockets"]

_CORES_MOST = 256
_BUFFER_MOST = 64 * 1024 * 1024
"""Bytes of batches nobody has read, of all jobs: past this nothing is read from the engine, and it waits."""


@dataclass(frozen=True, slots=True)
class Times:
    """Seconds. answer: for a hello or a sample; begin: until a list is taken; first, most: between two tries to come
    back, doubling, each between half and the whole of it."""

    answer: float = 10.0
    begin: float = 60.0
    first: float = 0.2
    most: float = 30.0


def sockets(path: Path) -> list[Path]:
    """The sockets of an engine whose configuration says `path`: that one, or one for each core."""
    if path.exists():
        return [path]
    found: list[Path] = []
    while len(found) < _CORES_MOST and (one := path.with_name(f"{path.name}.{len(found)}")).exists():
        found.append(one)
    return found or [path]


@asynccontextmanager
async def connect(
    path: Path | socket.socket, tenant: str, *, client: str = "", times: Times | None = None
) -> "AsyncIterator[Engine]":
    """`Failed` if no engine is there, `Refused` if it will not have us. path: or a socket that is connected already."""
    engine = Engine(path, Hello(VERSION, tenant, client[:128]), times or Times())
    try:
        await engine.open()
        yield engine
    finally:
        await engine.close()


class Engine:
    """on_sample: called once a second with what the engine says of itself, all its cores together. on_change: when it
    went (with the reason) or has come back (with an empty text)."""

    def __init__(self, path: Path | socket.socket, hello: Hello, times: Times, random: Random | None = None) -> None:
        self.on_sample: Callable[[Sample], None] | None = None
        self.on_change: Callable[[str], None] | None = None
        self.trouble = ""
        """Why the engine, or one of its cores, is not there; empty if all is well."""
        self._path, self._hello, self._times, self._random = path, hello, times, random or Random()
        self._links: list[Link] = []
        self._jobs: dict[int, Job] = {}
        self._samples: dict[Link, asyncio.Future[Sample]] = {}
        """Who waits for one."""
        self._latest: dict[Link, Sample] = {}
        self._recordings = Recordings(times.answer)
        self._number = 0
        self._lost = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None
        self._held = False
        self._heard = 0.0
        self._log = logging.getLogger("amon.engine.asking.client")

    @property
    def silent_for(self) -> float:
        """Seconds since the engine said anything. It does once a second: more is an engine that is stuck."""
        return asyncio.get_running_loop().time() - self._heard

    @property
    def welcome(self) -> Welcome:
        """Of all its cores that are there."""
        several = [link.welcome for link in self._links if link.welcome is not None]
        if not several:
            raise Failed(self.trouble or "the engine is not connected")
        return welcomes(several)

    async def open(self) -> None:
        self._links = self._made()
        await self._open(self._links)
        self._heard = asyncio.get_running_loop().time()
        if isinstance(self._path, Path):
            self._keeper = asyncio.create_task(self._keep(), name="engine")

    async def close(self) -> None:
        if self._keeper is not None:
            self._keeper.cancel()
            await asyncio.gather(self._keeper, return_exceptions=True)
        for link in self._links:
            link.close()
        for job in self._jobs.values():
            job.stop()
        self._jobs.clear()
        self._fail_waiting("closed")

    async def begin(self, spec: Spec, addresses: "bytes | Iterable[Address]") -> Job:
        """Until the list is taken. addresses: texts, or 16 bytes each. `Refused` if the engine will not, `Failed` if
        it cannot be asked."""
        whole = addresses if isinstance(addresses, bytes) else packed(addresses)
        if not whole or len(whole) % 16:
            raise Invalid("no target is named" if not whole else "an address takes 16 bytes")
        self._number += 1
        job = Job(self._number, spec, whole, self._times.begin)
        job.on_drained = self._balance
        self._jobs[job.number] = job
        try:
            await job.begin(self._links)
        except BaseException:
            job.leave()
            self._prune(job)
            raise
        return job

    async def sample(self) -> Sample:
        """What the engine says of itself now, all its cores together."""
        loop = asyncio.get_running_loop()
        asked = [link for link in self._links if link.up]
        if not asked:
            raise Failed(self.trouble or "the engine is not connected")
        for link in asked:
            if link not in self._samples:
                self._samples[link] = loop.create_future()
                await link.send(Ask())
        answers = [self._samples[link] for link in asked if link in self._samples]
        try:
            async with asyncio.timeout(self._times.answer):
                return samples(await asyncio.gather(*map(asyncio.shield, answers)))
        except TimeoutError:
            raise Failed(f"the engine does not answer within {self._times.answer:g} s") from None

    async def capture(
        self, descriptor: int, *, job: Job | None = None, address: bytes | None = None, sent: bool = True,
        received: bool = True, seconds: float = 60.0, packets: int = 100_000, size: int = 16 * 1024 * 1024,
        until: asyncio.Event | None = None,
    ) -> Captured:  # fmt: skip
        """The engine's own packets as a pcap into an open file or pipe, until a limit is reached or `until` is set."""
        links = self._links
        if address is not None:
            links = [links[whose(address, len(links))]]
        if job is not None:
            links = [link for link in links if any(part.link is link and part.begun for part in job.parts)] or links[:1]
        order = Capture(0, job.number if job else None, address, sent, received, seconds, packets, size)
        return await self._recordings.capture(links, order, descriptor, until)

    # --- what is heard

    def _hear(self, link: Link, report: AnyReport) -> None:
        self._heard = asyncio.get_running_loop().time()
        if isinstance(report, Sample):
            self._hear_sample(link, report)
        elif isinstance(report, Captured):
            self._recordings.hear(report)
        elif isinstance(report, Refused) and report.job is None:
            self._log.warning("the engine refused: %s", report.text)
        elif isinstance(report, Taken | Batch | State | Ended | Refused) and report.job in self._jobs:
            job = self._jobs[report.job]
            job.hear(link, report)
            self._prune(job)
            self._balance()

    def _hear_sample(self, link: Link, sample: Sample) -> None:
        wanted = self._samples.pop(link, None)
        if wanted is not None:
            wanted.set_result(sample)
            return
        self._latest[link] = sample
        there = [one for one in self._links if one.up]
        if self.on_sample is not None and link is there[0]:
            self.on_sample(samples([self._latest[one] for one in there if one in self._latest]))

    def _prune(self, job: Job) -> None:
        if job.over:
            self._jobs.pop(job.number, None)

    def _balance(self) -> None:
        """Reads from the engine as long as those who asked read, too."""
        held = sum(job.buffered for job in self._jobs.values()) > _BUFFER_MOST
        if held != self._held:
            self._held = held
            for link in self._links:
                link.hold(held)

    # --- how it is kept

    def _made(self) -> list[Link]:
        paths: Sequence[Path | None] = sockets(self._path) if isinstance(self._path, Path) else [None]
        return [self._link(path) for path in paths]

    def _link(self, path: Path | None) -> Link:
        link = Link(path, lambda report: self._hear(link, report), lambda why: self._lose(link, why))
        return link

    async def _open(self, links: Iterable[Link]) -> None:
        connected = self._path if isinstance(self._path, socket.socket) else None
        for link in links:
            await link.open(self._hello, self._times.answer, connected)

    def _lose(self, link: Link, why: str) -> None:
        self._log.warning("lost the engine at %s: %s", link.path, why)
        self._say(f"the engine at {link.path} is gone: {why}")
        self._fail_waiting(why, link)
        for job in list(self._jobs.values()):
            job.lose(link, time.time(), why)
            self._prune(job)
        if isinstance(self._path, socket.socket):
            for job in self._jobs.values():
                job.stop()  # nobody comes back on this one
        self._lost.set()

    def _fail_waiting(self, why: str, only: Link | None = None) -> None:
        self._recordings.lose(why, only)
        for link in [link for link in self._samples if only in (None, link)]:
            one = self._samples.pop(link)
            if not one.done():
                one.set_exception(Failed(f"the engine went away: {why}"))
                one.exception()  # it may be that nobody waits any more

    def _say(self, trouble: str) -> None:
        changed = bool(trouble) != bool(self.trouble)
        self.trouble = trouble
        if changed and self.on_change is not None:
            self.on_change(trouble)

    async def _keep(self) -> None:
        tries = 0
        while True:
            await self._lost.wait()
            wait = min(self._times.most, self._times.first * float(1 << min(tries, 30)))
            await asyncio.sleep(wait * self._random.uniform(0.5, 1.0))
            tries += 1
            try:
                self._lost.clear()
                await self._mend()
            except (Failed, RefusedError) as error:
                self._say(str(error))
                self._lost.set()
            else:
                tries = 0
                self._log.info("the engine is back")
                self._say("")

    async def _mend(self) -> None:
        """Everything that is down is opened; jobs without an end go on there."""
        assert isinstance(self._path, Path)
        if sockets(self._path) != [link.path for link in self._links]:
            # It has another number of cores now: each target may belong to another one.
            for link in self._links:
                if link.up:
                    link.close()
                    self._lose(link, "the engine has other cores now")
            self._links = self._made()
            self._latest.clear()
        for link in [one for one in self._links if not one.up]:
            await link.open(self._hello, self._times.answer)
            link.hold(self._held)
            for job in [one for one in self._jobs.values() if one.standing]:
                await self._again(job, link)

    async def _again(self, job: Job, link: Link) -> None:
        try:
            await job.begin(self._links, [link], time.time())
        except RefusedError as error:
            job.refuse(link, str(error))
            self._prune(job)
        except Failed as error:
            if link.up:
                link.close()
                self._lose(link, str(error))
            raise
