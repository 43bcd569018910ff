"""Frames that are crafted and wait for their moment, before one transmitter."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from amon.engine.frames import Crafter
from amon.engine.paths import Hops
from amon.engine.shapes import I64, U8, U16, U32, U64, Probes, Transmitter
from amon.engine.stamps import interpolate
from amon.engine.targets import Targets


@dataclass(slots=True)
class Chunk:
    """Frames crafted together, in order of sending. done: how many are out."""

    slots: U32
    due: I64
    lengths: U16
    rows: I64
    jobs: U16
    done: int = 0


@dataclass(slots=True)
class Out:
    """What happened to frames one after the other. stamps: when each was sent; empty where they were not."""

    slots: U32
    stamps: I64
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
        """Why the system did not take what was not sent, the last time."""
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
        self._chunks.append(Chunk(slots, np.maximum.accumulate(probes.due), lengths, rows, probes.job))
        self.waiting += len(rows)

    def publish(self, now: int, allow: Callable[[U16, U16], int], each: Callable[[Out], None]) -> int:
        """Sends what is due. allow: how many of frames of these jobs and lengths may go now. Returns how many frames
        the transmitter took or gave up; fewer where it is full."""
        whole = 0
        while self._chunks and self._chunks[0].due[self._chunks[0].done] <= now:
            chunk = self._chunks[0]
            end = int(np.searchsorted(chunk.due, now, "right"))
            allowed = allow(chunk.jobs[chunk.done : end], chunk.lengths[chunk.done : end])
            if not allowed:
                break
            end, wanted = chunk.done + allowed, end
            published = self.transmitter.publish(chunk.lengths[chunk.done : end])
            sent = published.sent
            if sent:
                each(self._out(chunk, sent, interpolate(published.spans)))
            if published.failed:
                self.why = published.why
                each(self._out(chunk, published.failed, _NEVER))
            whole += sent + published.failed
            if chunk.done == len(chunk.due):
                self._chunks.popleft()
            elif chunk.done < wanted:
                break  # the transmitter is full, or a cap is reached
        return whole

    def give_up(self, why: str, each: Callable[[Out], None]) -> None:
        """None of what waits is sent any more."""
        self.why = why
        for chunk in self._chunks:
            each(self._out(chunk, len(chunk.due) - chunk.done, _NEVER))
        self._chunks.clear()

    def _out(self, chunk: Chunk, count: int, stamps: I64) -> Out:
        which = slice(chunk.done, chunk.done + count)
        out = Out(chunk.slots[which], stamps, chunk.rows[which], chunk.lengths[which], chunk.jobs[which], self)
        chunk.done += count
        self.waiting -= count
        return out


_NEVER = np.empty(0, np.int64)
