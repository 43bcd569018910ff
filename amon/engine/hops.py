"""Next hops as columns: through which interface a packet leaves, between which MACs, from which address of ours.

Every address that was resolved has a row; one that cannot be reached has a row that is not usable and says why. So
whoever sends looks at `usable` and has no other case.
"""

from typing import Final

import numpy as np

from amon.engine.shapes import U8, U32, U64, Bools

HOPS_MOST: Final = 0xFFFF
NO_HOP: Final = 0xFFFF
"""Not resolved yet; never a row."""


class Hops:
    """Columns of `HOPS_MOST` rows, never moved; rows from 0 are in use. smac, dmac: (n, 6), zero where `link` is False.
    source_high, source_low: our address (IPv4 mapped). ifindex: the interface. mtu: of the interface, bytes. link:
    whether the Ethernet header is ours to write (else a raw way sends). usable: may be sent to now.

    version grows whenever a row is not what it was: frames made from it are to be made again."""

    def __init__(self) -> None:
        # numpy gets untouched memory from the kernel, so rows that are never used cost nothing.
        self.smac: U8 = np.zeros((HOPS_MOST, 6), np.uint8)
        self.dmac: U8 = np.zeros((HOPS_MOST, 6), np.uint8)
        self.source_high: U64 = np.zeros(HOPS_MOST, np.uint64)
        self.source_low: U64 = np.zeros(HOPS_MOST, np.uint64)
        self.ifindex: U32 = np.zeros(HOPS_MOST, np.uint32)
        self.mtu: U32 = np.zeros(HOPS_MOST, np.uint32)
        self.usable: Bools = np.zeros(HOPS_MOST, np.bool_)
        self.link: Bools = np.zeros(HOPS_MOST, np.bool_)
        self.texts: dict[int, str] = {}
        self.version = 0

    def text(self, row: int) -> str:
        """Why this hop cannot be used; empty if it can."""
        return self.texts.get(row, "")
