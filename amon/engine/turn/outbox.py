"""Frames that are crafted and wait for their moment, before one transmitter."""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from amon.engine.packets.frames import Crafter
from amon.engine.packets.targets import Targets
from amon.engine.paths.paths import Hops
from amon.engine.shapes import I64, U8, U16, U32, U64, Probes, Span, Transmitter

_ETHERNET = 14


class Gate(Protocol):
    """How many of these frames, from the first on, may go now: of which jobs, how large. What is admitted counts as
    gone until it is given back."""

    def admit(self, jobs: U16, sizes: U16) -> int: ...

    def give_back(self, jobs: U16, sizes: U16) -> None: ...


@dataclass(slots=True)
class Chunk:
    """Frames crafted together, in order of sending. lengths: of the IP packets; sizes: of what the interface sends.
    done: how many are out."""

    slots: U32
    due: I64
    lengths: U16
    sizes: U16
    rows: I64
    jobs: U16
    done: int = 0


@dataclass(slots=True)
class Out:
    """What happened to frames one after the other. spans: when they were sent; none where they were not."""

    slots: U32
    spans: Sequence[Span]
    rows: I64
    lengths: U16
    jobs: U16
    box: "Outbox"


class Outbox:
    """transmitter: whose rows are crafted. ident: of our echo requests through it."""

    def __init__(self, transmitter: Transmitter, ident: int, identity: bytes) -> None:
        self.transmitter = transmitter
        self.crafter = Crafter(transmitter.memory, ident, identity)
        self.why = ""
        """Why the system did not take what was not sent, the last time; empty again once that is noted."""
        self.waiting = 0
        """Frames crafted and not sent."""
        self._chunks: deque[Chunk] = deque()

    @property
    def memory(self) -> U8:
        return self.transmitter.memory

    @property
    def next_due(self) -> int | None:
        return int(self._chunks[0].due[self._chunks[0].done]) if self._chunks else None

    def craft(
        self, rows: I64, probes: Probes, packets: U32, slots: U32, nonces: U64, targets: Targets, hops: Hops
    ) -> None:
        """Frames for these probes, in these rows of the transmitter's."""
        lengths = self.crafter.craft(
            rows, packets, probes.ttl, probes.flow, slots, nonces, targets, probes.target, hops
        )
        sizes = lengths + np.uint16(_ETHERNET if self.transmitter.link else 0)
        self._chunks.append(Chunk(slots, np.maximum.accumulate(probes.due), lengths, sizes, rows, probes.job))
        self.waiting += len(rows)

    def publish(self, now: int, gate: Gate, each: Callable[[Out], None]) -> int:
        """Sends what is due, as far as the gate lets it. Returns how many frames went or were given up; fewer than are
        due where the transmitter is full too."""
        whole = 0
        while self._chunks and self._chunks[0].due[self._chunks[0].done] <= now:
            chunk = self._chunks[0]
            due = int(np.searchsorted(chunk.due, now, "right"))
            allowed = slice(
                chunk.done, chunk.done + gate.admit(chunk.jobs[chunk.done : due], chunk.sizes[chunk.done : due])
            )
            done = self._publish(chunk, allowed, each)
            whole += done
            if allowed.start + done < allowed.stop:
                left = slice(allowed.start + done, allowed.stop)
                gate.give_back(chunk.jobs[left], chunk.sizes[left])
            if chunk.done == len(chunk.due):
                self._chunks.popleft()
            elif chunk.done < due:
                break
        return whole

    def _publish(self, chunk: Chunk, which: slice, each: Callable[[Out], None]) -> int:
        if which.start == which.stop:
            return 0
        published = self.transmitter.publish(chunk.lengths[which])
        if published.sent:
            each(self._out(chunk, published.sent, published.spans))
        if published.failed:
            self.why = published.why
            each(self._out(chunk, published.failed))
        return published.sent + published.failed

    def give_up(self, why: str, each: Callable[[Out], None]) -> None:
        """None of what waits is sent any more."""
        self.why = why
        for chunk in self._chunks:
            each(self._out(chunk, len(chunk.due) - chunk.done))
        self._chunks.clear()

    def _out(self, chunk: Chunk, count: int, spans: Sequence[Span] = ()) -> Out:
        which = slice(chunk.done, chunk.done + count)
        out = Out(chunk.slots[which], spans, chunk.rows[which], chunk.lengths[which], chunk.jobs[which], self)
        chunk.done += count
        self.waiting -= count
        return out
