"""Identifiers of requests: ULIDs (github.com/ulid/spec: 48 bits of milliseconds, 80 random, Crockford base 32)."""

import hashlib
import os
from collections.abc import Iterable

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(now: float) -> str:
    """A fresh ULID for the moment `now` (seconds since the epoch)."""
    return _base32((int(now * 1000) << 80) | int.from_bytes(os.urandom(10)), 26)


def typed_id(asker: str, room: str | None, message_id: str) -> str:
    """The id of a line that a person typed, from who, where and the message's own id, never from its text.

    The same message sent again (a resumed stream, a client that resends after days) gets the same id, so it
    is not done twice. Its time part is as meaningless as the rest.
    """
    seed = "\0".join((asker, room or "", message_id))
    return _base32(int.from_bytes(hashlib.sha256(seed.encode()).digest()[:16]) >> 3, 26)


def short(ident: str, others: Iterable[str] = (), least: int = 4) -> str:
    """The shortest end of `ident`, of at least `least` characters, that none of `others` shares. People see this."""
    rivals = [other for other in others if other != ident]
    for length in range(least, len(ident)):
        end = ident[-length:]
        if not any(other.endswith(end) for other in rivals):
            return end
    return ident


def code(ident: str) -> str:
    """A three-letter word a person types to confirm the request `ident`; the same at every site that got it."""
    return _base32(int.from_bytes(hashlib.sha256(b"confirm:" + ident.encode()).digest()[:2]), 4)[1:]


def digest(*parts: str) -> str:
    """26 letters that stand for these texts and for no others: nobody can make two sets of texts that share them."""
    seed = "".join(f"{len(part)}:{part}" for part in parts)
    return _base32(int.from_bytes(hashlib.sha256(b"digest:" + seed.encode()).digest()) >> 126, 26)


def _base32(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, 32)
        digits.append(_ALPHABET[digit])
    return "".join(reversed(digits))
