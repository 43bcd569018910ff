"""The policy of a whole fleet: TOML signed by the organisation's key, with a serial and an end. Sources: sshsig.py.

Exact bytes are signed (namespace amon-policy@v1) and nothing is parsed before the signature has been found good:

    fleet = "ops@rooms.example.org"            the room whose agents it is for
    serial = 7                                 a higher one takes the place of a lower one, never the other way
    issued = "2026-11-20T12:00:00Z"
    expires = "2027-02-20T12:00:00Z"           from then on nobody may anything, until the next one comes
    signers = ["alice@example.org ssh-ed25519 AAAA..."]
    [policy]                                   as [account.NAME.policy] of an agent
"""

import tomllib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

from amon.access.policy import Policy
from amon.access.problems import policy_problems
from amon.access.signers import Signers, read_signers
from amon.access.sshkey import PublicKey
from amon.access.sshsig import BUNDLE, BadSignature, signer_of, verify
from amon.access.window import shown, until_of
from amon.convert import from_data
from amon.errors import Problem
from amon.fields import Field

MOST_TEXT = 256 * 1024  # bytes
_SKEW = 300.0  # seconds that clocks may differ
_MOST_SAID = 3

_Time = Annotated[str, Field("a time like 2026-11-20T12:00:00Z", pattern=r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")]


class BadBundle(Exception):
    """Why a bundle is not taken, in words for those who sent it."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """What was signed. issued, expires: seconds since the epoch. key: fingerprint of the key that signed it."""

    fleet: str
    serial: int
    issued: float
    expires: float
    policy: Policy
    signers: Signers
    key: str
    text: bytes = field(repr=False)

    def out_of_date(self, now: float) -> str:
        """Why it lets nobody do anything at `now`; empty if it is in force."""
        mend = "the fleet's policy needs a new bundle, signed by the organisation"
        if now >= self.expires:
            return f"the policy bundle {self.serial} of {self.fleet} has expired ({shown(self.expires)}); {mend}"
        if now < self.issued - _SKEW:
            return f"the clock of this site says {shown(now)}, before its policy was issued; set it right"
        return ""


@dataclass(frozen=True, slots=True)
class _Written:
    """All that may stand in a bundle."""

    fleet: Annotated[str, Field("the fleet's room", pattern=r"[^@/\s]+@[^@/\s]+", longest=512)]
    serial: Annotated[int, Field("higher than any before", least=1, most=2**53)]
    issued: _Time
    expires: _Time
    signers: Annotated[
        tuple[Annotated[str, Field(longest=4096)], ...], Field("lines of allowed_signers", longest=2000)
    ] = ()
    policy: Annotated[Policy, Field("who may what")] = field(default_factory=Policy)


def open_bundle(
    text: bytes,
    sig: str,
    organisation: Iterable[PublicKey],
    fleets: Collection[str],
    now: float,
    last: Bundle | None = None,
) -> Bundle:
    """A bundle that may take the place of `last`. fleets: rooms of the account. Raises `BadBundle`."""
    bundle = read_bundle(text, sig, organisation)
    late = bundle.out_of_date(now)
    if late:
        raise BadBundle(late)
    if bundle.fleet not in fleets:
        raise BadBundle(f"it is for {bundle.fleet}, which is no room of this account")
    if last is not None:
        _check_follows(bundle, last, fleets)
    return bundle


def read_bundle(text: bytes, sig: str, organisation: Iterable[PublicKey] | None) -> Bundle:
    """What is signed, whether or not it is in force by now. Raises `BadBundle`.

    organisation: None takes whatever key signed it, for who looks at `key` himself.
    """
    if len(text) > MOST_TEXT:
        raise BadBundle(f"it is {len(text)} bytes long; at most {MOST_TEXT} are taken")
    try:
        key = signer_of(sig, BUNDLE)
        if organisation is not None and key not in tuple(organisation):
            raise BadBundle(f"it is signed by {key.fingerprint}, which is no key of `organisation` here")
        verify(text, sig, BUNDLE)
    except BadSignature as bad:
        raise BadBundle(f"its signature is not good: {bad}") from None
    return unsigned(text, key.fingerprint)


def unsigned(text: bytes, key: str = "") -> Bundle:
    """What a text says that nobody has signed, for who is about to sign it. Raises `BadBundle`."""
    written = _written(text)
    signers, problems = read_signers("\n".join(written.signers), "signers")
    problems += policy_problems(written.policy, "", "policy")
    _raise_if(problems)
    issued, expires = _moment(written.issued), _moment(written.expires)
    if expires <= issued:
        raise BadBundle("it expires before it is issued")
    return Bundle(written.fleet.lower(), written.serial, issued, expires, written.policy, signers, key, text)


def _written(text: bytes) -> _Written:
    try:
        tables: dict[str, Any] = tomllib.loads(text.decode())
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError and TOMLDecodeError are ValueErrors
        raise BadBundle(f"it is not TOML in UTF-8: {error}") from None
    problems: list[Problem] = []
    written = from_data(tables, _Written, "", problems)
    _raise_if(problems)
    if written is None:
        raise BadBundle("it has nothing in it")
    return written


def _moment(text: str) -> float:
    try:
        return until_of(text)
    except ValueError as wrong:
        raise BadBundle(str(wrong)) from None


def _raise_if(problems: list[Problem]) -> None:
    if problems:
        more = f"; and {len(problems) - _MOST_SAID} more" if len(problems) > _MOST_SAID else ""
        raise BadBundle("; ".join(str(one) for one in problems[:_MOST_SAID]) + more)


def _check_follows(bundle: Bundle, last: Bundle, fleets: Collection[str]) -> None:
    if bundle.fleet != last.fleet and last.fleet in fleets:
        raise BadBundle(f"this account obeys the policy of {last.fleet}, not of {bundle.fleet}")
    if bundle.serial < last.serial:
        raise BadBundle(f"its serial {bundle.serial} is older than {last.serial}, which is in force")
    if bundle.serial == last.serial and bundle.text != last.text:
        raise BadBundle(f"serial {bundle.serial} is in force with other content; give the new one a higher serial")
