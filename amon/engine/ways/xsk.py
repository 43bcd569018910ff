"""Sending through an AF_XDP socket: frames are made where the kernel takes them from, many with one system call.

Sources: docs.kernel.org/networking/af_xdp.html; net/xdp/xsk.c for what the errors of a kick mean.

After each `publish` the send ring is empty: what the kernel did not take is made invalid there, so that neither a later
kick nor a poll(2) sends what was said not to be sent.
"""

import ctypes
import errno
import fcntl
import os
import socket
import struct
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from amon.engine.linux.sendstamps import SO_TIMESTAMPING, TX_SOFTWARE, SendStamps
from amon.engine.shapes import I64, LINK, NETWORK, STRIDE, U8, U16, Published, Span
from amon.engine.ways.attachment import Attachment
from amon.engine.ways.returned import ReturnedRows
from amon.engine.ways.sending import ABSENT, HINTS

BATCH = 128
"""Frames per kick. Fewer make stamps better (they are interpolated over a batch), more make it cheaper."""
BUDGET = 32
"""Frames that a kick sends at least, unless something stops it (TX_BATCH_SIZE of net/xdp/xsk.c)."""
NOWHERE = 1 << 62
"""An address outside the memory: the kernel passes over a descriptor that has it, and counts it as invalid."""
ETHERNET = NETWORK - LINK
SIOCETHTOOL, ETHTOOL_GLINK = 0x8946, 0x0A  # linux/sockios.h, linux/ethtool.h
SOL_PACKET, PACKET_QDISC_BYPASS = 263, 20  # packet(7)


SHORT = np.zeros(ETHERNET - 1, np.uint8)
STAMPED = ((socket.SOL_SOCKET, SO_TIMESTAMPING, struct.pack("=I", TX_SOFTWARE)),)


class Companion:
    """An AF_PACKET socket on the same interface: a sample of the frames goes through it, for the kernel's stamps of
    sending, which an AF_XDP socket does not give. Raises OSError."""

    def __init__(self, interface: str, every: int) -> None:
        self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._interface = interface
        try:
            self._socket.bind((interface, 0))
            self._socket.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        except OSError:
            self._socket.close()
            raise
        self.stamps = SendStamps(self._socket, every)

    def warm_up(self) -> None:
        """A path through the system that is used once in a while is slow at first, which is not what is to be measured:
        go it with a frame that is too short to be sent."""
        self.send(SHORT)

    def send(self, frame: U8) -> int:
        """0, or the error's number. Never blocks."""
        try:
            self._socket.sendmsg([frame.data], STAMPED, socket.MSG_DONTWAIT)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def has_carrier(self) -> bool:
        """By ethtool, which knows at once; IFF_RUNNING lags behind. True where the device does not say."""
        value = (ctypes.c_uint32 * 2)(ETHTOOL_GLINK, 1)  # struct ethtool_value
        request = struct.pack("=16sQ16x", self._interface.encode(), ctypes.addressof(value))
        try:
            fcntl.ioctl(self._socket, SIOCETHTOOL, request)
        except OSError as error:
            return error.errno not in ABSENT
        return bool(value[1])

    def close(self) -> None:
        self._socket.close()


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


