"""An AF_XDP socket in copy mode: its memory of frames and its four rings.

Sources: docs.kernel.org/networking/af_xdp.html; linux/if_xdp.h for numbers and layouts; socket(7).

A ring is two counters, which only grow, and slots. Who puts in writes slots, then `producer`; who takes out reads
`producer`, then slots, then writes `consumer`. Between those steps nothing may be reordered: see `_in_order`.
"""

import contextlib
import ctypes
import errno
import mmap
import os
import platform
import socket
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from amon.engine.shapes import STRIDE, U8, U32, U64

T = TypeVar("T")

AF_XDP, SOL_XDP = 44, 283
# linux/if_xdp.h: options of the socket, flags of its address, and where each ring is mapped
MMAP_OFFSETS, RX_RING, TX_RING, UMEM_REG, FILL_RING, COMPLETION_RING, STATISTICS = range(1, 8)
MAX_TX_SKB_BUDGET = 9
COPY, USE_NEED_WAKEUP = 1 << 1, 1 << 3
"""In copy mode the kernel sends when it is told to (send(2), poll(2)), and only then: there is no flag to look at."""
PLACE_RX, PLACE_TX, PLACE_FILL, PLACE_COMPLETION = 0, 0x8000_0000, 0x1_0000_0000, 0x1_8000_0000
COUNTERS = (
    "rx_dropped", "rx_invalid_descs", "tx_invalid_descs", "rx_ring_full", "rx_fill_ring_empty_descs",
    "tx_ring_empty_descs",
)  # fmt: skip
SO_SNDBUFFORCE = 32
HEADROOM = 256
"""XDP_PACKET_HEADROOM of linux/bpf.h: a received frame begins so far behind the beginning of its row."""
FRAME_MOST = STRIDE - HEADROOM
"""Longer ones are dropped by the kernel (rx_dropped)."""

DESCRIPTOR, ADDRESS = 16, 8
"""Bytes of a slot: `struct xdp_desc` (address, length, options), or an address alone."""
MASK = 0xFFFF_FFFF


class Unopened(Exception):
    """Opening failed at this step: "socket", "memory", "rings" or "bind"."""

    def __init__(self, step: str, error: OSError) -> None:
        super().__init__(f"{step}: {error}")
        self.step = step
        self.errno = error.errno or errno.EIO
        self.reason = error.strerror or str(error)


@dataclass(frozen=True, slots=True)
class Offsets:
    producer: int
    consumer: int
    slots: int
    flags: int


