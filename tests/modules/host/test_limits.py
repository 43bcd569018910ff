"""From values to levels: at a limit nothing flaps."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.health import Level
from modules.host.limits import Levels, next_level
from modules.host.settings import Disk

OK, WARN, CRIT = Level.ok, Level.warning, Level.critical


@pytest.mark.parametrize(
    ("values", "levels"),
    [
        ([84.9, 85, 84, 80.8, 80.7], [OK, WARN, WARN, WARN, OK]),
        ([95, 94, 90.3, 90.2, 84, 80.7], [CRIT, CRIT, CRIT, WARN, WARN, OK]),
        ([99, 0, 99], [CRIT, OK, CRIT]),
        ([0, 96, 85.5, 96], [OK, CRIT, WARN, CRIT]),
    ],
)
def test_a_value_must_fall_clearly_below_a_limit_to_be_well_again(values: list[float], levels: list[Level]) -> None:
    held = Levels(slack=5)
    assert [held.judge("x", value, 85, 95, now) for now, value in enumerate(values)] == levels


@given(st.lists(st.floats(-4, 4), max_size=50), st.sampled_from([85.0, 95.0]), st.sampled_from([OK, WARN, CRIT]))
def test_a_value_that_wavers_about_a_limit_changes_the_level_once(
    noise: list[float], limit: float, before: Level
) -> None:
    changes, level = 0, before
    for one in noise:
        after = next_level(level, limit + one, 85, 95, slack=5)
        changes, level = changes + (after is not level), after
    assert changes <= 1 + (before is OK)


@given(st.floats(0, 200), st.sampled_from([OK, Level.unknown, WARN, CRIT]), st.floats(0, 50))
def test_above_a_limit_it_is_always_bad_and_far_below_always_well(value: float, before: Level, slack: float) -> None:
    level = next_level(before, value, 85, 95, slack)
    assert level is CRIT or value < 95
    assert level >= WARN or value < 85
    assert level is OK or value > 85 * 0.5


def test_it_knows_since_when() -> None:
    held = Levels(slack=5)
    for now, value in [(10, 50), (20, 90), (30, 91), (40, 99)]:
        held.judge("x", value, 85, 95, now)
        assert held.since("x") == {10: 10, 20: 20, 30: 20, 40: 40}[now]
    held.keep_only({"y"})
    held.judge("x", 82, 85, 95, 50)
    assert held.since("x") == 50


def test_limits_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"warn \(96\) must not be above crit \(95\)"):
        Disk(warn=96)
