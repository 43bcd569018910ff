"""The soak tells flat from growing, and says why it cannot run. It runs itself with `make soak`."""

import pytest

from tests.soak.run import refusal
from tests.soak.samples import Life, slope, table


def life(*sizes: float) -> Life:
    return Life("agent", [(10.0 * number, size) for number, size in enumerate(sizes)])


def test_what_it_takes_to_warm_up_is_no_growth() -> None:
    warmed = life(30, 40, *(42.0,) * 10)
    assert warmed.flat
    assert warmed.slope == 0


def test_growth_is_told_with_its_slope() -> None:
    growing = life(*(40 + 0.5 * number for number in range(20)))
    assert not growing.flat
    assert growing.slope == pytest.approx(180)
    assert "NOT FLAT" in table([growing])


def test_one_peak_is_not_flat_either_and_neither_is_a_drop() -> None:
    assert not life(40, 40, 40, 40, 43, 40, 40).flat
    assert not life(40, 40, 40, 40, 37, 40, 40).flat


def test_of_a_life_that_was_too_short_nothing_is_told() -> None:
    assert not life(40).flat
    assert "too short" in table([life(40), Life("none")])
    assert slope([(1.0, 40.0)]) == 0


def test_without_root_it_says_what_it_needs() -> None:
    assert "next: run it as root" in refusal(1000)


def test_a_missing_program_is_named_with_its_package() -> None:
    said = refusal(0, {"prosody": "/usr/bin/prosody"}.get)
    assert said == "ip not found; next: apt-get install iproute2 prosody"
    assert refusal(0, lambda name: name) == ""
