"""Which way the kernel would send to very many addresses: RTM_GETROUTE, many requests per send, read in step.

Sources: rtnetlink(7), linux/rtnetlink.h, `ip route get` (iproute2, iproute.c). The kernel answers a whole send before
it returns, one datagram per request, into the receive buffer; so a window is sent that the buffer can hold, then it
is emptied. Answers are matched by sequence number, and what is missing is asked again.
"""

import socket
from dataclasses import dataclass
from errno import EAGAIN, ENOBUFS
from itertools import islice
from typing import Final

import numpy as np

from amon.engine.linux.nlwire import ERROR, HEADER, REQUEST, Step, Table, walk
from amon.engine.linux.rtnetlink import GETROUTE, NEWROUTE
from amon.engine.shapes import I64, MAPPED, U8, U32, U64, Bools

WINDOW: Final = 128
"""Requests in one send. An answer is charged about 1 KiB, and a receive buffer has 208 KiB where it cannot be made
larger (net.core.rmem_default)."""
ROUNDS: Final = 4
"""How often an address is asked for again whose answer did not come."""
NO_ANSWER: Final = 0xFFFF
"""In column `error`: the kernel said nothing, or nothing that adds up."""
_STRIDE = 512
_ROUTE_SIZE = 12  # struct rtmsg
_OIF, _GATEWAY, _PREFSRC, _VIA = 4, 5, 7, 18  # RTA_*

_HEAD: Final = [("length", "u4"), ("kind", "u2"), ("flags", "u2"), ("sequence", "u4"), ("port", "u4")]
_RTMSG: Final = [("family", "u1"), ("dst_length", "u1"), ("rest", "u1", (6,)), ("route_flags", "u4")]
_RTA: Final = [("attribute_length", "u2"), ("attribute", "u2")]
_REQUESTS: Final = {
    4: np.dtype([*_HEAD, *_RTMSG, *_RTA, ("low", ">u4")]),
    6: np.dtype([*_HEAD, *_RTMSG, *_RTA, ("high", ">u8"), ("low", ">u8")]),
}


@dataclass(slots=True)
class Routes:
    """One row per address asked for. error: errno of the kernel's refusal (ENETUNREACH, EHOSTUNREACH, EACCES,
    EINVAL ...), `NO_ANSWER`, or 0. kind: RTN_*. ifindex: the interface out. gateway, source: 0 where there is none; the
    gateway of an IPv4 route may be IPv6 (RFC 5549)."""

    error: U32
    kind: U8
    ifindex: U32
    gateway_high: U64
    gateway_low: U64
    source_high: U64
    source_low: U64

    @classmethod
    def blank(cls, count: int) -> "Routes":
        long = (np.zeros(count, np.uint64) for _ in range(4))
        error = np.full(count, NO_ANSWER, np.uint32)
        return cls(error, np.zeros(count, np.uint8), np.zeros(count, np.uint32), *long)


class RouteAsker:
    """A socket for questions. Blocks no longer than the kernel takes to look up: about 5 µs an address, so whoever has
    other things to do asks for a few thousand at a time."""

    def __init__(self, rounds: int = ROUNDS) -> None:
        self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, socket.NETLINK_ROUTE)
        self._socket.bind((0, 0))
        self._socket.connect((0, 0))  # to the kernel: nobody else's messages come in
        self._socket.setblocking(False)
        self._rounds = rounds
        self._sequence = 1
        self._block = np.zeros((WINDOW, _STRIDE), np.uint8)
        self._rows = [memoryview(row) for row in self._block]  # type: ignore[arg-type]

    def close(self) -> None:
        self._socket.close()

    def ask(self, high: U64, low: U64) -> Routes:
        """The ways to these addresses, of both families mixed, in their order."""
        routes = Routes.blank(len(low))
        fourth: Bools = (high == 0) & (low >> np.uint64(32) == np.uint64(MAPPED >> 32))
        for _ in range(self._rounds):
            for family, of_family in ((4, fourth), (6, ~fourth)):
                open_rows = np.flatnonzero(of_family & (routes.error == NO_ANSWER))
                for first in range(0, len(open_rows), WINDOW):
                    self._ask_window(family, open_rows[first : first + WINDOW], high, low, routes)
            if not (routes.error == NO_ANSWER).any():
                break
        return routes

    def _ask_window(self, family: int, rows: I64, high: U64, low: U64, routes: Routes) -> None:
        first = self._sequence
        self._sequence = first + len(rows) if first < 2**31 else 1
        self._socket.send(_requests(family, first, high[rows], low[rows]).tobytes())
        self._read(rows, first, routes, family)

    def _read(self, rows: I64, first: int, routes: Routes, family: int) -> None:
        lengths: list[int] = []
        for view in islice(self._rows, len(rows)):
            try:
                lengths.append(self._socket.recv_into(view))
            except OSError as error:
                # ENOBUFS says once that answers were dropped; the others are still there.
                if error.errno == ENOBUFS:
                    continue
                if error.errno == EAGAIN:
                    break
                raise
        read_answers(Table(self._block[: len(lengths)], np.array(lengths, np.int64)), rows, first, routes, family)


