"""What stands in a book: a row for each targeted site, answers that fit none, and the one line that sums it up."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

import msgspec

from amon.words import Outcome, State

BEST_FIRST = (State.done, *(state for state in State if state.ended and state is not State.done))
WORST_FIRST = (
    State.lost, State.failed, State.silent, State.refused, State.invalid, State.not_here, State.running, State.expired,
    State.cancelled, State.not_started, State.accepted, State.pending, State.done,
)  # fmt: skip
_RANK: Mapping[State, int] = {state: rank for rank, state in enumerate(WORST_FIRST)}

LONGEST_WORD = 200
"""Characters of the last progress in the text of a row that is lost."""


class Wait(StrEnum):
    """What an open row waits for besides its site; while it does, it has not begun and nothing was done for it."""

    nothing = ""
    turn = "turn"  # the plan of the job lets others go first
    offline = "offline"  # its site is not there, and is asked when it comes
    signature = "signature"  # it is its turn, and the asker signs
    word = "word"  # the site asks back, and a person thinks

    @property
    def unasked(self) -> bool:
        """The request never went to this site, as far as this book knows."""
        return self in _UNASKED


_UNASKED = frozenset({Wait.turn, Wait.offline, Wait.signature})


class Row(msgspec.Struct, frozen=True):
    """One targeted site as it stands. Times are those of the clock that the book is fed with.

    A row is written anew five times at least; msgspec does that ten times faster than a dataclass.
    """

    site: str
    asked: float
    due: float
    """When this row ends by itself, as long as it is open."""
    state: State = State.pending
    changed: float = 0.0
    accepted: float | None = None
    text: str = ""
    """Last progress, or how it ended, in words."""
    fraction: float | None = None
    heard: str = ""
    """Last progress in words, kept when `text` says how it ended."""
    at_it: bool = False
    """The site said that it is still running."""
    waits: Wait = Wait.nothing
    """What it waits for before it is under way; nothing once it has ended."""
    may_have: bool = False
    """It is not known to have the request and may have it all the same, so what it reports counts.

    It was sent it and is thought offline now; or the program that would know whether it was sent it has died.
    """
    outcome: Outcome | None = None
    """Its end; set if and only if it has ended."""
    reported: bool = False
    """The end is the site's own word, not our conclusion."""
    late: bool = False
    """The end was amended after the row had ended."""

    @property
    def last_word(self) -> str:
        """The last progress that was heard: `40 % copying`; empty if there was none."""
        share = f"{self.fraction * 100:.0f} %" if self.fraction is not None else ""
        return " ".join(filter(None, (share, self.heard.partition("\n")[0][:LONGEST_WORD])))


@dataclass(frozen=True, slots=True)
class Unexpected:
    """An answer that fits no row."""

    site: str
    state: State
    why: str
    text: str
    at: float


def worst_first(rows: Iterable[Row]) -> tuple[Row, ...]:
    """What needs somebody comes first; among equals by name."""
    return tuple(sorted(rows, key=lambda row: (_RANK[row.state], row.site)))


def summary(counts: Mapping[State, int], late: int = 0, unexpected: int = 0) -> str:
    """`12 sites: 10 done, 1 failed, 1 silent (2 late, 1 unexpected answer)`."""
    total = sum(counts.values())
    if not total:
        return "no sites"
    order = (*BEST_FIRST, State.accepted, State.pending)
    found = ", ".join(f"{counts[state]} {state}" for state in order if counts.get(state))
    notes = [f"{late} late"] if late else []
    notes += [f"{unexpected} unexpected {'answer' if unexpected == 1 else 'answers'}"] if unexpected else []
    return f"{total} {'site' if total == 1 else 'sites'}: {found}" + (f" ({', '.join(notes)})" if notes else "")
