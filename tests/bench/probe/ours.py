"""The real engine at full speed, and a client that takes its sealed batches.

The engine runs on `timed.CORE`; the client elsewhere, and what it costs is told apart. CPU is all that the engine took
from the order to the last batch, its next hops included, its start not.
"""

import os
import shutil
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

import numpy as np

from amon.engine.asking.asked import Job
from amon.engine.messages import SELF, STATES, Batch, Ended, Spec, Tally
from tests.bench.ground import cpu_seconds
from tests.bench.probe.grounds import Chain, Ground
from tests.bench.probe.timed import CORE, Run
from tests.lab.engine import MUCH, Prober, prober

NOBODY = 65534
UNPRIVILEGED = (
    "setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all",
)  # fmt: skip
IN_FLIGHT = 2**18
"""As an operator would: the rate that can be had times `TIMEOUT`."""
TIMEOUT = 0.2
TRACED = 150_000
"""Probes per second that a trace asks for: more than the routers on this core can do."""


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
    routers: Sequence[bytes] = ()
    """Of a trace: who is right to say time exceeded, by TTL from 1."""

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

        if self.routers:
            self.mismatched += self._wrong(batch)

    def _wrong(self, batch: Batch) -> int:
        """Hops by another router than the one at this TTL, and targets answered for by another, or short of it."""
        state, ttl, source = (_whole(batch, name) for name in ("state", "ttl", "source"))
        sources = [batch.sources[at : at + 16] for at in range(0, len(batch.sources), 16)]
        places = {router: place for place, router in enumerate(self.routers, 1)}
        row = np.array([places.get(one, 0) for one in sources] or [0])
        is_hop = state == STATES.index("hop")
        wrong = is_hop & ((source == SELF) | (row[np.where(source == SELF, 0, source)] != ttl))
        early = (state == STATES.index("answered")) & ((ttl <= len(self.routers)) | (source != SELF))
        return int((wrong | early).sum())

    @property
    def accounted(self) -> bool:
        """Every packet sent has one end, the same in the rows and in the tally."""
        tally = self.tally
        ends = tally.answered + tally.unreachable + tally.hops + tally.lost + tally.late
        rows = sum(self.states[name] for name in ("answered", "unreachable", "hop", "lost"))
        return tally.sent == ends == rows and not tally.in_flight


def _whole(batch: Batch, name: str) -> "np.ndarray[tuple[int], np.dtype[np.int64]]":
    """A column with an item for each row."""
    values = np.array(batch.column(name), np.int64)
    return values if len(values) == batch.rows else np.repeat(values, batch.rows)


@dataclass(frozen=True, slots=True)
class Flight:
    """One job from its beginning to its end. listening: CPU seconds of the client. drops: of the engine's layers."""

    run: Run
    taken: Taken
    listening: float
    drops: Mapping[str, int]
    way: str


async def fly(one: Prober, spec: Spec, addresses: Sequence[str], taken: Taken | None = None) -> Flight:
    taken = taken or Taken()
    async with one.client() as engine:  # it answers when its start is over
        before = cpu_seconds(one.pid), cpu_seconds(os.getpid())
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
    ground: Ground, way: str, addresses: Sequence[str], rounds: int, *, words: tuple[str, ...] = ()
) -> Flight:
    """Each of the addresses so many times, as fast as it goes. words: before the engine's own, as `setpriv ...`."""
    async with _engine(ground, way, words) as one:
        return await fly(one, Spec(interval=len(addresses) / 4e6, rounds=rounds, timeout=TIMEOUT), addresses)


async def trace(path: Chain, addresses: Sequence[str]) -> Flight:
    """One probe to each hop of each of them, as fast as it goes; the routers are the chain's."""
    hops = len(path.routers[4]) + 1
    right = [ip_address(router) for router in path.routers[4]]
    async with _engine(path.ground, "xdp") as one:
        spec = Spec(interval=len(addresses) * hops / TRACED, rounds=1, timeout=2, ttl=1, last_ttl=hops)
        return await fly(one, spec, addresses, Taken(routers=[b"\0" * 10 + b"\xff\xff" + one.packed for one in right]))


@asynccontextmanager
async def _engine(ground: Ground, way: str, words: tuple[str, ...] = ()) -> AsyncIterator[Prober]:
    pinned = ("taskset", "-c", str(CORE), *words)
    interface = "" if way in ("raw", "ping") else ground.interface
    if way == "ping":
        ground.space.sysctl(net__ipv4__ping_group_range="0 2147483647")
    with tempfile.TemporaryDirectory(prefix="amon-lab-") as folder:
        if words:
            Path(folder).chmod(0o755)
            shutil.chown(folder, NOBODY, NOBODY)
        limits = {**MUCH, "in_flight": 32_768 if way == "ping" else IN_FLIGHT}
        lab = prober(Path(folder), ground.space, interface=interface, way=way, limits=limits, words=pinned)
        async with lab as one:
            yield one
