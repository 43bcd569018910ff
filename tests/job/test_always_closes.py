"""Whatever happens, in whatever order, by its time the book is closed and each site ended in exactly one state."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from amon.job import Book, Row, Wait
from amon.job.states import CORRECTABLE, REPORTS, TABLE, Event
from amon.words import Answer, Outcome, State

SITES = [f"s{number}" for number in range(5)]
SITE = st.sampled_from([*SITES, "stranger"])
STEP = st.sampled_from([0.0, 0.0, 0.1, 1.0, 4.9, 7.0, 30.0])
TEXTS = st.sampled_from(["", "one", "two"])
ACCEPT_BY, DEADLINE, GRACE, START = 5.0, 30.0, 2.0, 1000.0
ENDS, QUEUE_ENDS = START + 100.0, START + 60.0
LAST = ENDS + DEADLINE + GRACE


class AnyJob(RuleBasedStateMachine):
    """Two books are fed the same; one of them is also ticked at will, which must make no difference."""

    outcomes = Bundle("outcomes")

    @initialize(names=st.sets(st.sampled_from(SITES)), turns=st.booleans())
    def begin(self, names: set[str], turns: bool) -> None:
        self.now = START
        self.names = sorted(names)
        self.job, self.twin = (
            Book("01J", self.names, START, ACCEPT_BY, DEADLINE, GRACE, turns=turns, ends=ENDS, queue_ends=QUEUE_ENDS)
            for _ in range(2)
        )
        self.before: dict[str, Row] = {}
        self.was_closed = False
        self.mirror = {name: self.job[name] for name in self.names}

    @rule(
        step=STEP,
        site=SITE,
        event=st.sampled_from(["accepted", "bounced", "offline", "gone", "skip", "expire", "unknown"]),
    )
    def something_happens(self, step: float, site: str, event: str) -> None:
        self.now += step
        for book in (self.job, self.twin):
            getattr(book, event)(site, self.now)

    @rule(step=STEP, site=SITE, text=TEXTS, fraction=st.none() | st.floats())
    def progress(self, step: float, site: str, text: str, fraction: float | None) -> None:
        self.now += step
        for book in (self.job, self.twin):
            book.progress(site, self.now, text, fraction)

    @rule(target=outcomes, step=STEP, site=SITE, state=st.sampled_from(State), text=TEXTS)
    def report(self, step: float, site: str, state: State, text: str) -> Outcome:
        self.now += step
        outcome = Outcome(site, state, Answer(text))
        for book in (self.job, self.twin):
            book.ended(outcome, self.now)
        return outcome

    @rule(step=STEP, outcome=outcomes)
    def report_again(self, step: float, outcome: Outcome) -> None:
        self.now += step
        for book in (self.job, self.twin):
            book.ended(outcome, self.now)

    @rule(step=STEP, site=st.sampled_from(SITES))
    def its_turn_comes(self, step: float, site: str) -> None:
        self.now += step
        for book in (self.job, self.twin):
            book.tick(self.now)
            if site in book and book[site].waits:
                book.ask(site, self.now)

    @rule(step=STEP, site=SITE, waits=st.sampled_from([wait for wait in Wait if wait]))
    def it_has_to_wait(self, step: float, site: str, waits: Wait) -> None:
        self.now += step
        for book in (self.job, self.twin):
            book.hold(site, self.now, waits, "waits")

    @rule(step=STEP)
    def the_job_stops(self, step: float) -> None:
        self.now += step
        for book in (self.job, self.twin):
            book.stop("enough", self.now)
            assert not any(row.waits for row in book.rows())

    @rule()
    def somebody_writes_down_what_changed(self) -> None:
        self.mirror.update((row.site, row) for row in self.job.take_changed())
        assert self.mirror == {row.site: row for row in self.job.rows()}
        assert self.job.take_changed() == ()

    @rule(wait=st.none() | st.sampled_from([0.0, 1.0, 100.0]))
    def cancel(self, wait: float | None) -> None:
        for book in (self.job, self.twin):
            book.cancel(self.now, wait)

    @rule(step=STEP)
    def time_passes_and_only_one_looks(self, step: float) -> None:
        self.now += step
        self.job.tick(self.now)

    @invariant()
    def every_site_has_one_row_and_the_counts_add_up(self) -> None:
        rows = self.job.rows()
        assert sorted(row.site for row in rows) == self.names
        counts = self.job.counts()
        assert sum(counts.values()) == len(self.names)
        assert all(count == sum(row.state is state for row in rows) for state, count in counts.items())

    @invariant()
    def an_end_is_an_end(self) -> None:
        for row in self.job.rows():
            assert row.state.ended == (row.outcome is not None)
            assert not (row.state.ended and row.waits)
            assert not row.waits or row.state is State.pending
            assert row.outcome is None or (row.outcome.state, row.outcome.site) == (row.state, row.site)
            was = self.before.get(row.site)
            if was is not None and was.state.ended:
                assert row.state.ended
                amended = row.late and (was.state in CORRECTABLE or was.may_have)
                assert row == was or amended or (row.state is was.state is State.silent)
            self.before[row.site] = row

    @invariant()
    def closed_is_for_good_and_open_has_a_time(self) -> None:
        assert self.job.closed or not self.was_closed
        self.was_closed = self.job.closed
        due = self.job.next_due()
        assert (due is None) == self.job.closed
        assert due is None or due <= LAST

    @invariant()
    def who_waits_is_counted_apart_from_who_is_under_way(self) -> None:
        rows = [row for row in self.job.rows() if not row.state.ended]
        waiting = [row for row in rows if row.waits in (Wait.turn, Wait.offline)]
        assert (self.job.waiting, self.job.under_way) == (len(waiting), len(rows) - len(waiting))
        assert self.job.asking_back == sum(row.waits is Wait.word for row in rows)

    def teardown(self) -> None:
        if not hasattr(self, "job"):
            return
        end = max(self.now, LAST)
        for book in (self.job, self.twin):
            book.tick(end)
            assert book.closed
            assert all(row.state.ended for row in book.rows())
            assert sum(book.counts().values()) == len(self.names)
        assert self.job.rows() == self.twin.rows()
        assert [(each.site, each.state) for each in self.job.unexpected] == [
            (each.site, each.state) for each in self.twin.unexpected
        ]


AnyJob.TestCase.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
TestAnyJob = AnyJob.TestCase


def test_every_open_state_ends_by_time_and_by_cancelling() -> None:
    for event in (Event.time_up, Event.cancelled):
        assert TABLE[State.pending, event][0].ended
        assert TABLE[State.accepted, event][0].ended


def test_no_row_of_the_table_opens_what_has_ended() -> None:
    assert all(after.ended for (before, _), (after, _) in TABLE.items() if before.ended)


def test_what_a_site_can_report_is_an_end_and_what_it_cannot_is_not_corrected_by_it() -> None:
    assert all(state.ended for state in REPORTS | CORRECTABLE)
    assert State.not_started not in REPORTS | CORRECTABLE
