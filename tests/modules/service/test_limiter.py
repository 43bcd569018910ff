"""How often a service is restarted by itself: the limit, the growing waits, and clocks that are set."""

from hypothesis import given
from hypothesis import strategies as st

from modules.service import Restart
from modules.service.limiter import History, after_restart, after_stable, delay, exhausted, given_up, recent

RULE = Restart(automatic=True, limit=3, within=600, wait=1, longest_wait=60)


def test_three_restarts_in_ten_minutes_are_allowed_and_no_fourth() -> None:
    history = History()
    for now in (1000, 1100, 1200):
        assert not exhausted(history, RULE, now)
        history = after_restart(history, RULE, now)
    assert exhausted(history, RULE, 1300)
    assert not exhausted(history, RULE, 1601)  # the first has aged out


def test_having_given_up_does_not_age() -> None:
    assert exhausted(given_up(History()), RULE, 10**9)


def test_waits_double_up_to_the_longest() -> None:
    history = History()
    waits = []
    for now in range(8):
        waits.append(delay(history, RULE))
        history = after_restart(history, RULE, now)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]


def test_a_stable_run_makes_the_wait_short_but_keeps_the_count() -> None:
    history = after_stable(after_restart(after_restart(History(), RULE, 10), RULE, 20))
    assert delay(history, RULE) == 1
    assert len(recent(history, RULE, 30)) == 2


def test_a_clock_that_was_set_back_counts_the_future_as_now() -> None:
    history = after_restart(History(), RULE, 10_000)
    assert recent(history, RULE, 50) == (50,)


@given(st.lists(st.floats(0, 1e6), max_size=50), st.integers(1, 20), st.integers(0, 5000))
def test_never_more_than_the_limit_in_any_window(times: list[float], limit: int, streak: int) -> None:
    rule = Restart(automatic=True, limit=limit, within=100)
    history, done = History(streak=streak), []
    for now in sorted(times):
        assert 0 <= delay(history, rule) <= rule.longest_wait
        if not exhausted(history, rule, now):
            history = after_restart(history, rule, now)
            done.append(now)
    for now in done:
        assert len([at for at in done if now - 100 < at <= now]) <= limit
