"""The pace of presence: bad news at once, never a flood."""

from hypothesis import given
from hypothesis import strategies as st

from amon.health import Board, Health, Level, Maintenances, Pace, Picture


def picture(level: Level, text: str = "") -> Picture:
    board = Board()
    board.put("it", Health(level, text))
    return board.picture(0, Maintenances())


OK, WARNING, CRITICAL = (picture(level) for level in (Level.ok, Level.warning, Level.critical))


def empty() -> Pace:
    """One that has told its burst, the last thing being that all is well."""
    pace = Pace(burst=3, settle=0)
    for n, one in enumerate([WARNING, CRITICAL, OK]):
        assert pace.due(one, n) == 0
        pace.told(one, n)
    return pace


def test_the_first_picture_is_told_at_once_and_the_same_never_again() -> None:
    pace = Pace(burst=3, settle=0)
    assert pace.due(OK, 5) == 0
    pace.told(OK, 5)
    assert pace.due(OK, 5000) is None


def test_a_burst_is_told_at_once_then_one_each_minute() -> None:
    pace = empty()
    pace.told(CRITICAL, 3)
    wait = pace.due(OK, 3)
    assert wait is not None
    assert 60 < wait < 120
    assert pace.due(OK, 3 + wait) == 0


def test_bad_news_is_told_at_once_also_after_the_burst() -> None:
    assert empty().due(CRITICAL, 3) == 0
    assert empty().due(WARNING, 3) == 0
    assert empty().due(picture(Level.ok), 3) is None


def test_worse_news_right_after_bad_news_beyond_the_burst_waits_its_turn() -> None:
    pace = empty()
    now = 10.0
    pace.told(WARNING, now)
    wait = pace.due(CRITICAL, now)
    assert wait is not None
    assert 0 < wait <= 60
    assert pace.due(CRITICAL, now + wait) == 0


def test_what_is_less_bad_waits_after_the_burst() -> None:
    pace = empty()
    pace.told(CRITICAL, 3)
    assert (pace.due(WARNING, 3) or 0) > 60


def test_another_text_of_the_same_level_waits_its_turn() -> None:
    pace = empty()
    pace.told(CRITICAL, 3)
    wait = pace.due(picture(Level.critical, "no answer"), 3)
    assert wait is not None
    assert wait > 0


def test_after_quiet_hours_there_is_a_burst_again_and_no_more() -> None:
    pace = empty()
    said = 0
    for one in [WARNING, OK] * 5:
        if pace.due(one, 86_400) == 0:
            pace.told(one, 86_400)
            said += 1
    assert said in (3, 4)


@given(
    st.lists(st.tuples(st.floats(0, 30), st.sampled_from([OK, WARNING, CRITICAL])), max_size=200),
    st.integers(1, 5),
    st.floats(1, 120),
)
def test_however_a_site_flaps_little_is_said(news: list[tuple[float, Picture]], burst: int, every: float) -> None:
    pace = Pace(every, burst)
    now, said = 1e6, 0
    for pause, one in news:
        now += pause
        wait = pace.due(one, now)
        if wait == 0:
            pace.told(one, now)
            said += 1
    assert said <= burst + 1 + (now - 1e6) / every + 1e-6


@given(st.lists(st.tuples(st.floats(0, 30), st.sampled_from([OK, WARNING, CRITICAL])), min_size=1, max_size=60))
def test_what_is_true_in_the_end_is_told_in_the_end(news: list[tuple[float, Picture]]) -> None:
    pace = Pace(burst=3, settle=0)
    now, told = 0.0, None
    for pause, one in news:
        now += pause
        if pace.due(one, now) == 0:
            pace.told(one, now)
            told = one
    last = news[-1][1]
    wait = pace.due(last, now)
    if wait is None:
        assert told is not None
        assert told.level == last.level
    else:
        assert pace.due(last, now + wait + 1e-6) == 0


def test_what_a_person_had_changed_is_told_at_once_however_often() -> None:
    pace = Pace(burst=3)
    pace.told(OK, 0)
    for n in range(50):
        now = 1.0 + 4 * n
        assert pace.due(WARNING, now) == 0
        pace.told(WARNING, now)
        assert (pace.due(OK, now + 1) or 0) > 0
        pace.grant(now + 1)
        assert pace.due(OK, now + 1.5) == 0
        pace.told(OK, now + 1.5)


def test_what_people_had_changed_makes_no_longer_burst_than_there_ever_is() -> None:
    pace = Pace(burst=3, settle=0)
    for _ in range(100):
        pace.grant(0)
    said = 0
    for one in [WARNING, OK] * 10:
        if pace.due(one, 1) == 0:
            pace.told(one, 1)
            said += 1
    assert said in (3, 4)


def test_what_is_not_worse_must_have_stood_for_a_moment_so_that_a_restart_shows_no_steps() -> None:
    pace = Pace(settle=0.5)
    pace.told(CRITICAL, 0)
    assert pace.due(WARNING, 10) == 0.5
    assert pace.due(OK, 10.25) == 0.5
    assert pace.due(OK, 10.5) == 0.25
    assert pace.due(OK, 10.75) == 0


def test_a_step_that_is_gone_before_it_stood_is_never_told() -> None:
    pace = Pace(settle=0.5)
    pace.told(CRITICAL, 0)
    assert pace.due(OK, 10) == 0.5
    assert pace.due(CRITICAL, 10.25) is None
    assert pace.due(OK, 10.5) == 0.5
