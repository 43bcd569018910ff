"""Whose turn it is: batches that slide, canaries, splay, failures, one time for all. And sites drawn by a seed."""

import pytest

from amon.errors import Invalid
from amon.job import Book, Plan, Rollout, Wait, draw_seed, parse_share, sample
from amon.job.plan import FAILURES, describe
from amon.words import Answer, Outcome, State

NAMES = tuple(f"s{number}" for number in range(10))


class Running:
    """A rollout and its book at work. Each step says who was begun."""

    def __init__(self, plan: Plan, names: tuple[str, ...] = NAMES, online: tuple[str, ...] = NAMES) -> None:
        self.now = 100.0
        self.rollout = Rollout(plan, names, online, self.now)
        self.book = Book("01J", names, self.now, 5.0, 30.0, 2.0, turns=True, ends=self.rollout.ends_at)

    def step(self, passed: float = 0.0) -> tuple[str, ...]:
        self.now += passed
        self.book.tick(self.now)
        names = self.rollout.ready(self.book, self.now)
        if self.rollout.stopped:
            self.book.stop(self.rollout.stopped, self.now)
        for name in names:
            self.book.ask(name, self.now)
        return names

    def end(self, *names: str, state: State = State.done, text: str = "") -> None:
        for name in names:
            self.book.ended(Outcome(name, state, Answer(text)), self.now)

    def states(self) -> dict[State, int]:
        return self.book.counts()


def test_without_a_plan_it_is_everybodys_turn_at_once() -> None:
    job = Running(Plan())
    assert job.book[NAMES[3]].waits is Wait.turn
    assert job.step() == NAMES
    assert (job.step(), job.rollout.next_due(), job.book.waiting) == ((), None, 0)


def test_a_batch_slides_a_new_one_begins_as_soon_as_one_has_ended() -> None:
    job = Running(Plan(batch=3))
    assert job.step() == ("s0", "s1", "s2")
    assert job.step(1) == ()
    job.end("s1")
    assert job.step() == ("s3",)
    job.end("s0", "s2", state=State.failed)
    assert job.step() == ("s4", "s5")
    assert (job.book.under_way, job.book.waiting) == (3, 4)


def test_a_row_that_waits_says_so_and_does_not_end_by_itself() -> None:
    job = Running(Plan(batch=1), ("cern", "desy"))
    job.step()
    row = job.book["desy"]
    assert (row.state, row.text, row.waits) == (State.pending, "waits for its turn", Wait.turn)
    job.step(5)
    assert (job.book["cern"].state, job.book["desy"].waits, job.book["desy"].text) == (State.silent, "", "")
    job.step(5)
    assert job.book["desy"].state is State.silent


def test_a_site_that_hangs_holds_its_place_only_until_its_time_is_up() -> None:
    job = Running(Plan(batch=1), ("cern", "desy"))
    job.step()
    job.book.accepted("cern", job.now)
    assert job.step(31) == ()
    assert job.step(1) == ("desy",)
    assert job.book["cern"].state is State.lost


def test_canaries_are_those_that_are_online_and_the_rest_waits_until_all_of_them_are_done() -> None:
    job = Running(Plan(canary=2), online=("s4", "s7", "s9"))
    assert job.step() == ("s4", "s7") == job.rollout.canaries
    job.end("s7")
    assert job.step(1) == ()
    job.end("s4")
    assert job.step() == tuple(name for name in NAMES if name not in ("s4", "s7"))


def test_where_too_few_are_online_others_are_canaries_too() -> None:
    assert Running(Plan(canary=3), online=("s9",)).rollout.canaries == ("s9", "s0", "s1")


@pytest.mark.parametrize(
    "state", [State.failed, State.refused, State.invalid, State.running, State.cancelled, State.expired, State.lost]
)
def test_a_canary_that_is_anything_but_done_stops_the_job(state: State) -> None:
    job = Running(Plan(canary=2))
    job.step()
    job.end("s1", state=State.done)
    job.now += 31  # running is an end only when the time is up
    job.end("s0", state=state, text="no room\non the disk")
    assert job.step() == ()
    assert job.rollout.stopped == f"the canary s0 is {state}: no room"
    assert job.book["s9"].text == job.rollout.stopped
    assert job.book["s9"].state is State.not_started
    assert job.book.closed


