"""The fast way through decoding: replies in which nothing is unusual are known at once, by few operations on words.

No options, no fragments, no padding, sound checksums, our id: nearly all there is. What is not known here may still be
a reply; `decode` looks at it more closely. Packets lie on their side here, a row for every eight bytes, so that a field
of all of them is one run of memory.
"""

from collections.abc import Callable

import numpy as np

from amon.engine.packets.checksum import halves, modulo
from amon.engine.packets.replies import ECHO, ERROR, EXCEEDED, FULL, NAMED, Replies
from amon.engine.shapes import I64, MAPPED, SNAP, U8, U16, U32, U64, Bools, Packets

_32 = np.uint64(32)
_LOW = np.uint64(0xFFFF_FFFF)
_LEAST_V4 = 20 + 8 + 20 + 8
_LEAST_V6 = 40 + 8 + 40 + 8 + 12


class Words:
    """words: (k, n) little-endian, of as many eights of bytes as the longest packet has; the views show the same."""

    def __init__(self, words: U64, length: U32) -> None:
        count, packets = words.shape
        self.words, self.length = words, length
        self.u8: U8 = words.view(np.uint8).reshape(count, packets, 8)
        self.u16: U16 = words.view(np.uint16).reshape(count, packets, 4)
        self.u32: U32 = words.view(np.uint32).reshape(count, packets, 2)

    def some(self, rows: I64) -> "Words":
        if len(rows) == len(self.length):
            return self
        return Words(np.ascontiguousarray(self.words[:, rows]), self.length[rows])


