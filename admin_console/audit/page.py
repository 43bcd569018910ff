"""A page of a site's audit, read as what a stranger sent: bounded in size, count and depth, or it is none. Pure."""

from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from amon.access import AuditRecord, Line, Link

_Number = Annotated[int, Meta(ge=0, le=2**53)]
_Hash = Annotated[str, Meta(min_length=64, max_length=64, pattern="^[0-9a-f]+\\Z")]
_Text = Annotated[str, Meta(max_length=4096)]


class _Entry(msgspec.Struct, frozen=True):
    seq: _Number
    time: Annotated[float, Meta(ge=-(2**53), le=2**53)]
    account: _Text
    asker: _Text
    room: _Text | None
    id: _Text
    line: _Text
    allowed: bool
    rule: _Text
    outcome: _Text
    key: _Text
    effect: _Text
    hash: _Hash
    digest: Annotated[str, Meta(max_length=64, pattern="^[0-9a-f]*\\Z")]

    def line_(self) -> Line:
        if self.digest:
            return Line(self.seq, None, self.digest, self.hash)
        told = (self.time, self.account, self.asker, self.room, self.id, self.line, self.allowed, self.rule)
        return Line(self.seq, AuditRecord(*told, self.outcome, self.key, self.effect), "", self.hash)


class _Page(msgspec.Struct, frozen=True):
    """As `audit` of an agent gives it (amon/runtime/auditing.py)."""

    chain: _Hash
    anchor_seq: _Number
    anchor_hash: _Hash
    head_seq: _Number
    head_hash: _Hash
    before_seq: _Number
    before_hash: _Hash
    more: bool
    lines: Annotated[tuple[_Entry, ...], Meta(max_length=1000)]


@dataclass(frozen=True, slots=True)
class Page:
    """What one answer of a site holds."""

    chain: str
    anchor: Link
    head: Link
    before: Link
    more: bool
    lines: tuple[Line, ...]


def read_page(data: Any) -> Page | None:
    """The page in an answer; None if it is none."""
    try:
        page = msgspec.convert(data, _Page)
    except (msgspec.ValidationError, RecursionError):
        return None
    anchor, head = Link(page.anchor_seq, page.anchor_hash), Link(page.head_seq, page.head_hash)
    before = Link(page.before_seq, page.before_hash)
    return Page(page.chain, anchor, head, before, page.more, tuple(entry.line_() for entry in page.lines))