def test_a_canary_that_says_nothing_stops_the_job_when_its_time_is_up() -> None:
    job = Running(Plan(canary=1))
    job.step()
    assert job.step(4.9) == ()
    assert job.book.under_way == 1
    job.step(0.1)
    assert job.rollout.stopped == "the canary s0 is silent: did not accept in 5 s; it may still do it"
    job.end("s0")
    assert (job.step(), job.book["s0"].state) == ((), State.done)  # late; it stays stopped


def test_canaries_go_in_batches_too_and_one_that_fails_spares_the_other_canaries() -> None:
    job = Running(Plan(canary=3, batch=2))
    assert job.step() == ("s0", "s1")
    job.end("s0", state=State.failed)
    job.step()
    assert job.states() == {State.failed: 1, State.pending: 1, State.not_started: 8}


def test_more_canaries_than_sites_are_all_of_them() -> None:
    job = Running(Plan(canary=50))
    assert job.step() == NAMES
    job.end(*NAMES)
    assert (job.step(), job.rollout.stopped, job.book.closed) == ((), "", True)


def test_after_too_many_failures_no_other_is_begun_and_those_under_way_go_on() -> None:
    job = Running(Plan(batch=2, max_failures=1))
    job.step()
    job.end("s0", state=State.failed)
    assert job.step() == ("s2",)
    job.end("s1", state=State.refused)
    assert job.step() == ()
    assert job.rollout.stopped == "2 sites had not ended well; --max-failures is 1"
    assert job.states() == {State.pending: 1, State.failed: 1, State.refused: 1, State.not_started: 7}
    job.end("s2")
    assert job.book.closed


def test_the_first_failure_may_be_one_too_many() -> None:
    job = Running(Plan(batch=1, max_failures=0))
    job.step()
    job.end("s0", state=State.invalid)
    job.step()
    assert job.rollout.stopped == "1 site had not ended well; --max-failures is 0"


@pytest.mark.parametrize("state", [state for state in State if state.ended])
def test_what_counts_as_a_failure_is_what_may_have_done_harm(state: State) -> None:
    expected = state in (State.failed, State.lost, State.silent, State.refused, State.invalid)
    assert (state in FAILURES) is expected


def test_sites_that_are_not_there_do_not_stop_a_job_and_cost_no_waiting() -> None:
    job = Running(Plan(batch=1, max_failures=0))
    for name in NAMES:
        assert job.step() == (name,)
        job.book.bounced(name, job.now)
    assert job.states() == {State.not_here: 10}


def test_a_splay_spreads_beginnings_evenly_and_says_when_the_next_is_due() -> None:
    job = Running(Plan(splay=10.0))
    assert job.step() == ("s0",)
    assert job.rollout.next_due() == 101.0
    assert job.step(0.9) == ()
    assert job.step(0.1) == ("s1",)
    assert job.step(3) == ("s2", "s3", "s4")


def test_a_splay_does_not_stretch_because_a_batch_is_full() -> None:
    job = Running(Plan(splay=10.0, batch=1))
    job.step()
    job.end("s0")
    assert job.step(5) == ("s1",)
    job.end("s1")
    assert job.step() == ("s2",)


def test_canaries_and_the_rest_are_spread_each() -> None:
    job = Running(Plan(splay=10.0, canary=2))
    assert job.step() == ("s0",)
    job.end("s0")
    assert job.step(5) == ("s1",)
    job.end("s1")
    assert job.step() == ("s2",)
    assert job.rollout.next_due() == 105.0 + 10 / 8


def test_when_the_time_of_the_whole_job_is_up_nobody_begins_and_who_is_under_way_keeps_his_time() -> None:
    job = Running(Plan(batch=1, within=20.0))
    job.step()
    job.book.accepted("s0", job.now)
    assert job.rollout.next_due() == 120.0
    assert job.step(20) == ()
    assert job.book["s1"].text == "the time of the whole job was up before its turn came"
    assert job.states() == {State.accepted: 1, State.not_started: 9}
    job.end("s0")
    assert job.book.closed


