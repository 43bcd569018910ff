"""A site that was sent the request and seemed not to be there may have it all the same: what it says later counts."""

import pytest

from amon.job import Book, Wait
from amon.runtime.resuming import may_be_amended, restored
from amon.store.ledger import KeptRow
from amon.words import Answer, Outcome, State

DONE = Outcome("cern", State.done, Answer("did it"))


def queued() -> Book:
    """Sent at 0 and found offline at 1; it waits until 600."""
    book = Book("J", ["cern"], 0.0, turns=True, queue_ends=600.0)
    book.ask("cern", 0.0)
    book.hold("cern", 1.0, Wait.offline, "offline", may_have=True)
    return book


def never_asked() -> Book:
    return Book("J", ["cern"], 0.0, turns=True, queue_ends=600.0)


@pytest.mark.parametrize("waits", [Wait.turn, Wait.offline])
def test_a_site_that_is_found_offline_after_the_job_was_cancelled_ends_with_it(waits: Wait) -> None:
    book = never_asked()
    book.ask("cern", 0.0)
    book.cancel(1.0)
    book.hold("cern", 2.0, waits, "offline")
    book.tick(10.0)
    assert book.closed


@pytest.mark.parametrize("how", ["cancel", "stop", "skip"])
def test_what_it_reports_after_the_job_was_ended_counts(how: str) -> None:
    book = queued()
    if how == "cancel":
        book.cancel(2.0)
    elif how == "stop":
        book.stop("too many failed", 2.0)
    else:
        book.skip("cern", 2.0, "you did not say yes")
    assert [row.state for row in book.rows()] == [State.not_started]
    book.ended(DONE, 3.0)
    assert [(row.state, row.late) for row in book.rows()] == [(State.done, True)]
    assert book.unexpected == []


def test_what_it_reports_while_it_is_thought_offline_counts() -> None:
    book = queued()
    book.ended(DONE, 3.0)
    assert book["cern"].state is State.done
    assert book.closed


def test_one_that_was_never_sent_anything_has_not_started_and_cannot_say_otherwise() -> None:
    book = never_asked()
    book.cancel(2.0)
    book.ended(DONE, 3.0)
    assert book["cern"].state is State.not_started
    assert book.unexpected_count == 1


def test_what_it_reports_counts_where_the_program_that_may_have_asked_it_has_died() -> None:
    book = never_asked()
    book.restore(restored(KeptRow("J", "cern", "pending"), 0.0, 0.0), 0.0)
    book.cancel(2.0)
    assert [row.state for row in book.rows()] == [State.not_started]
    assert [may_be_amended(row) for row in book.rows()] == [True]
    book.ended(DONE, 3.0)
    assert [(row.state, row.late) for row in book.rows()] == [(State.done, True)]
