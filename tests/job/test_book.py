"""One thing after the other happens to the sites of a job; the book says how each ended, and why."""

import pytest

from amon.job import Book, ExitCode
from amon.job.states import REPORTS
from amon.words import Answer, Outcome, State


def book(*names: str) -> Book:
    return Book("01J", names or ("cern", "fnal"), 100.0, accept_by=5.0, deadline=30.0, grace=2.0)


def said(site: str, state: State = State.done, text: str = "") -> Outcome:
    return Outcome(site, state, Answer(text))


def test_a_site_that_accepts_and_answers_is_done() -> None:
    job = book("cern")
    job.accepted("cern", 100.1)
    assert (job["cern"].state, job["cern"].accepted, job.closed) == (State.accepted, 100.1, False)
    job.ended(said("cern", text="up 3 d"), 101.0)
    assert (job["cern"].state, job["cern"].text, job["cern"].reported, job.closed) == (State.done, "up 3 d", True, True)
    assert job.summary() == "1 site: 1 done"
    assert job.exit_code() is ExitCode.all_done
    assert job.next_due() is None


@pytest.mark.parametrize("state", sorted(REPORTS - {State.running}))
def test_a_report_needs_no_acceptance_before_it(state: State) -> None:
    job = book("cern")
    job.ended(said("cern", state), 101.0)
    assert (job["cern"].state, job["cern"].late, job.closed) == (state, False, True)


def test_a_site_that_never_accepts_is_silent() -> None:
    job = book("cern")
    assert job.next_due() == 105.0
    job.tick(104.9)
    assert not job.closed
    job.tick(105.0)
    assert (job["cern"].state, job["cern"].text) == (
        State.silent,
        "did not accept in 5 s; it may still do it",
    )
    assert job.exit_code() is ExitCode.no_answer


def test_a_site_that_accepts_and_says_no_more_is_lost_after_the_grace() -> None:
    job = book("cern")
    job.accepted("cern", 101.0)
    job.progress("cern", 120.0, "half", 0.5)
    assert (job.next_due(), job["cern"].text, job["cern"].fraction) == (132.0, "half", 0.5)
    job.tick(132.0)
    assert (job["cern"].state, job["cern"].text) == (
        State.lost,
        "accepted, then nothing in 30 s; last word: 50 % half",
    )


def test_a_site_that_says_it_is_running_has_until_the_deadline() -> None:
    job = book("cern", "fnal")
    job.ended(said("fnal", State.running), 101.0)
    job.accepted("cern", 101.0)
    job.ended(said("cern", State.running), 110.0)
    assert job.counts() == {State.accepted: 2}
    assert job.next_due() == 130.0
    job.ended(said("fnal"), 129.0)
    job.tick(130.0)
    assert (job["cern"].state, job["cern"].text) == (State.running, "still at it after 30 s")
    assert job["fnal"].state is State.done
    assert job.exit_code() is ExitCode.running


def test_running_said_after_the_deadline_is_the_end_at_once() -> None:
    job = book("cern")
    job.accepted("cern", 101.0)
    job.ended(said("cern", State.running, "copying"), 130.1)
    assert (job["cern"].state, job["cern"].text, job.closed) == (State.running, "copying", True)


def test_progress_that_overtakes_acceptance_is_acceptance() -> None:
    job = book("cern")
    job.progress("cern", 101.0, "reading", float("nan"))
    assert (job["cern"].state, job["cern"].text, job["cern"].fraction) == (State.accepted, "reading", None)


def test_a_known_offline_site_costs_no_waiting() -> None:
    job = book("cern")
    job.offline("cern", 100.0)
    assert (job["cern"].state, job["cern"].text, job.closed) == (State.not_here, "was offline", True)


def test_a_bounce_is_not_here_before_acceptance_and_lost_after_it() -> None:
    job = book("cern", "fnal")
    job.accepted("fnal", 100.5)
    job.bounced("cern", 101.0, "service-unavailable")
    job.bounced("fnal", 101.0)
    assert (job["cern"].state, job["cern"].text) == (State.not_here, "service-unavailable")
    assert (job["fnal"].state, job["fnal"].text) == (State.lost, "accepted, then could not be reached")