def test_rows_end_at_the_time_of_the_whole_job_whether_or_not_somebody_asks_whose_turn_it_is() -> None:
    job = Running(Plan(batch=1, within=20.0))
    job.step()
    job.book.tick(200.0)
    assert (job.states(), job.book.closed) == ({State.silent: 1, State.not_started: 9}, True)


def test_when_time_has_ended_all_who_were_in_line_nothing_is_due_for_them_any_more() -> None:
    job = Running(Plan(batch=1, within=20.0))
    job.step()
    job.book.accepted("s0", job.now)
    job.book.tick(121.0)
    assert (job.step(21), job.rollout.next_due(), job.book.next_due()) == ((), None, 132.0)


def test_while_a_person_thinks_a_place_is_taken_and_the_time_of_the_whole_job_ends_that_too() -> None:
    job = Running(Plan(batch=2, within=60.0))
    job.step()
    job.book.hold("s0", job.now)
    job.book.hold("s1", job.now)
    assert (job.step(30), job.book.under_way, job.book.asking_back) == ((), 2, 2)
    job.step(30)
    assert job.book["s0"].text == "nobody said yes before the time of the whole job was up; nothing was done"
    assert job.states() == {State.not_started: 10}


def test_cancelled_in_the_middle_of_a_batch_who_never_began_has_not_started() -> None:
    job = Running(Plan(batch=3))
    job.step()
    job.end("s0")
    job.book.cancel(job.now)
    job.rollout.stop("cancelled")
    assert job.step() == ()
    assert job.states() == {State.pending: 2, State.done: 1, State.not_started: 7}
    assert job.book["s9"].text == "was cancelled before its turn came"
    job.step(2)
    assert job.states() == {State.done: 1, State.cancelled: 2, State.not_started: 7}


def test_who_was_not_there_at_his_turn_comes_to_the_head_of_the_line_when_he_is() -> None:
    job = Running(Plan(batch=1))
    job.step()
    job.book.hold("s0", job.now, Wait.offline, "offline")
    assert job.step() == ("s1",)
    job.book.hold("s0", job.now, Wait.turn)
    job.rollout.back("s0")
    assert job.step() == ()
    job.end("s1")
    assert job.step() == ("s0",)


def test_a_canary_that_waits_for_its_site_is_waited_for() -> None:
    job = Running(Plan(canary=1))
    job.step()
    job.book.hold("s0", job.now, Wait.offline)
    assert job.step(1000) == ()
    job.book.expire("s0", job.now)
    job.step()
    assert job.rollout.stopped == "the canary s0 is expired: was not reached in time"


def test_a_rollout_that_was_begun_before_knows_its_canaries() -> None:
    rollout = Rollout(Plan(canary=2), NAMES, NAMES, 100.0, begun=("s5",))
    assert rollout.canaries == ("s5", "s0")
    book = Book("01J", NAMES, 100.0, turns=True)
    book.ask("s5", 100.0)
    assert rollout.ready(book, 100.0) == ("s0",)
    book.ask("s0", 100.0)
    book.ended(Outcome("s5", State.failed), 100.0)
    assert (rollout.ready(book, 100.0), rollout.stopped) == ((), "the canary s5 is failed")


def test_a_rollout_that_had_begun_more_than_its_canaries_had_passed_them() -> None:
    rollout = Rollout(Plan(canary=1, batch=3), NAMES, NAMES, 100.0, begun=("s5", "s6"))
    book = Book("01J", NAMES, 100.0, turns=True)
    for name in ("s5", "s6"):
        book.ask(name, 100.0)
    assert (rollout.canaries, rollout.ready(book, 100.0)) == ((), ("s0",))


def test_all_canaries_of_before_have_to_be_done_even_if_none_of_them_is_left_to_begin() -> None:
    rollout = Rollout(Plan(canary=1), NAMES, NAMES, 100.0, begun=("s5",))
    book = Book("01J", NAMES, 100.0, turns=True)
    book.ask("s5", 100.0)
    assert rollout.ready(book, 100.0) == ()
    book.ended(Outcome("s5", State.done), 101.0)
    assert len(rollout.ready(book, 101.0)) == 9