class XskTransmitter:
    """attachment: its socket has a send ring. every: a sample of one in so many frames, and once a second, is
    measured."""

    name = "AF_XDP"
    family = 0
    link = True

    def __init__(self, attachment: Attachment, every: int = 4096, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._attachment = attachment
        self._companion = Companion(attachment.interface, every)
        self._kernel = attachment.sockets[0]
        self._ring = self._kernel.sent
        self.memory = attachment.seats[0].memory[: self._ring.entries]
        self._rows = ReturnedRows(self._ring.entries)
        self._now = now
        self._back: list[I64] = []
        """Rows the kernel is done with."""
        self._withdrawn = 0
        self._errors: dict[str, int] = {}
        self._closed = False

    def rows(self, most: int) -> I64:
        self._reclaim()
        while self._back:
            self._rows.come_back(self._back.pop())
        return self._rows.take(most)

    def _reclaim(self) -> None:
        completion = self._kernel.completion
        count = completion.waiting()
        if count:
            first = completion.consumer
            rows = (completion.read(first, count) // np.uint64(STRIDE)).astype(np.int64)
            completion.consumer = first + count
            if self._withdrawn:  # since Linux 6.18 those come back too
                rows = rows[rows < len(self.memory)]
            self._back.append(rows)

    def rewind(self, count: int) -> None:
        self._rows.rewind(count)

    def publish(self, lengths: U16) -> Published:
        rows = self._rows.oldest(len(lengths))
        first = min(len(rows), BATCH)
        chosen = self._companion.stamps.choose(first) if first else -1
        done = Done([]) if chosen < 0 else self._send_with_sample(rows[:first], lengths[:first], chosen)
        if not done.error:
            done = done.then(self._send(rows[done.taken :], lengths[done.taken :]))
        if done.error:
            self._note(done, len(rows))
        gone = done.sent + done.failed
        self._rows.leave(gone)
        self._rows.come_back(rows[done.taken : gone])
        if done.sampled >= 0:
            self._rows.come_back(rows[done.sampled : done.sampled + 1])
        return Published(done.spans, done.failed, self._why(done.error) if done.failed else "")

    def _note(self, done: Done, count: int) -> None:
        """Without interface or carrier nothing of this can be sent; else what is behind the failed one may."""
        name = errno.errorcode.get(done.error, str(done.error))
        self._errors[name] = self._errors.get(name, 0) + 1
        if done.error in ABSENT or (done.error == errno.EBUSY and not self._companion.has_carrier()):
            done.failed = count - done.sent

    def _why(self, error: int) -> str:
        return f"{self.name}: {WHY.get(error) or os.strerror(error)}"

    def _send_with_sample(self, rows: I64, lengths: U16, chosen: int) -> Done:
        """One of these goes through the companion, in its turn."""
        self._companion.warm_up()
        before = self._send(rows[:chosen], lengths[:chosen])
        if before.error:
            return before
        begin = self._now()
        if self._companion.send(self.memory[rows[chosen], LINK : NETWORK + int(lengths[chosen])]):
            return before  # it goes as the others do
        alone = Done([Span(1, begin, self._now())], 1)
        after = self._send(rows[chosen + 1 :], lengths[chosen + 1 :])
        done = before.then(alone).then(after)
        done.sampled = chosen
        if not done.error:
            self._companion.stamps.sent(as_if_not_alone(before.spans, alone.spans[0], after.spans))
        return done

    def _send(self, rows: I64, lengths: U16) -> Done:
        done = Done([])
        if not len(rows) or (error := self._clean()):
            done.error = error if len(rows) else 0
            return done
        first = self._ring.producer
        for there, here in self._ring.pieces(first, len(rows)):
            self._ring.addresses[there] = rows[here] * STRIDE + LINK
            self._ring.lengths[there] = lengths[here] + np.uint16(ETHERNET)
        while done.taken < len(rows) and not done.error:
            self._send_batch(first + done.taken, min(BATCH, len(rows) - done.taken), done)
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
        pass over."""
        left = self._ring.waiting()
        for there, _ in self._ring.pieces(self._ring.consumer, left):
            self._ring.addresses[there] = NOWHERE
        before = self._withdrawn
        return left if self._clean() else self._withdrawn - before

    def _clean(self) -> int:
        """Have the kernel pass over what was withdrawn: 0, or the error that hinders it."""
        left = self._ring.waiting()
        if not left:
            return 0
        self._reclaim()  # else there may be no room for them
        before = self._passed_over()
        error = 0
        for _ in range(2 * left + 2):  # one at a kick, and one more until that shows
            error = self._kernel.kick()
            if error in ABSENT or not self._ring.waiting():
                break
        self._withdrawn += self._passed_over() - before
        return error if self._ring.waiting() else 0

    def _passed_over(self) -> int:
        return self._kernel.statistics()["tx_invalid_descs"]

    def errors(self) -> I64:
        self._companion.stamps.read()
        return self._companion.stamps.errors()

    def counters(self) -> Mapping[str, int]:
        """Descriptors the kernel did not like, and publishes that ended with an error, by its name (errno(3))."""
        return {"tx_invalid_descs": self._passed_over() - self._withdrawn, **self._errors}

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._companion.close()
            self._attachment.leave()


def as_if_not_alone(before: list[Span], sample: Span, after: list[Span]) -> int:
    """The stamp of a frame sent by itself between others, off by what interpolation over one batch of them all would
    be off at this place."""
    middle = (sample.begin + sample.end) // 2
    if not before:
        return middle
    others = before + after
    share = sum(span.end - span.begin for span in others) / sum(span.count for span in others)
    return round(middle + before[0].begin + share * sum(span.count for span in before) - before[-1].end)


WHY = {**HINTS, errno.EBUSY: "the device dropped it: no carrier, or its queue is full"}
