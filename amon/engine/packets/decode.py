"""What came in, read: echo replies with our id, and ICMP errors about an echo request of ours.

Sources: RFC 792; RFC 1122, 3.2.2 (quoted are the IP header and at least eight bytes); RFC 1191, 4 and RFC 4443, 3.2
(next-hop MTU); RFC 4443, 2.3 (checksum); RFC 4884, 5 (a quote is filled up with zeros); RFC 6633 (no source quench).
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.packets.checksum import modulo
from amon.engine.packets.columns import joined, picked
from amon.engine.packets.plain import plain_replies
from amon.engine.packets.replies import ECHO, ERROR, EXCEEDED, FULL, LOW, NAMED, Replies, none
from amon.engine.packets.straighten import BAD_CHECKSUM, FINE, FOREIGN, HEADER, ODD, TRUNCATED, Rows, straighten
from amon.engine.shapes import I64, MAPPED, SNAP, U8, U16, U32, U64, Bools, Packets

__all__ = ["ECHO", "ERROR", "EXCEEDED", "FULL", "LOW", "NAMED", "Replies", "decode"]


@dataclass(frozen=True, slots=True)
class _Icmp:
    """Type numbers. errors: those that end a probe."""

    request: int
    reply: int
    errors: tuple[int, ...]
    exceeded: int


_ICMP: Final = {4: _Icmp(8, 0, (3, 11, 12), 11), 6: _Icmp(128, 129, (1, 2, 3, 4), 3)}


def decode(packets: Packets, ident: int) -> Replies:
    """The replies among the packets; each of the others is in one of the counts. ident: of our echo requests."""
    parts, rest = plain_replies(packets, ident)
    if len(rest):
        parts += _closely(packets, rest, ident)
    replies = joined(parts) if parts else none()
    if len(parts) > 1:
        replies = picked(replies, np.argsort(replies.row))
    return replies


def _closely(packets: Packets, rest: I64, ident: int) -> list[Replies]:
    """Those in which something is unusual, and those that are no replies."""
    version = packets.data[rest, 0] >> 4
    parts = [none()]
    parts[0].odd = int(((version != 4) & (version != 6)).sum())
    for family in (4, 6):
        which = rest[version == family]
        if len(which):
            parts.append(_read(family, which, packets, ident))
    return parts


def _read(family: int, which: I64, packets: Packets, ident: int) -> Replies:
    rows = Rows(family, packets.snaps(which), packets.length[which])
    header_sound = straighten(rows)
    numbers, header = _ICMP[family], HEADER[family]
    rows.judge(rows.have < header + 8, TRUNCATED)
    kind = rows.u8(header)
    echo, error = kind == numbers.reply, np.isin(kind, numbers.errors)
    rows.judge(~echo & ~error, FOREIGN)
    rows.judge(echo & (rows.u16(header + 4) != ident), FOREIGN)
    rows.judge(echo & (rows.have < header + 24), TRUNCATED)
    echoes = np.flatnonzero(echo & (rows.verdict == FINE))
    errors = np.flatnonzero(error & (rows.verdict == FINE))
    replies = joined([_echoes(rows.some(echoes), echoes), _errors(rows, errors, ident)])
    if not packets.verified:
        fine = np.flatnonzero(rows.verdict == FINE)  # strangers' checksums are none of our concern
        sound = header_sound[fine] & (~rows.whole[fine] | _icmp_sound(rows.some(fine)))
        rows.verdict[fine[~sound]] = BAD_CHECKSUM
    replies = picked(replies, rows.verdict[replies.row] == FINE)
    return _placed(replies, which, packets.stamp, np.bincount(rows.verdict, minlength=5))


def _placed(replies: Replies, which: I64, stamp: I64, counts: I64) -> Replies:
    """As rows of all packets, with what the others were."""
    replies.row = which[replies.row]
    replies.stamp = stamp[replies.row]
    replies.foreign, replies.truncated = int(counts[FOREIGN]), int(counts[TRUNCATED])
    replies.bad_checksum, replies.odd = int(counts[BAD_CHECKSUM]), int(counts[ODD])
    return replies


def _icmp_sound(rows: Rows) -> Bools:
    """RFC 792; RFC 4443, 2.3: with the pseudo header."""
    header = HEADER[rows.family]
    sums = rows.sums(header, SNAP)
    if rows.family == 6:
        sums += rows.sums(8, 40) + (rows.end - 40).astype(np.uint64) + np.uint64(58)
    sound: Bools = modulo(sums) == 0
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
