"""When a rule holds: hours of the week in a zone, over midnight, over a change of the clocks, and an end."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.access.window import shown, span_of, until_of, window, zone_of


def at(text: str) -> float:
    """Seconds of a time like `2026-11-20 08:00` in UTC; that day was a Friday."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("hours", "now", "holds"),
    [
        ("Mon-Fri 08:00-18:00", "2026-11-20 08:00", True),
        ("Mon-Fri 08:00-18:00", "2026-11-20 07:59", False),
        ("Mon-Fri 08:00-18:00", "2026-11-20 17:59", True),
        ("Mon-Fri 08:00-18:00", "2026-11-20 18:00", False),
        ("Mon-Fri 08:00-18:00", "2026-11-21 12:00", False),
        ("mon-FRI  08:00-18:00", "2026-11-20 08:00", True),
        ("Sat 10:00-14:00", "2026-11-21 12:00", True),
        ("Sat 10:00-14:00", "2026-11-20 12:00", False),
        ("08:00-18:00", "2026-11-22 12:00", True),
        ("Sat-Mon 00:00-24:00", "2026-11-22 23:59", True),  # over the end of the week
        ("Sat-Mon 00:00-24:00", "2026-11-20 23:59", False),
        ("Fri 22:00-06:00", "2026-11-20 22:00", True),
        ("Fri 22:00-06:00", "2026-11-21 05:59", True),  # Friday's night ends on Saturday
        ("Fri 22:00-06:00", "2026-11-21 06:00", False),
        ("Fri 22:00-06:00", "2026-11-20 05:00", False),  # Thursday's night is not Friday's
        ("Sun 22:00-06:00", "2026-11-23 05:00", True),  # from Sunday to Monday
        ("Fri 18:00-00:00", "2026-11-20 23:59", True),
        ("Fri 18:00-00:00", "2026-11-21 00:00", False),
    ],
)
def test_hours_hold_from_their_first_minute_to_before_their_last(hours: str, now: str, holds: bool) -> None:
    assert window((hours,), "UTC", "").open(at(now)) is holds


def test_one_of_several_hours_is_enough_and_none_is_always() -> None:
    both = window(("Mon 08:00-09:00", "Fri 08:00-09:00"), "UTC", "")
    assert both.open(at("2026-11-20 08:30"))
    assert not both.open(at("2026-11-19 08:30"))
    assert window((), "UTC", "").open(at("2026-11-19 08:30"))


def test_hours_are_those_of_the_zone_in_summer_and_in_winter() -> None:
    berlin = window(("08:00-18:00",), "Europe/Berlin", "")
    assert not berlin.open(at("2026-07-01 05:59"))
    assert berlin.open(at("2026-07-01 06:00"))
    assert not berlin.open(at("2026-12-01 06:59"))
    assert berlin.open(at("2026-12-01 07:00"))


@pytest.mark.parametrize(
    ("until", "zone", "last"),
    [
        ("2026-11-20", "UTC", "2026-11-20 23:59"),
        ("2026-11-20", "Europe/Berlin", "2026-11-20 22:59"),
        ("2026-11-20T18:00", "UTC", "2026-11-20 17:59"),
        ("2026-11-20 18:00:00", "Europe/Berlin", "2026-11-20 16:59"),
        ("2026-11-20T18:00Z", "Europe/Berlin", "2026-11-20 17:59"),
        ("2026-11-20T18:00+02:00", "UTC", "2026-11-20 15:59"),
    ],
)
def test_until_is_the_end_of_a_day_or_a_time_of_the_zone(until: str, zone: str, last: str) -> None:
    ends = window((), zone, until)
    assert ends.open(at(last))
    assert not ends.open(at(last) + 60)


def test_what_has_ended_does_not_come_back_with_its_hours() -> None:
    assert not window(("Mon-Fri 08:00-18:00",), "UTC", "2026-11-20").open(at("2026-11-23 12:00"))


@pytest.mark.parametrize(
    ("hours", "said"),
    [
        ("", "are no hours like 'Mon-Fri 08:00-18:00'"),
        ("Mon-Fri", "are no hours"),
        ("8:00-18:00", "are no hours"),
        ("Mon,Tue 08:00-18:00", "are no hours"),
        ("Mon-Fri 08:00-18:00 ", None),
        ("Mon-Fry 08:00-18:00", "'fry' is no day"),
        ("Mit 08:00-18:00", "'mit' is no day"),
        ("Mon 08:60-18:00", "a time that does not exist"),
        ("Mon 08:00-24:01", "a time that does not exist"),
        ("Mon 08:00-08:00", "has no time in it"),
        ("Mon 24:00-08:00", "has no time in it"),
        ("Mon ٠٨:00-18:00", "are no hours"),
    ],
)
def test_hours_that_mean_nothing_are_told(hours: str, said: str | None) -> None:
    if said is None:
        assert span_of(hours).days == frozenset(range(5))
        return
    with pytest.raises(ValueError, match=said):
        span_of(hours)


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "../../etc/passwd", "/etc/passwd", "Europe", "UTC\n", "a" * 5000])
def test_a_zone_that_is_none_is_told(name: str) -> None:
    with pytest.raises(ValueError, match="is no time zone known here"):
        zone_of(name)


@pytest.mark.parametrize(
    ("until", "said"),
    [
        ("tomorrow", "is no date"),
        ("20261231", "is no date"),
        ("2026-W01-1", "is no date"),
        ("2026-02-30", "does not exist"),
        ("2026-12-31T25:00", "does not exist"),
        ("9999-12-31", "does not exist"),
    ],
)
def test_an_end_that_does_not_exist_is_told(until: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        until_of(until)


@given(st.text(max_size=40), st.text(max_size=40), st.text(max_size=40))
def test_whatever_is_written_is_read_or_told(hours: str, zone: str, until: str) -> None:
    with suppress(ValueError):
        assert window((hours,), zone, until).open(0) in (True, False)


@given(st.integers(0, 6), st.integers(0, 1439), st.integers(0, 1440), st.integers(0, 7 * 1440 - 1))
def test_a_span_holds_for_as_long_as_it_is_written(day: int, begin: int, end: int, minute: int) -> None:
    if begin == end:
        return
    name = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")[day]
    text = f"{name} {begin // 60:02}:{begin % 60:02}-{end // 60:02}:{end % 60:02}"
    length = end - begin if begin < end else end - begin + 1440
    monday = datetime(2026, 11, 16, tzinfo=UTC)
    now = (monday + timedelta(minutes=minute)).timestamp()
    into = (minute - day * 1440 - begin) % (7 * 1440)
    assert window((text,), "UTC", "").open(now) is (into < length)


def test_a_moment_is_shown_in_utc() -> None:
    assert shown(at("2026-11-20 08:00")) == "2026-11-20 08:00 UTC"
