"""Rows that wait for something before they are under way, what was heard of one that is lost, and what changed."""

import math

import pytest

from amon.job import Book, Row, Wait
from amon.words import Answer, Outcome, State

UNASKED = [Wait.turn, Wait.offline, Wait.signature]


def book(*names: str, ends: float = math.inf, queue_ends: float = math.inf) -> Book:
    return Book("01J", names or ("cern",), 100.0, 5.0, 30.0, 2.0, turns=True, ends=ends, queue_ends=queue_ends)


def said(site: str, state: State = State.done, text: str = "") -> Outcome:
    return Outcome(site, state, Answer(text))


@pytest.mark.parametrize("waits", UNASKED)
def test_a_site_that_was_not_asked_has_no_word_in_its_row(waits: Wait) -> None:
    job = book()
    job.hold("cern", 100.0, waits, "waits")
    before = job["cern"]
    job.accepted("cern", 101.0)
    job.progress("cern", 101.0, "at it")
    job.gone("cern", 101.0)
    job.bounced("cern", 101.0)
    job.unknown("cern", 101.0)
    job.ended(said("cern"), 102.0)
    assert job["cern"] == before
    assert [(each.state, each.why) for each in job.unexpected] == [(State.done, "was not asked yet")]


@pytest.mark.parametrize(
    ("waits", "at", "state", "text"),
    [
        (Wait.turn, 200.0, State.not_started, "the time of the whole job was up before its turn came"),
        (Wait.signature, 200.0, State.not_started, "the time of the whole job was up before its turn came"),
        (Wait.offline, 150.0, State.expired, "was not reached in time"),
        (
            Wait.word,
            200.0,
            State.not_started,
            "nobody said yes before the time of the whole job was up; nothing was done",
        ),
    ],
)
def test_whoever_waits_has_a_time_at_which_that_ends(waits: Wait, at: float, state: State, text: str) -> None:
    job = book(ends=200.0, queue_ends=150.0)
    job.hold("cern", 101.0, waits, "waits")
    assert job.next_due() == at
    job.tick(at)
    assert (job["cern"].state, job["cern"].text, job["cern"].waits) == (state, text, Wait.nothing)


def test_a_queue_that_is_longer_than_the_job_ends_with_the_job() -> None:
    job = book(ends=150.0, queue_ends=200.0)
    job.hold("cern", 101.0, Wait.offline)
    job.tick(150.0)
    assert job["cern"].state is State.not_started


def test_without_a_time_for_the_whole_job_a_question_waits_for_its_answer_and_nothing_else_is_due() -> None:
    job = book()
    job.ask("cern", 100.0)
    job.hold("cern", 101.0)
    job.tick(1e9)
    assert (job.next_due(), job.closed) == (None, False)
    job.ask("cern", 1e9)
    assert job.next_due() == 1e9 + 5


def test_times_begin_when_the_site_is_asked_and_not_when_the_job_began() -> None:
    job = book()
    job.ask("cern", 160.0)
    assert (job["cern"].asked, job["cern"].text, job.next_due()) == (160.0, "", 165.0)
    job.accepted("cern", 161.0)
    assert job.next_due() == 192.0


@pytest.mark.parametrize("waits", [wait for wait in Wait if wait])
def test_a_job_that_stops_ends_everybody_who_waits_and_nobody_else(waits: Wait) -> None:
    job = book("cern", "desy")
    job.ask("desy", 100.0)
    job.hold("cern", 101.0, waits)
    job.stop("the canary fnal is failed", 102.0)
    assert (job["cern"].state, job["cern"].text) == (State.not_started, "the canary fnal is failed")
    assert job["desy"].state is State.pending


@pytest.mark.parametrize("waits", UNASKED)
def test_cancelled_who_was_not_asked_has_not_started_at_once(waits: Wait) -> None:
    job = book()
    job.hold("cern", 101.0, waits)
    job.cancel(102.0)
    assert (job["cern"].state, job["cern"].text) == (State.not_started, "was cancelled before its turn came")


def test_cancelled_while_a_person_thinks_the_site_may_confirm_it_or_not() -> None:
    job = book()
    job.ask("cern", 100.0)
    job.hold("cern", 101.0)
    job.cancel(102.0)
    assert job.next_due() == 104.0
    job.tick(104.0)
    assert job["cern"].state is State.cancelled


def test_known_offline_at_its_turn_it_is_not_here() -> None:
    job = book()
    job.offline("cern", 101.0, "is no site of this fleet any more")
    assert (job["cern"].state, job["cern"].text) == (State.not_here, "is no site of this fleet any more")


# Lost, and what was heard before