def test_a_site_killed_in_the_middle_is_lost_at_once() -> None:
    job = book("cern")
    job.accepted("cern", 100.5)
    job.gone("cern", 103.0)
    assert (job["cern"].state, job["cern"].text, job.closed) == (State.lost, "accepted, then went offline", True)


def test_a_site_that_goes_before_it_accepts_is_silent_because_it_may_be_at_it() -> None:
    job = book("cern")
    job.gone("cern", 103.0)
    assert (job["cern"].state, job["cern"].text) == (State.silent, "went offline before it accepted")


def test_presence_of_sites_that_were_not_asked_is_nothing() -> None:
    job = book("cern")
    job.gone("fnal", 101.0)
    job.bounced("fnal", 101.0)
    job.offline("fnal", 101.0)
    assert (job.unexpected, len(job)) == ([], 1)


def test_a_late_answer_amends_what_was_concluded() -> None:
    job = book("cern", "fnal")
    job.accepted("fnal", 101.0)
    job.tick(140.0)
    job.ended(said("cern"), 141.0)
    job.ended(said("fnal", State.failed), 142.0)
    assert [(row.site, row.state, row.late) for row in job.rows()] == [
        ("fnal", State.failed, True),
        ("cern", State.done, True),
    ]
    assert job.summary() == "2 sites: 1 done, 1 failed (2 late)"
    assert job.exit_code() is ExitCode.failed


def test_a_site_still_running_may_finish_late_or_be_lost_or_come_back() -> None:
    job = book("cern")
    job.accepted("cern", 101.0)
    job.ended(said("cern", State.running), 130.0)
    job.ended(said("cern", State.running, "still"), 160.0)
    assert (job["cern"].state, job["cern"].late) == (State.running, False)
    job.gone("cern", 170.0)
    assert (job["cern"].state, job["cern"].text) == (State.lost, "was at it, then went offline")
    job.progress("cern", 171.0, "copying")
    assert (job["cern"].state, job["cern"].text) == (State.running, "came back, at it")
    job.ended(said("cern"), 180.0)
    assert (job["cern"].state, job["cern"].late) == (State.done, True)


def test_acceptance_after_the_site_was_called_silent_means_it_is_at_it() -> None:
    job = book("cern")
    job.accepted("cern", 106.0)
    assert (job["cern"].state, job["cern"].text, job["cern"].late) == (State.running, "accepted late", True)
    assert job.closed


def test_a_bounce_that_took_long_says_that_the_silent_site_never_got_it() -> None:
    job = book("cern")
    job.bounced("cern", 128.0)
    assert (job["cern"].state, job["cern"].late) == (State.not_here, True)


def test_the_same_answer_again_is_nothing() -> None:
    job = book("cern")
    for now in (101.0, 102.0, 150.0):
        job.ended(said("cern", text="up"), now)
        job.accepted("cern", now)
        job.progress("cern", now, "stale")
    assert (job["cern"].changed, job["cern"].text, job["cern"].late, job.unexpected) == (101.0, "up", False, [])


def test_another_answer_is_listed_apart_and_changes_nothing() -> None:
    job = book("cern")
    job.ended(said("cern"), 101.0)
    for _ in range(2):
        job.ended(said("cern", State.failed, "x" * 1000), 102.0)
    (apart,) = job.unexpected
    assert (apart.site, apart.state, apart.why, len(apart.text)) == ("cern", State.failed, "had reported done", 200)
    assert job["cern"].state is State.done
    assert job.summary() == "1 site: 1 done (1 unexpected answer)"


def test_an_answer_from_a_site_that_was_not_asked_is_listed_apart() -> None:
    job = book("cern")
    job.accepted("mallory", 101.0)
    job.progress("mallory", 101.0)
    job.ended(said("mallory"), 102.0)
    assert [(each.site, each.state, each.why) for each in job.unexpected] == [
        ("mallory", State.accepted, "was not asked"),
        ("mallory", State.done, "was not asked"),
    ]
    assert "mallory" not in job


