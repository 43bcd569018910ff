"""Through AF_XDP sockets: what is sent goes past the system's network stack, answers are taken before they get there.

Source: docs.kernel.org/networking/af_xdp.html.
"""

from collections.abc import Mapping, Sequence

import numpy as np

from amon.engine.linux.xsk import HEADROOM, Socket
from amon.engine.shapes import I64, SNAP, STRIDE, U8, U32, Packets, WayRefused
from amon.engine.ways.attachment import MODES, RECEIVED, Attachment, Seat, check_ethernet
from amon.engine.ways.received import clear_behind
from amon.engine.ways.rights import refusal
from amon.engine.ways.xdp_filter import ETHERNET, LENGTH, STAMP
from amon.engine.ways.xsk import XskTransmitter

DROPS = ("rx_dropped", "rx_ring_full", "rx_invalid_descs", "other_queue")
NAPI_WEIGHT = 64
"""Packets a driver works on before it tells the socket (linux/netdevice.h)."""
NOTHING = Packets(np.empty((0, SNAP), np.uint8), np.empty(0, np.uint32), np.empty(0, np.int64))


def open_xdp(
    interface: str, ident: int, *, queue: int = 0, frames: int = 2048, receive: bool = True,
    received: int = RECEIVED, modes: Sequence[str] = tuple(MODES), every: int = 4096,
) -> tuple[XskTransmitter, "XdpReceiver | None"]:  # fmt: skip
    """A transmitter on one queue of an Ethernet interface; with `receive` also a receiver on all of them.

    ident: the id of our echo requests. frames, received: rows to send from, and to receive into, powers of two. modes:
    where the program may be, the first choice first. every: stamps of sending are measured on one frame in so many.
    Raises WayRefused: no right (CAP_NET_RAW; to receive also CAP_BPF and CAP_NET_ADMIN), no such kernel or interface, a
    queue that is in use, another XDP program.
    """
    check_ethernet(interface)
    attachment = Attachment(interface, ident, queue, frames, receive=receive, received=received, modes=modes)
    try:
        transmitter = XskTransmitter(attachment, every)
    except OSError as error:
        attachment.close()
        raise WayRefused(refusal("packet sockets", error, "CAP_NET_RAW")) from error
    attachment.users = 2 if receive else 1
    return transmitter, XdpReceiver(attachment) if receive else None


class Inlet:
    """What has come into the memory of one socket, as columns over it."""

    def __init__(self, seat: Seat) -> None:
        memory, rows = seat.memory, len(seat.memory)
        self._stamps = np.ndarray(rows, np.int64, memory.data, HEADROOM + STAMP, (STRIDE,))
        self._lengths = np.ndarray(rows, np.uint32, memory.data, HEADROOM + LENGTH, (STRIDE,))
        self._data: U8 = np.ndarray((rows, SNAP), np.uint8, memory.data, HEADROOM + ETHERNET, (STRIDE, 1))

    def drain(self, kernel: Socket, most: int) -> Packets:
        """Copies; the frames are the kernel's again."""
        ring = kernel.received
        count = min(most, ring.waiting())
        if count <= 0:
            return NOTHING
        first = ring.consumer
        addresses = ring.read(first, count)
        rows = (addresses // np.uint64(STRIDE)).astype(np.int64)
        packets = self._copied(rows)
        clear_behind(packets.data, packets.length)
        ring.consumer = first + count
        _recycle(kernel, rows)
        return packets

    def _copied(self, rows: I64) -> Packets:
        """Rows come round in the order in which they were given: one run of them, or two, are copied much faster than
        rows picked one by one."""
        breaks = (np.flatnonzero(rows[1:] - rows[:-1] != 1) + 1).tolist()
        if len(breaks) > 1:
            lengths = self._lengths[rows]
            return Packets(self._data[:, : _width(lengths)][rows], lengths, self._stamps[rows])
        ends = zip([0, *breaks], [*breaks, len(rows)], strict=True)
        runs = [slice(int(rows[first]), int(rows[end - 1]) + 1) for first, end in ends]
        lengths = np.concatenate([self._lengths[run] for run in runs])
        width, stamps = _width(lengths), np.concatenate([self._stamps[run] for run in runs])
        return Packets(np.concatenate([self._data[run, :width] for run in runs]), lengths, stamps)


def _width(lengths: U32) -> int:
    """Bytes that are copied of each packet: of the longest, in eights, as far as anybody looks."""
    return min(SNAP, -(-max(int(lengths.max()), 8) // 8) * 8)


def _recycle(kernel: Socket, rows: I64) -> None:
    first = kernel.fill.producer
    for there, here in kernel.fill.pieces(first, len(rows)):
        kernel.fill.addresses[there] = rows[here] * STRIDE
    kernel.fill.producer = first + len(rows)


class Missing:
    """How many answers the program took that never got into a ring, though no counter says why. While packets come some
    are between both, at most `on_the_way`: they are not missing yet."""

    def __init__(self, on_the_way: int) -> None:
        self._on_the_way = on_the_way
        self._taken = self._last = 0
        self.count = 0

    def note(self, taken: int, accounted: int) -> int:
        """taken, accounted: since the beginning. Returns how many are missing for sure."""
        missing = taken - accounted
        sure = missing if taken == self._taken else min(missing, self._last) - self._on_the_way
        self._taken, self._last = taken, missing
        self.count = max(self.count, sure)
        return self.count


class XdpReceiver:
    """The program is at the interface until this is closed, or its process ends."""

    name = "XDP"

    def __init__(self, attachment: Attachment) -> None:
        self._attachment = attachment
        self._inlets = tuple(map(Inlet, attachment.seats))
        self._descriptor = -1
        self._drained = 0
        self._missing = Missing(NAPI_WEIGHT * len(self._inlets))
        self._closed = False

    @property
    def descriptor(self) -> int:
        """To wait on; see `Attachment.poll_descriptor`."""
        if self._descriptor < 0:
            self.descriptor = self._attachment.poll_descriptor()
        return self._descriptor

    @descriptor.setter
    def descriptor(self, descriptor: int) -> None:
        self._descriptor = descriptor

    @property
    def mode(self) -> str:
        """Where the program is: "native" (in the driver) or "generic" (behind it)."""
        return self._attachment.mode

    def drain(self, most: int) -> Packets:
        parts = []
        for inlet, kernel in zip(self._inlets, self._attachment.sockets, strict=True):
            part = inlet.drain(kernel, most)
            if len(part):
                parts.append(part)
                most -= len(part)
                self._drained += len(part)
        return parts[0] if len(parts) == 1 else _joined(parts)

    def counters(self) -> Mapping[str, int]:
        """By the names of `struct xdp_statistics`, of all queues; `other_queue`: answers the kernel got, as their queue
        has no socket; `lost`: taken by the program, but neither received nor counted by one of the others.

        received = taken - rx_dropped - rx_ring_full - lost; no answer is in two of them.
        """
        total = self._attachment.statistics()
        waiting = sum(kernel.received.waiting() for kernel in self._attachment.sockets)
        accounted = self._drained + waiting + total["rx_dropped"] + total["rx_ring_full"]
        lost = self._missing.note(total["redirected"], accounted)
        return {**{name: total[name] for name in DROPS}, "lost": lost}

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._attachment.leave()


def _joined(parts: list[Packets]) -> Packets:
    if not parts:
        return NOTHING
    columns = ((part.snaps(np.arange(len(part))), part.length, part.stamp) for part in parts)
    data, length, stamp = (np.concatenate(column) for column in zip(*columns, strict=True))
    return Packets(data, length, stamp)