def test_a_site_that_is_lost_keeps_the_last_that_was_heard_of_it() -> None:
    job = book("cern", "desy", "fnal")
    for name in job.names:
        job.ask(name, 100.0)
        job.accepted(name, 100.0)
    job.progress("cern", 101.0, "copying\nthe second line", 0.4)
    job.progress("desy", 101.0, "x" * 1000)
    job.gone("cern", 102.0)
    job.bounced("desy", 102.0, "not there (service-unavailable)")
    job.gone("fnal", 102.0)
    assert job["cern"].text == "accepted, then went offline; last word: 40 % copying"
    assert job["desy"].text == f"not there (service-unavailable); last word: {'x' * 200}"
    assert job["fnal"].text == "accepted, then went offline"


def test_a_site_may_report_that_a_call_was_lost_and_that_stays() -> None:
    job = book("cern")
    job.ask("cern", 100.0)
    job.progress("cern", 101.0, "copying", 0.4)
    job.gone("cern", 102.0)
    job.ended(said("cern", State.lost, "interrupted: the agent was restarted"), 110.0)
    row = job["cern"]
    assert (row.state, row.reported, row.late) == (State.lost, True, True)
    assert row.text == "interrupted: the agent was restarted; last word: 40 % copying"
    assert row.outcome is not None
    assert row.outcome.text == "interrupted: the agent was restarted"
    job.ended(said("cern"), 111.0)
    assert (job["cern"].state, job.unexpected[0].why) == (State.lost, "had reported lost")


def test_the_same_report_of_a_loss_again_is_nothing() -> None:
    job = book("cern")
    job.ask("cern", 100.0)
    for now in (101.0, 102.0):
        job.progress("cern", now, "copying")
        job.ended(said("cern", State.lost, "interrupted"), now)
    assert (job["cern"].text, job["cern"].late, job.unexpected) == ("interrupted; last word: copying", False, [])


@pytest.mark.parametrize(
    ("before", "after", "late"),
    [
        (State.pending, State.silent, False),
        (State.accepted, State.lost, False),
        (State.silent, State.silent, False),
        (State.running, State.lost, True),
        (State.lost, State.lost, False),
        (State.done, State.done, False),
    ],
)
def test_what_is_made_of_a_site_that_does_not_know_the_request(before: State, after: State, late: bool) -> None:
    job = book("cern")
    outcome = said("cern", before) if before.ended else None
    job.restore(Row("cern", 100.0, math.inf, before, 90.0, outcome=outcome), 100.0)
    job.unknown("cern", 101.0)
    assert (job["cern"].state, job["cern"].late) == (after, late)


# Taken up again, and written down


def test_a_row_that_is_restored_open_ends_by_itself_as_if_it_were_asked_now() -> None:
    job = book("cern", "desy", "fnal")
    job.restore(Row("cern", 1.0, math.inf, State.accepted, 90.0, heard="half"), 100.0)
    job.restore(Row("desy", 1.0, math.inf), 100.0)
    job.restore(Row("fnal", 1.0, math.inf, State.done, 90.0, outcome=said("fnal")), 100.0)
    assert (job.next_due(), job.waiting, job.under_way) == (105.0, 0, 2)
    job.tick(132.0)
    assert {row.site: row.text for row in job.rows()} == {
        "cern": "accepted, then nothing in 30 s; last word: half",
        "desy": "did not accept in 5 s; it may still do it",
        "fnal": "",
    }


def test_only_rows_that_changed_are_given_to_who_writes_them_down_and_each_once() -> None:
    job = book("cern", "desy", "fnal")
    assert job.take_changed() == ()
    job.ask("cern", 100.0)
    job.accepted("cern", 101.0)
    job.progress("cern", 101.0, "half")
    job.bounced("desy", 101.0)
    assert [(row.site, row.state, row.text) for row in job.take_changed()] == [("cern", State.accepted, "half")]
    job.tick(1000.0)
    assert [(row.site, row.state) for row in job.take_changed()] == [("cern", State.lost)]
    assert job.take_changed() == ()


def test_one_that_was_kept_waiting_and_does_not_know_the_request_was_certainly_not_begun() -> None:
    job = book("cern", "desy")
    for name in job.names:
        job.restore(Row(name, 100.0, math.inf, waits=Wait.turn, may_have=True), 100.0)
    job.unknown("cern", 101.0)
    assert (job["cern"].waits, job["cern"].may_have, job["desy"].may_have) == (Wait.turn, False, True)
    job.stop("enough", 102.0)
    assert job.counts() == {State.not_started: 2}
    for name in job.names:
        job.ended(said(name), 103.0)
    assert {row.site: row.state for row in job.rows()} == {"cern": State.not_started, "desy": State.done}
