"""The reader of wire 1.0, frozen: what an agent or a console that was never updated makes of what it gets today.

Taken from its `amon/wire/payload.py` and `codec.py` as they were; never changed again.
"""

from typing import Annotated, Any

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(pattern="^[0-7][0-9A-HJKMNP-TV-Z]{25}\\Z")]
Name = Annotated[str, Meta(min_length=1, max_length=255)]
Line = Annotated[str, Meta(max_length=8192)]
Address = Annotated[str, Meta(min_length=3, max_length=2047)]
Moment = Annotated[float, Meta(ge=0, le=32_503_680_000)]
Words = Annotated[str, Meta(max_length=65_536)]


class Request(msgspec.Struct, frozen=True, tag="request", forbid_unknown_fields=True):
    id: Id
    names: Annotated[tuple[Name, ...], Meta(max_length=256)]
    line: Line
    deadline: Annotated[float, Meta(gt=0, le=86_400)]
    job_sites: Annotated[int, Meta(ge=1, le=1_000_000)] = 1
    dry_run: bool = False
    confirmed: bool = False


class Fetch(msgspec.Struct, frozen=True, tag="fetch", forbid_unknown_fields=True):
    id: Id


class Cancel(msgspec.Struct, frozen=True, tag="cancel", forbid_unknown_fields=True):
    id: Id


class NewPolicy(msgspec.Struct, frozen=True, tag="policy", forbid_unknown_fields=True):
    id: Id
    text: Annotated[str, Meta(max_length=60_000)]
    sig: Annotated[str, Meta(max_length=4096)]


class Accepted(msgspec.Struct, frozen=True, tag="accepted"):
    id: Id


class Progress(msgspec.Struct, frozen=True, tag="progress"):
    id: Id
    text: Words = ""
    fraction: float | None = None


class NeedsWord(msgspec.Struct, frozen=True, tag="needs-word"):
    id: Id
    effect: Annotated[str, Meta(max_length=16)]
    text: Words = ""
    signature: bool = False


class Ended(msgspec.Struct, frozen=True, tag="ended"):
    id: Id
    state: Annotated[str, Meta(max_length=16)]
    text: Words = ""
    data: Any = None
    columns: Annotated[tuple[tuple[str, str | None, str], ...], Meta(max_length=64)] = ()
    seconds: float | None = None
    cut: bool = False


class Envelope(msgspec.Struct, frozen=True, tag="envelope", forbid_unknown_fields=True):
    by: Address
    aud: Address
    iat: Moment
    exp: Moment
    request: Request


class Proof(msgspec.Struct, frozen=True, tag="proof"):
    by: Address
    to: Address
    at: Moment
    ended: Ended
    asked: Annotated[str, Meta(max_length=26)] = ""


class Container(msgspec.Struct, forbid_unknown_fields=True):
    v: int
    body: str
    sig: Annotated[str, Meta(max_length=4096)] | None = None


class HealthReport(msgspec.Struct, frozen=True):
    level: str
    ok: Annotated[int, Meta(ge=0, le=1_000_000)]
    bad: tuple[tuple[str, str, str], ...] = ()
    more: Annotated[int, Meta(ge=0, le=1_000_000)] = 0
    modules: tuple[str, ...] = ()


Payload = Request | Fetch | Cancel | NewPolicy | Accepted | Progress | NeedsWord | Ended


def read(text: str) -> Payload | Envelope | Proof:
    """Raises `msgspec.MsgspecError` for what 1.0 did not read."""
    container = msgspec.json.decode(text, type=Container)
    assert container.v == 1
    found: Payload | Envelope | Proof
    if container.sig is None:
        found = msgspec.json.decode(container.body, type=Payload)
    else:
        found = msgspec.json.decode(container.body, type=Envelope | Proof)
    return found
