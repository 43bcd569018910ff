"""The payloads. Times are seconds; a deadline is a duration, so that a site with a wrong clock still works."""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(pattern="^[0-7][0-9A-HJKMNP-TV-Z]{25}\\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Line = Annotated[str, Meta(max_length=8192)]
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


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    """The site has the request, may do it and has begun."""

    id: Id


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    id: Id
    text: Words = ""
    fraction: float | None = None


class NeedsWord(msgspec.Struct, frozen=True, tag="needs-word"):
    """Nothing was done yet: this changes several sites, and the asker has not said yes. `text` is the plan."""

    id: Id
    effect: Annotated[str, Meta(max_length=16)]
    text: Words = ""


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    """How it ended at this site. columns: [name, unit, about] of each field of `data`; cut: not all of it is here."""

    id: Id
    state: Annotated[str, Meta(max_length=16)]
    text: Words = ""
    data: Any = None
    columns: Annotated[tuple[tuple[str, str | None, str], ...], Meta(max_length=64)] = ()
    seconds: float | None = None
    cut: bool = False


Payload = Request | Fetch | Cancel | Accepted | Progress | NeedsWord | Ended
