"""Events that wait come out by due time, whole, however far ahead they lie."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.turn.events import NEAR, Events, Later


def events(dues: list[int]) -> Events:
    count = len(dues)
    place = np.arange(count, dtype=np.uint32)
    return Events(place, place, np.zeros(count, np.uint8), np.zeros(count, np.uint8), np.array(dues, np.int64))


steps = st.lists(
    st.tuples(st.lists(st.integers(0, 5 * NEAR), max_size=6), st.integers(0, NEAR), st.integers(0, 5), st.booleans())
)


@given(steps=steps)
def test_what_waits_comes_out_once_the_earliest_first_and_not_before_its_time(
    steps: list[tuple[list[int], int, int, bool]],
) -> None:
    later, model, now = Later(), list[int](), 0
    for delays, step, most, drops in steps:
        later.put(events([now + delay for delay in delays]))
        model = sorted([*model, *(now + delay for delay in delays)])
        now += step
        due = [one for one in model if one < now]
        if drops:
            assert later.drop(now) == len(due)
            model = model[len(due) :]
        else:
            assert later.take(now, most).due.tolist() == due[:most]
            model = model[len(due[:most]) :]
        assert len(later) == len(model)
        known = later.next_due()
        assert (known is None) == (not model)
        assert known is None or known <= max(model[0], now + NEAR)
    later.slip(7)
    assert later.take(1 << 60, 1 << 20).due.tolist() == [one + 7 for one in model]
