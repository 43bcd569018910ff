"""Each event is due once, at its time, whatever the steps it is asked for in."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.messages import Spec
from amon.engine.turn.schedule import SECOND, Schedule, beginning, interval_of

START = 5_000_000_000
Row = tuple[int, int, int, int, int]

specs = st.builds(
    Spec,
    interval=st.sampled_from((0.001, 0.1, 1.0, 7.3)),
    rounds=st.integers(1, 4),
    burst=st.integers(1, 4),
    gap=st.sampled_from((0.0, 0.003, 2.5)),
    ttl=st.integers(1, 3),
    last_ttl=st.sampled_from((0, 3, 5)),
    flows=st.integers(1, 3),
)


def schedule(spec: Spec, targets: int = 5, first: int = 0) -> Schedule:
    order = np.random.default_rng(1).permutation(targets).astype(np.uint32)
    return Schedule(order, spec, START, first, np.random.default_rng(2))


def expected(spec: Spec, targets: int = 5, first: int = 0) -> list[Row]:
    """(due, target, number, ttl, flow) of all events, one by one."""
    order = [int(one) for one in np.random.default_rng(1).permutation(targets)]
    ttls = range(spec.ttl, spec.last_ttl + 1) if spec.last_ttl > spec.ttl else range(spec.ttl, spec.ttl + 1)
    turns = [(ttl, flow, target) for ttl in ttls for flow in range(spec.flows) for target in order]
    interval = round(spec.interval * SECOND)
    rows = []
    for number in range(spec.rounds or 0):
        for place, (ttl, flow, target) in enumerate(turns):
            for packet in range(spec.burst):
                due = START + number * interval + int(place * (interval / len(turns)))
                due += packet * round(spec.gap * SECOND)
                rows.append((due, target, (first + number) * spec.burst + packet, ttl, flow))
    return rows


def rows_of(events: Any) -> list[Row]:
    columns = (events.due, events.target, events.number, events.ttl, events.flow)
    return list(zip(*(column.tolist() for column in columns), strict=True))


@given(spec=specs, steps=st.lists(st.tuples(st.floats(0, 3), st.integers(4, 50)), max_size=12), first=st.integers(0, 9))
def test_whatever_the_steps_each_event_comes_once_and_at_its_time(
    spec: Spec, steps: list[tuple[float, int]], first: int
) -> None:
    plan = schedule(spec, first=first)
    got: list[Row] = []
    now = START
    for step, most in steps:
        now += round(step * SECOND)
        taken = rows_of(plan.take(now, most))
        assert len(taken) <= most
        assert all(row[0] < now for row in taken)
        assert [row[0] for row in taken] == sorted(row[0] for row in taken)
        got += taken
    while not plan.is_over:
        got += rows_of(plan.take(1 << 60, 1000))
    assert sorted(got) == sorted(expected(spec, first=first))
    assert plan.next_due() is None
    assert not len(plan.take(1 << 61, 1000))


@given(spec=specs, when=st.floats(0, 30), most=st.integers(1, 20))
def test_the_earliest_come_first_where_not_all_may_go(spec: Spec, when: float, most: int) -> None:
    plan = schedule(spec)
    due = sorted(row[0] for row in expected(spec))
    until = START + round(when * SECOND)
    whole = [one for one in due if one < until]
    taken = [row[0] for row in rows_of(plan.take(until, most))]
    assert taken == whole[:most]


@given(spec=specs, when=st.floats(0, 30))
def test_what_is_passed_over_is_counted_and_never_comes(spec: Spec, when: float) -> None:
    plan = schedule(spec)
    before = START + round(when * SECOND)
    skipped = plan.skip(before)
    rest = []
    while not plan.is_over:
        rest += rows_of(plan.take(1 << 60, 1000))
    assert skipped == sum(row[0] < before for row in expected(spec))
    assert sorted(rest) == sorted(row for row in expected(spec) if row[0] >= before)


@given(spec=specs, when=st.floats(0, 30))
def test_the_next_is_due_when_it_says(spec: Spec, when: float) -> None:
    plan = schedule(spec)
    plan.skip(START + round(when * SECOND))
    due = plan.next_due()
    if due is not None:
        assert not len(plan.take(due, 1000))
        assert len(plan.take(due + 1, 1000))


def test_the_packets_of_a_round_are_at_equal_distances() -> None:
    plan = schedule(Spec(interval=1.0, rounds=3), targets=1000)
    due = plan.take(START + 3 * SECOND, 10_000).due
    assert len(due) == 3000
    assert set(np.diff(due)) == {1_000_000}
    assert plan.rate == 1000


def test_jitter_moves_each_visit_within_its_share_and_loses_none() -> None:
    spec = Spec(interval=1.0, rounds=5, jitter=0.25)
    plan = schedule(spec, targets=100)
    got: list[Row] = []
    for step in range(1, 30):
        taken = rows_of(plan.take(START + step * SECOND // 4, 10_000))
        assert all(row[0] < START + step * SECOND // 4 for row in taken)
        got += taken
    assert plan.is_over
    plain = {(row[1], row[2]): row[0] for row in expected(spec, targets=100)}
    moved = [row[0] - plain[row[1], row[2]] for row in got]
    assert len(got) == len(plain) == len({(row[1], row[2]) for row in got})
    assert 0 <= min(moved) < max(moved) < 0.5 * SECOND
    assert len(set(moved)) > 400


def test_what_jitter_holds_back_can_be_passed_over_too() -> None:
    plan = schedule(Spec(interval=1.0, rounds=1, jitter=0.5), targets=100)
    taken = len(plan.take(START + SECOND // 2, 10_000))
    skipped = plan.skip(START + 10 * SECOND)
    assert 0 < taken < 100
    assert taken + skipped == 100
    assert plan.is_over


def test_what_slips_is_due_later_and_nothing_of_it_is_lost() -> None:
    plan = schedule(Spec(interval=1.0, rounds=2))
    taken = rows_of(plan.take(START + SECOND // 2, 100))
    plan.slip(40 * SECOND)
    assert not len(plan.take(START + 40 * SECOND, 100))
    rest = [(row[0] - 40 * SECOND, *row[1:]) for row in rows_of(plan.take(START + 50 * SECOND, 100))]
    assert taken + rest == expected(Spec(interval=1.0, rounds=2))


def test_a_target_that_was_reached_is_not_probed_beyond() -> None:
    plan = schedule(Spec(interval=1.0, rounds=2, ttl=1, last_ttl=8), targets=2)
    first = rows_of(plan.take(START + SECOND, 100))
    plan.reach[0] = 3
    second = rows_of(plan.take(START + 2 * SECOND, 100))
    assert len(first) == 16
    assert sorted(row[3] for row in second if row[1] == 0) == [1, 2, 3]
    assert sorted(row[3] for row in second if row[1] == 1) == list(range(1, 9))


def test_a_job_with_a_rate_of_its_own_takes_longer_for_a_round() -> None:
    spec = Spec(interval=1.0, rate=50.0, rounds=1)
    assert interval_of(spec, 200) == 4 * SECOND
    assert schedule(spec, targets=200).rate == 50


def test_an_aligned_job_goes_on_where_it_would_be_had_it_never_stopped() -> None:
    spec = Spec(interval=10.0, aligned=True)
    epoch = 1_700_000_000 * SECOND
    before = [Schedule(np.arange(7, dtype=np.uint32), spec, *beginning(spec, 7, 0, epoch), np.random.default_rng())]
    whole = rows_of(before[0].take(60 * SECOND, 1000))
    later = 23 * SECOND  # another boot: the monotonic clock stands elsewhere
    start, first = beginning(spec, 7, 500 * SECOND, epoch + later)
    again = Schedule(np.arange(7, dtype=np.uint32), spec, start, first, np.random.default_rng())
    again.skip(500 * SECOND)
    rest = [(row[0] - 500 * SECOND + later, *row[1:]) for row in rows_of(again.take(537 * SECOND, 1000))]
    assert rest == [row for row in whole if row[0] >= later]


def test_numbers_of_packets_wrap_and_times_stay_exact_after_years() -> None:
    spec = Spec(interval=0.25, aligned=True)
    years = 30 * 365 * 86400 * SECOND
    plan = Schedule(np.arange(3, dtype=np.uint32), spec, START, 2**32 - 2, np.random.default_rng())
    plan.skip(START + years)
    rows = rows_of(plan.take(START + years + SECOND, 100))
    assert [row[0] - START - years for row in rows] == [
        number * 250_000_000 + place * 250_000_000 // 3 for number in range(4) for place in range(3)
    ]
    assert all(0 <= row[2] < 2**32 for row in rows)
