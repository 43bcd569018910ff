"""Packet sockets: whole frames out with sendmmsg past the queueing discipline, answers in through a TPACKET_V3 ring.

Sources: packet(7), Documentation/networking/packet_mmap.rst. Needs CAP_NET_RAW, and an Ethernet interface for sending.
"""

import errno
import socket
import time
from collections.abc import Iterator, Mapping

import numpy as np

from amon.engine.linux import classic
from amon.engine.linux.packetring import SOL_PACKET, PacketRing
from amon.engine.shapes import LINK, NETWORK, U16, Packets, Published, Span, WayRefused
from amon.engine.stamps import RealtimeToMonotonic
from amon.engine.ways.received import clear_behind, gather, within_link
from amon.engine.ways.rights import refusal
from amon.engine.ways.sending import SocketTransmitter

PACKET_QDISC_BYPASS = 20
RING = 8 * 1024 * 1024
"""Bytes, all of them resident: some 40,000 answers, a tenth of a second at the highest rate."""
RING_MOST = 1 << 30
"""Beyond it the kernel says EINVAL as well as ENOMEM."""
LAG = 50_000_000
"""ns: a packet is stamped when it comes, and seen when its block is handed over."""
AGAIN = 100_000_000
"""ns between two looks whether an interface that was gone has come back."""


class PacketTransmitter(SocketTransmitter):
    """Both families, out of one Ethernet interface."""

    def __init__(self, interface: str, frames: int = 2048, *, every: int = 4096) -> None:
        self._interface = interface
        try:
            sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        except OSError as error:
            raise WayRefused(refusal("packet sockets", error, "CAP_NET_RAW")) from error
        try:
            sock.bind((interface, 0))
            sock.setsockopt(SOL_PACKET, PACKET_QDISC_BYPASS, 1)
        except OSError as error:
            sock.close()
            raise WayRefused(f"interface {interface}: {error.strerror}") from error
        super().__init__("AF_PACKET", 0, sock, frames, link=True, begin=LINK, every=every)

    def _prepare(self, piece: slice, lengths: U16) -> Iterator[slice]:
        self._messages.vectors["len"][piece, 0] = lengths + np.uint16(NETWORK - LINK)
        yield piece

    def _ended(self, spans: list[Span], error: int, left: int) -> Published:
        if error in (errno.ENXIO, errno.ENODEV):
            self._rebind()
        return super()._ended(spans, error, left)

    def _rebind(self) -> None:
        """An interface that comes back is another one of the same name."""
        try:
            self._socket.bind((self._interface, 0))
        except OSError:
            pass  # not back yet


class RingReceiver:
    """Both families. interface: None is all of them. size: bytes of the ring."""

    name = "TPACKET_V3"

    def __init__(self, interface: str | None, ident: int, size: int = RING) -> None:
        try:
            self._ring = PacketRing(interface, classic.from_link(ident), size)
        except OSError as error:
            if error.errno in (errno.ENODEV, errno.ENXIO):
                raise WayRefused(f"interface {interface}: {error.strerror}") from error
            if error.errno == errno.ENOMEM or size > RING_MOST:
                raise WayRefused(f"no memory for a ring of {size} bytes: make it smaller") from error
            raise WayRefused(refusal("packet sockets", error, "CAP_NET_RAW")) from error
        self.descriptor = self._ring.socket.fileno()
        self._clock = RealtimeToMonotonic(lag=LAG)
        self._absent_since = 0

    def drain(self, most: int) -> Packets:
        cuts = self._ring.take(most)
        if not cuts:
            self._look_after(time.monotonic_ns())
            return gather([], [], [], self._clock, emptied=True, verified=False)
        data, kept, stamps, lengths = (list(columns) for columns in zip(*cuts, strict=True))
        lengths = [within_link(rows, length) for rows, length in zip(data, lengths, strict=True)]
        for rows, some, length in zip(data, kept, lengths, strict=True):
            clear_behind(rows, np.minimum(some, length))
        emptied = sum(map(len, data)) < most
        return gather(data, lengths, stamps, self._clock, emptied=emptied, verified=False)

    def _look_after(self, now: int) -> None:
        """An interface that goes away leaves its error in the socket; one that comes back is bound anew."""
        if self._ring.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._absent_since = now
        if self._absent_since and now - self._absent_since >= AGAIN:
            try:
                self._ring.bind()
                self._absent_since = 0
            except OSError:
                self._absent_since = now

    def counters(self) -> Mapping[str, int]:
        """tp_drops: answers the ring had no room for. tp_freeze_q_cnt: how often it was full."""
        return self._ring.statistics()

    def close(self) -> None:
        self._ring.close()