def plain_replies(packets: Packets, ident: int) -> tuple[list[Replies], I64]:
    """The replies that are plain, by family and kind; and the rows of all packets that are none."""
    longest = int(min(packets.length.max(initial=0), SNAP))
    every = Words(_words(packets.data, max(9, -(-longest // 8))), packets.length)
    sums = None if packets.verified else _sums(every)
    swapped = ident >> 8 | (ident & 0xFF) << 8
    rest = np.ones(len(packets), np.bool_)
    found = []
    v4 = _is_v4(every, sums)
    if v4.any():
        ours = v4 & (every.u8[2, :, 4] == 0) & (every.u16[3, :, 0] == swapped)
        ours &= (every.length >= 44) & (every.words[4] != 0)
        found.append(_taken(ours, rest, every, packets.stamp, _echoes_v4))
        if rest.any():
            found.append(_taken(v4 & rest & _quotes_v4(every, swapped), rest, every, packets.stamp, _errors_v4))
    if rest.any() and len(every.words) > 7:
        v6 = rest & _is_v6(every, sums)
        ours = v6 & (every.u8[5, :, 0] == 129) & (every.u16[5, :, 2] == swapped)
        ours &= (every.length >= 64) & ((every.u32[6, :, 1] | every.u32[7, :, 0]) != 0)
        found.append(_taken(ours, rest, every, packets.stamp, _echoes_v6))
        if rest.any() and len(every.words) > 13:
            found.append(_taken(v6 & rest & _quotes_v6(every, swapped), rest, every, packets.stamp, _errors_v6))
    return [one for one in found if len(one)], np.flatnonzero(rest)


def _words(data: U8, count: int) -> U64:
    lying: U64 = np.ascontiguousarray(data).view(np.uint64)[:, : min(count, SNAP // 8)].T
    if len(lying) >= count:
        return np.ascontiguousarray(lying)
    words = np.zeros((count, len(data)), np.uint64)
    words[: len(lying)] = lying
    return words


def _taken(
    which: Bools, rest: Bools, every: Words, stamp: I64, reader: Callable[[Words, I64, I64], Replies]
) -> Replies:
    rows = np.flatnonzero(which)
    rest[rows] = False
    return reader(every.some(rows), rows, stamp if len(rows) == len(stamp) else stamp[rows])


def _sums(every: Words) -> U64:
    """Of all words of each packet."""
    total: U64 = (every.words & _LOW).sum(axis=0) + (every.words >> _32).sum(axis=0)
    return total


def _is_v4(every: Words, sums: U64 | None) -> Bools:
    """IPv4 without options that is no fragment, ICMP in it, of just this length; its checksums sound."""
    words, length = every.words, every.length
    plain: Bools = ((words[0] & np.uint64(0xFFBF_0000_0000_00FF)) == 0x45) & ((words[1] & np.uint64(0xFF00)) == 0x0100)
    plain &= every.u16[0, :, 1].byteswap() == length
    if sums is not None and plain.any():
        # RFC 1071: a sum with its checksum in it is all ones. If header and all are, the rest is.
        header = halves(words[0]) + halves(words[1]) + (words[2] & _LOW)
        plain &= (modulo(header) == 0) & ((modulo(sums) == 0) | (length > SNAP))
    return plain


def _is_v6(every: Words, sums: U64 | None) -> Bools:
    """IPv6 with ICMPv6 in it, of just this length; its checksum sound."""
    words, length = every.words, every.length
    plain: Bools = (words[0] & np.uint64(0x00FF_0000_0000_00F0)) == 0x003A_0000_0000_0060
    plain &= every.u16[0, :, 2].byteswap() + np.uint32(40) == length
    if sums is not None and plain.any():
        # RFC 8200, 8.1: over addresses, length and 58; the words here have their bytes swapped.
        pseudo = (length.astype(np.uint64) + np.uint64(58 - 40)) << np.uint64(8)
        plain &= (modulo(sums - halves(words[0]) + pseudo) == 0) | (length > SNAP)
    return plain


def _quotes_v4(every: Words, swapped: int) -> Bools:
    """ICMP errors that end a probe, about an echo request of ours without options."""
    kind = every.u8[2, :, 4]
    about: Bools = ((kind == 11) | (kind == 3) | (kind == 12)) & (every.length >= _LEAST_V4)
    about &= (every.u8[3, :, 4] == 0x45) & ((every.u16[4, :, 1] & 0xFF1F) == 0) & (every.u8[4, :, 5] == 1)
    about &= (every.u8[6, :, 0] == 8) & (every.u16[6, :, 2] == swapped)
    return about


def _quotes_v6(every: Words, swapped: int) -> Bools:
    """ICMPv6 errors about an echo request of ours, with its nonce."""
    kind = every.u8[5, :, 0]
    about: Bools = (kind >= 1) & (kind <= 4) & (every.length >= _LEAST_V6)
    about &= ((every.u8[6, :, 0] & 0xF0) == 0x60) & (every.u8[6, :, 6] == 58)
    about &= (every.u8[11, :, 0] == 128) & (every.u16[11, :, 2] == swapped)
    about &= (every.u32[12, :, 1] | every.u32[13, :, 0]) != 0
    return about


def _echoes_v4(some: Words, rows: I64, stamp: I64) -> Replies:
    high, low = _address_v4(some.u32[1, :, 1])
    return _echoes(rows, some.u8[2, :, 5], some.u32[3, :, 1], some.words[4], high, low, some.u8[1, :, 0], stamp)


def _echoes_v6(some: Words, rows: I64, stamp: I64) -> Replies:
    nonce = _joined(some.u32[6, :, 1], some.u32[7, :, 0])
    high, low = some.words[1].byteswap(), some.words[2].byteswap()
    replies = _echoes(rows, some.u8[5, :, 1], some.u32[6, :, 0], nonce, high, low, some.u8[0, :, 7], stamp)
    replies.type = some.u8[5, :, 0]
    return replies


def _echoes(rows: I64, code: U8, slot: U32, nonce: U64, high: U64, low: U64, hops: U8, stamp: I64) -> Replies:
    zero = np.zeros(len(rows), np.uint8)
    kind, mtu = np.full(len(rows), ECHO, np.uint8), np.zeros(len(rows), np.uint16)
    return Replies(rows, kind, zero, code, slot, zero, nonce, high, low, high, low, hops, mtu, stamp)


def _errors_v4(some: Words, rows: I64, stamp: I64) -> Replies:
    kind, code = some.u8[2, :, 4], some.u8[2, :, 5]
    nonce = _joined(some.u32[7, :, 1], some.u32[8, :, 0])
    # A nonce is never 0: such a quote was filled up (RFC 4884, 5.2).
    full = (some.length >= _LEAST_V4 + 12) & (nonce != 0)
    named = some.u16[4, :, 0].byteswap().astype(np.uint32) << np.uint32(16) | some.u16[6, :, 3].byteswap()
    slot, nonce = np.where(full, some.u32[7, :, 0], named), np.where(full, nonce, np.uint64(0))
    how = np.where(full, np.uint8(FULL), np.uint8(NAMED))
    mtu = np.where((kind == 3) & (code == 4), some.u16[3, :, 1].byteswap(), np.uint16(0))
    exceeded = np.where((kind == 11) & (code == 0), np.uint8(EXCEEDED), np.uint8(ERROR))
    high, low = _address_v4(some.u32[1, :, 1])
    quoted_high, quoted_low = _address_v4(some.u32[5, :, 1])
    hops = some.u8[1, :, 0]
    return Replies(rows, exceeded, kind, code, slot, how, nonce, high, low, quoted_high, quoted_low, hops, mtu, stamp)


def _errors_v6(some: Words, rows: I64, stamp: I64) -> Replies:
    kind, code = some.u8[5, :, 0], some.u8[5, :, 1]
    said = np.minimum(some.u32[5, :, 1].byteswap(), np.uint32(0xFFFF)).astype(np.uint16)
    words, hops = some.words, some.u8[0, :, 7]
    return Replies(
        rows, np.where((kind == 3) & (code == 0), np.uint8(EXCEEDED), np.uint8(ERROR)), kind, code,
        some.u32[12, :, 0], np.full(len(rows), FULL, np.uint8), _joined(some.u32[12, :, 1], some.u32[13, :, 0]),
        words[1].byteswap(), words[2].byteswap(), words[9].byteswap(), words[10].byteswap(),
        hops, np.where(kind == 2, said, np.uint16(0)), stamp,
    )  # fmt: skip


def _joined(low: U32, high: U32) -> U64:
    number: U64 = low.astype(np.uint64) | high.astype(np.uint64) << _32
    return number


def _address_v4(raw: U32) -> tuple[U64, U64]:
    """Mapped into IPv6."""
    return np.zeros(len(raw), np.uint64), raw.byteswap().astype(np.uint64) | np.uint64(MAPPED)
