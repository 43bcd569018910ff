"""In which order a job's targets are probed: at random, but always the same, and no network's all at once.

The place of a target follows from its address and the job's seed alone, so a restart finds the same order, and a target
that comes or goes moves the others by no more than one step. Targets of one network (/24, /48) are spread evenly over
the round, each network from a point of its own.
"""

from hashlib import blake2b

import numpy as np

from amon.engine.shapes import F64, MAPPED, U32, U64

_SPREAD = np.uint64(0x9E37_79B9_7F4A_7C15)  # 2^64 / golden ratio; this and the others: splitmix64 (Steele et al., 2014)
_FIRST, _SECOND = np.uint64(0xBF58_476D_1CE4_E5B9), np.uint64(0x94D0_49BB_1331_11EB)


def order(high: U64, low: U64, seed: str) -> U32:
    """Rows of the targets in the order of probing. high, low: halves of the addresses."""
    key = int.from_bytes(blake2b(seed.encode(), digest_size=8).digest(), "little")
    network = np.where((high == 0) & (low >> np.uint64(32) == MAPPED >> 32), low >> np.uint64(8), high >> np.uint64(16))
    own = _mixed(_mixed(high, key) ^ low, key)
    point = _mixed(network, key)
    together = np.lexsort((own, point, network))
    phase = np.empty(len(high), np.float64)
    phase[together] = _spread(network[together], point[together])
    return np.lexsort((own, phase)).astype(np.uint32)


def _spread(network: U64, point: U64) -> F64:
    """Of targets sorted by network: each network's members at equal distances around the round, from its own point."""
    begins = np.ones(len(network), np.bool_)
    begins[1:] = network[1:] != network[:-1]
    first, which = np.flatnonzero(begins), np.cumsum(begins) - 1  # np.repeat would not let go of the interpreter
    sizes = np.diff(first, append=len(network))
    place = np.arange(len(network)) - first[which]
    phase: F64 = np.mod(point.astype(np.float64) / 2.0**64 + place / sizes[which], 1.0)
    return phase


def _mixed(words: U64, key: int) -> U64:
    """A scattering of 64-bit words that differs from key to key. Not for secrets."""
    words = words + np.uint64(key) + _SPREAD
    words = (words ^ (words >> np.uint64(30))) * _FIRST
    words = (words ^ (words >> np.uint64(27))) * _SECOND
    return words ^ (words >> np.uint64(31))
