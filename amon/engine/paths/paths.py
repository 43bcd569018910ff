"""How to get to an address: the kernel's route and neighbour for it, followed as they change.

The kernel is asked for every address (RTM_GETROUTE), so policy routing, metrics and ECMP are as for any program of this
host; nothing is looked up by rules of our own. Sources: rtnetlink(7), ip-route(8), ip-neighbour(8).
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from errno import EACCES, EHOSTUNREACH, EINVAL, ENETUNREACH
from itertools import chain
from time import monotonic_ns
from typing import Final, Protocol

import numpy as np

from amon.engine.linux.routes import NO_ANSWER, Routes
from amon.engine.linux.rtnetlink import Address, Change, Gone, Link, Neighbour, RouteChanged
from amon.engine.paths.hops import HOPS_MOST, NO_HOP, NO_ROOM, Hops, State, Way
from amon.engine.paths.neighbours import Key, Neighbours, Nudge, send_datagram, shown
from amon.engine.shapes import I64, U16, U64
from amon.errors import Failed

__all__ = ["HOPS_MOST", "NO_HOP", "Hops", "Paths"]

SECOND: Final = 1_000_000_000
SETTLE: Final = SECOND // 5
"""Changes come in swarms: so long after the first of them it is told."""
PAUSE: Final = 2 * SECOND
"""At least so long between two tellings, and ten times as long as resolving took (`_EACH` ns an address)."""
_EACH: Final = 5_000
_RETRY: Final = SECOND
_NO_ADDRESS: Final = bytes(16)
_NOTES_MOST: Final = 16
_ODD: Final = np.array([pow(0x9E3779B97F4A7C15, power, 2**64) for power in range(1, 8)], np.uint64)

_UNICAST, _LOCAL, _ANYCAST = 1, 2, 4  # RTN_*
_KINDS: Final = {
    3: "that is a broadcast address",
    5: "that is a multicast address",
    6: "the route there is a black hole",
}
_ERRORS: Final = {
    ENETUNREACH: "no route leads there",
    EHOSTUNREACH: "the route there says unreachable",
    EACCES: "the route there says prohibited",
    EINVAL: "the route there is a black hole",
    NO_ANSWER: "the kernel tells no route there",
}


class Kernel(Protocol):
    """What is needed of `Netlink`."""

    counters: dict[str, int]

    def fileno(self) -> int: ...
    def routes(self, high: U64, low: U64) -> Routes: ...
    def everything(self) -> list[Change]: ...
    def news(self) -> list[Change] | None: ...
    def close(self) -> None: ...


class Paths:
    """Ways to addresses, as rows of `hops`.

    A caller resolves its addresses once, keeps the rows, looks at `hops.usable` when it sends, and calls `refresh` at
    each turn; when that says so, it resolves all again and then calls `keep`. Raises Failed if the kernel tells
    nothing."""

    def __init__(self, netlink: Kernel, nudge: Nudge = send_datagram, clock: Callable[[], int] = monotonic_ns) -> None:
        self.hops = Hops()
        self._netlink = netlink
        self._clock = clock
        self._links: dict[int, Link] = {}
        self._addresses: dict[tuple[int, bytes], Address] = {}
        self._own: set[bytes] = set()
        self._known: dict[Key, Neighbour] = {}
        self._neighbours = Neighbours(nudge, self._name)
        self._rows_by: defaultdict[Key, set[int]] = defaultdict(set)
        self._resolved = 0
        self._changed: int | None = None
        self._told: int | None = None
        self._lost: int | None = None
        self._resync(clock())
        self._changed = None

    def fileno(self) -> int:
        """Readable when something has changed."""
        return self._netlink.fileno()

    def close(self) -> None:
        self._netlink.close()

    def resolve(self, high: U64, low: U64) -> U16:
        """The hop of each address; (n,) rows of `hops`. An address without a way has a row that is not usable. About
        5 µs an address, during which nothing else is done: ask for a few thousand at a time."""
        routes = self._netlink.routes(high, low)
        self._resolved += len(low)
        table = self._table(routes, high, low)
        first, inverse = _different(table)
        rows = np.array([self._row(table[place].tolist()) for place in first.tolist()], np.uint16)
        found: U16 = rows[inverse]
        return found

    def refresh(self, now: int) -> bool:
        """Take in what has changed, keep neighbours fresh. True: ways may be others than before, so resolve again.
        now: monotonic ns. Costs a system call when nothing has changed."""
        changes = self._netlink.news()
        if changes is None:
            self._lost = now
        if self._lost is not None and now >= self._lost:
            self._try_resync(now)
        for change in changes or ():
            self._apply(change, now)
        for key in self._neighbours.turn(now):
            self._show(self._rows_by[key])
        return self._tell(now)

    def keep(self, rows: U16) -> None:
        """Only these rows are still in use, besides those resolved from now on; the others may become other hops."""
        used = {NO_ROOM, *np.unique(rows).tolist()}
        for row, way in [(row, way) for row, way in self.hops.ways() if row not in used]:
            self.hops.free(row)
            key = (way.ifindex, way.next)
            self._rows_by[key].discard(row)
            if not self._rows_by[key]:
                del self._rows_by[key]
                self._neighbours.drop(key)

    def broadcasts(self) -> tuple[U64, U64]:
        """The broadcast addresses of our own networks, and their network addresses (RFC 1122, 3.2.1.3)."""
        found = set(chain.from_iterable(_broadcasts(address) for address in self._addresses.values()))
        low = np.array(sorted(int.from_bytes(one) for one in found), np.uint64)
        return np.zeros(len(low), np.uint64), low

    def notes(self) -> tuple[str, ...]:
        """Why hops cannot be used now, for people; the first few."""
        found = {
            f"some addresses: {text}" if way.refusal else text
            for row, way in self.hops.ways()
            if row != NO_ROOM and (text := self.hops.text(row))
        }
        return tuple(sorted(found)[:_NOTES_MOST])

    def counters(self) -> dict[str, int]:
        """What of the kernel's news was lost, since the start."""
        return dict(self._netlink.counters)

    # --- from routes to hops

    def _table(self, routes: Routes, high: U64, low: U64) -> U64:
        """What tells hops apart: error, kind, ifindex, next high and low, source high and low of each address."""
        good = routes.error == 0
        through = np.isin(routes.ifindex, [index for index, link in self._links.items() if link.ethernet])
        neighbour = good & through & (routes.kind == _UNICAST)
        direct = (routes.gateway_high == 0) & (routes.gateway_low == 0)
        next_high = np.where(neighbour, np.where(direct, high, routes.gateway_high), 0)
        next_low = np.where(neighbour, np.where(direct, low, routes.gateway_low), 0)
        table = np.zeros((len(low), 7), np.uint64)
        table[:, 0], table[:, 1], table[:, 2] = routes.error, routes.kind, routes.ifindex
        table[:, 3], table[:, 4] = next_high, next_low
        table[:, 5], table[:, 6] = routes.source_high, routes.source_low
        table[~good, 1:] = 0
        return table

    def _row(self, columns: list[int]) -> int:
        error, kind, ifindex, next_high, next_low, source_high, source_low = columns
        if error or kind not in (_UNICAST, _LOCAL, _ANYCAST):
            text = _ERRORS.get(error, f"the route there cannot be had: error {error}")
            way = Way(refusal=text if error else _KINDS.get(kind, f"the route there is of type {kind}"))
        else:
            target = next_high << 64 | next_low
            source = (source_high << 64 | source_low).to_bytes(16)
            way = Way(ifindex, target.to_bytes(16) if target else b"", source, kind != _UNICAST)
        new = not self.hops.has(way)
        row = self.hops.row_of(way)
        if new and row != NO_ROOM:
            self._begin(row, way)
        return row

    def _begin(self, row: int, way: Way) -> None:
        if way.next:
            key = (way.ifindex, way.next)
            self._rows_by[key].add(row)
            self._neighbours.want(key, self._known.get(key), self._clock())
        self._show([row])

    # --- how hops are

    def _show(self, rows: Iterable[int]) -> None:
        for row in rows:
            self.hops.put(row, self._state(self.hops.way(row)))

    def _state(self, way: Way) -> State:
        if way.refusal:
            return State(way.refusal)
        link = self._links.get(way.ifindex)
        if link is None:
            return State(f"the interface with number {way.ifindex} is gone")
        if not link.up:
            return State(f"the interface {link.name} is down", link.mtu)
        if not way.local and way.source not in self._own:
            gone = way.source != _NO_ADDRESS
            text = f"{shown(way.source)} is no address of this host any more"
            return State(text if gone else f"there is no address to send from through {link.name}", link.mtu)
        if not way.next:
            return State("", link.mtu)
        key = (way.ifindex, way.next)
        mac = self._neighbours.mac(key)
        return State(self._neighbours.text(key), link.mtu, link.mac, mac or bytes(6), link=True)

    # --- what changes

    def _apply(self, change: Change, now: int) -> None:
        match change:
            case Neighbour():
                self._note_neighbour(change, now)
            case RouteChanged():
                self._note_change(now)
            case Link():
                self._note_link(change.index, change, now)
            case Address():
                if self._addresses.get((change.index, change.address)) != change:
                    self._addresses[change.index, change.address] = change
                    self._note_addresses(change.address, now)
            case Gone(Link() as link):
                self._note_link(link.index, None, now)
            case Gone(Address() as address):
                self._addresses.pop((address.index, address.address), None)
                self._note_addresses(address.address, now)

    def _note_neighbour(self, seen: Neighbour, now: int) -> None:
        key = (seen.index, seen.address)
        if seen.state:
            self._known[key] = seen
        else:
            self._known.pop(key, None)
        if self._neighbours.note(seen, now):
            self._show(self._rows_by[key])

    def _note_addresses(self, changed: bytes, now: int) -> None:
        self._own = {address for _, address in self._addresses}
        self._show([row for row, way in self.hops.ways() if way.source == changed])
        self._note_change(now)

    def _note_link(self, index: int, link: Link | None, now: int) -> None:
        before = self._links.get(index)
        if link == before:
            return
        if link is None:
            del self._links[index]
        else:
            self._links[index] = link
        self._show([row for row, way in self.hops.ways() if way.ifindex == index])
        if link is not None and link.up:
            self._neighbours.hurry(index, now)
        if link is None or before is None or (link.up, link.ethernet) != (before.up, before.ethernet):
            self._note_change(now)

    def _note_change(self, now: int) -> None:
        if self._changed is None:
            self._changed = now

    def _tell(self, now: int) -> bool:
        pause = max(PAUSE, 10 * self._resolved * _EACH)
        if self._changed is None or now < self._changed + SETTLE:
            return False
        if self._told is not None and now < self._told + pause:
            return False
        self._changed, self._told, self._resolved = None, now, 0
        return True

    # --- from the beginning

    def _try_resync(self, now: int) -> None:
        try:
            self._resync(now)
            self._lost = None
        except Failed:
            self._lost = now + _RETRY

    def _resync(self, now: int) -> None:
        changes = self._netlink.everything()
        self._links = {one.index: one for one in changes if isinstance(one, Link)}
        self._addresses = {(one.index, one.address): one for one in changes if isinstance(one, Address)}
        self._own = {address for _, address in self._addresses}
        self._known = {(one.index, one.address): one for one in changes if isinstance(one, Neighbour)}
        for key in self._rows_by:
            self._neighbours.note(self._known.get(key, Neighbour(*key, 0)), now)
        self._show([row for row, _ in self.hops.ways()])
        self._note_change(now)

    def _name(self, index: int) -> str | None:
        link = self._links.get(index)
        return link.name if link is not None else None


def _broadcasts(address: Address) -> list[bytes]:
    if not address.address.startswith(bytes(10) + b"\xff\xff"):
        return []
    found = [address.broadcast] if address.broadcast is not None else []
    if address.prefix <= 30:  # RFC 3021: a network of two has none
        mask = (1 << (32 - address.prefix)) - 1
        number = int.from_bytes(address.address)
        found += [(number | mask).to_bytes(16), (number & ~mask).to_bytes(16)]
    return found


def _different(table: U64) -> tuple[I64, I64]:
    """Rows of a table of numbers that are different: the first of each, and for every row which of these it is."""
    # To sort one number per row is ten times as fast as whole rows; two rows of one sum are next to impossible.
    sums = (table * _ODD[: table.shape[1]]).sum(axis=1, dtype=np.uint64)
    sums ^= sums >> np.uint64(31)
    _, first, inverse = np.unique(sums, return_index=True, return_inverse=True)
    if not np.array_equal(table[first][inverse], table):
        _, first, inverse = np.unique(table, axis=0, return_index=True, return_inverse=True)
    return first, inverse
