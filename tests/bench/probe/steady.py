"""An engine at an even rate, as it runs around the clock: its CPU, its memory, its lateness, the error of its RTTs.

The error is the engine's own figure: its send stamps against those of the kernel (SO_TIMESTAMPING) on a sample.
"""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from amon.engine.messages import Sample, Spec
from tests.bench.ground import cpu_seconds
from tests.bench.probe import ours
from tests.bench.probe.grounds import Ground
from tests.bench.probe.timed import CORE
from tests.lab.engine import Value, prober

LIMITS: Mapping[str, Value] = {"rate": 12_000.0, "bytes": 10_000_000, "in_flight": 16_384}
_SETTLING = 3.0


@dataclass(frozen=True, slots=True)
class Steady:
    """cpu: part of a core. memory: bytes. late: of ticks, ns, p50 and p99. stamps: error, ns, p50 and p99."""

    sent: int
    answered: int
    skipped: int
    accounted: bool
    cpu: float
    memory: int
    late: tuple[int, int]
    stamps: tuple[int, int]
    stamped_by: str


async def steady(on: Ground, addresses: Sequence[str], seconds: float) -> Steady:
    """Each address once a second, so long, after `_SETTLING` seconds."""
    words = ("taskset", "-c", str(CORE))
    with tempfile.TemporaryDirectory(prefix="amon-lab-") as folder:
        lab = prober(Path(folder), on.space, interface=on.interface, way="xdp", limits=LIMITS, words=words)
        async with lab as one, one.client() as engine:
            job = await engine.begin(Spec(interval=1.0, timeout=1.0), addresses)
            taken = ours.Taken()
            listening = asyncio.create_task(ours.listen(job, taken))
            heard: list[Sample] = []
            await asyncio.sleep(_SETTLING)
            engine.on_sample = heard.append
            before = cpu_seconds(one.pid)
            began = asyncio.get_running_loop().time()
            await asyncio.sleep(seconds)
            cpu = (cpu_seconds(one.pid) - before) / (asyncio.get_running_loop().time() - began)
            await job.end()
            await listening
    return _of(taken, heard, cpu)


def _of(taken: ours.Taken, heard: Sequence[Sample], cpu: float) -> Steady:
    last = heard[-1]
    middle = sorted(sample.late for sample in heard)[len(heard) // 2]
    tally = taken.tally
    return Steady(
        tally.sent, tally.answered, tally.skipped, taken.accounted, cpu, max(sample.memory for sample in heard),
        middle[:2], last.stamps or (0, 0), last.stamped_by or "no stamps",
    )  # fmt: skip
