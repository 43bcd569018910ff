"""Sites of a job that are not there, or not any more: who waits for them, and who is asked what became of it."""

from collections.abc import Iterable

from amon.clock import Clock
from amon.job import Book, Row, Wait
from amon.runtime.delivery import tell
from amon.runtime.fleet import Fleet
from amon.runtime.mailbox import Letter
from amon.runtime.resuming import Inquiry, moment
from amon.runtime.turns import Turns
from amon.wire import Fetch
from amon.words import State

_LOOK_AGAIN = 60.0  # seconds after which those who wait for presence are looked for, whatever was or was not told


class Absent:
    """inquiry: who was asked what became of it. look_at: when `look` is needed next."""

    def __init__(self, fleet: Fleet, clock: Clock, book: Book, turns: Turns) -> None:
        self.inquiry = Inquiry()
        self.look_at: float | None = None
        self._fleet = fleet
        self._clock = clock
        self._book = book
        self._turns = turns

    def fetch(self, names: Iterable[str]) -> None:
        """Ask these what became of it."""
        job = self._turns.job
        order = Fetch(job.id)
        asked = [name for name in names if tell(self._fleet, name, order)]
        self.inquiry.begin(asked, self._clock.monotonic() + job.accept_by)

    def moved(self, letter: Letter) -> None:
        """What was sent bounced, or somebody came or went, we ourselves among them."""
        book, site, at = self._book, letter.site, letter.at
        if not site and letter.here:  # what was said meanwhile was said to nobody
            self._turns.repeat()
            self.fetch([row.site for row in book.rows() if row.state is State.accepted])
        if site not in book:
            return
        row = book[site]
        if letter.here:
            self._came(row)
            return
        self.inquiry.heard(site, at)
        if self._turns.job.queue_until is not None and row.state is State.pending and not row.waits.unasked:
            # Should it have the request, it does nothing twice. Who bounced has it only if a room brought it, too.
            self._queue(site, may_have=letter.gone or site in self._turns.through)
        elif letter.gone or letter.of == "fetch":
            book.gone(site, at)
        else:
            book.bounced(site, at, letter.text)

    def unknown(self, site: str, at: float) -> None:
        """Asked what became of it, it does not know it. Where the job waits for sites it is sent once more: whoever
        sent it before may have died before he saw it come back, and a site that has it all the same knows its id."""
        until = self._turns.job.queue_until
        is_open = site in self._book and self._book[site].state is State.pending and not self._book[site].waits
        if is_open and until is not None and self._clock.time() < until:
            self._book.hold(site, at, Wait.turn, "waits for its turn", may_have=True)
            self._turns.rollout.back(site)
        else:
            self._book.unknown(site, at)

    def next_look(self) -> float | None:
        """When `look` is needed next; while somebody waits for his site that is never far."""
        if self.look_at is None and self._book.absent:
            self.look_at = self._clock.monotonic() + _LOOK_AGAIN
        return self.look_at

    def look(self, now: float) -> None:
        """For presence that overtook the bounce, or was never told."""
        self.look_at = None
        for row in self._book.rows():
            if row.waits is Wait.offline:
                self.look_at = now + _LOOK_AGAIN
                if self._fleet.sites[row.site].online:
                    self._came(row)

    def _queue(self, site: str, may_have: bool) -> None:
        """It is not there: its turn comes again when it is."""
        until = self._turns.job.queue_until
        assert until is not None
        now = self._clock.monotonic()
        text = f"offline; waits until {moment(until, self._clock.time())}"
        self._book.hold(site, now, Wait.offline, text, may_have=may_have)

    def _came(self, row: Row) -> None:
        """A site is there again: what waited for it may begin, and what it was lost with may be known."""
        now, until = self._clock.monotonic(), self._turns.job.queue_until
        if row.waits is Wait.offline and until is not None and self._clock.time() >= until:
            self._book.expire(row.site, now)  # the machine slept meanwhile, and its monotonic time with it
        elif row.waits is Wait.offline:
            self._book.hold(row.site, now, Wait.turn, "waits for its turn")
            self._turns.rollout.back(row.site)
        elif row.state in (State.silent, State.lost) and not row.reported and not self.inquiry.is_enough(row.site):
            self.fetch([row.site])
