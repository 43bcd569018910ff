"""The engine's own packets as a pcap file, for tcpdump and tshark: which of them, how many, and when it is over.

Packets are copied when they are noted and written by a thread (`Spill`); what does not find room in its queue is left
out and counted. Sources: RFC 792, RFC 4443 (errors quote the packet they are about).
"""

from collections.abc import Callable
from typing import Final

import numpy as np

from amon.engine.capture.pcap import HEADER, records
from amon.engine.capture.spill import QUEUE, Spill
from amon.engine.messages import Capture as Order
from amon.engine.messages import Captured
from amon.engine.shapes import I64, NETWORK, U8, U16, U32, Bools, Packets

NO_JOB: Final = 0xFFFF
"""In a column of jobs: belongs to none."""
GRACE: Final = 2_000_000_000
"""ns that the reader of a pipe has for what is left at the end."""
_AT_ONCE: Final = 512
_SECOND: Final = 1_000_000_000
_MAPPED: Final = bytes(10) + b"\xff\xff"


class Capture:
    """One capture. descriptor: of a file or a pipe, closed at the end. jobs: rows of the jobs whose packets are taken;
    who runs the jobs sets it as they come and go. epoch: what makes a monotonic stamp the time of day, ns to add.

    Records are in the order they were noted in: replies may stand before their request by some milliseconds."""

    def __init__(self, descriptor: int, order: Order, now: int, epoch: Callable[[], int], queue: int = QUEUE) -> None:
        self.order = order
        self.jobs: U16 = np.zeros(0, np.uint16)
        self._epoch = epoch
        self._until = now + int(order.seconds * _SECOND)
        self._packets, self._bytes = order.packets, order.bytes - len(HEADER)
        self._spill = Spill(descriptor, HEADER, queue)
        self._left_out = 0
        self._text: str | None = None
        self._stopped: int | None = None

    def note_sent(
        self, memory: U8, rows: I64, lengths: U16 | U32, stamps: I64, jobs: U16, begin: int = NETWORK
    ) -> None:
        """Frames that went out: `rows` of `memory`, the IP packet at `begin`. jobs: row of the job of each."""
        if not self.order.sent or self._text is not None or not len(stamps):
            return
        meant = np.flatnonzero(np.isin(jobs, self.jobs) & (stamps < self._until))
        for first in range(0, len(meant), _AT_ONCE):
            which = meant[first : first + _AT_ONCE]
            width = int(lengths[which].max())
            self._take(memory[rows[which], begin : begin + width], lengths[which], stamps[which])

    def note_received(self, packets: Packets, jobs: U16) -> None:
        """Packets that came in. jobs: row of the job each belongs to, `NO_JOB` where it belongs to none."""
        if not self.order.received or self._text is not None:
            return
        meant = np.flatnonzero(np.isin(jobs, self.jobs) & (packets.stamp < self._until))
        for first in range(0, len(meant), _AT_ONCE):
            which = meant[first : first + _AT_ONCE]
            self._take(packets.snaps(which), packets.length[which], packets.stamp[which])

    def stop(self, text: str = "") -> None:
        """Nothing more is taken; what was is still written."""
        if self._text is None:
            self._text = text
            self._spill.close()

    def check(self, now: int) -> Captured | None:
        """What came of it when it is over and written, else None. Never blocks."""
        if self._text is None and now >= self._until:
            self.stop(f"its {self.order.seconds:g} s are over")
        if self._text is None and self._spill.is_over:
            self.stop()
        if self._text is None:
            return None
        self._stopped = now if self._stopped is None else self._stopped
        if now >= self._stopped + GRACE:
            self._spill.hurry()
        return self._captured() if self._spill.is_over else None

    def hurry(self) -> None:
        """After `stop`: a reader that takes nothing is waited for no longer."""
        self._spill.hurry()

    def wait(self, seconds: float) -> Captured | None:
        """After `stop`: what came of it, or None if it is not written within so many seconds."""
        self._spill.hurry()
        return self._captured() if self._spill.wait(seconds) else None

    def _captured(self) -> Captured:
        spill = self._spill
        text = "; ".join(text for text in (spill.text, self._text) if text)
        return Captured(self.order.capture, spill.packets, spill.bytes, self._left_out + spill.lost, text)

    def _take(self, data: U8, lengths: U16 | U32, stamps: I64) -> None:
        if self._text is not None:
            return
        if self.order.address is not None:
            meant = concerns(data, lengths, self.order.address)
            data, lengths, stamps = data[meant], lengths[meant], stamps[meant]
        made = records(data, lengths.astype(np.uint32), stamps + self._epoch())
        fitting = int(np.searchsorted(made.ends, self._bytes, "right"))
        taken = made.first(min(fitting, self._packets))
        if len(taken) and not self._spill.put(taken):
            self._left_out += len(taken)
            return
        self._packets -= len(taken)
        self._bytes -= len(taken.data)
        if fitting < len(made):
            self.stop(f"its {self.order.bytes:,} bytes are full")
        elif self._packets == 0:
            self.stop(f"its {self.order.packets:,} packets are there")


def concerns(data: U8, lengths: U16 | U32, address: bytes) -> Bools:
    """Which packets are to or from that address (16 bytes, IPv4 mapped), or quote one that went there."""
    there = np.minimum(lengths.astype(np.int64), data.shape[1])
    version = data[:, 0] >> 4
    if address.startswith(_MAPPED):
        want, source, header = address[12:], 12, (data[:, 0] & 15).astype(np.int64) * 4
        protocol, icmp, errors = 9, 1, [3, 4, 5, 11, 12]
        family = version == 4
    else:
        want, source, header = address, 8, np.full(len(data), 40)
        protocol, icmp, errors = 6, 58, [1, 2, 3, 4]
        family = version == 6
    size = len(want)
    from_it = _holds(data, there, np.full(len(data), source), want)
    to_it = _holds(data, there, np.full(len(data), source + size), want)
    is_error = (
        (_at(data, np.full(len(data), protocol), 1)[:, 0] == icmp)
        & np.isin(_at(data, header, 1)[:, 0], errors)
        & (header < there)
    )
    quoted = _holds(data, there, header + 8 + source + size, want)
    found: Bools = family & (from_it | to_it | (is_error & quoted))
    return found


def _holds(data: U8, there: I64, at: I64, want: bytes) -> Bools:
    found: Bools = (at + len(want) <= there) & (_at(data, at, len(want)) == np.frombuffer(want, np.uint8)).all(axis=1)
    return found


def _at(data: U8, at: I64, size: int) -> U8:
    places = np.minimum(at[:, None] + np.arange(size), data.shape[1] - 1)
    found: U8 = np.take_along_axis(data, places, axis=1)
    return found
