"""Answers of sites, opened: whose word it is, and whether the site's own key says so.

A server on the way can make up, change and hold back whatever is not signed; a site whose key is known here signs what
its calls came to (`Proof`). What is signed wrongly is not read at all.
"""

from dataclasses import dataclass
from enum import StrEnum

from amon.access import RESULT, BadSignature, Signers
from amon.wire import Ended, Payload, Sealed, WireError, read_payload, read_proof


class Word(StrEnum):
    """How far an answer is to be trusted. none: nobody here knows a key of that site.

    by_id: what became of this id; that it was asked in these words is not signed (`Proof.asked`).
    """

    none = ""
    signed = "signed"
    by_id = "signed, but for the id of the job alone"
    unsigned = "not signed"
    forged = "signed, but not by this site's key"
    other = "signed, but as the answer to something else"


@dataclass(frozen=True, slots=True)
class Opened:
    """payload None: it must not be read. asked: digest of the body that it answers, where it is signed."""

    payload: Payload | None
    word: Word
    asked: str = ""


def opened(sealed: Sealed, sender: str, asker: str, keys: Signers, now: float) -> Opened:
    """What a site sent. sender, asker: bare addresses of the site and of us. `WireError` for what is no payload."""
    known = any(line.may(sender, RESULT, now) for line in keys.lines)
    if sealed.sig is None:
        payload = read_payload(sealed.body)
        return Opened(payload, Word.unsigned if known and isinstance(payload, Ended) else Word.none)
    if known:
        try:
            keys.verify(sealed.body.encode(), sealed.sig, RESULT, sender, now)
        except BadSignature:
            return Opened(None, Word.forged)
    proof = read_proof(sealed.body)
    if (proof.by, proof.to) != (sender, asker):
        raise WireError(f"an answer of {proof.by!r} to {proof.to!r} came from {sender!r} to {asker!r}")
    return Opened(proof.ended, Word.signed if known else Word.none, proof.asked)
