"""What the engine says of itself."""

import numpy as np

from amon.engine.messages import Tally
from amon.engine.turn.monitor import SECOND, Monitor


def test_a_sample_is_of_the_time_since_the_last_one() -> None:
    monitor = Monitor(0)
    monitor.sent(100)
    monitor.received(90)
    assert not monitor.is_due(SECOND - 1)
    first = monitor.sample(2 * SECOND, 77 * SECOND, Tally(sent=100), {"eth0 ring drops": 3})
    assert (first.at, first.span, first.sent, first.received) == (77, 2, 100, 90)
    assert (first.tally.sent, first.drops) == (100, {"eth0 ring drops": 3})
    second = monitor.sample(3 * SECOND, 78 * SECOND, Tally(sent=100), {})
    assert (second.span, second.sent, second.received) == (1, 0, 0)
    assert second.memory > 1 << 20
    assert first.cpu >= 0


def test_who_asks_in_between_takes_nothing_from_the_next_sample() -> None:
    monitor = Monitor(0)
    monitor.sent(10)
    assert monitor.between(SECOND // 2, 0, Tally(), {}).sent == 10
    monitor.sent(10)
    assert monitor.is_due(SECOND)
    assert (monitor.sample(SECOND, 0, Tally(), {}).sent, monitor.is_due(SECOND)) == (20, False)
    monitor.sent(99)
    asked = monitor.between(3 * SECOND // 2, 7 * SECOND, Tally(sent=119), {"a": 1})
    assert (asked.sent, asked.span, asked.at, asked.tally.sent, asked.drops) == (20, 1, 7, 119, {"a": 1})
    assert monitor.sample(2 * SECOND, 0, Tally(), {}).sent == 99


def test_lateness_is_told_as_median_almost_all_and_worst() -> None:
    monitor = Monitor(0)
    for late in range(1, 101):
        monitor.woke(late * 1000)
    assert monitor.sample(SECOND, 0, Tally(), {}).late == (50_500, 99_010, 100_000)
    assert monitor.sample(2 * SECOND, 0, Tally(), {}).late == (0, 0, 0)


def test_the_error_of_stamps_is_that_of_the_last_samples_and_stays_until_there_are_others() -> None:
    monitor = Monitor(0)
    assert monitor.sample(SECOND, 0, Tally(), {}).stamps is None
    monitor.off(np.array([-3000, 1000, 2000]))
    assert monitor.sample(2 * SECOND, 0, Tally(), {}).stamps == (2000, 2980)
    monitor.off(np.array([], np.int64))
    assert monitor.sample(3 * SECOND, 0, Tally(), {}).stamps == (2000, 2980)
