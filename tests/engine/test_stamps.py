"""Moments: interpolated send stamps, wall-clock stamps as monotonic ones over steps and slews of the clock, errors."""

from random import Random

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.shapes import I64, Span
from amon.engine.stamps import MEASURED, SLACK, STEP, Course, Errors, RealtimeToMonotonic, clocks_apart, interpolate

DAY = 86_400_000_000_000
EPOCH = 1_700_000_000_000_000_000
MS = 1_000_000


class Clocks:
    """apart: what CLOCK_REALTIME is ahead of CLOCK_MONOTONIC."""

    def __init__(self, apart: int = EPOCH) -> None:
        self.apart = apart

    def __call__(self) -> int:
        return self.apart


def stamps(*moments: int) -> I64:
    return np.array(moments, np.int64)


def test_packets_of_a_span_share_its_time_evenly() -> None:
    assert interpolate([Span(4, 1000, 1800)]).tolist() == [1100, 1300, 1500, 1700]
    assert interpolate([Span(1, 0, 10), Span(2, 100, 104)]).tolist() == [5, 101, 103]
    assert interpolate([]).tolist() == []
    assert interpolate([Span(0, 5, 9)]).tolist() == []


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 10**15), st.integers(0, 10**9)), max_size=20))
def test_interpolated_stamps_lie_in_their_span_and_never_go_back_in_it(parts: list[tuple[int, int, int]]) -> None:
    spans = [Span(count, begin, begin + took) for count, begin, took in parts]
    found = interpolate(spans)
    assert len(found) == sum(span.count for span in spans)
    at = 0
    for span in spans:
        mine = found[at : at + span.count]
        at += span.count
        assert ((mine >= span.begin) & (mine <= span.end)).all()
        assert (np.diff(mine) >= 0).all()


def test_a_clock_that_stands_well_is_only_subtracted() -> None:
    clock = RealtimeToMonotonic(DAY, Clocks())
    assert clock.convert(stamps(EPOCH + DAY + 5, EPOCH + DAY + 7), DAY + MS).tolist() == [DAY + 5, DAY + 7]
    assert clock.unplaced == 0


@given(
    st.integers(-DAY, DAY).filter(lambda step: abs(step) > 100 * MS),
    st.lists(st.integers(0, 20 * MS), max_size=30).map(sorted), st.integers(0, 20 * MS),
)  # fmt: skip
def test_a_step_between_two_drains_moves_no_stamp(step: int, came: list[int], when: int) -> None:
    clocks = Clocks()
    clock = RealtimeToMonotonic(DAY, clocks)
    wall = stamps(*(EPOCH + DAY + moment + (step if moment >= when else 0) for moment in came))
    clocks.apart += step
    assert clock.convert(wall, DAY + 20 * MS).tolist() == [DAY + moment for moment in came]
    assert clock.unplaced == 0


def test_after_a_step_the_old_time_is_forgotten_once_the_socket_was_empty() -> None:
    clocks = Clocks()
    clock = RealtimeToMonotonic(DAY, clocks)
    clocks.apart += 3600 * 1000 * MS
    clock.convert(stamps(), DAY + 10 * MS)
    assert clock.convert(stamps(clocks.apart + DAY + 11 * MS), DAY + 20 * MS).tolist() == [DAY + 11 * MS]


def test_what_waited_behind_a_full_drain_keeps_the_time_before_the_step() -> None:
    clocks = Clocks()
    clock = RealtimeToMonotonic(DAY, clocks)
    old = EPOCH + DAY + MS
    clocks.apart -= 5 * DAY
    assert clock.convert(stamps(old), DAY + 20 * MS, emptied=False).tolist() == [DAY + MS]
    assert clock.convert(stamps(old + 1, clocks.apart + DAY + 30 * MS), DAY + 40 * MS).tolist() == [
        DAY + MS + 1, DAY + 30 * MS,
    ]  # fmt: skip
    assert clock.unplaced == 0


def test_what_a_ring_hands_over_late_keeps_the_time_before_the_step() -> None:
    """It looked empty in between, because its block was not full yet."""
    clocks = Clocks()
    clock = RealtimeToMonotonic(DAY, clocks, lag=50 * MS)
    old = EPOCH + DAY + 3 * MS
    clocks.apart += DAY
    assert clock.convert(stamps(), DAY + 4 * MS).tolist() == []
    assert clock.convert(stamps(old, clocks.apart + DAY + 9 * MS), DAY + 10 * MS).tolist() == [
        DAY + 3 * MS, DAY + 9 * MS,
    ]  # fmt: skip
    clock.convert(stamps(), DAY + 200 * MS)
    assert clock.remembered == 1


