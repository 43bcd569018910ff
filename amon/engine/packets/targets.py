"""The addresses under probe, each once, as columns. Source: RFC 4291, 2.5.5.2 (IPv4 mapped into IPv6)."""

from bisect import insort
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from amon.engine.packets.checksum import address_sum
from amon.engine.shapes import MAPPED, U8, U16, U32, U64

NO_HOP: Final = 0xFFFF
"""In column `hop`: no next hop is known."""
_ABOVE_32 = np.uint64(32)
_ALL = 1 << 62
Column = NDArray[Any]


def unpack(addresses: bytes | bytearray) -> tuple[U64, U64]:
    """High and low halves of addresses of 16 bytes each; IPv4 mapped. Raises ValueError if a piece is left over."""
    halves = np.frombuffer(addresses, ">u8").reshape(-1, 2)
    return halves[:, 0].astype(np.uint64), halves[:, 1].astype(np.uint64)


def pack(high: U64, low: U64) -> bytes:
    """The reverse of `unpack`."""
    return np.stack((high, low), axis=1).astype(">u8").tobytes()


def family(high: U64, low: U64) -> U8:
    """4 where IPv4 is mapped, else 6."""
    mapped = (high == 0) & (low >> _ABOVE_32 == MAPPED >> 32)
    return np.where(mapped, 4, 6).astype(np.uint8)


class Targets:
    """Columns by row. They grow, so take them anew from here each time; a row that was freed still has its old values.

    high, low: the address. family: 4 or 6. hop: row in `Hops`, `NO_HOP` at first. sum: of the address's 16-bit words.
    """

    def __init__(self, capacity: int = 1024) -> None:
        self.high: U64 = np.zeros(capacity, np.uint64)
        self.low: U64 = np.zeros(capacity, np.uint64)
        self.family: U8 = np.zeros(capacity, np.uint8)
        self.hop: U16 = np.full(capacity, NO_HOP, np.uint16)
        self.sum: U32 = np.zeros(capacity, np.uint32)
        self._gaps: list[tuple[int, int]] = [(0, capacity)]  # first row and one behind the last, in order, apart
        self._larger: list[Column] = []  # while they grow
        self._copied = 0

    def __len__(self) -> int:
        """Rows in use."""
        return len(self.high) - sum(end - first for first, end in self._gaps)

    def add(self, high: U64, low: U64) -> int:
        """Puts addresses into rows next to each other; the first of these."""
        while not self.make_room(len(high)):
            pass
        first = self.take(len(high))
        self.put(first, high, low)
        return first

    def make_room(self, count: int, most: int = _ALL) -> bool:
        """Whether there are so many free rows next to each other. If not the columns grow, by at most so many rows that
        are copied in this call, and it is to be asked for again: to copy millions takes long."""
        if self._larger:
            self._grow_on(most)
        if self._larger:
            return False
        if any(end - first >= count for first, end in self._gaps):
            return True
        whole = len(self.high) + max(len(self.high), count)
        self._larger, self._copied = [np.zeros(whole, column.dtype) for column in self._columns], 0
        return self.make_room(count, most)

    def take(self, count: int) -> int:
        """The first of so many free rows, from now on used; there is room for them. What is in them is to be `put`."""
        for place, (first, end) in enumerate(self._gaps):
            if end - first >= count:
                self._gaps[place : place + 1] = [(first + count, end)] if first + count < end else []
                return first
        raise ValueError(f"there is no room for {count} rows")

    def put(self, first: int, high: U64, low: U64) -> None:
        """Addresses into rows that were taken, from this one on."""
        rows = slice(first, first + len(high))
        which = family(high, low)
        self.high[rows], self.low[rows], self.family[rows], self.hop[rows] = high, low, which, NO_HOP
        self.sum[rows] = np.where(which == 4, address_sum(high, low, 4), address_sum(high, low, 6))

    def free(self, first: int, count: int) -> None:
        """These rows may be used again: no probe of theirs is under way. Raises ValueError if they are not in use."""
        if not count:
            return
        end = first + count
        if first < 0 or end > len(self.high) or any(first < stop and end > start for start, stop in self._gaps):
            raise ValueError(f"rows {first} to {end} are not in use")
        insort(self._gaps, (first, end))
        self._join()

    @property
    def _columns(self) -> list[Column]:
        return [self.high, self.low, self.family, self.sum, self.hop]

    def _grow_on(self, most: int) -> None:
        had = len(self.high)
        rows = slice(self._copied, min(self._copied + most, had))
        for old, new in zip(self._columns, self._larger, strict=True):
            new[rows] = old[rows]
        self._copied = rows.stop
        if rows.stop == had:
            self._larger[-1][:had] = self.hop  # some may be others since they were copied
            self.high, self.low, self.family, self.sum, self.hop = self._larger
            self._larger = []
            self._gaps.append((had, len(self.high)))
            self._join()

    def _join(self) -> None:
        joined: list[tuple[int, int]] = []
        for first, end in self._gaps:
            if joined and joined[-1][1] == first:
                joined[-1] = (joined[-1][0], end)
            else:
                joined.append((first, end))
        self._gaps = joined
