"""Rows of frames, used round and round: taken to be crafted, sent in that order, and free again.

For ways whose frames the kernel copies while it is asked to send them, so that a row is free as soon as that is done.
"""

import numpy as np

from amon.engine.shapes import I64, STRIDE


class Rows:
    """memory: (frames, STRIDE) U8."""

    def __init__(self, frames: int) -> None:
        self.memory = np.zeros((frames, STRIDE), np.uint8)
        self._first = 0
        self._taken = 0

    def take(self, most: int) -> I64:
        """The next free rows, at most so many."""
        frames = len(self.memory)
        count = max(0, min(most, frames - self._taken))
        rows = (np.arange(count) + (self._first + self._taken)) % frames
        self._taken += count
        return rows

    def give_back(self, count: int) -> None:
        """The last `count` rows taken are free again."""
        if not 0 <= count <= self._taken:
            raise ValueError(f"{count} rows given back of {self._taken} taken")
        self._taken -= count

    def oldest(self, count: int) -> list[slice]:
        """The `count` rows taken longest ago: one piece, two where they go round the end."""
        if not 0 <= count <= self._taken:
            raise ValueError(f"{count} frames to send of {self._taken} taken")
        head = min(count, len(self.memory) - self._first)
        pieces = [slice(self._first, self._first + head), slice(0, count - head)]
        return [piece for piece in pieces if piece.stop > piece.start]

    def done(self, count: int) -> None:
        """The oldest `count` are free again."""
        self._first = (self._first + count) % len(self.memory)
        self._taken -= count
