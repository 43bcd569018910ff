"""The send ring of an AF_XDP socket: frames into it, and an exact account of what the kernel made of them.

Sources: docs.kernel.org/networking/af_xdp.html; net/xdp/xsk.c for what the errors of a kick mean.

After each `send` the ring is empty: what the kernel did not take is made invalid there, so that neither a later kick
nor a poll(2) sends what was said not to be sent.
"""

import errno
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from amon.engine.linux.xsk import Socket
from amon.engine.shapes import I64, LINK, NETWORK, STRIDE, U16, Span
from amon.engine.ways.sending import ABSENT

BATCH, FEW, AT_LEISURE = 512, 10, 256
"""Frames per kick. Fewer make stamps better (they are interpolated over a batch), more make it cheaper: few, or a
fifth, where no more than `AT_LEISURE` are to be sent at once."""
BUDGET = 32
"""Frames that a kick sends at least, unless something stops it (TX_BATCH_SIZE of net/xdp/xsk.c)."""
NOWHERE = 1 << 62
"""An address outside the memory: the kernel passes over a descriptor that has it, and counts it as invalid."""


def batch_of(count: int) -> int:
    """Frames per kick where so many are to be sent."""
    return max(FEW, count // 5) if count <= AT_LEISURE else BATCH


@dataclass(slots=True)
class Done:
    """What became of frames. The kernel has had the first `taken` of them, and gives their rows back, but for the one
    at `sampled`. error: what stopped it."""

    spans: list[Span]
    taken: int = 0
    failed: int = 0
    error: int = 0
    sampled: int = -1

    @property
    def sent(self) -> int:
        return sum(span.count for span in self.spans)

    def then(self, more: "Done") -> "Done":
        return Done(self.spans + more.spans, self.taken + more.taken, more.failed, more.error, self.sampled)


class Outlet:
    """kernel: a socket with a send ring."""

    def __init__(self, kernel: Socket, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._kernel = kernel
        self._ring = kernel.sent
        self._now = now
        self._withdrawn = 0
        self._back: list[I64] = []

    def back(self) -> list[I64]:
        """Rows the kernel is done with."""
        self._reclaim()
        rows, self._back = self._back, []
        return rows

    def _reclaim(self) -> None:
        completion = self._kernel.completion
        count = completion.waiting()
        if count:
            first = completion.consumer
            rows = (completion.read(first, count) // np.uint64(STRIDE)).astype(np.int64)
            completion.consumer = first + count
            # Since Linux 6.18 what was withdrawn comes back too.
            self._back.append(rows[rows < self._ring.entries] if self._withdrawn else rows)

    def send(self, rows: I64, lengths: U16) -> Done:
        """Never blocks."""
        done = Done([])
        if not len(rows) or (error := self._clean()):
            done.error = error if len(rows) else 0
            return done
        first = self._ring.producer
        for there, here in self._ring.pieces(first, len(rows)):
            self._ring.addresses[there] = rows[here] * STRIDE + LINK
            self._ring.lengths[there] = lengths[here] + np.uint16(NETWORK - LINK)
        batch = batch_of(len(rows))
        while done.taken < len(rows) and not done.error:
            self._send_batch(first + done.taken, min(batch, len(rows) - done.taken), done)
        return done

    def _send_batch(self, first: int, count: int, done: Done) -> None:
        begin = self._now()
        self._ring.producer = first + count
        error = self._kick(count)
        end = self._now()
        taken = count - self._withdraw() if error else count
        # EBUSY: the device dropped the last one it was given.
        done.failed = int(error == errno.EBUSY)
        done.error = error
        done.taken += taken
        if taken > done.failed:
            done.spans.append(Span(taken - done.failed, begin, end))

    def _kick(self, count: int) -> int:
        """0 when the kernel has taken all, or the error that stopped it."""
        target = self._ring.producer
        for _ in range(count // BUDGET + 2):
            error = self._kernel.kick()
            if error not in (0, errno.EAGAIN):
                return error
            if self._ring.consumer == target:
                return 0
        return errno.EAGAIN

    def _withdraw(self) -> int:
        """How many the kernel has not taken. Older ones do not move `consumer` at each error, but they count what they
        pass over; where the interface is down they will, and `consumer` has to do."""
        left = self._ring.waiting()
        for there, _ in self._ring.pieces(self._ring.consumer, left):
            self._ring.addresses[there] = NOWHERE
        before = self._passed_over()
        if not self._clean():
            left = self._passed_over() - before
        self._withdrawn += left
        return left

    def _clean(self) -> int:
        """Have the kernel pass over what was withdrawn: 0, or the error that hinders it."""
        left = self._ring.waiting()
        if not left:
            return 0
        self._reclaim()  # else there may be no room for them
        error = errno.EAGAIN
        for _ in range(2 * left + 2):  # one at a kick, and one more until that shows
            error = self._kernel.kick() or errno.EAGAIN
            if not self._ring.waiting():
                return 0
            if error in ABSENT:
                break
        return error

    def _passed_over(self) -> int:
        return self._kernel.statistics()["tx_invalid_descs"]

    def invalid(self) -> int:
        """Descriptors the kernel did not like, without those withdrawn."""
        return max(0, self._passed_over() - self._withdrawn)
