"""What all ways have in common that receive through a socket: batches into rows, stamps, drops, the receive buffer."""

import socket
import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amon.engine.linux.mmsg import Layout, Messages
from amon.engine.shapes import I64, SNAP, U8, U32

SO_TIMESTAMPNS, SO_RCVBUFFORCE, SO_MEMINFO = 35, 33, 55
SK_MEMINFO_DROPS = 8
BUFFER = 64 * 1024 * 1024
"""Bytes of receive buffer: an answer takes some 750 of it."""
SINK = 65_536
STAMP = (socket.SOL_SOCKET, SO_TIMESTAMPNS)


class Intake:
    """Reads messages of one socket, `batch` at once, from byte `offset` of each row on; what is longer is cut.

    The rows are zero behind what came. Everything is valid until the next `read`.
    """

    def __init__(self, *, offset: int, name: int, control: int, flags: int = 0, batch: int = 512) -> None:
        self.rows = np.zeros((batch, SNAP), np.uint8)
        self._sink = np.zeros((1, SINK), np.uint8)
        self._messages = Messages(batch, parts=2, name=name, control=control)
        self._messages.point(self.rows, offset)
        # All rows share one: nobody looks at it, but so the kernel tells the whole length.
        self._messages.vectors["base"][:, 1] = self._sink.ctypes.data
        self._messages.vectors["len"][:, 1] = SINK
        self._offset, self._flags = offset, flags

    def read(self, descriptor: int, most: int) -> "Batch":
        """At most so many, and at most a batch."""
        count = self._messages.receive(descriptor, min(most, len(self._messages)), self._flags)
        error, count = min(count, 0), max(count, 0)
        lengths = self._messages.headers["len"][:count].copy()
        data = self.rows[:count]
        return Batch(data, lengths, self._messages, list(self._messages.layouts(count)), -error)


@dataclass(slots=True)
class Batch:
    """data: (n, SNAP). lengths: bytes that came. error: errno, if nothing came because of one."""

    data: U8
    lengths: U32
    messages: Messages
    layouts: list[tuple[NDArray[np.intp], Layout]]
    error: int

    def __len__(self) -> int:
        return len(self.data)

    @property
    def names(self) -> U8:
        return self.messages.names[: len(self)]

    def bytes_of(self, level: int, kind: int, size: int) -> U8:
        """(n, size): data of that control message, zero where there is none."""
        controls = self.messages.controls
        if len(self.layouts) == 1:
            at = self.layouts[0][1].get((level, kind))
            return np.zeros((len(self), size), np.uint8) if at is None else controls[: len(self), at : at + size]
        found = np.zeros((len(self), size), np.uint8)
        for rows, layout in self.layouts:
            if (level, kind) in layout:
                at = layout[level, kind]
                found[rows] = controls[rows, at : at + size]
        return found

    def stamps(self) -> I64:
        """CLOCK_REALTIME, ns; 0 where the kernel gave none."""
        seconds = self.bytes_of(*STAMP, 16).view(np.int64)
        return seconds[:, 0] * 1_000_000_000 + seconds[:, 1]


def widen(sock: socket.socket, size: int = BUFFER) -> int:
    """A receive buffer of so many bytes, or as many as the system gives; how many it is."""
    try:
        sock.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, size // 2)  # socket(7): the kernel doubles it
    except OSError:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size // 2)
    return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF)


def drops(sock: socket.socket) -> int:
    """Packets the receive buffer had no room for, since the socket was made (SO_MEMINFO).

    The same number that SO_RXQ_OVFL sends along with packets, but without waiting for one to come after the loss.
    """
    words: tuple[int, ...] = struct.unpack("9I", sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))
    return words[SK_MEMINFO_DROPS]
