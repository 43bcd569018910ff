"""A signed request opened: the cheap looks first, and nothing parsed before the signature is known to be right.

Whoever sent it hears one sentence, whatever was wrong; the log has the rest. Order: size and shape of the container
(amon.wire), shape of the signature, a key that this sender may use, the signature itself, then what it is over: who,
which fleet, when. Whether this very request came before is the journal's to say, as for any other.
"""

from amon.access import COMMAND, Authority, BadSignature
from amon.wire import Challenge, Envelope, Request, Sealed, WireError, read_envelope

LONGEST_LIFE = 300.0  # seconds between `iat` and `exp`
_AHEAD = 60.0  # seconds that the asker's clock may be ahead of ours
REFUSAL = "the signature was not accepted here; why stands in the log of this site"


class Seals:
    """born: when this site's journal was made. What is older may have been done and forgotten with a journal before it.

    clock_fault: why this site's clock cannot be trusted, in words; empty while it can.
    """

    def __init__(self, born: float = 0.0) -> None:
        self.born = born
        self.clock_fault = ""

    def open(
        self, sealed: Sealed, sender: str, fleets: frozenset[str], authority: Authority, now: float
    ) -> tuple[Request, str]:
        """The request, and the fingerprint of the key that signed it. `BadSignature` says why not, for the log."""
        if sealed.sig is None:
            raise BadSignature("there is none")
        key = authority.signers.verify(sealed.body.encode(), sealed.sig, COMMAND, sender, now)
        try:
            envelope = read_envelope(sealed.body)
        except WireError as wrong:
            raise BadSignature(f"it is over something else: {wrong}") from None
        self._check(envelope, sender, fleets, now)
        return envelope.request, key.fingerprint

    def answers(self, challenge: Challenge, sig: str, authority: Authority, now: float) -> str:
        """The fingerprint of the key that signed this challenge of ours; `BadSignature` says why not."""
        key = authority.signers.verify(str(challenge).encode(), sig, COMMAND, challenge.by, now)
        self._check_times(challenge.issued, challenge.expires, now)
        return key.fingerprint

    def _check(self, envelope: Envelope, sender: str, fleets: frozenset[str], now: float) -> None:
        if envelope.by != sender:
            raise BadSignature(f"{envelope.by!r} signed it and {sender!r} sent it")
        if envelope.aud not in fleets:
            raise BadSignature(f"it is for the fleet {envelope.aud!r}, which is none of ours")
        self._check_times(envelope.iat, envelope.exp, now)

    def _check_times(self, made: float, until: float, now: float) -> None:
        if self.clock_fault:
            raise BadSignature(self.clock_fault)
        if not 0 < until - made <= LONGEST_LIFE:
            raise BadSignature(f"it is good for {until - made:g} s; at most {LONGEST_LIFE:g} s are taken")
        if made > now + _AHEAD:
            raise BadSignature(f"it was made {made - now:g} s in the future; look at both clocks")
        if now > until:
            raise BadSignature(f"it ended {now - until:g} s ago; look at both clocks")
        if made < self.born:
            raise BadSignature("it is older than this site's journal, which may have been lost after it was done")
