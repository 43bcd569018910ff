"""What is written down of every request that was decided, and the chain that its lines form. Pure.

Each line is hashed together with the hash of the line before it (Haber and Stornetta, "How to time-stamp a digital
document", 1991). Whoever remembers the hash of one line knows the same of all lines before it.

What this proves. Somebody who holds the head of a chain (its last number and hash) from an earlier time can tell from
the lines of today whether any line up to that head was changed, put in, taken out or moved, and whether the end was cut
off. What it does not: who owns the machine can write a whole new chain, and lines after the last head that somebody
else has seen can be rewritten by him unnoticed. So heads have to be taken away from the site, and often: the console
does so with each look, and a log host has number and hash of each line.

The bytes that are hashed, of version 1: time as the eight bytes of an IEEE 754 double, then the other fields in their
order as `LENGTH:TEXT` in UTF-8, the length in characters; `-` for a room that is none, `1` and `0` for yes and no. The
line's own digest comes first, then it is chained: a line can be withheld from somebody who may not read it, and its
digest shown, and the chain can still be verified.
"""

import struct
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

_LINE = b"amon-audit-line@v1\0"
_CHAIN = b"amon-audit-chain@v1\0"
_DOUBLE = struct.Struct(">d")


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """time: seconds since the epoch. line: what was asked, secrets masked. rule: what decided. outcome: how it ended.

    key: fingerprint of the key that signed the request, empty for none. effect: of the command, empty where no command
    was understood. Refusals are written as well as what was done.
    """

    time: float
    account: str
    asker: str
    room: str | None
    id: str
    line: str
    allowed: bool
    rule: str
    outcome: str
    key: str = ""
    effect: str = ""


@dataclass(frozen=True, slots=True)
class Link:
    """A place in a chain: the number of a line, and its hash in hex. Number 0 is the beginning, before all lines."""

    seq: int
    hash: str


@dataclass(frozen=True, slots=True)
class Line:
    """A line as it stands in a chain. record: None where it is withheld; then `digest` is all that is known of it."""

    seq: int
    record: AuditRecord | None
    digest: str
    hash: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """head: the last line that fits all before it. fault: in words, why the next one does not; empty: all fit."""

    head: Link
    fault: str = ""


def digest_of(record: AuditRecord) -> bytes:
    """32 bytes that stand for the record. `UnicodeEncodeError` for what is no text."""
    r, room = record, record.room
    text = (
        f"{len(r.account)}:{r.account}{len(r.asker)}:{r.asker}{'-' if room is None else f'{len(room)}:{room}'}"
        f"{len(r.id)}:{r.id}{len(r.line)}:{r.line}{'1' if r.allowed else '0'}{len(r.rule)}:{r.rule}"
        f"{len(r.outcome)}:{r.outcome}{len(r.key)}:{r.key}{len(r.effect)}:{r.effect}"
    )
    return sha256(_LINE + _DOUBLE.pack(r.time) + text.encode()).digest()


def hash_of(before: bytes, seq: int, digest: bytes) -> bytes:
    """32 bytes: the line of this number and digest, after the line with the hash `before`."""
    return sha256(_CHAIN + before + seq.to_bytes(8, "big") + digest).digest()


def verify_chain(lines: Iterable[Line], anchor: Link) -> Verdict:
    """Whether `lines` are those that follow `anchor`, all of them and in their order. What they say may be hostile.

    Found: a line that was changed, put in, left out, moved or doubled, by the first number that does not fit. Not
    found, because nothing in a chain can show it: lines missing at its end (compare its head), and a chain that was
    written anew as a whole (compare a hash remembered of it).
    """
    head = anchor
    for line in lines:
        fault = _misfit(line, head)
        if fault:
            return Verdict(head, fault)
        head = Link(line.seq, line.hash)
    return Verdict(head)


def _misfit(line: Line, head: Link) -> str:
    """Why this line is not the next one after `head`; empty if it is."""
    expected = head.seq + 1
    if line.seq < expected:
        return f"line {line.seq} stands after line {head.seq}: put in, doubled or moved"
    if line.seq > expected:
        missing = f"line {expected} is" if line.seq == expected + 1 else f"lines {expected} to {line.seq - 1} are"
        return f"{missing} missing"
    try:
        digest = bytes.fromhex(line.digest) if line.record is None else digest_of(line.record)
        right = hash_of(bytes.fromhex(head.hash), line.seq, digest).hex()
    except (ValueError, OverflowError):
        return f"line {line.seq} cannot be hashed"
    return "" if line.hash == right else f"line {line.seq} is not what was written after line {head.seq}"
