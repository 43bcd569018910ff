"""The tables of a targeted site's row: what each event makes of each state. `book.py` only reads them.

A pair that is not in `TABLE` changes nothing. An event that finds an ended row is an amendment, so the second half of
the table is the complete list of amendments that are not reports.
"""

from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from amon.words import State


class Event(StrEnum):
    """What can happen to a row besides the report of its outcome."""

    accepted = "accepted"
    progress = "progress"
    bounced = "bounced"  # the server says nobody is there
    offline = "offline"  # known not to be there when the request was sent
    gone = "gone"  # presence turned unavailable
    time_up = "time up"  # the time at which an open row ends by itself
    time_up_at_it = "time up, at it"  # the same for a site that said it is still running
    cancelled = "cancelled"  # the asker no longer wants it, and the site did not confirm
    skipped = "skipped"  # a batch stopped before this site's turn
    expired = "expired"  # it stayed queued for too long
    over = "over"  # the time in which sites of this job may begin
    unanswered = "unanswered"  # the same for one that asks back
    unknown = "unknown"  # asked what became of it, the site does not know the request


# To what, and in which words: those are shown where the site itself has said nothing.
TABLE: Mapping[tuple[State, Event], tuple[State, str]] = MappingProxyType(
    {
        (State.pending, Event.accepted): (State.accepted, ""),
        (State.pending, Event.progress): (State.accepted, ""),
        (State.pending, Event.bounced): (State.not_here, "nobody is there under this name"),
        (State.pending, Event.offline): (State.not_here, "was offline"),
        (State.pending, Event.gone): (State.silent, "went offline before it accepted"),
        (State.pending, Event.time_up): (
            State.silent,
            "did not accept in {accept_by}; it may still do it",
        ),
        (State.pending, Event.cancelled): (State.cancelled, "was told to stop before it accepted"),
        (State.pending, Event.skipped): (State.not_started, "its turn never came"),
        (State.pending, Event.expired): (State.expired, "was not reached in time"),
        (State.pending, Event.over): (State.not_started, "the time of the whole job was up before its turn came"),
        (State.pending, Event.unanswered): (
            State.not_started,
            "nobody said yes before the time of the whole job was up; nothing was done",
        ),
        (State.pending, Event.unknown): (State.silent, "asked again, it does not know the request: it did nothing yet"),
        (State.accepted, Event.bounced): (State.lost, "accepted, then could not be reached"),
        (State.accepted, Event.offline): (State.lost, "accepted, then was offline"),
        (State.accepted, Event.gone): (State.lost, "accepted, then went offline"),
        (State.accepted, Event.time_up): (State.lost, "accepted, then nothing in {deadline}"),
        (State.accepted, Event.time_up_at_it): (State.running, "still at it after {deadline}"),
        (State.accepted, Event.cancelled): (State.cancelled, "was told to stop, has not confirmed"),
        (State.accepted, Event.unknown): (State.lost, "accepted, and now it does not know the request"),
        # Amendments. A sign of life after we gave up: it has the request and is at it.
        (State.silent, Event.accepted): (State.running, "accepted late"),
        (State.silent, Event.progress): (State.running, "accepted late"),
        (State.not_here, Event.accepted): (State.running, "accepted late"),
        (State.not_here, Event.progress): (State.running, "accepted late"),
        (State.lost, Event.accepted): (State.running, "came back, at it"),
        (State.lost, Event.progress): (State.running, "came back, at it"),
        # A bounce may take half a minute between servers: then it was never delivered.
        (State.silent, Event.bounced): (State.not_here, "nobody is there under this name"),
        # Nobody can say that a message will not arrive later, so it stays one that may still do it.
        (State.silent, Event.unknown): (State.silent, "asked again, it does not know the request: it did nothing yet"),
        (State.running, Event.unknown): (State.lost, "was at it, and now it does not know the request"),
        # Still running when its time was up, and then its connection went.
        (State.running, Event.bounced): (State.lost, "was at it, then could not be reached"),
        (State.running, Event.gone): (State.lost, "was at it, then went offline"),
    }
)

OF_UNASKED = frozenset({Event.offline, Event.skipped, Event.expired, Event.over})
"""What can happen to a row that was not begun. A site that was not asked has no word in it."""

REPORTS = frozenset(
    {
        State.done,
        State.failed,
        State.refused,
        State.invalid,
        State.running,
        State.cancelled,
        State.expired,
        State.lost,
    }
)
"""Ends that a site can report: `lost` of a call that its last agent died in, and nobody knows how far it came.

The others are conclusions of the asker, and no site may claim them.
"""

CORRECTABLE = frozenset({State.silent, State.not_here, State.lost, State.running, State.cancelled, State.expired})
"""Ends that a report may still put right, as long as they were concluded; `running` even when it was reported.
Not among them: `not-started`, because that site was never asked; but see `Row.may_have`."""
