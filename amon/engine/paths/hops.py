"""Next hops as columns: through which interface a packet leaves, between which MACs, from which address of ours.

Every address that was resolved has a row; one that cannot be reached has a row that is not usable and says why. So
whoever sends looks at `usable` and has no other case.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.shapes import U8, U32, U64, Bools

HOPS_MOST: Final = 0xFFFF
NO_HOP: Final = 0xFFFF
"""Not resolved yet; never a row."""
NO_ROOM: Final = 0
"""The row of all that found no place."""


@dataclass(frozen=True, slots=True)
class Way:
    """What tells one hop from another. next: address of the neighbour that frames go to; empty where they have no MAC.
    source: ours. local: it goes to ourselves. refusal: why there is no way at all; then the rest says nothing.
    Addresses are 16 bytes, IPv4 mapped."""

    ifindex: int = 0
    next: bytes = b""
    source: bytes = bytes(16)
    local: bool = False
    refusal: str = ""


@dataclass(frozen=True, slots=True)
class State:
    """How a hop is. text: why it cannot be used; empty if it can."""

    text: str
    mtu: int = 0
    smac: bytes = bytes(6)
    dmac: bytes = bytes(6)
    link: bool = False


class Hops:
    """Columns of `HOPS_MOST` rows, never moved. smac, dmac: (n, 6), zero where `link` is False. source_high,
    source_low: our address (IPv4 mapped). ifindex: the interface. mtu: of the interface, bytes. link: whether the
    Ethernet header is ours to write (else a raw way sends). usable: may be sent to now.

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
        self.version = 0
        self._rows: dict[Way, int] = {}
        self._ways: dict[int, Way] = {}
        self._states: dict[int, State] = {}
        self._free: list[int] = []
        full = self.row_of(Way(refusal=f"more than {HOPS_MOST:,} next hops: there was no room for this one"))
        assert full == NO_ROOM
        self.put(full, State(self._ways[full].refusal))

    def __len__(self) -> int:
        return len(self._ways)

    def text(self, row: int) -> str:
        """Why this hop cannot be used; empty if it can."""
        state = self._states.get(row)
        return state.text if state is not None else "not resolved"

    def ways(self) -> Iterable[tuple[int, Way]]:
        """All rows in use."""
        return self._ways.items()

    def way(self, row: int) -> Way:
        return self._ways[row]

    def has(self, way: Way) -> bool:
        return way in self._rows

    def row_of(self, way: Way) -> int:
        """Its row, a new one if need be; a new one is not usable until something is put there. `NO_ROOM`: no room."""
        row = self._rows.get(way)
        if row is None:
            if not self._free and len(self._ways) == HOPS_MOST:
                return NO_ROOM
            row = self._free.pop() if self._free else len(self._ways)
            self._rows[way], self._ways[row] = row, way
            self.ifindex[row] = way.ifindex
            self.source_high[row] = int.from_bytes(way.source[:8])
            self.source_low[row] = int.from_bytes(way.source[8:])
        return row

    def put(self, row: int, state: State) -> None:
        """How this hop is from now on."""
        if self._states.get(row) == state:
            return
        self._states[row] = state
        self.mtu[row] = state.mtu
        self.link[row] = state.link
        self.smac[row] = np.frombuffer(state.smac, np.uint8)
        self.dmac[row] = np.frombuffer(state.dmac, np.uint8)
        self.usable[row] = not state.text
        self.version += 1

    def free(self, row: int) -> None:
        """Nobody uses it any more."""
        del self._rows[self._ways.pop(row)]
        self._states.pop(row, None)
        self.usable[row] = False
        self._free.append(row)
        self.version += 1
