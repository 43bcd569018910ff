"""What still happens to a job after it was cancelled: its book closes all the same."""

import pytest

from amon.job import Book, Wait
from amon.words import State


@pytest.mark.parametrize("waits", [Wait.turn, Wait.offline])
def test_a_site_that_is_found_offline_after_the_job_was_cancelled_has_not_started(waits: Wait) -> None:
    book = Book("J", ["cern"], 0.0, turns=True, queue_ends=600.0)
    book.ask("cern", 0.0)
    book.cancel(1.0)
    book.hold("cern", 2.0, waits, "offline")
    book.tick(10.0)
    assert book.closed
    assert book["cern"].state is State.not_started
