"""The parts of the XDP way that need no network: rows that come round, stamps of a sample."""

from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.shapes import Span
from amon.engine.ways.companion import as_if_not_alone
from amon.engine.ways.returned import ReturnedRows
from amon.engine.ways.xdp import Missing

STEPS = st.lists(st.tuples(st.sampled_from(["take", "rewind", "leave", "back"]), st.integers(0, 12)), max_size=60)


@given(size=st.sampled_from([1, 4, 8]), steps=STEPS, random=st.randoms(use_true_random=False))
def test_no_row_is_ever_in_two_hands(size: int, steps: list[tuple[str, int]], random: Random) -> None:
    rows = ReturnedRows(size)
    taken: list[int] = []
    gone: list[int] = []
    for step, number in steps:
        if step == "take":
            new = rows.take(number).tolist()
            assert len(new) == min(number, size - len(taken) - len(gone))
            assert not set(new) & {*taken, *gone}
            taken += new
        elif step == "rewind":
            count = min(number, len(taken))
            rows.rewind(count)
            del taken[len(taken) - count :]
        elif step == "leave":
            count = min(number, len(taken))
            assert rows.oldest(count).tolist() == taken[:count]
            rows.leave(count)
            gone += taken[:count]
            del taken[:count]
        else:
            random.shuffle(gone)
            back, gone = gone[:number], gone[number:]
            rows.come_back(np.array(back, np.int64))


def test_more_than_was_taken_is_refused() -> None:
    rows = ReturnedRows(4)
    rows.take(2)
    with pytest.raises(ValueError, match="3 rows given back of 2 taken"):
        rows.rewind(3)
    with pytest.raises(ValueError, match="3 frames to send of 2 taken"):
        rows.oldest(3)
    rows.leave(1)
    with pytest.raises(ValueError, match="2 rows came back of 1 that had left"):
        rows.come_back(np.array([0, 1], np.int64))


def test_a_sample_sent_by_itself_has_the_stamp_of_its_middle() -> None:
    assert as_if_not_alone([], Span(1, 100, 200), [Span(9, 300, 1200)]) == 150


def test_a_batch_that_goes_out_evenly_adds_no_error_to_the_sample() -> None:
    assert as_if_not_alone([Span(5, 0, 500)], Span(1, 600, 700), [Span(5, 800, 1300)]) == 650


def test_a_batch_that_starts_slowly_has_its_error_in_the_sample() -> None:
    # The first 5 took 600 of 1000, so in one batch the sixth would be stamped 100 too early.
    assert as_if_not_alone([Span(5, 0, 600)], Span(1, 600, 700), [Span(5, 800, 1200)]) == 550


def test_answers_on_their_way_are_not_missing() -> None:
    missing = Missing(on_the_way=64)
    assert [missing.note(1000, 990), missing.note(2000, 1940), missing.note(2000, 2000)] == [0, 0, 0]


def test_what_is_missing_when_nothing_comes_any_more_is_counted_once() -> None:
    missing = Missing(on_the_way=64)
    assert [missing.note(1000, 990), missing.note(1000, 995), missing.note(1000, 995)] == [0, 5, 5]
    assert missing.note(5000, 4995) == 5


def test_a_steady_loss_is_seen_while_packets_come() -> None:
    missing = Missing(on_the_way=64)
    assert [missing.note(1000, 0), missing.note(2000, 0), missing.note(3000, 0)] == [0, 936, 1936]
