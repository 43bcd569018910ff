"""A request as it reached this site, and how its asker hears of it. The same for every front."""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from amon.access import Authority
from amon.wire import Ended
from amon.words import Asker, Column, Effect

_MOST_HEAR = 8  # of one call; whoever asks again and again only takes the place of himself

_log = logging.getLogger("amon.replies")


@dataclass(slots=True, eq=False)
class Door:
    """The account a request came through.

    authority: that of the moment. A reload puts another in its place, and whatever waits here is judged by that.
    jid: this site's bare address in the account. fleets: the rooms it is in, which signatures may be for. clock_fault:
    why this site's clock cannot be trusted with their times; empty while it can.
    """

    account: str
    authority: Authority
    jid: str = ""
    fleets: frozenset[str] = frozenset()
    clock_fault: str = ""


@dataclass(frozen=True, slots=True)
class Incoming:
    """id: names the request everywhere. deadline: seconds the asker waits. sites: how many the whole job is for.

    confirmed: the asker has seen what it would do and said yes. typed: by a person, whose client may send it again.
    careful: whatever the policy says, what changes anything is only planned until it is confirmed. unread: why nobody
    here can read it, if that is so. asked: `amon.ids.digest` of the body that it came in; empty if it came in none.
    probed: where the sites are probed that the line names.
    """

    id: str
    asker: Asker
    line: str
    door: Door
    deadline: float = 30.0
    sites: int = 1
    confirmed: bool = False
    dry_run: bool = False
    typed: bool = False
    careful: bool = False
    unread: str = ""
    asked: str = ""
    probed: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        """What makes it this request: nobody reads or ends another's, nor one that came through another account."""
        return self.door.account, self.asker.jid, self.id

    def asks_the_same(self, other: "Incoming") -> bool:
        """Of two with one key: whether the end of this one answers the other one, too."""
        return (self.line, self.dry_run) == (other.line, other.dry_run)


@dataclass(frozen=True, slots=True)
class Part:
    """What a session has said and its asker has not heard yet, in order.

    items: JSON values, texts where the command yields texts. lines: each as people read it. missed: how many there
    were before these that nobody was fast enough for. replaces: it is one picture, of several lines, in place of the
    last one.
    """

    items: tuple[Any, ...]
    lines: tuple[str, ...]
    columns: tuple[Column, ...] = ()
    missed: int = 0
    replaces: bool = False

    @property
    def picture(self) -> list[str]:
        """The lines of the newest, where it replaces the others."""
        return self.lines[-1].split("\n") if self.lines else []


class Output(Protocol):
    """A session as a front sees it: what it says waits here, the oldest is dropped and counted when nobody takes it.

    id: of the request. name: of the command. patience: seconds without a sign of the asker after which it is ended;
    the front may set another. over: it has ended, this is all there is to take.
    """

    id: str
    name: str
    patience: float
    over: bool

    def take(self, items: int, size: int) -> Part | None:
        """The oldest that waits: at most so many items, and bytes of them; None when there is nothing."""
        ...

    def skip(self, keep: int) -> None:
        """Leave out, and count, all that waits but the newest `keep`."""
        ...

    def heard(self) -> None:
        """The asker gave a sign that he is there and reads."""
        ...

    def gone(self, why: str) -> None:
        """The asker is not there any more, or cannot take it; ends the session."""
        ...


class Replies(Protocol):
    """Tells the asker how the request goes. Must not wait; to be told to nobody is fine."""

    def accepted(self, what: str) -> None:
        """It begins, or is under way already. what: the name of the command, in which there is never a secret."""
        ...

    def progress(self, text: str, fraction: float | None) -> None: ...

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None:
        """Nothing was done: it has not been confirmed, or this site wants it signed."""
        ...

    def output(self, session: Output) -> None:
        """It is a session. Called when there is something to take after there was nothing, every few seconds, and last
        before `ended`: take what can be said now, and see to it that the asker is there (`session.heard`)."""
        ...

    def ended(self, outcome: Ended) -> None:
        """May come twice: `running` at the deadline, then the real end."""
        ...


class Audience:
    """Everybody who hears of one call: who asked, and who asked again meanwhile. One that fails disturbs no other.

    What a session says is for who asked first alone: whoever sends the same again cannot take it over.
    """

    def __init__(self, first: Replies) -> None:
        self._all = [first]

    def add(self, replies: Replies) -> None:
        self._all = [*self._all[: _MOST_HEAR - 1], replies]

    def accepted(self, what: str) -> None:
        self._tell(lambda replies: replies.accepted(what))

    def progress(self, text: str, fraction: float | None) -> None:
        self._tell(lambda replies: replies.progress(text, fraction))

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None:
        self._tell(lambda replies: replies.needs_word(effect, plan, signature))

    def output(self, session: Output) -> None:
        try:
            self._all[0].output(session)
        except Exception:
            _log.exception("a session could not be told")
            session.gone("what it says could not be told")

    def ended(self, outcome: Ended) -> None:
        self._tell(lambda replies: replies.ended(outcome))

    def _tell(self, say: Callable[[Replies], None]) -> None:
        for replies in self._all:
            try:
                say(replies)
            except Exception:  # the outcome is in the journal; whoever missed it can fetch it
                _log.exception("an answer could not be given")