def _requests(family: int, first: int, high: U64, low: U64) -> np.ndarray[tuple[int], np.dtype[np.void]]:
    made = np.zeros(len(low), _REQUESTS[family])
    made["length"] = made.dtype.itemsize
    made["kind"] = GETROUTE
    made["flags"] = REQUEST
    made["sequence"] = first + np.arange(len(low))
    made["family"] = socket.AF_INET if family == 4 else socket.AF_INET6
    made["dst_length"] = 32 if family == 4 else 128
    made["attribute"] = 1  # RTA_DST
    made["attribute_length"] = 8 if family == 4 else 20
    made["low"] = low & np.uint64(0xFFFF_FFFF) if family == 4 else low
    if family == 6:
        made["high"] = high
    return made


def read_answers(table: Table, rows: I64, first: int, routes: Routes, family: int) -> None:
    """Put answers into their rows: the one with sequence `first + i` into row `rows[i]`. What is too short, too long,
    of another sequence or does not add up is passed over, so that its row stays without an answer."""
    whole = (table.length >= HEADER.size + 4) & (table.length <= table.data.shape[1])
    place = table.column(8, np.uint32).astype(np.int64) - first
    kind = table.column(4, np.uint16)
    ours = whole & (table.column(0, np.uint32) == table.length) & (place >= 0) & (place < len(rows))
    failed = np.flatnonzero(ours & (kind == ERROR))
    routes.error[rows[place[failed]]] = -table.column(HEADER.size, np.int32).astype(np.int64)[failed]
    good = ours & (kind == NEWROUTE) & (table.length >= HEADER.size + _ROUTE_SIZE)
    _read_routes(table, good, rows, place, routes, family)


def _read_routes(table: Table, good: Bools, rows: I64, place: I64, routes: Routes, family: int) -> None:
    kept = np.flatnonzero(good)
    part = Table(table.data[kept], table.length[kept])
    into = rows[place[kept]]
    odd = np.zeros(len(kept), np.bool_)
    routes.kind[into] = part.column(HEADER.size + 7, np.uint8)
    for step in walk(part, HEADER.size + _ROUTE_SIZE, odd):
        _read_step(part, step, into, routes, family)
    routes.error[into[~odd]] = 0


def _read_step(part: Table, step: Step, into: I64, routes: Routes, family: int) -> None:
    size = 4 if family == 4 else 16
    kinds = set(step.kinds.tolist())
    if _OIF in kinds:
        which = (step.kinds == _OIF) & (step.size == 4)
        routes.ifindex[into[step.rows[which]]] = part.gather(step.rows[which], step.at[which], 4).view(np.uint32)[:, 0]
    for kind, skip, length in ((_GATEWAY, 0, size), (_VIA, 2, 16), (_PREFSRC, 0, size)):
        if kind not in kinds:
            continue
        which = (step.kinds == kind) & (step.size == skip + length)
        high, low = _addresses(part.gather(step.rows[which], step.at[which] + skip, length))
        if kind == _PREFSRC:
            routes.source_high[into[step.rows[which]]], routes.source_low[into[step.rows[which]]] = high, low
        else:
            routes.gateway_high[into[step.rows[which]]], routes.gateway_low[into[step.rows[which]]] = high, low


def _addresses(raw: U8) -> tuple[U64, U64]:
    """Addresses of 4 or 16 bytes as two halves."""
    if raw.shape[1] == 4:
        low = raw.view(">u4")[:, 0].astype(np.uint64) | np.uint64(MAPPED)
        return np.zeros(len(low), np.uint64), low
    halves = raw.view(">u8").astype(np.uint64)
    return halves[:, 0], halves[:, 1]