def test_two_steps_between_two_drains_clip_what_nobody_can_place() -> None:
    clocks = Clocks()
    clock = RealtimeToMonotonic(DAY, clocks)
    between = EPOCH + 7 * DAY + DAY + MS  # seven days ahead, then back
    clocks.apart += 1000 * MS
    found = clock.convert(stamps(between), DAY + 20 * MS)
    assert DAY <= found[0] <= DAY + 20 * MS
    assert clock.unplaced == 1


def test_many_steps_while_the_socket_is_never_empty_are_remembered_up_to_a_bound() -> None:
    clocks = Clocks()
    clock = RealtimeToMonotonic(DAY, clocks)
    for turn in range(1, 1000):
        clocks.apart += 60_000 * MS
        now = DAY + turn * MS
        assert clock.convert(stamps(clocks.apart + now - 1), now, emptied=False).tolist() == [now - 1]
    assert clock.remembered <= 8


def test_a_slewed_clock_is_read_by_what_it_was_at_the_time() -> None:
    clocks = Clocks()
    clock = RealtimeToMonotonic(DAY, clocks)
    slew = 5_000  # over 10 ms: 500 ppm, the most that adjtimex(2) does
    wall = stamps(*(EPOCH + DAY + at + at * slew // (10 * MS) for at in range(0, 10 * MS, MS)))
    clocks.apart += slew
    found = clock.convert(wall, DAY + 10 * MS)
    assert (abs(found - stamps(*range(DAY, DAY + 10 * MS, MS))) <= 3).all()


def test_stamps_a_little_outside_are_believed() -> None:
    clocks = Clocks()
    clock = RealtimeToMonotonic(DAY, clocks)
    clocks.apart += DAY
    early = clocks.apart + DAY - SLACK // 2
    assert clock.convert(stamps(early), DAY + 20 * MS).tolist() == [DAY - SLACK // 2]


def test_the_systems_clocks_can_be_told_apart() -> None:
    assert abs(clocks_apart() - clocks_apart()) < 100 * STEP


def _played(course: Course, random: Random, lead: float, share: float, late: bool = False) -> int:
    """One batch of a socket that needs `lead` ns before its first packet: ours minus the kernel's of one of them."""
    count, each = random.choice([(1, 3000), (10, 2500), (128, 1200)])
    begin = random.randrange(DAY)
    end = begin + round(lead + count * each) + 50 * MS * late
    place = random.randrange(count)
    moment = begin + round(lead + (place + share) * each) + 50 * MS * (late and place >= count // 2)
    ours = int(interpolate([course.span(count, begin, end)])[place])
    course.learn(place, count, begin, end, moment)
    return ours - moment


@given(st.integers(0, 12_000), st.floats(0.1, 0.9), st.integers(0, 2**32))
def test_send_stamps_become_those_of_the_kernel(lead: int, share: float, seed: int) -> None:
    random, course = Random(seed), Course()
    for _ in range(1500):
        _played(course, random, lead, share)
    assert max(abs(_played(course, random, lead, share)) for _ in range(50)) < 500


def test_a_process_that_is_held_up_now_and_then_hardly_moves_what_was_learnt() -> None:
    random, course = Random(1), Course()
    for turn in range(2000):
        _played(course, random, 6000, 0.3, late=turn % 50 == 7)
    assert max(abs(_played(course, random, 6000, 0.3)) for _ in range(20)) < 500


@given(st.lists(st.tuples(st.integers(1, 200), st.integers(0, 10**9), st.integers(-(10**12), 10**12)), max_size=60))
def test_whatever_was_learnt_stamps_lie_within_the_call_and_in_order(samples: list[tuple[int, int, int]]) -> None:
    course = Course()
    for count, took, moment in samples:
        course.learn(count - 1, count, 0, took, moment)
        found = interpolate([course.span(count, 0, took)])
        assert (np.diff(found) >= 0).all()
        assert -1 <= found[0] <= found[-1] <= took + 1


def test_errors_are_ours_minus_the_kernels_and_handed_out_once() -> None:
    errors = Errors()
    errors.note(1_500, 1_000)
    errors.note(900, 1_000)
    assert errors.take().tolist() == [500, -100]
    assert errors.take().tolist() == []


def test_errors_nobody_asks_for_do_not_pile_up() -> None:
    errors = Errors()
    for number in range(2 * MEASURED):
        errors.note(number, 0)
    assert errors.take().tolist() == list(range(MEASURED, 2 * MEASURED))
