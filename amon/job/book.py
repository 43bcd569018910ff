"""The book of a job: one row per targeted site, fed with what happens, closed by what is said or by time.

The theory is in the docstring of the package, the transitions in `states.py`, whose turn it is in `plan.py`.
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec.structs import replace

from amon.job.apart import Apart
from amon.job.exits import ExitCode, exit_code
from amon.job.rows import Row, Unexpected, Wait, summary, worst_first
from amon.job.states import CORRECTABLE, OF_UNASKED, REPORTS, TABLE, Event
from amon.units import format_quantity
from amon.words import Answer, Outcome, State

_TURN = "waits for its turn"


class Book:
    """Every method that takes `now` first closes what time has closed by then; time never runs backwards here.

    ends: when the last row may begin, on the clock of `now`; rows that have not begun by then are not-started.
    queue_ends: until when rows wait for sites that are offline; those are expired then.
    """

    def __init__(
        self,
        job: str,
        names: Iterable[str],
        now: float,
        accept_by: float = 5.0,
        deadline: float = 30.0,
        grace: float = 2.0,
        *,
        turns: bool = False,
        ends: float = math.inf,
        queue_ends: float = math.inf,
    ) -> None:
        """turns: rows wait for theirs, until `ask`; else they are asked now."""
        self.id = job
        self.accept_by, self.deadline, self.grace = accept_by, deadline, grace
        self.ends, self.queue_ends = ends, queue_ends
        self._apart = Apart()
        self._now = now
        self._cancel_at: float | None = None
        due = ends if turns else now + min(accept_by, deadline + grace)
        waits, text = (Wait.turn, _TURN) if turns else (Wait.nothing, "")
        self._rows = {name: Row(name, asked=now, due=due, changed=now, waits=waits, text=text) for name in names}
        self._counts = Counter({State.pending: len(self._rows)})
        self._waits = Counter({waits: len(self._rows)})
        self._changed: dict[str, None] = {}
        # When rows end by themselves. Stale entries stay until they surface: a row's own `due` is what counts.
        self._dues = sorted((due, name) for name in self._rows) if due < math.inf else []

    # What happens to a site.

    def accepted(self, site: str, now: float) -> None:
        self._happens(site, Event.accepted, now)

    def progress(self, site: str, now: float, text: str = "", fraction: float | None = None) -> None:
        """It is at it. `fraction` of the work done, 0 to 1, where it is known."""
        self._happens(site, Event.progress, now)
        row = self._rows.get(site)
        if row is not None and row.state is State.accepted:
            known = fraction is not None and 0 <= fraction <= 1
            said = text or row.heard
            self._put(replace(row, text=said, heard=said, fraction=fraction if known else row.fraction))

    def ended(self, outcome: Outcome, now: float) -> None:
        """A site's own word. `outcome.site` is who sent it, never what the message claims."""
        self.tick(now)
        row = self._rows.get(outcome.site)
        if row is None:
            self._apart.add(outcome, "was not asked", self._now)
        elif outcome.state not in REPORTS:
            self._apart.add(outcome, f"no site can report {outcome.state}", self._now)
        elif row.waits.unasked and not row.may_have:
            self._apart.add(outcome, "was not asked yet", self._now)
        elif not row.state.ended:
            self._reported(row, outcome)
        elif row.state is outcome.state is State.running or outcome == row.outcome:
            return
        elif (row.state in CORRECTABLE or row.may_have) and (not row.reported or row.state is State.running):
            self._end(row, outcome, self._now, reported=True)
        else:
            self._apart.add(outcome, f"had reported {row.state}" if row.reported else f"is {row.state}", self._now)

    def bounced(self, site: str, now: float, text: str = "") -> None:
        """The server could not deliver the request; `text` says why, if it did."""
        self._happens(site, Event.bounced, now, text)

    def offline(self, site: str, now: float, text: str = "") -> None:
        """Known to be offline when the request was sent: costs no waiting."""
        self._happens(site, Event.offline, now, text)

    def gone(self, site: str, now: float) -> None:
        """Its presence turned unavailable. Any site may be named, targeted or not."""
        self._happens(site, Event.gone, now)

    def unknown(self, site: str, now: float, text: str = "") -> None:
        """Asked what became of it, the site does not know the request."""
        self._happens(site, Event.unknown, now, text)
        row = self._rows.get(site)
        if row is not None and row.waits.unasked and row.may_have:
            self._put(replace(row, may_have=False))

    def skip(self, site: str, now: float, text: str = "") -> None:
        """It will not be asked: the batch stopped before its turn."""
        self._happens(site, Event.skipped, now, text)

    def expire(self, site: str, now: float, text: str = "") -> None:
        """It stayed queued for longer than the request is worth."""
        self._happens(site, Event.expired, now, text)

    def hold(self, site: str, now: float, waits: Wait = Wait.word, text: str = "", *, may_have: bool = False) -> None:
        """It waits for something, and the times of its request do not run: until `ask`, `skip` or the end of the job.

        With `Wait.word` (the site asks back and a person thinks) and without an end of the job there is no time at
        which it ends by itself: somebody answers. may_have: it is thought offline, and may have the request all the
        same.
        """
        self.tick(now)
        row = self._rows.get(site)
        if row is not None and not row.state.ended:
            may_have = may_have or row.may_have
            self._open(replace(row, state=State.pending, waits=waits, text=text, changed=self._now, may_have=may_have))

    def ask(self, site: str, now: float) -> None:
        """The request goes to this site (again) now: its times start here."""
        row = self._rows[site]
        if not row.state.ended:
            self._open(replace(row, asked=now, changed=now, waits=Wait.nothing, text=row.heard))

    def restore(self, row: Row, now: float) -> None:
        """How it stood when an earlier book of this job was kept. `row.due` is worked out anew."""
        if row.state.ended:
            self._put(replace(row, waits=Wait.nothing))
        else:
            self._open(replace(row, asked=now))

    # What happens to all.

    def stop(self, why: str, now: float) -> None:
        """Nobody else begins: rows that wait are not-started. Those under way go on."""
        self.tick(now)
        for row in list(self._rows.values()):
            if row.waits:
                self._apply(row, Event.skipped, self._now, why)

    def cancel(self, now: float, wait: float | None = None) -> None:
        """No longer wanted. Sites have `wait` (if not given: the grace) to confirm it; 0 closes the book at once."""
        self.tick(now)
        until = self._now + (self.grace if wait is None else wait)
        self._cancel_at = until if self._cancel_at is None else min(self._cancel_at, until)
        for row in list(self._rows.values()):
            if row.waits.unasked:
                self._apply(row, Event.skipped, self._now, "was cancelled before its turn came")
            elif not row.state.ended:
                self._open(row)
        self.tick(now)

    # What time does.

    def tick(self, now: float) -> None:
        """End what time has ended."""
        self._now = now = max(now, self._now)
        while (due := self.next_due()) is not None and due <= now:
            row = self._rows[self._dues[0][1]]
            event = self._event_of_time(row)
            if event is Event.time_up and row.state is State.pending and due < self.queue_ends < math.inf:
                self._wait_on(row, due)
            else:
                self._apply(row, event, due)

    def next_due(self) -> float | None:
        """When `tick` is needed next; None when no row ends by time alone: closed, or somebody has to answer."""
        while self._dues:
            due, site = self._dues[0]
            row = self._rows[site]
            if not row.state.ended and row.due == due:
                return due
            heapq.heappop(self._dues)
        return None

    # How it stands.

    @property
    def closed(self) -> bool:
        return not (self._counts[State.pending] or self._counts[State.accepted])

    @property
    def waiting(self) -> int:
        """Rows that take no place yet: their turn has not come, or their site is not there."""
        return self._waits[Wait.turn] + self._waits[Wait.offline]

    @property
    def absent(self) -> int:
        """Rows that wait for their site to be there."""
        return self._waits[Wait.offline]

    @property
    def asking_back(self) -> int:
        """Rows whose site did nothing yet because somebody must say yes first."""
        return self._waits[Wait.word]

    @property
    def under_way(self) -> int:
        """Rows that were begun and have not ended, those that ask back among them."""
        return self._counts[State.pending] + self._counts[State.accepted] - self.waiting

    @property
    def tally(self) -> Mapping[State, int]:
        """How many rows are in each state; of those that occur and some others."""
        return self._counts

    @property
    def unexpected(self) -> list[Unexpected]:
        return self._apart.kept

    @property
    def unexpected_count(self) -> int:
        return self._apart.count

    def __getitem__(self, site: str) -> Row:
        return self._rows[site]

    def __contains__(self, site: object) -> bool:
        return site in self._rows

    def __len__(self) -> int:
        return len(self._rows)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._rows)

    def rows(self) -> tuple[Row, ...]:
        """Every targeted site, worst first."""
        return worst_first(self._rows.values())

    def take_changed(self) -> tuple[Row, ...]:
        """The rows that changed since the last call, as they are now; costs what has changed, not what there is."""
        changed, self._changed = self._changed, {}
        return tuple(self._rows[site] for site in changed)

    def counts(self) -> dict[State, int]:
        """How many sites are in each state that occurs."""
        return {state: self._counts[state] for state in State if self._counts[state]}

    def summary(self) -> str:
        late = sum(row.late for row in self._rows.values())
        return summary(self._counts, late, self.unexpected_count)

    def exit_code(self) -> ExitCode:
        return exit_code(self.counts())

    # How rows change.

    def _happens(self, site: str, event: Event, now: float, text: str = "") -> None:
        self.tick(now)
        row = self._rows.get(site)
        if row is not None:
            self._apply(row, event, self._now, text)
        elif event in (Event.accepted, Event.progress):
            self._apart.add(Outcome(site, State.accepted), "was not asked", self._now)

    def _apply(self, row: Row, event: Event, at: float, text: str = "") -> None:
        """Read the table; what is not in it changes nothing, nor does what a site says that was not asked."""
        if (row.state, event) not in TABLE or (row.waits.unasked and event not in OF_UNASKED):
            return
        if row.reported and row.state is not State.running:
            return
        state, words = TABLE[row.state, event]
        if not state.ended:
            self._open(replace(row, state=state, accepted=at, changed=at, waits=Wait.nothing))
            return
        words = words.format(
            accept_by=format_quantity(self.accept_by, "s"), deadline=format_quantity(self.deadline, "s")
        )
        self._end(row, Outcome(row.site, state, Answer(text or words)), at, reported=False)

    def _reported(self, row: Row, outcome: Outcome) -> None:
        """The first report of a row that is open. `running` is an end only when the time is up."""
        if outcome.state is not State.running or self._now >= row.asked + self.deadline:
            self._end(row, outcome, self._now, reported=True)
            return
        self._apply(row, Event.accepted, self._now)
        self._open(replace(self._rows[row.site], at_it=True, text=outcome.text or row.text))

    def _open(self, row: Row) -> None:
        """Put down an open row and when it ends by itself."""
        due = self._due(row)
        if due != row.due:
            row = replace(row, due=due)
            if due < math.inf:
                heapq.heappush(self._dues, (due, row.site))
        self._put(row)

    def _wait_on(self, row: Row, at: float) -> None:
        """Silent, in a job that waits for sites: its line may have been cut a moment before anybody knew.

        It is asked again when it shows itself, or is thought to be there; should it have the request, it knows the id.
        """
        text = f"did not accept in {format_quantity(self.accept_by, 's')}; is asked again"
        self._open(replace(row, waits=Wait.offline, text=text, changed=at, may_have=True))

    def _due(self, row: Row) -> float:
        stop = math.inf if self._cancel_at is None else self._cancel_at
        if row.waits:
            return min(stop, self.ends, self.queue_ends if row.waits is Wait.offline else math.inf)
        last = row.asked + self.deadline + (0.0 if row.at_it else self.grace)
        if self._cancel_at is not None:
            return min(last, stop)
        return min(last, row.asked + self.accept_by) if row.state is State.pending else last

    def _event_of_time(self, row: Row) -> Event:
        if row.waits and (self._cancel_at is None or row.due < self._cancel_at):
            if row.waits is Wait.offline and row.due < self.ends:
                return Event.expired
            return Event.unanswered if row.waits is Wait.word else Event.over
        if self._cancel_at is not None:  # one that was found offline only after it was told to stop was never reached
            return Event.skipped if row.waits.unasked else Event.cancelled
        return Event.time_up_at_it if row.at_it else Event.time_up

    def _end(self, row: Row, outcome: Outcome, at: float, reported: bool) -> None:
        text = outcome.text
        if outcome.state is State.lost and row.last_word and row.last_word not in text:
            text = "; last word: ".join(filter(None, (text, row.last_word)))
        self._put(
            replace(
                row,
                state=outcome.state,
                changed=at,
                text=text,
                outcome=outcome,
                reported=reported,
                late=row.late or (row.state.ended and (reported or row.state is not outcome.state)),
                waits=Wait.nothing,
            )
        )

    def _put(self, row: Row) -> None:
        """The one place where a row is written."""
        before = self._rows[row.site]
        if before.state is not row.state:
            self._counts[before.state] -= 1
            self._counts[row.state] += 1
        if before.waits is not row.waits:
            self._waits[before.waits] -= 1
            self._waits[row.waits] += 1
        self._rows[row.site] = row
        self._changed[row.site] = None
