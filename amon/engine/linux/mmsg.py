"""Many packets with one system call: sendmmsg(2), recvmmsg(2) over arrays that numpy and the kernel share.

The structures are those of a 64-bit Linux (`struct msghdr` of recvmsg(2), cmsg(3)): made once, and from then on only
the few words that differ from packet to packet are written, for all packets together.
"""

import ctypes
import os
import socket
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from amon.engine.shapes import U8

HEADER = np.dtype(
    {
        "names": ["name", "namelen", "iov", "iovlen", "control", "controllen", "flags", "len"],
        "formats": ["u8", "u4", "u8", "u8", "u8", "u8", "i4", "u4"],
        "offsets": [0, 8, 16, 24, 32, 40, 48, 56],
        "itemsize": 64,
    }
)
VECTOR = np.dtype([("base", "u8"), ("len", "u8")])
CONTROL = 16
"""Bytes of a control message before its data: length, level, type."""

Layout = dict[tuple[int, int], int]
"""Control messages by level and type: where their data begins."""

_libc = ctypes.CDLL(None, use_errno=True)
_sendmmsg, _recvmmsg = _libc.sendmmsg, _libc.recvmmsg
_sendmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int]
_recvmmsg.argtypes = [ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p]


def control_space(size: int) -> int:
    """CMSG_SPACE: what a control message with so many bytes of data takes."""
    return CONTROL + (size + 7) // 8 * 8


def write_control(controls: U8, at: int, level: int, kind: int, size: int) -> None:
    """The same head into all rows of `controls` (n, bytes), at that byte; the data behind it is the caller's."""
    controls[:, at : at + 8].view(np.uint64)[:] = CONTROL + size
    controls[:, at + 8 : at + 16].view(np.int32)[:] = (level, kind)


class Messages:
    """`count` messages: each with `parts` iovecs, a name and control bytes of its own.

    names (count, name), controls (count, control): U8, in rounded up sizes. headers, vectors: see `struct mmsghdr`.
    """

    def __init__(self, count: int, *, parts: int = 1, name: int = 0, control: int = 0) -> None:
        self.headers = np.zeros(count, HEADER)
        self.vectors = np.zeros((count, parts), VECTOR)
        self.names = np.zeros((count, (name + 7) // 8 * 8), np.uint8)
        self.controls = np.zeros((count, (control + 7) // 8 * 8), np.uint8)
        self._name = name
        self.headers["iov"] = _addresses(self.vectors)
        self.headers["iovlen"] = parts
        if name:
            self.headers["name"] = _addresses(self.names)
            self.headers["namelen"] = name
        self._address = self.headers.ctypes.data

    def __len__(self) -> int:
        return len(self.headers)

    def point(self, memory: U8, offset: int, part: int = 0) -> None:
        """Let message `i` begin at byte `offset` of row `i` of the memory, which must live as long as this."""
        self.vectors["base"][:, part] = _addresses(memory) + np.uint64(offset)
        self.vectors["len"][:, part] = memory.shape[1] - offset

    def control(self, first: int, count: int, at: int, size: int) -> None:
        """Send these messages with `size` of their control bytes from `at` on; with 0 without any."""
        rows = slice(first, first + count)
        self.headers["control"][rows] = _addresses(self.controls[rows]) + np.uint64(at) if size else 0
        self.headers["controllen"][rows] = size

    def send(self, descriptor: int, first: int, count: int) -> int:
        """How many of them went out; below 0: not even the first, for this `errno`. Never blocks."""
        address = self._address + first * HEADER.itemsize
        done: int = _sendmmsg(descriptor, address, count, socket.MSG_DONTWAIT)
        return done if done >= 0 else -ctypes.get_errno()

    def receive(self, descriptor: int, count: int, flags: int = 0) -> int:
        """How many came, into the first rows; below 0: none, for this `errno`. Never blocks.

        The kernel writes the lengths it used over those it was given: they are set again each time.
        """
        head = self.headers[:count]
        if self._name:
            head["namelen"] = self._name
        if self.controls.size:
            head["control"] = _addresses(self.controls[:count])
            head["controllen"] = self.controls.shape[1]
        done: int = _recvmmsg(descriptor, self._address, count, flags | socket.MSG_DONTWAIT, None)
        return done if done >= 0 else -ctypes.get_errno()

    def layouts(self, count: int) -> Iterator[tuple[NDArray[np.intp], Layout]]:
        """The first `count` rows in groups whose control messages lie alike (nearly always one)."""
        controls, lengths, rest = self.controls[:count], self.headers["controllen"][:count], np.arange(count)
        while len(rest):
            layout = _walk(controls[0], int(lengths[0]))
            alike = lengths == lengths[0]
            for data in layout.values():
                heads = controls[:, data - CONTROL : data].view(np.uint64)
                alike &= (heads[:, 0] == heads[0, 0]) & (heads[:, 1] == heads[0, 1])
            if alike.all():
                yield rest, layout
                return
            yield rest[alike], layout
            controls, lengths, rest = controls[~alike], lengths[~alike], rest[~alike]


def _addresses(array: NDArray[np.generic]) -> NDArray[np.uint64]:
    """Where each row of it lies."""
    return np.uint64(array.ctypes.data) + np.arange(len(array), dtype=np.uint64) * np.uint64(array.strides[0])


def _walk(controls: U8, length: int) -> Layout:
    """cmsg(3): heads one behind the other, data rounded up to 8 bytes."""
    layout: Layout = {}
    at = 0
    while at + CONTROL <= length:
        size = int(controls[at : at + 8].view(np.uint64)[0])
        if size < CONTROL or at + size > length:
            break
        level, kind = controls[at + 8 : at + 16].view(np.int32)
        layout[int(level), int(kind)] = at + CONTROL
        at += control_space(size - CONTROL)
    return layout


def why(error: int, hints: Mapping[int, str] | None = None) -> str:
    """An errno for people: what it says, and what it means here."""
    return (hints or {}).get(error) or os.strerror(error)
