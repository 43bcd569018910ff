"""Rows of frames that the kernel gives back one by one, in whatever order it is done with them.

What came back last is taken next: it is still in the processor's caches, which hold no more than some thousand rows.
What is crafted waits in a circle in the order of crafting: behind `_left` are those with the kernel, from there to
`_taken` those that are crafted.
"""

import numpy as np

from amon.engine.shapes import I64


class ReturnedRows:
    def __init__(self, count: int) -> None:
        self._free: I64 = np.arange(count, dtype=np.int64)[::-1].copy()  # a stack
        self._height = count
        self._circle: I64 = np.zeros(count, np.int64)
        self._left = self._taken = 0

    def take(self, most: int) -> I64:
        """Free rows, at most so many."""
        count = max(0, min(most, self._height))
        self._height -= count
        rows = self._free[self._height : self._height + count][::-1].copy()
        self._write(self._taken, rows)
        self._taken += count
        return rows

    def rewind(self, count: int) -> None:
        """The last `count` rows taken are free again."""
        if not 0 <= count <= self._taken - self._left:
            raise ValueError(f"{count} rows given back of {self._taken - self._left} taken")
        self._taken -= count
        self._push(self._at(self._taken, count))

    def oldest(self, count: int) -> I64:
        """The `count` rows taken longest ago."""
        if not 0 <= count <= self._taken - self._left:
            raise ValueError(f"{count} frames to send of {self._taken - self._left} taken")
        return self._at(self._left, count)

    def leave(self, count: int) -> None:
        """The oldest `count` are not ours until they come back."""
        self._left += count

    def come_back(self, rows: I64) -> None:
        away = len(self._free) - self._height - (self._taken - self._left)
        if len(rows) > away:
            raise ValueError(f"{len(rows)} rows came back of {away} that had left")
        self._push(rows)

    def _push(self, rows: I64) -> None:
        self._free[self._height : self._height + len(rows)] = rows[::-1]
        self._height += len(rows)

    def _write(self, first: int, rows: I64) -> None:
        at = first % len(self._circle)
        room = len(self._circle) - at
        self._circle[at : at + len(rows)] = rows[:room]
        self._circle[: max(0, len(rows) - room)] = rows[room:]

    def _at(self, first: int, count: int) -> I64:
        at = first % len(self._circle)
        rows = self._circle[at : at + count].copy()
        return rows if len(rows) == count else np.concatenate((rows, self._circle[: count - len(rows)]))
