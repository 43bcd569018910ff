"""Quantities read as people write them and written as people read them."""

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.units import age, format_quantity, parse_quantity

UNITS = st.sampled_from(["s", "B", "b/s", "%", "°C", "1", "", "dBm"])
NUMBERS = st.floats(min_value=-1e18, max_value=1e18, allow_nan=False)


@pytest.mark.parametrize(
    ("text", "unit", "value"),
    [
        ("5 min", "s", 300.0), ("5min", "s", 300.0), ("5m", "s", 300.0), ("5 Min", "s", 300.0), ("30", "s", 30.0),
        ("1 h 30 min", "s", 5400.0), ("1h30min", "s", 5400.0), ("1.5 h", "s", 5400.0), ("2 d", "s", 172_800.0),
        ("250 ms", "s", 0.25), ("10 us", "s", 1e-5), ("10 µs", "s", 1e-5), ("3 ns", "s", 3e-9),
        ("-2 s", "s", -2.0), ("-1 h 30 min", "s", -5400.0), ("1e3", "s", 1000.0), ("20 seconds", "s", 20.0),
        ("64 KiB", "B", 65_536.0), ("1 kB", "B", 1000.0), ("10MB", "B", 1e7), ("512", "B", 512.0),
        ("2 TiB", "B", 2.0**41), ("10 Gb/s", "b/s", 1e10), ("500 kb/s", "b/s", 5e5), ("100 Mbit/s", "b/s", 1e8),
        ("9600", "b/s", 9600.0), ("90 %", "%", 90.0), ("90%", "%", 90.0), ("90", "%", 90.0),
        ("65.5 °C", "°C", 65.5), ("-3 C", "°C", -3.0), ("7", "1", 7.0), ("7.25", "", 7.25),
        ("-18 dBm", "dBm", -18.0),
    ],
)  # fmt: skip
def test_reads_what_people_write(text: str, unit: str, value: float) -> None:
    assert parse_quantity(text, unit) == pytest.approx(value, rel=1e-12)


@pytest.mark.parametrize(
    ("text", "unit", "says"),
    [
        ("", "s", "expected a duration such as"), ("soon", "s", "expected a duration such as"),
        ("5 parsec", "s", "'parsec' is not a unit"), ("1 h 30", "s", "expected a duration"),
        ("30 min 1 h", "s", "expected a duration"), ("1 h 1 h", "s", "expected a duration"),
        ("1 KiB 2 B", "B", "expected a size such as"), ("64 mib", "B", "did you mean MiB?"),
        ("10 Mb", "B", "did you mean MB?"), ("10 GB", "b/s", "expected a rate such as"),
        ("10 gb/s", "b/s", "did you mean Gb/s?"), ("nan", "s", "expected"), ("inf", "1", "expected a number"),
        ("1e999", "s", "too large"), ("--1", "1", "expected a number"), ("5 %", "°C", "expected a temperature"),
        ("3 apples", "1", "'apples' is not a unit"), ("1,5", "1", "expected a number"),
        ("९ s", "s", "expected a duration"), ("9" * 101, "s", "not 101 characters"), ("5\u202e s", "s", r"\u202e"),
    ],
)  # fmt: skip
def test_says_what_was_expected(text: str, unit: str, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)) as refusal:
        parse_quantity(text, unit)
    assert str(refusal.value).isprintable()


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (300, "s", "5 min"), (5400, "s", "1 h 30 min"), (93_784, "s", "1 d 2 h 3 min 4 s"), (0, "s", "0 s"),
        (0.25, "s", "250 ms"), (59.9999, "s", "1 min"), (90.5, "s", "1 min 30.5 s"), (0.0123456, "s", "12.35 ms"),
        (86_400, "s", "1 d"), (-5, "s", "-5 s"), (65_536, "B", "64 KiB"), (1_048_575, "B", "1 MiB"),
        (1500, "B", "1.465 KiB"), (10_000_000, "B", "10 MB"), (0, "B", "0 B"), (1e10, "b/s", "10 Gb/s"),
        (999_960, "b/s", "1 Mb/s"), (5e5, "b/s", "500 kb/s"), (90, "%", "90 %"), (65.5, "°C", "65.5 °C"),
        (123_456, "1", "123456"), (0.5, "", "0.5"), (-18, "dBm", "-18 dBm"), (math.inf, "s", "inf s"),
    ],
)  # fmt: skip
def test_writes_short(value: float, unit: str, text: str) -> None:
    assert format_quantity(value, unit) == text


@given(NUMBERS, UNITS)
def test_what_is_written_reads_back_near_the_value_and_writes_the_same_again(value: float, unit: str) -> None:
    text = format_quantity(value, unit)
    again = parse_quantity(text, unit)
    assert again == pytest.approx(value, rel=1e-3, abs=1e-300)
    assert parse_quantity(format_quantity(again, unit), unit) == pytest.approx(again, rel=1e-3, abs=1e-300)


@given(st.integers(min_value=0, max_value=999), st.sampled_from(["ms", "s", "min", "h", "d"]))
def test_round_durations_read_back_exactly(number: int, word: str) -> None:
    value = parse_quantity(f"{number} {word}", "s")
    assert parse_quantity(format_quantity(value, "s"), "s") == value


@given(st.integers(min_value=0, max_value=999), st.sampled_from(["B", "KiB", "MiB", "GiB", "TiB", "MB", "GB"]))
def test_round_sizes_read_back_exactly(number: int, word: str) -> None:
    value = parse_quantity(f"{number} {word}", "B")
    assert parse_quantity(format_quantity(value, "B"), "B") == value


@given(st.text(max_size=120), UNITS)
def test_any_text_is_read_or_refused(text: str, unit: str) -> None:
    said = "read"
    try:
        assert math.isfinite(parse_quantity(text, unit))
    except ValueError as refusal:
        said = str(refusal)
    assert said.isprintable()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "0 s"), (0.9, "0 s"), (45, "45 s"), (60, "1 min"), (500, "8 min"), (3599, "59 min"),
        (7500, "2 h 05 min"), (273_600, "3 d 04 h"), (100 * 86_400, "100 d"), (math.nan, "0 s"),
    ],
)  # fmt: skip
def test_ages_are_short(seconds: float, text: str) -> None:
    assert age(seconds) == text
