"""IP headers of received packets made plain: options and extension headers checked and taken out, column by column.

Sources: RFC 791, 3.1; RFC 8200, 4 (extension headers), 4.5 (fragments); RFC 4302, 2.2 (length of AH). Bounded whatever
a header says: a length is below the packet's, and a chain of headers is followed eight times.
"""

from typing import Final

import numpy as np

from amon.engine.packets.checksum import modulo
from amon.engine.shapes import I64, SNAP, U8, U16, U32, U64, Bools

FINE, FOREIGN, TRUNCATED, BAD_CHECKSUM, ODD = range(5)
"""Verdicts about a packet; the first one stands."""
HEADER: Final = {4: 20, 6: 40}
PROTOCOL: Final = {4: 1, 6: 58}
_CHAIN_MOST = 8
_FRAGMENT, _AUTHENTICATION = 44, 51
_CHAINED = np.zeros(256, np.bool_)
_CHAINED[[0, 43, _FRAGMENT, _AUTHENTICATION, 60, 135]] = True


class Rows:
    """Packets of one family.

    data: (n, SNAP). end: where the packet ends, counted in `data`, which may hold less. whole: it does not, nor is this
    a fragment. verdict: why it is no reply.
    """

    def __init__(self, family: int, data: U8, length: U32) -> None:
        self.family = family
        self.data = data
        self.end: I64 = length.astype(np.int64)
        self.have: I64 = np.minimum(self.end, SNAP)
        self.whole: Bools = np.ones(len(data), np.bool_)
        self.verdict: U8 = np.zeros(len(data), np.uint8)

    def some(self, which: I64) -> "Rows":
        some = Rows(self.family, self.data[which], self.end[which].astype(np.uint32))
        some.have, some.whole, some.verdict = self.have[which], self.whole[which], self.verdict[which]
        return some

    def judge(self, wrong: Bools, verdict: int) -> None:
        self.verdict[wrong & (self.verdict == FINE)] = verdict

    def u8(self, at: int) -> U8:
        return self.data[:, at]

    def u16(self, at: int) -> U16:
        return self.data[:, at : at + 2].copy().view(">u2")[:, 0].astype(np.uint16)

    def u32(self, at: int) -> U32:
        return self.data[:, at : at + 4].copy().view(">u4")[:, 0].astype(np.uint32)

    def u64(self, at: int) -> U64:
        return self.data[:, at : at + 8].copy().view(">u8")[:, 0].astype(np.uint64)

    def sums(self, begin: int, end: int) -> U64:
        """The sums of these bytes of each packet, as big-endian words."""
        total: U64 = self.data[:, begin:end].copy().view(">u2").sum(axis=1, dtype=np.uint64)
        return total

    def cut(self, end: I64) -> None:
        """Padding of the link behind the packet's end is none of it."""
        if (end < self.end).any():
            self.data = np.where(np.arange(SNAP) < end[:, None], self.data, np.uint8(0))
        self.end = end
        self.have = np.minimum(self.have, end)
        self.whole &= end <= SNAP

    def strip(self, at: int, extra: I64) -> None:
        """Takes so many bytes out at this place."""
        if not extra.any():
            return
        places = np.arange(SNAP)
        origin = places + np.where(places >= at, extra[:, None], 0)
        moved = np.take_along_axis(self.data, np.minimum(origin, SNAP - 1), axis=1)
        self.data = np.where(origin < SNAP, moved, np.uint8(0))
        self.end = self.end - extra
        self.have = self.have - extra


def straighten(rows: Rows, at: int = 0, quoted: bool = False) -> Bools:
    """Makes the IP header at this place plain; what is no ICMP behind it is judged so. Returns which headers have good
    checksums. quoted: neither that nor its length is looked at, because a router may have changed them."""
    return _straighten_v4(rows, at, quoted) if rows.family == 4 else _straighten_v6(rows, at, quoted)


def _straighten_v4(rows: Rows, at: int, quoted: bool) -> Bools:
    rows.judge(rows.have < at + 20, TRUNCATED)
    rows.judge(rows.u8(at) >> 4 != 4, ODD)
    length = (rows.u8(at) & 15).astype(np.int64) * 4
    rows.judge(length < 20, ODD)
    rows.judge(at + length > rows.have, TRUNCATED)
    fragment = rows.u16(at + 6)
    rows.judge((rows.u8(at + 9) != 1) | ((fragment & 0x1FFF) != 0), FOREIGN)
    if not quoted:
        total = rows.u16(2).astype(np.int64)
        rows.judge((total > rows.end) | (total < length + 8), TRUNCATED)
        rows.whole &= (fragment & 0x2000) == 0
        rows.cut(np.minimum(total, rows.end))
    sound = np.ones(len(rows.data), np.bool_) if quoted else _header_sound(rows, length)
    rows.strip(at + 20, np.where(rows.verdict == FINE, length - 20, 0))
    return sound


def _header_sound(rows: Rows, length: I64) -> Bools:
    """RFC 791: the sum of the header, its checksum in it, is all ones."""
    sums = rows.sums(0, 20)
    for longer in np.unique(length[length > 20]):
        which = length == longer
        sums[which] += rows.data[which, 20:longer].copy().view(">u2").sum(axis=1, dtype=np.uint64)
    sound: Bools = modulo(sums) == 0
    return sound


def _straighten_v6(rows: Rows, at: int, quoted: bool) -> Bools:
    rows.judge(rows.have < at + 40, TRUNCATED)
    rows.judge(rows.u8(at) >> 4 != 6, ODD)
    if not quoted:
        total = rows.u16(4).astype(np.int64) + 40
        rows.judge(total > rows.end, TRUNCATED)
        rows.cut(np.minimum(total, rows.end))
    following = rows.u8(at + 6)
    if (_CHAINED[following] & (rows.verdict == FINE)).any():
        rows.strip(at + 40, _chain(rows, at, quoted))
    else:
        rows.judge(following != 58, FOREIGN)
    return np.ones(len(rows.data), np.bool_)


def _chain(rows: Rows, at: int, quoted: bool) -> I64:
    """How many bytes of extension headers there are."""
    place = np.full(len(rows.data), at + 40)
    following = rows.u8(at + 6).copy()
    each = np.arange(len(place))
    for _ in range(_CHAIN_MOST):
        chained = _CHAINED[following] & (rows.verdict == FINE)
        if not chained.any():
            break
        rows.judge(chained & (place + 8 > rows.have), TRUNCATED)
        chained &= rows.verdict == FINE
        here = np.minimum(place, SNAP - 8)
        nexts, more = rows.data[each, here], rows.data[each, here + 1].astype(np.int64)
        later = (rows.data[each, here + 2].astype(np.int64) << 8 | rows.data[each, here + 3]) & 0xFFF8
        fragment = chained & (following == _FRAGMENT)
        rows.judge(fragment & (later != 0), FOREIGN)
        if not quoted:
            rows.whole &= ~fragment
        length = np.where(following == _AUTHENTICATION, (more + 2) * 4, (more + 1) * 8)
        length = np.where(following == _FRAGMENT, 8, length)
        place += np.where(chained, length, 0)
        following = np.where(chained, nexts, following)
    rows.judge(_CHAINED[following], ODD)
    rows.judge(following != 58, FOREIGN)
    rows.judge(place > rows.have, TRUNCATED)
    return np.where(rows.verdict == FINE, place - at - 40, 0)
