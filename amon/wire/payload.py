"""The payloads. Times are seconds; a deadline is a duration, so that a site with a wrong clock still works.

What is signed carries times of the calendar besides: a signature that never grew old could be used again and again.

What versions make of each other. A field that has its default is not sent. So who asks for nothing new is understood by
an older site; an order with a field or of a kind that a site does not know is not guessed at but answered `invalid`,
because what is left out of an order may have been its "but do not". What a site reports may have more in it than an
older console knows; that is passed over.
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
Probed = Annotated[str, Meta(max_length=256)]
SITES_MOST = 2_000
"""Sites that one request may tell of."""


class Request(msgspec.Struct, frozen=True, omit_defaults=True, tag="request", forbid_unknown_fields=True):
    """A command for the sites in `names`, frozen when it was sent.

    confirmed: the asker has seen the list of sites. job_sites: how many sites the whole job has; `names` may be one
    pack of it. deadline: seconds the asker waits for the outcome, counted from reception; a session
    goes on after it. sites: of the sites that the line names (`@desy`), where each is probed: addresses with blanks
    between, empty for one that tells none.
    """

    id: Id
    names: Annotated[tuple[Name, ...], Meta(max_length=256)]
    line: Line
    deadline: Annotated[float, Meta(gt=0, le=86_400)]
    job_sites: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    dry_run: bool = False
    confirmed: bool = False
    sites: Annotated[dict[Name, Probed], Meta(max_length=SITES_MOST)] = {}


class Fetch(msgspec.Struct, frozen=True, omit_defaults=True, tag="fetch", forbid_unknown_fields=True):
    """Say again what became of this request. offset: of a long output, the part of it that begins at this byte."""

    id: Id
    offset: Annotated[int, Meta(ge=0)] | None = None


class Heard(msgspec.Struct, frozen=True, omit_defaults=True, tag="heard", forbid_unknown_fields=True):
    """The asker of a session is there and has read its `Output` up to `seq`; 0: nothing yet, but he is there."""

    id: Id
    seq: Annotated[int, Meta(ge=0)] = 0


class Cancel(msgspec.Struct, frozen=True, omit_defaults=True, tag="cancel", forbid_unknown_fields=True):
    """End this request where it is still under way."""

    id: Id


class NewPolicy(msgspec.Struct, frozen=True, omit_defaults=True, tag="policy", forbid_unknown_fields=True):
    """A policy of the whole fleet: the exact text that the organisation's key signed. To bring it needs no right."""

    id: Id
    text: Annotated[str, Meta(max_length=60_000)]
    sig: Annotated[str, Meta(max_length=4096)]


class Gathered(msgspec.Struct, frozen=True, omit_defaults=True, tag="gathered", forbid_unknown_fields=True):
    """From the gatherer to a site: the asker of this line has been told that the site's part is `state`.

    What it was told and did not say on, the site says itself. told False: nothing is known here of that line.
    """

    id: Id
    state: Annotated[str, Meta(max_length=16)] = ""
    told: bool = True


class SlotWish(msgspec.Struct, frozen=True, omit_defaults=True, tag="slot-wish", forbid_unknown_fields=True):
    """From a console to the hub: the sites of a job that hold a slot of this name, and those that want one, in order.

    of: how many there are at most in the whole fleet. The whole state each time: said again it changes nothing, and a
    site that is not named any more has given its slot back.
    """

    id: Id
    name: Annotated[str, Meta(pattern="^[a-z0-9][a-z0-9_.-]{0,63}\\Z")]
    of: Annotated[int, Meta(ge=1, le=256)]
    held: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()
    wants: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()


class Accepted(msgspec.Struct, frozen=True, omit_defaults=True, tag="accepted"):
    """The site has the request, may do it and has begun."""

    id: Id


class Progress(msgspec.Struct, frozen=True, omit_defaults=True, tag="progress"):
    id: Id
    text: Words = ""
    fraction: float | None = None


class NeedsWord(msgspec.Struct, frozen=True, omit_defaults=True, tag="needs-word"):
    """Nothing was done yet. `text` is the plan.

    It changes several sites, and the asker has not said yes; or, with `signature`, this site does it only if it is
    signed.
    """

    id: Id
    effect: Annotated[str, Meta(max_length=16)]
    text: Words = ""
    signature: bool = False


