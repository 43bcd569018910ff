"""Rows as all ways hand them over: nothing behind the packet's end, and stamps of the one clock."""

import time
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from amon.engine.shapes import I64, SNAP, U8, U32, Packets
from amon.engine.stamps import RealtimeToMonotonic

T = TypeVar("T", bound=np.generic)

BELOW = np.tri(SNAP + 1, SNAP, -1, dtype=np.bool_)
"""Row n: the first n are true."""


def gather(
    rows: list[U8], lengths: list[U32], stamps: list[I64], clock: RealtimeToMonotonic, *, emptied: bool, verified: bool
) -> Packets:
    """Pieces that came one behind the other. stamps: of the kernel; 0 where it gave none, then it is now."""
    now = time.monotonic_ns()
    if not rows:
        clock.convert(np.empty(0, np.int64), now)
        return Packets(np.empty((0, SNAP), np.uint8), np.empty(0, np.uint32), np.empty(0, np.int64), verified)
    wall = _joined(stamps)
    moments = clock.convert(wall, now, emptied)
    if not wall.all():
        moments[wall == 0] = now
    return Packets(_joined(rows), _joined(lengths), moments, verified)


def _joined(pieces: list[NDArray[T]]) -> NDArray[T]:
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)


def within_link(data: U8, lengths: U32) -> U32:
    """Lengths without what Ethernet pads short packets with: as the IP header says, where that is less."""
    words = data[:, :8].view(np.uint16)
    said = np.where(data[:, 0] >> 4 == 4, words[:, 1].byteswap(), words[:, 2].byteswap().astype(np.uint32) + 40)
    return np.minimum(lengths, np.maximum(said, 20).astype(np.uint32))


def clear_behind(data: U8, kept: U32) -> None:
    """Zero, in each row, what lies behind so many bytes."""
    kept = np.minimum(kept, SNAP)
    least, most = int(kept.min()), int(kept.max())
    if least == most:
        data[:, least:] = 0
    else:
        data *= BELOW[kept, : data.shape[1]]
