"""The book of a job: one row per targeted site, fed with what happens, closed by what is said or by time.

The theory is in the docstring of the package, the transitions in `states.py`.
"""

import heapq
import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace

from amon.job.exits import ExitCode, exit_code
from amon.job.rows import Row, Unexpected, summary, worst_first
from amon.job.states import CORRECTABLE, REPORTS, TABLE, Event
from amon.units import format_quantity
from amon.words import Answer, Outcome, State

MOST_UNEXPECTED = 100
"""Unexpected answers that are kept; more are only counted."""
LONGEST_UNEXPECTED = 200
"""Characters that are kept of each."""


class Book:
    """Every method that takes `now` first closes what time has closed by then; time never runs backwards here."""

    def __init__(
        self,
        job: str,
        names: Iterable[str],
        now: float,
        accept_by: float = 5.0,
        deadline: float = 30.0,
        grace: float = 2.0,
    ) -> None:
        self.id = job
        self.accept_by, self.deadline, self.grace = accept_by, deadline, grace
        self.unexpected: list[Unexpected] = []
        self.unexpected_count = 0
        self._now = now
        self._cancel_at: float | None = None
        due = now + min(accept_by, deadline + grace)
        self._rows = {name: Row(name, asked=now, due=due, changed=now) for name in names}
        self._counts = Counter({State.pending: len(self._rows)})
        # When rows end by themselves. Stale entries stay until they surface: a row's own `due` is what counts.
        self._dues = sorted((due, name) for name in self._rows)

    # What happens to a site.

    def accepted(self, site: str, now: float) -> None:
        self._happens(site, Event.accepted, now)

    def progress(self, site: str, now: float, text: str = "", fraction: float | None = None) -> None:
        """It is at it. `fraction` of the work done, 0 to 1, where it is known."""
        self._happens(site, Event.progress, now)
        row = self._rows.get(site)
        if row is not None and not row.state.ended:
            known = fraction is not None and 0 <= fraction <= 1
            self._rows[site] = replace(row, text=text or row.text, fraction=fraction if known else row.fraction)

    def ended(self, outcome: Outcome, now: float) -> None:
        """A site's own word. `outcome.site` is who sent it, never what the message claims."""
        self.tick(now)
        row = self._rows.get(outcome.site)
        if row is None:
            self._set_apart(outcome, "was not asked")
        elif outcome.state not in REPORTS:
            self._set_apart(outcome, f"no site can report {outcome.state}")
        elif not row.state.ended:
            self._reported(row, outcome)
        elif row.state is outcome.state is State.running or outcome == row.outcome:
            return
        elif row.state in CORRECTABLE and (not row.reported or row.state is State.running):
            self._end(row, outcome, self._now, reported=True)
        else:
            self._set_apart(outcome, f"had reported {row.state}" if row.reported else f"is {row.state}")

    def bounced(self, site: str, now: float, text: str = "") -> None:
        """The server could not deliver the request; `text` says why, if it did."""
        self._happens(site, Event.bounced, now, text)

    def offline(self, site: str, now: float) -> None:
        """Known to be offline when the request was sent: costs no waiting."""
        self._happens(site, Event.offline, now)

    def gone(self, site: str, now: float) -> None:
        """Its presence turned unavailable. Any site may be named, targeted or not."""
        self._happens(site, Event.gone, now)

    def skip(self, site: str, now: float, text: str = "") -> None:
        """It will not be asked: the batch stopped before its turn."""
        self._happens(site, Event.skipped, now, text)

    def expire(self, site: str, now: float, text: str = "") -> None:
        """It stayed queued for longer than the request is worth."""
        self._happens(site, Event.expired, now, text)

    def hold(self, site: str, now: float) -> None:
        """The site asks back and a person thinks: this row has no time at which it ends, until `ask` or `skip`."""
        self.tick(now)
        row = self._rows.get(site)
        if row is not None and not row.state.ended:
            self._count(row.state, State.pending)
            self._rows[site] = replace(row, state=State.pending, due=math.inf, changed=self._now)

    def ask(self, site: str, now: float) -> None:
        """The request goes to this site (again) now: its times start here."""
        row = self._rows[site]
        if not row.state.ended:
            self._open(replace(row, asked=now, changed=now))

    def cancel(self, now: float, wait: float | None = None) -> None:
        """No longer wanted. Sites have `wait` (if not given: the grace) to confirm it; 0 closes the book at once."""
        self.tick(now)
        until = self._now + (self.grace if wait is None else wait)
        self._cancel_at = until if self._cancel_at is None else min(self._cancel_at, until)
        for row in list(self._rows.values()):
            if not row.state.ended:
                self._open(row)
        self.tick(now)

    # What time does.

    def tick(self, now: float) -> None:
        """End what time has ended."""
        self._now = now = max(now, self._now)
        while (due := self.next_due()) is not None and due <= now:
            row = self._rows[self._dues[0][1]]
            self._apply(row, self._event_of_time(row), due)

    def next_due(self) -> float | None:
        """When `tick` is needed next; None when the book is closed."""
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
            self._set_apart(Outcome(site, State.accepted), "was not asked")

    def _apply(self, row: Row, event: Event, at: float, text: str = "") -> None:
        """Read the table; what is not in it changes nothing."""
        if (row.state, event) not in TABLE:
            return
        state, words = TABLE[row.state, event]
        if not state.ended:
            self._count(row.state, state)
            self._open(replace(row, state=state, accepted=at, changed=at))
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
            heapq.heappush(self._dues, (due, row.site))
        self._rows[row.site] = replace(row, due=due)

    def _due(self, row: Row) -> float:
        last = row.asked + self.deadline + (0.0 if row.at_it else self.grace)
        if self._cancel_at is not None:
            return min(last, self._cancel_at)
        return min(last, row.asked + self.accept_by) if row.state is State.pending else last

    def _event_of_time(self, row: Row) -> Event:
        if self._cancel_at is not None:
            return Event.cancelled
        return Event.time_up_at_it if row.at_it else Event.time_up

    def _end(self, row: Row, outcome: Outcome, at: float, reported: bool) -> None:
        self._count(row.state, outcome.state)
        late = row.late or row.state.ended
        self._rows[row.site] = replace(
            row, state=outcome.state, changed=at, text=outcome.text, outcome=outcome, reported=reported, late=late
        )

    def _count(self, before: State, after: State) -> None:
        self._counts[before] -= 1
        self._counts[after] += 1

    def _set_apart(self, outcome: Outcome, why: str) -> None:
        """List an answer that fits no row, once however often it is delivered."""
        entry = Unexpected(outcome.site, outcome.state, why, outcome.text[:LONGEST_UNEXPECTED], self._now)
        if any(replace(known, at=self._now) == entry for known in self.unexpected):
            return
        self.unexpected_count += 1
        if len(self.unexpected) < MOST_UNEXPECTED:
            self.unexpected.append(entry)
