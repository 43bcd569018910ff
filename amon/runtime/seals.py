"""A signed request opened: the cheap looks first, and nothing parsed before the signature is known to be right.

Whoever sent it hears one sentence, whatever was wrong; the log has the rest. Order: size and shape of the container
(amon.wire), shape of the signature, a key that this sender may use, the signature itself, then what it is over: who,
which fleet, when. Whether this very request came before is the journal's to say, as for any other.
"""

from amon.access import COMMAND, BadSignature
from amon.runtime.incoming import Door
from amon.wire import Challenge, Envelope, Request, Sealed, WireError, read_envelope

LONGEST_LIFE = 300.0  # seconds between `iat` and `exp`
_AHEAD = 60.0  # seconds that the asker's clock may be ahead of ours
REFUSAL = "the signature was not accepted here; why stands in the log of this site"


class Unreadable(BadSignature):
    """The signature is right. What it is over is no request that this version can read."""


class Seals:
    """born: when this site's journal was made. What is older may have been done, and forgotten with one before it."""

    def __init__(self, born: float = 0.0) -> None:
        self.born = born

    def open(self, sealed: Sealed, sender: str, door: Door, now: float) -> tuple[Request, str]:
        """The request, and the fingerprint of the key that signed it. `BadSignature` says why not, for the log."""
        if sealed.sig is None:
            raise BadSignature("there is none")
        key = door.authority.signers.verify(sealed.body.encode(), sealed.sig, COMMAND, sender, now)
        try:
            envelope = read_envelope(sealed.body)
        except WireError as wrong:
            raise Unreadable(f"it is over something else: {wrong}") from None
        self._check(envelope, sender, door, now)
        return envelope.request, key.fingerprint

    def answers(self, challenge: Challenge, sig: str, door: Door, now: float) -> str:
        """The fingerprint of the key that signed this challenge of ours; `BadSignature` says why not."""
        key = door.authority.signers.verify(str(challenge).encode(), sig, COMMAND, challenge.by, now)
        self._check_times(challenge.issued, challenge.expires, door, now)
        return key.fingerprint

    def _check(self, envelope: Envelope, sender: str, door: Door, now: float) -> None:
        if envelope.by != sender:
            raise BadSignature(f"{envelope.by!r} signed it and {sender!r} sent it")
        if envelope.aud not in door.fleets:
            raise BadSignature(f"it is for the fleet {envelope.aud!r}, which is none of ours")
        self._check_times(envelope.iat, envelope.exp, door, now)

    def _check_times(self, made: float, until: float, door: Door, now: float) -> None:
        if door.clock_fault:
            raise BadSignature(door.clock_fault)
        if not 0 < until - made <= LONGEST_LIFE:
            raise BadSignature(f"it is good for {until - made:g} s; at most {LONGEST_LIFE:g} s are taken")
        if made > now + _AHEAD:
            raise BadSignature(f"it was made {made - now:g} s in the future; look at both clocks")
        if now > until:
            raise BadSignature(f"it ended {now - until:g} s ago; look at both clocks")
        if made < self.born:
            raise BadSignature("it is older than this site's journal, which may have been lost after it was done")
