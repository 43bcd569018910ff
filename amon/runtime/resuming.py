"""What is needed to take up a job that an earlier program began: rows as they were kept, and who is asked about it."""

from collections import Counter
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from amon.job import Row, Wait
from amon.runtime.delivery import outcome_of
from amon.wire import Ended, Payload, WireError, decode
from amon.words import NOT_KNOWN, Answer, Outcome, State

if TYPE_CHECKING:
    from amon.store.ledger import KeptRow

_OFTEN = 5  # times that a site is asked what became of one job
GONE = "is no site of this fleet any more"


class Inquiry:
    """Which sites were asked what became of the job, and whose answer is still waited for."""

    def __init__(self) -> None:
        self.until: float | None = None
        self._open: set[str] = set()
        self._asked: Counter[str] = Counter()

    def begin(self, names: Iterable[str], until: float) -> None:
        asked = list(names)
        self._open.update(asked)
        self._asked.update(asked)
        self.until = until if self._open else None

    def is_enough(self, site: str) -> bool:
        """It was asked so often that one which comes and goes for ever is not asked any more."""
        return self._asked[site] >= _OFTEN

    def has_asked(self, site: str) -> bool:
        return site in self._asked

    def heard(self, site: str, now: float) -> None:
        self._open.discard(site)
        self.tick(now)

    def tick(self, now: float) -> None:
        """Nobody is waited for any more who had his time."""
        if self.until is not None and (now >= self.until or not self._open):
            self._open.clear()
            self.until = None

    def is_unknown(self, site: str, payload: Payload | None) -> bool:
        """Whether the site says that it does not know the request, having been asked."""
        if site not in self._asked or not isinstance(payload, Ended):
            return False
        return payload.state == State.expired and payload.text == NOT_KNOWN


def may_be_amended(row: Row) -> bool:
    """It was asked, or may have been, and its site has not said how it ended: it may know more."""
    if row.waits.unasked or (row.state is State.not_started and not row.may_have):
        return False
    return not row.reported or row.state is State.running


def restored(kept: "KeptRow", now: float, epoch: float) -> Row:
    """The row as it was kept. now, epoch: the same moment on the book's clock and in seconds since the epoch.

    One of which it was not written down that it was asked waits for its turn, whatever else was written. It may have
    the request all the same: the program that sent it may have died before it wrote that down.
    """
    state = State(kept.state)
    waits = Wait.nothing if kept.asked or state.ended else Wait.turn
    return Row(
        kept.site,
        asked=now,
        due=float("inf"),
        state=State.pending if waits else state,
        changed=now - max(0.0, epoch - kept.changed),
        text="waits for its turn" if waits else kept.text,
        heard=kept.text if state is State.accepted else "",
        waits=waits,
        may_have=bool(waits) or state is State.not_started,
        outcome=_outcome(kept, state) if state.ended else None,
        reported=kept.reported and state.ended,
        late=kept.late,
    )


def _outcome(kept: "KeptRow", state: State) -> Outcome:
    try:
        payload = decode(kept.outcome) if kept.outcome is not None else None
    except WireError:  # of another version; what was kept beside it is left
        payload = None
    if isinstance(payload, Ended) and payload.state == state:
        return outcome_of(kept.site, payload)
    return Outcome(kept.site, state, Answer(kept.text))


def moment(until: float, now: float) -> str:
    """`18:00 UTC`, with the day if it is another one. Both in seconds since the epoch."""
    there, here = datetime.fromtimestamp(until, UTC), datetime.fromtimestamp(now, UTC)
    return f"{there:%H:%M} UTC" if there.date() == here.date() else f"{there:%Y-%m-%d %H:%M} UTC"
