"""Random numbers that make a reply ours: 64 bits per probe that nobody who has not seen the probe can guess."""

import os
from collections.abc import Callable

import numpy as np

from amon.engine.shapes import U64

POOL = 4096
"""Nonces made at once: 32 KiB of random bytes take some 50 µs, short against a tick."""


class Nonces:
    """A pool of them. random: as os.urandom, so many bytes of cryptographic quality."""

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._random = random
        self._pool = np.empty(0, np.uint64)

    def take(self, count: int) -> U64:
        """So many nonces, none of them 0; never the same one twice, but by chance."""
        while len(self._pool) < count:
            self._pool = np.concatenate((self._pool, self._more()))
        taken, self._pool = self._pool[:count], self._pool[count:]
        return taken

    def _more(self) -> U64:
        fresh = np.frombuffer(self._random(8 * POOL), np.uint64)
        return np.maximum(fresh, np.uint64(1))