class Output(msgspec.Struct, frozen=True, omit_defaults=True, tag="output"):
    """A part of what a session says. seq: counts these from 1. items: JSON values; text: the same for people, empty
    where the items are lines of text themselves.

    missed: how many items there were before these that the asker was too slow for. replaces: this is a picture of
    several lines that takes the place of the last one.
    """

    id: Id
    seq: Annotated[int, Meta(ge=1)]
    items: tuple[Any, ...] = ()
    text: Words = ""
    columns: Annotated[tuple[tuple[str, str | None, str], ...], Meta(max_length=64)] = ()
    missed: Annotated[int, Meta(ge=0)] = 0
    replaces: bool = False

    @property
    def lines(self) -> list[str]:
        """For people; as a site wrote them."""
        return self.text.split("\n") if self.text else [str(item) for item in self.items]


class Chunk(msgspec.Struct, frozen=True, omit_defaults=True, tag="chunk"):
    """A part of a long output, from `offset` on; empty if there is nothing (any more).

    data: base64 of its bytes in the form of zlib (RFC 1950), each part by itself. How long a part is, its site says.
    """

    id: Id
    offset: Annotated[int, Meta(ge=0)]
    data: Words = ""


class SlotLease(msgspec.Struct, frozen=True, omit_defaults=True, tag="slot-lease"):
    """From the hub to a console: the sites that hold a slot of this name for so many seconds from now on.

    waiting: wishes before the next one of this job. refused: why it gets none, in words.
    """

    id: Id
    name: Annotated[str, Meta(max_length=64)]
    sites: Annotated[tuple[Name, ...], Meta(max_length=256)] = ()
    seconds: Annotated[float, Meta(ge=0, le=86_400)] = 0.0
    waiting: Annotated[int, Meta(ge=0)] = 0
    refused: Annotated[str, Meta(max_length=1000)] = ""


class Whole(msgspec.Struct, frozen=True, omit_defaults=True):
    """An output that is too long for one message, and waits at its site. size: bytes. digest: SHA-256 in hex.

    lines: of text. cut: not even this is all; it ended at the site's limit.
    """

    size: Annotated[int, Meta(ge=0)]
    digest: Annotated[str, Meta(max_length=64)]
    lines: Annotated[int, Meta(ge=0)] = 0
    cut: bool = False


class Ended(msgspec.Struct, frozen=True, omit_defaults=True, tag="ended"):
    """How it ended at this site. columns: [name, unit, about] of each field of `data`; cut: not all of it is here.

    whole: where all of it is: `Fetch` with an offset brings its parts.
    """

    id: Id
    state: Annotated[str, Meta(max_length=16)]
    text: Words = ""
    data: Any = None
    columns: Annotated[tuple[tuple[str, str | None, str], ...], Meta(max_length=64)] = ()
    seconds: float | None = None
    cut: bool = False
    whole: Whole | None = None


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True, tag="envelope", forbid_unknown_fields=True):
    """What a signature of an asker is over: the request, who makes it, for which fleet and when.

    by: bare address of the asker. aud: bare address of the fleet's room, so that a fleet with a site of the same name
    cannot be meant. iat, exp: made at, and to be begun until (seconds since the epoch). The request's id is the nonce.
    """

    by: Address
    aud: Address
    iat: Moment
    exp: Moment
    request: Request


class Proof(msgspec.Struct, frozen=True, omit_defaults=True, tag="proof"):
    """What a signature of a site is over: how it ended, at which site, for whom, and what was asked.

    asked: amon.ids.digest of the body that this answers; for a `Fetch`, of the one in which the call was asked, where
    that is known. An id alone could be put on something else that was asked.
    """

    by: Address
    to: Address
    at: Moment
    ended: Ended
    asked: Annotated[str, Meta(max_length=26)] = ""


Payload = (
    Request
    | Fetch
    | Heard
    | Cancel
    | NewPolicy
    | Gathered
    | SlotWish
    | Accepted
    | Progress
    | NeedsWord
    | Output
    | Chunk
    | SlotLease
    | Ended
)
