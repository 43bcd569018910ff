"""The words every room uses: role, effect, asker, state, outcome. docs/architecture.md lists them all."""

from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import Any

NOT_KNOWN = "this request is not known here, or not any more"
"""What a site says of a request that it is asked about and has not accepted; every version says it so."""


class Role(IntEnum):
    """What a person is at a site; a higher role may all that a lower one may."""

    observer = 1
    operator = 2
    admin = 3
    owner = 4

    def __str__(self) -> str:
        return self.name


class Effect(StrEnum):
    """What a command does to the site: looks, changes, or could cut the site off."""

    read = "read"
    change = "change"
    danger = "danger"


class State(StrEnum):
    """Where a site stands in a job. All but the first two are ends; each targeted site reaches exactly one."""

    pending = "pending"
    accepted = "accepted"

    done = "done"
    failed = "failed"
    refused = "refused"
    invalid = "invalid"
    not_here = "not-here"
    silent = "silent"
    lost = "lost"
    running = "running"
    cancelled = "cancelled"
    not_started = "not-started"
    expired = "expired"

    @property
    def ended(self) -> bool:
        return self not in (State.pending, State.accepted)


@dataclass(frozen=True, slots=True)
class Asker:
    """Who asks: the real bare address is the identity; the full one is only where the answer goes.

    key: fingerprint of the key that signed this very request; empty for an unsigned one.
    """

    jid: str
    full: str = ""
    room: str | None = None
    key: str = ""

    def __str__(self) -> str:
        return self.jid

    @property
    def reply_to(self) -> str:
        return self.full or self.jid

    @property
    def domain(self) -> str:
        return self.jid.partition("@")[2] or self.jid


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a result: field name, unit and what it is, so that a table can be made far from the module."""

    name: str
    unit: str | None = None
    about: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a command gave back, ready to travel: text for people, data (JSON values) and its columns for programs."""

    text: str = ""
    data: Any = None
    columns: tuple[Column, ...] = ()


@dataclass(frozen=True, slots=True)
class Whole:
    """All of an output that was too long for one message, as it waits at its site.

    size: bytes. digest: SHA-256 in hex. lines: of text. cut: not even this is all; it ended at the site's limit.
    """

    size: int
    digest: str
    lines: int = 0
    cut: bool = False


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one site made of a call. seconds: the time it took at the site. cut: not all of it is in `answer`.

    whole: where the rest is.
    """

    site: str
    state: State
    answer: Answer = field(default_factory=Answer)
    seconds: float | None = None
    cut: bool = False
    whole: Whole | None = None

    @property
    def text(self) -> str:
        return self.answer.text
