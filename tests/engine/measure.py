"""What each step of a probe costs, in µs, without any network: `python -m tests.engine.measure`. A gate on nothing.

Batches are answered by turning requests into replies, in random order; the table has twenty batches under way. Medians,
and the best in brackets, because other work on the machine only ever adds. Nonces are made 4096 at once: what that
costs shows at the largest batch.
"""

import time
from collections.abc import Callable
from statistics import median
from typing import ParamSpec, TypeVar

import numpy as np

from amon.engine.packets.decode import decode
from amon.engine.packets.frames import Crafter, spec
from amon.engine.packets.nonces import Nonces
from amon.engine.packets.table import Table
from amon.engine.packets.targets import Targets
from amon.engine.shapes import NETWORK, SNAP, STRIDE, U8, U16, Packets, Probes
from tests.engine.test_frames import Hops

IDENT = 0xA403
UNDER_WAY = 20
P = ParamSpec("P")
T = TypeVar("T")


class Bench:
    """family: 4 or 6. batch: probes at once."""

    def __init__(self, family: int, batch: int) -> None:
        self.family, self.batch = family, batch
        self.targets, self.hops = Targets(batch), Hops(2)
        rows = np.arange(batch, dtype=np.uint64)
        if family == 4:
            self.targets.add(np.zeros(batch, np.uint64), np.uint64(0xFFFF_0A00_0000) + rows)
        else:
            self.targets.add(np.full(batch, 0x20010DB8_00000000, np.uint64), rows + np.uint64(1))
        self.targets.hop[:] = 0 if family == 4 else 1
        self.memory = np.zeros((2 * batch, STRIDE), np.uint8)
        self.crafter, self.nonces = Crafter(self.memory, IDENT, b"amon probe engine"), Nonces()
        self.table = Table(1 << (4 * UNDER_WAY * batch).bit_length())
        self.took: dict[str, list[float]] = {}

    def step(self, name: str, work: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
        began = time.perf_counter_ns()
        made = work(*given, **named)
        self.took.setdefault(name, []).append((time.perf_counter_ns() - began) / self.batch / 1000)
        return made

    def run(self, batches: int) -> None:
        count = self.batch
        none = np.zeros(count, np.uint8)
        about = np.arange(count, dtype=np.uint32)
        probes = Probes(np.zeros(count, np.uint16), about, about, none + 64, none, np.zeros(count, np.int64))
        timeouts, packets = np.full(count, 2 * 10**9), np.full(count, spec(56), np.uint32)
        random, coming = np.random.default_rng(1), list[Packets]()
        for turn in range(batches):
            rows = np.arange(count) + turn % 2 * count
            nonces = self.step("nonces", self.nonces.take, count)
            slots = self.step("take", self.table.take, probes, nonces, timeouts)
            lengths = self.step(
                "craft", self.crafter.craft,
                rows, packets, probes.ttl, probes.flow, slots, nonces, self.targets, about, self.hops,
            )  # fmt: skip
            self.step("sent", self.table.sent, slots, np.arange(count))
            coming.append(answered(self.memory[rows], lengths, self.family, random))
            if len(coming) > UNDER_WAY:
                self.hear(coming.pop(0))

    def hear(self, packets: Packets) -> None:
        replies = self.step("decode", decode, packets, IDENT)
        self.step("match", self.table.match, replies, self.targets)
        if len(self.step("close", self.table.close, 10**9)) != self.batch:
            raise SystemExit("a probe was not answered")


def answered(frames: U8, lengths: U16, family: int, random: np.random.Generator) -> Packets:
    """Addresses changed over, the type a reply's, the checksum less by the difference (RFC 1624)."""
    data = frames[:, NETWORK : NETWORK + SNAP].copy()
    data[np.arange(SNAP) >= lengths[:, None]] = 0
    at, size, icmp, less = (12, 4, 20, 0x0800) if family == 4 else (8, 16, 40, 0xFFFF - 0x0100)
    source = data[:, at : at + size].copy()
    data[:, at : at + size] = data[:, at + size : at + 2 * size]
    data[:, at + size : at + 2 * size] = source
    data[:, icmp] = 0 if family == 4 else 129
    total = (data[:, icmp + 2].astype(np.uint32) << 8 | data[:, icmp + 3]) + np.uint32(less)
    data[:, icmp + 2 : icmp + 4] = (total % 0xFFFF).astype(">u2")[:, None].view(np.uint8)
    order = random.permutation(len(data))
    return Packets(data[order], lengths[order].astype(np.uint32), order + 10_000)


def main() -> None:
    for family in (4, 6):
        for batch in (64, 256, 1024, 4096):
            bench = Bench(family, batch)
            bench.run(60 + 20_000 // batch)
            steps = {name: (median(took), min(took)) for name, took in bench.took.items()}
            whole = sum(middle for middle, _ in steps.values())
            shown = "  ".join(f"{name} {middle:.3f} ({best:.3f})" for name, (middle, best) in steps.items())
            print(f"IPv{family} batch {batch:>4}  {shown}  all {whole:.3f}")


if __name__ == "__main__":
    main()
