"""The wire form of rtnetlink: headers, attributes, and a walk over very many replies at once.

Sources: RFC 3549, netlink(7), rtnetlink(7), linux/netlink.h, linux/rtnetlink.h. Numbers are in the byte order of the
machine, addresses in that of the network. What does not add up raises `Odd`; the
caller then asks the kernel for everything again.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.shapes import I64, U8, U16, Bools

HEADER: Final = struct.Struct("=IHHII")  # length, type, flags, sequence, port
_ATTRIBUTE: Final = struct.Struct("=HH")  # length with this header, type
_TYPE_MASK = 0x3FFF  # without NLA_F_NESTED and NLA_F_NET_BYTEORDER

ERROR, DONE, OVERRUN = 2, 3, 4  # NLMSG_*
REQUEST, DUMP, DUMP_INTR = 0x01, 0x300, 0x10  # NLM_F_*


class Odd(ValueError):
    """Lengths that do not add up."""


@dataclass(frozen=True, slots=True)
class Message:
    """One message. body: what is behind the header, without padding."""

    kind: int
    flags: int
    sequence: int
    body: memoryview


def messages(data: bytes | memoryview) -> Iterator[Message]:
    """The messages of one datagram. Raises `Odd` at the first that is longer than what is left, or than none."""
    rest = memoryview(data)
    while len(rest) >= HEADER.size:
        length, kind, flags, sequence, _port = HEADER.unpack_from(rest)
        if not HEADER.size <= length <= len(rest):
            raise Odd(f"a message of {length} bytes where {len(rest)} are left")
        yield Message(kind, flags, sequence, rest[HEADER.size : length])
        rest = rest[_aligned(length) :]
    if len(rest):
        raise Odd(f"{len(rest)} bytes behind the last message")


def attributes(data: memoryview) -> dict[int, memoryview]:
    """Attributes by type; of two alike the last. Raises `Odd`."""
    found: dict[int, memoryview] = {}
    while len(data) >= _ATTRIBUTE.size:
        length, kind = _ATTRIBUTE.unpack_from(data)
        if not _ATTRIBUTE.size <= length <= len(data):
            raise Odd(f"an attribute of {length} bytes where {len(data)} are left")
        found[kind & _TYPE_MASK] = data[_ATTRIBUTE.size : length]
        data = data[_aligned(length) :]
    return found


def attribute(kind: int, value: bytes) -> bytes:
    length = _ATTRIBUTE.size + len(value)
    return _ATTRIBUTE.pack(length, kind) + value.ljust(_aligned(length) - _ATTRIBUTE.size, b"\0")


def request(kind: int, flags: int, sequence: int, body: bytes) -> bytes:
    return HEADER.pack(HEADER.size + len(body), kind, flags | REQUEST, sequence, 0) + body


def _aligned(length: int) -> int:
    return (length + 3) & ~3


STEPS_MOST = 64
"""Attributes of one reply that are looked at; a route has about ten."""


@dataclass(slots=True)
class Table:
    """Many replies, one per row of `data` (n, stride); `length` bytes of each are there."""

    data: U8
    length: I64

    def column(self, at: int, kind: type[np.generic]) -> np.ndarray[tuple[int], np.dtype[np.generic]]:
        """The number at byte `at` of each row."""
        size = np.dtype(kind).itemsize
        return np.ascontiguousarray(self.data[:, at : at + size]).view(kind)[:, 0]

    def gather(self, rows: I64, at: I64, size: int) -> U8:
        """`size` bytes from byte `at` of those rows. Behind a row's end whatever is there, so callers check lengths."""
        places = np.minimum(at[:, None] + np.arange(size), self.data.shape[1] - 1)
        picked: U8 = self.data[rows[:, None], places]
        return picked


@dataclass(slots=True)
class Step:
    """The next attribute of each row that still has one: its row, its type, where its value is and how long."""

    rows: I64
    kinds: U16
    at: I64
    size: I64


def walk(table: Table, begin: int, odd: Bools) -> Iterator[Step]:
    """All attributes of all rows, one of each row at a time. Rows whose lengths do not add up are marked in `odd` and
    left; so are those with more than `STEPS_MOST`."""
    rows = np.flatnonzero(table.length >= begin + _ATTRIBUTE.size)
    at = np.full(len(rows), begin, np.int64)
    for _ in range(STEPS_MOST):
        if not len(rows):
            return
        head = table.gather(rows, at, _ATTRIBUTE.size).view(np.uint16).astype(np.int64)
        size = head[:, 0]
        sound = (size >= _ATTRIBUTE.size) & (at + size <= table.length[rows])
        odd[rows[~sound]] = True
        rows, at, size, kinds = rows[sound], at[sound], size[sound], head[sound, 1] & _TYPE_MASK
        yield Step(rows, kinds.astype(np.uint16), at + _ATTRIBUTE.size, size - _ATTRIBUTE.size)
        at = at + ((size + 3) & ~3)
        more = at + _ATTRIBUTE.size <= table.length[rows]
        rows, at = rows[more], at[more]
    odd[rows] = True