@pytest.mark.parametrize("state", [State.silent, State.not_here, State.not_started, State.pending])
def test_no_site_can_report_what_only_the_asker_can_conclude(state: State) -> None:
    job = book("cern")
    job.ended(said("cern", state), 101.0)
    assert job["cern"].state is State.pending
    assert job.unexpected[0].why == f"no site can report {state}"


def test_a_flood_of_unexpected_answers_is_counted_but_not_kept() -> None:
    job = book("cern")
    for number in range(500):
        job.ended(said(f"bot-{number}"), 101.0)
    assert (len(job.unexpected), job.unexpected_count) == (100, 500)


def test_cancelling_waits_one_grace_for_the_sites_to_confirm() -> None:
    job = book("cern", "fnal", "kit", "pic")
    for site in ("cern", "fnal", "kit"):
        job.accepted(site, 101.0)
    job.cancel(102.0)
    assert job.next_due() == 104.0
    job.ended(said("cern", State.cancelled, "stopped"), 103.0)
    job.ended(said("fnal"), 103.0)
    job.tick(104.0)
    assert {row.site: (row.state, row.text) for row in job.rows()} == {
        "cern": (State.cancelled, "stopped"),
        "fnal": (State.done, ""),
        "kit": (State.cancelled, "was told to stop, has not confirmed"),
        "pic": (State.cancelled, "was told to stop before it accepted"),
    }
    job.ended(said("kit"), 105.0)
    assert (job["kit"].state, job["kit"].late) == (State.done, True)
    job.ended(said("cern"), 105.0)
    assert (job["cern"].state, job.unexpected[0].why) == (State.cancelled, "had reported cancelled")


def test_cancelling_twice_or_without_waiting_closes_the_book_at_once() -> None:
    job = book()
    job.cancel(101.0)
    assert not job.closed
    job.cancel(101.5, wait=0)
    assert (job.closed, job.counts(), job.exit_code()) == (True, {State.cancelled: 2}, ExitCode.cancelled)


def test_cancelling_never_prolongs_the_book() -> None:
    job = book("cern")
    job.accepted("cern", 101.0)
    job.cancel(131.0, wait=60)
    assert job.next_due() == 132.0
    job.cancel(131.0, wait=0.5)
    job.cancel(131.2)
    assert job.next_due() == 131.5


def test_a_batch_that_stopped_leaves_sites_not_started() -> None:
    job = book("cern", "fnal")
    job.ended(said("cern", State.failed), 101.0)
    job.skip("fnal", 101.0, "cern failed")
    assert (job["fnal"].state, job["fnal"].text) == (State.not_started, "cern failed")
    job.ended(said("fnal"), 102.0)
    assert (job["fnal"].state, job.unexpected[0].why) == (State.not_started, "is not-started")


def test_a_request_that_stayed_queued_expires() -> None:
    job = book("cern")
    job.expire("cern", 101.0)
    assert (job["cern"].state, job["cern"].text) == (State.expired, "was not reached in time")


def test_a_job_for_nobody_is_closed_from_the_start() -> None:
    job = Book("01J", [], 0.0)
    assert (job.closed, job.next_due()) == (True, None)
    assert (job.summary(), job.exit_code()) == ("no sites", ExitCode.none_matched)


def test_rows_come_worst_first_and_the_summary_best_first() -> None:
    job = book("a", "b", "c", "d", "e")
    job.ended(said("a"), 101.0)
    job.ended(said("b", State.failed), 101.0)
    job.accepted("c", 101.0)
    job.gone("c", 102.0)
    job.accepted("d", 102.0)
    assert [row.site for row in job.rows()] == ["c", "b", "d", "e", "a"]
    assert job.summary() == "5 sites: 1 done, 1 failed, 1 lost, 1 accepted, 1 pending"


def test_a_site_named_twice_has_one_row() -> None:
    job = book("cern", "cern")
    assert (len(job), job.names, job.counts()) == (1, ("cern",), {State.pending: 1})


def test_a_time_before_the_last_one_counts_as_the_last_one() -> None:
    job = book("cern")
    job.tick(104.0)
    job.accepted("cern", 90.0)
    assert job["cern"].accepted == 104.0
