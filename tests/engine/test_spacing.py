"""What one tenant wants at once goes at its own rate, and what it wants in time goes in time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.messages import Limits
from amon.engine.turn.spacing import Spacing

MS = 1_000_000
NOW = 7_000 * MS


def sizes(count: int) -> np.ndarray[tuple[int], np.dtype[np.uint16]]:
    return np.full(count, 100, np.uint16)


@given(due=st.lists(st.integers(NOW - 50 * MS, NOW + 100 * MS), min_size=1, max_size=200).map(sorted))
def test_what_is_spaced_is_in_order_in_time_and_never_more_than_the_rate(due: list[int]) -> None:
    spacing = Spacing(lambda tenant: Limits(1000, 10e6, 1), 0.01)
    wanted, until, now = np.array(due, np.int64), NOW + 80 * MS, NOW
    went: list[int] = []
    while len(wanted):
        moments = spacing.space("t", wanted, sizes(len(wanted)), now, until)
        assert (moments >= np.maximum(wanted[: len(moments)], now)).all()
        assert (moments <= until).all()
        went += moments.tolist()
        wanted, now, until = wanted[len(moments) :], now + 40 * MS, until + 40 * MS
    assert went == sorted(went)
    for first in range(len(went)):
        for last in range(first, len(went)):
            assert last - first + 1 <= (went[last] - went[first]) / MS + 10 + 2


def test_what_is_within_the_rate_goes_when_it_is_due() -> None:
    spacing = Spacing(lambda tenant: Limits(1000, 10e6, 1), 0.01)
    due = NOW + np.arange(80, dtype=np.int64) * MS
    assert spacing.space("t", due, sizes(80), NOW, NOW + 80 * MS).tolist() == due.tolist()


def test_bytes_count_too_and_each_tenant_by_itself() -> None:
    spacing = Spacing(lambda tenant: Limits(1e6, 100_000, 1), 0.0)
    due = np.full(80, NOW, np.int64)
    for tenant in ("t", "other"):
        moments = spacing.space(tenant, due, sizes(80), NOW, NOW + 50 * MS)
        assert np.diff(moments).tolist() == [MS] * (len(moments) - 1)
        assert len(moments) == 51
