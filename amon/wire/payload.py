"""The payloads. Times are seconds; a deadline is a duration, so that a site with a wrong clock still works.

What is signed carries times of the calendar besides: a signature that never grew old could be used again and again.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(pattern="^[0-7][0-9A-HJKMNP-TV-Z]{25}\\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Line = Annotated[str, Meta(max_length=8192)]
Address = Annotated[str, Meta(min_length=3, max_length=2047)]
Moment = Annotated[float, Meta(ge=0, le=32_503_680_000)]  # seconds since the epoch, up to the year 3000
Words = Annotated[str, Meta(max_length=65_536)]


class Request(msgspec.Struct, frozen=True, tag="request", forbid_unknown_fields=True):
    """A command for the sites in `names`, frozen when it was sent.

    confirmed: the asker has seen the list of sites. job_sites: how many sites the whole job has; `names` may be one
    pack of it. deadline: seconds the asker waits for the outcome, counted from reception.
    """

    id: Id
    names: Annotated[tuple[Name, ...], Meta(max_length=256)]
    line: Line
    deadline: Annotated[float, Meta(gt=0, le=86_400)]
    job_sites: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    dry_run: bool = False
    confirmed: bool = False


class Fetch(msgspec.Struct, frozen=True, tag="fetch", forbid_unknown_fields=True):
    """Say again what became of this request."""

    id: Id


class Cancel(msgspec.Struct, frozen=True, tag="cancel", forbid_unknown_fields=True):
    """End this request where it is still under way."""

    id: Id


class NewPolicy(msgspec.Struct, frozen=True, tag="policy", forbid_unknown_fields=True):
    """A policy of the whole fleet: the exact text that the organisation's key signed. To bring it needs no right."""

    id: Id
    text: Annotated[str, Meta(max_length=60_000)]
    sig: Annotated[str, Meta(max_length=4096)]


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The site has the request, may do it and has begun."""

    id: Id


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    id: Id
    text: Words = ""
    fraction: float | None = None


class NeedsWord(msgspec.Struct, frozen=True, tag="needs-word"):
    """Nothing was done yet. `text` is the plan.

    It changes several sites, and the asker has not said yes; or, with `signature`, this site does it only if it is
    signed.
    """

    id: Id
    effect: Annotated[str, Meta(max_length=16)]
    text: Words = ""
    signature: bool = False


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """How it ended at this site. columns: [name, unit, about] of each field of `data`; cut: not all of it is here."""

    id: Id
    state: Annotated[str, Meta(max_length=16)]
    text: Words = ""
    data: Any = None
    columns: Annotated[tuple[tuple[str, str | None, str], ...], Meta(max_length=64)] = ()
    seconds: float | None = None
    cut: bool = False


class Envelope(msgspec.Struct, frozen=True, tag="envelope", forbid_unknown_fields=True):
    """What a signature of an asker is over: the request, who makes it, for which fleet and when.

    by: bare address of the asker. aud: bare address of the fleet's room, so that a fleet with a site of the same name
    cannot be meant. iat, exp: made at, and to be begun until (seconds since the epoch). The request's id is the nonce.
    """

    by: Address
    aud: Address
    iat: Moment
    exp: Moment
    request: Request


class Proof(msgspec.Struct, frozen=True, tag="proof"):
    """What a signature of a site is over: how it ended, at which site, for whom, and what was asked.

    asked: amon.ids.digest of the body that this answers. An id alone could be put on something else that was asked.
    """

    by: Address
    to: Address
    at: Moment
    ended: Ended
    asked: Annotated[str, Meta(max_length=26)] = ""


Payload = Request | Fetch | Cancel | NewPolicy | Accepted | Progress | NeedsWord | Ended
