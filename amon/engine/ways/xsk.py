"""Sending through an AF_XDP socket: frames are made where the kernel takes them from, many with one system call."""

import errno
import os
import time
from collections.abc import Callable, Mapping

import numpy as np

from amon.engine.shapes import I64, LINK, NETWORK, U16, Published, Span
from amon.engine.ways.attachment import Attachment
from amon.engine.ways.companion import Companion, as_if_not_alone
from amon.engine.ways.outlet import Done, Outlet, batch_of
from amon.engine.ways.returned import ReturnedRows
from amon.engine.ways.sending import ABSENT, HINTS, UNFIT

ALWAYS_FITS = 576
"""Bytes of an IP packet for which nobody asks the interface's MTU."""
WHY = {**HINTS, errno.EBUSY: "the device dropped it: no carrier, or its queue is full"}


class XskTransmitter:
    """attachment: its socket has a send ring. every: a sample of one in so many frames, and once a second, is
    measured."""

    name = "AF_XDP"
    family = 0
    link = True

    def __init__(self, attachment: Attachment, every: int = 4096, now: Callable[[], int] = time.monotonic_ns) -> None:
        self._attachment = attachment
        self._companion = Companion(attachment.interface, every)
        self._outlet = Outlet(attachment.sockets[0], now)
        seat = attachment.seats[0]
        self.memory = seat.memory[: seat.sent]
        self._rows = ReturnedRows(seat.sent)
        self._now = now
        self._errors: dict[str, int] = {}
        self._closed = False

    def rows(self, most: int) -> I64:
        for rows in self._outlet.back():
            self._rows.come_back(rows)
        return self._rows.take(most)

    def rewind(self, count: int) -> None:
        self._rows.rewind(count)

    def publish(self, lengths: U16) -> Published:
        rows = self._rows.oldest(len(lengths))
        fit, long = self._fit(lengths)
        done = self._send_all(rows[:fit], lengths[:fit])
        if long and not done.error:
            done.failed, done.error = long, UNFIT
        if done.error:
            self._note(done, len(rows))
        gone = done.sent + done.failed
        self._rows.leave(gone)
        self._rows.come_back(rows[done.taken : gone])
        if done.sampled >= 0:
            self._rows.come_back(rows[done.sampled : done.sampled + 1])
        return Published(done.spans, done.failed, self._why(done.error) if done.failed else "")

    def _fit(self, lengths: U16) -> tuple[int, int]:
        """How many fit the interface, and how many behind them do not: unlike other sockets this one does not look."""
        if not len(lengths) or lengths.max() <= ALWAYS_FITS:
            return len(lengths), 0
        mtu = self._companion.mtu()
        long = lengths > mtu if mtu else np.zeros(len(lengths), np.bool_)
        if not long.any():
            return len(lengths), 0
        fit = int(long.argmax())
        behind = ~long[fit:]
        return fit, int(behind.argmax()) if behind.any() else len(behind)

    def _send_all(self, rows: I64, lengths: U16) -> Done:
        first = min(len(rows), batch_of(len(rows)))
        chosen = self._companion.stamps.choose(first) if first else -1
        done = Done([]) if chosen < 0 else self._send_with_sample(rows[:first], lengths[:first], chosen)
        if not done.error:
            done = done.then(self._outlet.send(rows[done.taken :], lengths[done.taken :]))
        return done

    def _note(self, done: Done, count: int) -> None:
        """Without interface or carrier nothing of this can be sent; else what is behind the failed one may."""
        if done.error != UNFIT:
            name = errno.errorcode.get(done.error, str(done.error))
            self._errors[name] = self._errors.get(name, 0) + 1
        if done.error in ABSENT or (done.error == errno.EBUSY and not self._companion.has_carrier()):
            done.failed = count - done.sent

    def _why(self, error: int) -> str:
        return f"{self.name}: {WHY.get(error) or os.strerror(error)}"

    def _send_with_sample(self, rows: I64, lengths: U16, chosen: int) -> Done:
        """One of these goes through the companion, in its turn."""
        self._companion.warm_up()
        before = self._outlet.send(rows[:chosen], lengths[:chosen])
        if before.error:
            return before
        begin = self._now()
        if self._companion.send(self.memory[rows[chosen], LINK : NETWORK + int(lengths[chosen])]):
            return before  # it goes as the others do
        alone = Done([Span(1, begin, self._now())], 1)
        after = self._outlet.send(rows[chosen + 1 :], lengths[chosen + 1 :])
        done = before.then(alone).then(after)
        done.sampled = chosen
        if not done.error:
            self._companion.stamps.sent(as_if_not_alone(before.spans, alone.spans[0], after.spans))
        return done

    def errors(self) -> I64:
        self._companion.stamps.read()
        return self._companion.stamps.errors()

    def counters(self) -> Mapping[str, int]:
        """Descriptors the kernel did not like, and publishes that ended with an error, by its name (errno(3)); a packet
        that is too large is none."""
        return {"tx_invalid_descs": self._outlet.invalid(), **self._errors}

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._companion.close()
            self._attachment.leave()
