"""The real engine at full speed, and a client that takes its sealed batches.

The engine runs on `timed.CORE`; the client elsewhere, and what it costs is told apart. CPU is all that the engine took
from the order to the last batch, its next hops included, its start not.
"""

import os
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from amon.engine.asked import Job
from amon.engine.messages import STATES, Batch, Ended, Sample, Spec, Tally
from tests.bench.ground import cpu_seconds
from tests.bench.probe.grounds import Ground
from tests.bench.probe.timed import CORE, Run
from tests.lab.engine import Prober, prober


@dataclass(slots=True)
class Taken:
    """What came in batches. first, last: epoch ns of sending. tally: the engine's own account, at the end."""

    states: Counter[str] = field(default_factory=Counter)
    rows: int = 0
    batches: int = 0
    first: int = 2**62
    last: int = 0
    mismatched: int = 0
    tally: Tally = field(default_factory=Tally)

    def take(self, batch: Batch) -> None:
        assert batch.seq == self.batches
        self.batches += 1
        self.rows += batch.rows
        states = np.frombuffer(batch.columns["state"], np.uint8)
        counts = np.bincount(states, minlength=len(STATES)) * (batch.rows if len(states) == 1 else 1)
        self.states.update(dict(zip(STATES, counts.tolist(), strict=True)))
        sent = np.frombuffer(batch.columns["sent"], np.int64)
        if sent.any():
            self.first, self.last = min(self.first, int(sent[sent > 0].min())), max(self.last, int(sent.max()))

    @property
    def accounted(self) -> bool:
        """Every packet sent has one end, the same in the rows and in the tally."""
        tally = self.tally
        ends = tally.answered + tally.unreachable + tally.hops + tally.lost + tally.late
        rows = sum(self.states[name] for name in ("answered", "unreachable", "hop", "lost"))
        return tally.sent == ends == rows and not tally.in_flight


@dataclass(frozen=True, slots=True)
class Flight:
    """One job from its beginning to its end. listening: CPU seconds of the client. drops: of the engine's layers."""

    run: Run
    taken: Taken
    listening: float
    drops: Mapping[str, int]
    way: str


async def fly(one: Prober, spec: Spec, addresses: Sequence[str]) -> Flight:
    taken, before = Taken(), (cpu_seconds(one.pid), cpu_seconds(os.getpid()))
    async with one.client() as engine:
        way = " + ".join(name for where, name in engine.welcome.ways.items() if where) or "none"
        job = await engine.begin(spec, addresses)
        await listen(job, taken)
        cpu, listening = cpu_seconds(one.pid) - before[0], cpu_seconds(os.getpid()) - before[1]
        drops = (await engine.sample()).drops
    seconds = max(1, taken.last - taken.first) / 1e9
    matched = taken.tally.answered + taken.tally.unreachable + taken.tally.hops
    run = Run(taken.tally.sent, matched, seconds, cpu, taken.mismatched)
    return Flight(run, taken, listening, {name: count for name, count in drops.items() if count}, way)


async def listen(job: Job, taken: Taken) -> None:
    async for report in job:
        if isinstance(report, Batch):
            taken.take(report)
        elif isinstance(report, Ended):
            taken.tally = report.tally


async def at_full_speed(
    ground: Ground, way: str, addresses: Sequence[str], rounds: int, *, words: tuple[str, ...] = (), timeout: float = 1
) -> Flight:
    """Each of the addresses so many times, as fast as it goes. words: before the engine's own, as `setpriv ...`."""
    pinned = ("taskset", "-c", str(CORE), *words)
    interface = "" if way in ("raw", "ping") else ground.interface
    with tempfile.TemporaryDirectory(prefix="amon-lab-") as folder:
        async with prober(Path(folder), ground.space, interface=interface, way=way, words=pinned) as one:
            spec = Spec(interval=len(addresses) / 4e6, rounds=rounds, timeout=timeout)
            return await fly(one, spec, addresses)


def last_of(samples: Sequence[Sample]) -> Sample:
    return samples[-1]