@pytest.mark.parametrize(
    ("plan", "latest"),
    [
        (Plan(), 132.0),
        (Plan(batch=3), 100 + 4 * 32.0),
        (Plan(canary=1, batch=3), 100 + 32 + 3 * 32.0),
        (Plan(splay=60.0), 100 + 60 + 32.0),
        (Plan(batch=1, within=50.0), 100 + 50 + 32.0),
    ],
)
def test_the_latest_end_of_a_job_is_known(plan: Plan, latest: float) -> None:
    assert Rollout(plan, NAMES, NAMES, 100.0).latest_end(32.0) == latest


def test_those_whose_turn_is_next_are_known_in_order() -> None:
    job = Running(Plan(canary=2, batch=1))
    job.step()
    assert job.rollout.upcoming(3) == ("s1", "s2", "s3")
    assert len(job.rollout.upcoming(100)) == 9


# Shares and samples


@pytest.mark.parametrize(
    ("text", "of", "number"),
    [
        ("10", 1000, 10), ("10%", 1000, 100), ("10%", 5, 1), ("100%", 7, 7), ("2.5%", 1000, 25), (" 3 ", 9, 3),
        ("33%", 100, 33), ("50 %", 9, 4), ("20", 5, 20),
    ],
)  # fmt: skip
def test_a_share_is_a_number_of_sites(text: str, of: int, number: int) -> None:
    assert parse_share(text, of) == number


@pytest.mark.parametrize(("text", "of", "number"), [("0", 9, 0), ("0%", 9, 0), ("10%", 5, 0), ("10%", 25, 2)])
def test_of_failures_none_may_be_a_number_too_and_a_share_is_never_exceeded(text: str, of: int, number: int) -> None:
    assert parse_share(text, of, least=0) == number


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("0", "at least 1"), ("0%", "at least 1"), ("101%", "at most 100%"), ("-3", "expected a number of sites"),
        ("", "expected a number"), ("%", "expected a number"), ("ten", "expected a number"),
        ("1.5", "expected a number"),
        ("10%%", "expected a number"), ("1e3", "expected a number"), ("٣", "expected a number"),
        ("9" * 5000, "expected a number"), ("2000000", "at most 1000000"), ("1.2.3%", "expected a number"),
    ],
)  # fmt: skip
def test_what_is_no_share_is_refused_with_what_to_write(text: str, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        parse_share(text, 100)


def test_a_sample_is_the_same_for_the_same_seed_and_keeps_the_order() -> None:
    drawn = sample(NAMES, 4, 7)
    assert drawn == sample(NAMES, 4, 7) == ("s1", "s2", "s5", "s7")  # what other versions drew, too
    assert len(drawn) == 4
    assert list(drawn) == sorted(drawn)
    assert {sample(NAMES, 4, seed) for seed in range(20)} > {drawn}


def test_a_site_that_joins_or_leaves_changes_a_sample_by_one_at_most() -> None:
    names = tuple(f"site{number:03}" for number in range(200))
    drawn = set(sample(names, 20, 1))
    assert all(len(drawn - set(sample(tuple(n for n in names if n != gone), 20, 1))) <= 1 for gone in names[:50])


@pytest.mark.parametrize(("limit", "count"), [(0, 0), (-1, 0), (3, 3), (10, 10), (99, 10)])
def test_a_sample_has_no_more_than_there_are(limit: int, count: int) -> None:
    assert len(sample(NAMES, limit, 1)) == count


def test_each_site_is_drawn_about_as_often_as_another() -> None:
    drawn = [name for seed in range(1000) for name in sample(NAMES, 3, seed)]
    assert all(230 < drawn.count(name) < 370 for name in NAMES)


def test_a_seed_that_is_drawn_is_short_enough_to_be_told() -> None:
    assert {len(str(draw_seed())) <= 6 for _ in range(50)} == {True}


def test_a_plan_reads_as_a_sentence() -> None:
    plan = Plan(batch=10, canary=2, max_failures=1, splay=60.0, within=600.0)
    assert ", ".join(describe(plan)) == (
        "2 first, 10 at a time, stops after more than 1 failure, spread over 60 s, none is begun after 600 s"
    )
    assert list(describe(Plan())) == []
