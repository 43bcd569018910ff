"""Rows of frames that the kernel gives back one by one, in whatever order it is done with them.

All rows stand in one circle. Three marks go round it: behind `_left` are those with the kernel, from there to `_taken`
those that are crafted, from there to `_free` those that are free. What comes back is written where the circle goes on.
"""

import numpy as np

from amon.engine.shapes import I64


class ReturnedRows:
    def __init__(self, count: int) -> None:
        self._circle = np.arange(count, dtype=np.int64)
        self._left = self._taken = 0
        self._free = count

    def take(self, most: int) -> I64:
        """The next free rows, at most so many."""
        count = max(0, min(most, self._free - self._taken))
        self._taken += count
        return self._at(self._taken - count, count)

    def rewind(self, count: int) -> None:
        """The last `count` rows taken are free again."""
        if not 0 <= count <= self._taken - self._left:
            raise ValueError(f"{count} rows given back of {self._taken - self._left} taken")
        self._taken -= count

    def oldest(self, count: int) -> I64:
        """The `count` rows taken longest ago."""
        if not 0 <= count <= self._taken - self._left:
            raise ValueError(f"{count} frames to send of {self._taken - self._left} taken")
        return self._at(self._left, count)

    def leave(self, count: int) -> None:
        """The oldest `count` are not ours until they come back."""
        self._left += count

    def come_back(self, rows: I64) -> None:
        size = len(self._circle)
        if self._free + len(rows) - self._left > size:
            raise ValueError(f"{len(rows)} rows came back of {size + self._left - self._free} that had left")
        at = self._free % size
        room = size - at
        self._circle[at : at + len(rows)] = rows[:room]
        self._circle[: max(0, len(rows) - room)] = rows[room:]
        self._free += len(rows)

    def _at(self, first: int, count: int) -> I64:
        at = first % len(self._circle)
        rows = self._circle[at : at + count].copy()
        return rows if len(rows) == count else np.concatenate((rows, self._circle[: count - len(rows)]))
