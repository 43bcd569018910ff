"""What came in, read: echo replies with our id, and ICMP errors about an echo request of ours.

Sources: RFC 792; RFC 1122, 3.2.2 (quoted are the IP header and at least eight bytes); RFC 1191, 4 and RFC 4443, 3.2
(next-hop MTU); RFC 4443, 2.3 (checksum); RFC 4884, 5 (a quote is filled up with zeros); RFC 6633 (no source quench).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.checksum import MODULO
from amon.engine.columns import joined, picked
from amon.engine.shapes import I64, MAPPED, SNAP, U8, U16, U32, U64, Bools, Packets
from amon.engine.straighten import BAD_CHECKSUM, FINE, FOREIGN, HEADER, ODD, TRUNCATED, Rows, straighten

ECHO: Final = 1
ERROR: Final = 2
EXCEEDED: Final = 3
"""Kinds of replies, each the number of what the probe becomes in `messages.STATES`: answered, unreachable, hop (time
exceeded in transit)."""
FULL: Final = 0
NAMED: Final = 1
LOW: Final = 2
"""How a reply says its slot. FULL: slot and nonce were in the payload. NAMED: high half from the IPv4 id, low half from
seq, if the id went out as we wrote it; no nonce. LOW: the low half only, no nonce."""


@dataclass(slots=True)
class Replies:
    """Packets that are about probes of ours, as columns, in the order they came; and how many were not.

    row: in the `Packets`. type, code: of ICMP. slot, how, nonce: see `FULL`; nonce 0 where there is none. source: who
    sent it. quoted: where the probe went; of an echo reply its source. hops: TTL left in it. mtu: of the next link, 0
    where nothing is said. stamp: when it arrived.
    foreign: not about an echo request of ours. truncated: too short to be told whose. bad_checksum: looks ours, but.
    odd: no IP or ICMP that the RFCs know.
    """

    row: I64
    kind: U8
    type: U8
    code: U8
    slot: U32
    how: U8
    nonce: U64
    source_high: U64
    source_low: U64
    quoted_high: U64
    quoted_low: U64
    hops: U8
    mtu: U16
    stamp: I64
    foreign: int = 0
    truncated: int = 0
    bad_checksum: int = 0
    odd: int = 0

    def __len__(self) -> int:
        return len(self.row)


@dataclass(frozen=True, slots=True)
class _Icmp:
    """Type numbers. errors: those that end a probe."""

    request: int
    reply: int
    errors: tuple[int, ...]
    exceeded: int


_ICMP = {4: _Icmp(8, 0, (3, 11, 12), 11), 6: _Icmp(128, 129, (1, 2, 3, 4), 3)}


def decode(packets: Packets, ident: int) -> Replies:
    """The replies among the packets; each of the others is in one of the counts. ident: of our echo requests."""
    version = packets.data[:, 0] >> 4
    parts = [_none()]
    for family in (4, 6):
        which = np.flatnonzero(version == family)
        if len(which):
            parts.append(_read(family, which, packets, ident))
    replies = joined(parts)
    replies.odd += int(((version != 4) & (version != 6)).sum())
    return picked(replies, np.argsort(replies.row)) if len(parts) > 2 else replies


def _none() -> Replies:
    i, b, q = np.empty(0, np.int64), np.empty(0, np.uint8), np.empty(0, np.uint64)
    return Replies(i, b, b, b, np.empty(0, np.uint32), b, q, q, q, q, q, b, np.empty(0, np.uint16), i)


def _read(family: int, which: I64, packets: Packets, ident: int) -> Replies:
    rows = Rows(family, packets.data[which], packets.length[which])
    sound = _straightened(rows, packets.verified)
    numbers, header = _ICMP[family], HEADER[family]
    kind = rows.u8(header)
    echo, error = kind == numbers.reply, np.isin(kind, numbers.errors)
    rows.judge(~echo & ~error, FOREIGN)
    rows.judge(echo & (rows.u16(header + 4) != ident), FOREIGN)
    rows.judge(echo & (rows.have < header + 24), TRUNCATED)
    echoes = np.flatnonzero(echo & (rows.verdict == FINE))
    errors = np.flatnonzero(error & (rows.verdict == FINE))
    replies = joined([_echoes(rows.some(echoes), echoes), _errors(rows, errors, ident)])
    rows.judge(~sound, BAD_CHECKSUM)
    replies = picked(replies, rows.verdict[replies.row] == FINE)
    replies = picked(replies, np.argsort(replies.row))
    replies.stamp = packets.stamp[which[replies.row]]
    replies.row = which[replies.row]
    counts = np.bincount(rows.verdict, minlength=5)
    replies.foreign, replies.truncated = int(counts[FOREIGN]), int(counts[TRUNCATED])
    replies.bad_checksum, replies.odd = int(counts[BAD_CHECKSUM]), int(counts[ODD])
    return replies


def _straightened(rows: Rows, verified: bool) -> Bools:
    """Which of them have good checksums, as far as these can be checked."""
    sound = straighten(rows)
    rows.judge(rows.have < HEADER[rows.family] + 8, TRUNCATED)
    if verified:
        return np.ones(len(rows.data), np.bool_)
    return sound & (~rows.whole | _icmp_sound(rows))


def _icmp_sound(rows: Rows) -> Bools:
    """RFC 792; RFC 4443, 2.3: with the pseudo header."""
    header = HEADER[rows.family]
    sums = rows.sums(header, SNAP)
    if rows.family == 6:
        sums += rows.sums(8, 40) + (rows.end - 40).astype(np.uint64) + np.uint64(58)
    sound: Bools = (sums % MODULO == 0) & (sums > 0)
    return sound


def _echoes(rows: Rows, which: I64) -> Replies:
    header, count = HEADER[rows.family], len(which)
    high, low = _address(rows, 12 if rows.family == 4 else 8)
    return Replies(
        which, np.full(count, ECHO, np.uint8), rows.u8(header), rows.u8(header + 1),
        rows.u32(header + 8).byteswap(), np.full(count, FULL, np.uint8), rows.u64(header + 12).byteswap(),
        high, low, high, low, _hops(rows), np.zeros(count, np.uint16), which,
    )  # fmt: skip


def _errors(every: Rows, which: I64, ident: int) -> Replies:
    """Of those that quote an echo request of ours; the others are judged."""
    rows = every.some(which)
    numbers, header = _ICMP[rows.family], HEADER[rows.family]
    quote = header + 8
    inner = quote + header
    straighten(rows, quote, quoted=True)
    rows.judge(rows.have < inner + 8, TRUNCATED)
    rows.judge((rows.u8(inner) != numbers.request) | (rows.u16(inner + 4) != ident), FOREIGN)
    every.verdict[which] = rows.verdict
    kind, code = rows.u8(header), rows.u8(header + 1)
    slot, how, nonce = _quoted_slot(rows, quote, inner)
    high, low = _address(rows, 12 if rows.family == 4 else 8)
    quoted_high, quoted_low = _address(rows, quote + (16 if rows.family == 4 else 24))
    exceeded = (kind == numbers.exceeded) & (code == 0)
    return Replies(
        which, np.where(exceeded, np.uint8(EXCEEDED), np.uint8(ERROR)), kind, code, slot, how, nonce,
        high, low, quoted_high, quoted_low, _hops(rows), _mtu(rows, kind, code), which,
    )  # fmt: skip


def _quoted_slot(rows: Rows, quote: int, inner: int) -> tuple[U32, U8, U64]:
    low = rows.u16(inner + 6).astype(np.uint32)
    nonce = rows.u64(inner + 12).byteswap()
    # A nonce is never 0: such a quote was filled up (RFC 4884, 5.2).
    full = (rows.have >= inner + 20) & (nonce != 0)
    if rows.family == 4:
        low |= rows.u16(quote + 4).astype(np.uint32) << np.uint32(16)
    slot = np.where(full, rows.u32(inner + 8).byteswap(), low)
    how = np.where(full, np.uint8(FULL), np.uint8(NAMED if rows.family == 4 else LOW))
    return slot, how, np.where(full, nonce, np.uint64(0))


def _address(rows: Rows, at: int) -> tuple[U64, U64]:
    if rows.family == 4:
        return np.zeros(len(rows.data), np.uint64), rows.u32(at).astype(np.uint64) | np.uint64(MAPPED)
    return rows.u64(at), rows.u64(at + 8)


def _hops(rows: Rows) -> U8:
    return rows.u8(8 if rows.family == 4 else 7)


def _mtu(rows: Rows, kind: U8, code: U8) -> U16:
    if rows.family == 4:
        return np.where((kind == 3) & (code == 4), rows.u16(26), np.uint16(0))
    mtu = np.minimum(rows.u32(44), np.uint32(0xFFFF)).astype(np.uint16)
    return np.where(kind == 2, mtu, np.uint16(0))