class Ring:
    """Counters as `memoryview` of 32 bits: reading one from a numpy array takes three times as long."""

    def __init__(self, descriptor: int, place: int, offsets: Offsets, entries: int, slot: int) -> None:
        size = offsets.slots + entries * slot
        self._map = mmap.mmap(descriptor, -(-size // 8) * 8, offset=place)
        self._words = memoryview(self._map).cast("I")
        self._producer, self._consumer = offsets.producer // 4, offsets.consumer // 4
        self.addresses: U64 = np.ndarray(entries, np.uint64, self._map, offsets.slots, (slot,))
        described = entries if slot == DESCRIPTOR else 0
        self.lengths: U32 = np.ndarray(described, np.uint32, self._map, offsets.slots + 8 * bool(described), (slot,))
        self.entries = entries
        # A held lock, released and taken again, orders what is before it and what is behind it on every machine; x86
        # (total store order) needs no more than that Python executes one step after the other.
        self._lock = None if platform.machine() == "x86_64" else threading.Lock()
        if self._lock:
            self._lock.acquire()

    def _in_order(self) -> None:
        if self._lock:
            self._lock.release()
            self._lock.acquire()

    @property
    def producer(self) -> int:
        value = self._words[self._producer]
        self._in_order()
        return value

    @producer.setter
    def producer(self, value: int) -> None:
        self._in_order()
        self._words[self._producer] = value & MASK

    @property
    def consumer(self) -> int:
        value = self._words[self._consumer]
        self._in_order()
        return value

    @consumer.setter
    def consumer(self, value: int) -> None:
        self._in_order()
        self._words[self._consumer] = value & MASK

    def waiting(self) -> int:
        return (self.producer - self.consumer) & MASK

    def pieces(self, first: int, count: int) -> tuple[tuple[slice, slice], ...]:
        """Where `count` slots from counter `first` on are: in the ring, and in a column of them."""
        at = first & (self.entries - 1)
        room = self.entries - at
        if count <= room:
            return ((slice(at, at + count), slice(0, count)),)
        return (slice(at, self.entries), slice(0, room)), (slice(0, count - room), slice(room, count))

    def read(self, first: int, count: int) -> U64:
        """A copy of the addresses in these slots."""
        addresses = np.empty(count, np.uint64)
        for there, here in self.pieces(first, count):
            addresses[here] = self.addresses[there]
        return addresses

    def close(self) -> None:
        # The map cannot be closed, and keeps the socket open, as long as an array looks into it.
        self.addresses, self.lengths = self.addresses[:0].copy(), self.lengths[:0].copy()
        self._words.release()
        self._map.close()


def _tried(step: str, do: Callable[[], T]) -> T:
    try:
        return do()
    except OSError as error:
        raise Unopened(step, error) from error


def _bind(descriptor: int, interface: int, queue: int) -> None:
    # struct sockaddr_xdp: family, flags, ifindex, queue_id, shared_umem_fd; Python's socket does not know this family.
    address = struct.pack("=HHIII", AF_XDP, COPY | USE_NEED_WAKEUP, interface, queue, 0)
    if ctypes.CDLL(None, use_errno=True).bind(descriptor, address, len(address)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def new_memory(rows: int) -> U8:
    """(rows, STRIDE), in pages of its own, large ones where the system has them: the kernel holds all of it anyway."""
    area = mmap.mmap(-1, rows * STRIDE, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # a kernel without them
        area.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(area, np.uint8).reshape(-1, STRIDE)


class Socket:
    """Bound to one queue of an interface (its index). The first `sent` rows of the memory are to send from, the others
    to receive into; either may be none, else they are powers of two. Raises Unopened."""

    def __init__(self, interface: int, queue: int, memory: U8, sent: int) -> None:
        self._socket = _tried("socket", lambda: socket.socket(AF_XDP, socket.SOCK_RAW, 0))
        self._rings: list[Ring] = []
        try:
            self._open(memory, sent)
            _tried("bind", lambda: _bind(self.descriptor, interface, queue))
        except BaseException:
            self.close()
            raise

    def _open(self, memory: U8, sent: int) -> None:
        self.descriptor = self._socket.fileno()
        received = len(memory) - sent
        area = struct.pack("=QQIIII", memory.ctypes.data, memory.nbytes, STRIDE, 0, 0, 0)
        _tried("memory", lambda: self._socket.setsockopt(SOL_XDP, UMEM_REG, area))
        # Both of the memory's rings must be there, even if the socket only sends or only receives. All that is sent and
        # as much that is withdrawn may be complete at the same time.
        entries = {FILL_RING: received or 1, COMPLETION_RING: 2 * sent or 1, RX_RING: received, TX_RING: sent}
        for option, count in entries.items():
            if count:
                self._set(option, count)
        raw = self._socket.getsockopt(SOL_XDP, MMAP_OFFSETS, 128)
        offsets = [Offsets(*struct.unpack_from("=4Q", raw, 32 * i)) for i in range(4)]
        self.fill = self._ring(PLACE_FILL, offsets[2], entries[FILL_RING], ADDRESS)
        self.completion = self._ring(PLACE_COMPLETION, offsets[3], entries[COMPLETION_RING], ADDRESS)
        if received:
            self.received = self._ring(PLACE_RX, offsets[0], received, DESCRIPTOR)
            self.fill.addresses[:] = np.arange(sent, sent + received, dtype=np.uint64) * np.uint64(STRIDE)
            self.fill.producer = received
        if sent:
            self.sent = self._ring(PLACE_TX, offsets[1], sent, DESCRIPTOR)
            self._make_room(sent)

    def _set(self, option: int, value: int) -> None:
        _tried("rings", lambda: self._socket.setsockopt(SOL_XDP, option, value))

    def _ring(self, place: int, offsets: Offsets, entries: int, slot: int) -> Ring:
        ring = _tried("rings", lambda: Ring(self.descriptor, place, offsets, entries, slot))
        self._rings.append(ring)
        return ring

    def _make_room(self, sent: int) -> None:
        # Each frame under way is charged to the send buffer (socket(7)); the default is too small for some hundreds.
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, sent * STRIDE * 2)
        except PermissionError:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, sent * STRIDE * 2)
        try:
            # How many one kick sends; 32 where the kernel has no such option (Linux 6.18).
            self._socket.setsockopt(SOL_XDP, MAX_TX_SKB_BUDGET, max(32, sent))
        except OSError:
            pass

    def kick(self) -> int:
        """Have the kernel send what is in `sent`: 0, or the error's number."""
        try:
            self._socket.send(b"", socket.MSG_DONTWAIT)
        except OSError as error:
            return error.errno or errno.EIO
        return 0

    def statistics(self) -> dict[str, int]:
        """By the names of `struct xdp_statistics`, since the socket was opened."""
        raw = self._socket.getsockopt(SOL_XDP, STATISTICS, 8 * len(COUNTERS))
        return dict(zip(COUNTERS, struct.unpack(f"={len(raw) // 8}Q", raw), strict=False))

    def close(self) -> None:
        for ring in self._rings:
            ring.close()
        self._rings.clear()
        self._socket.close()
