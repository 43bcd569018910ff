"""The three kinds of error, and how one about words points at the word."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.errors import Failed, Invalid, Problem, Refused


def test_a_mistake_in_the_words_is_also_a_refusal_but_a_failure_is_not() -> None:
    assert issubclass(Invalid, Refused)
    assert not issubclass(Failed, Refused)


def test_carets_stand_below_the_word_that_is_meant() -> None:
    wrong = Invalid("there is no unit 'ngnix'", "service restart ngnix", 16, 21)
    assert wrong.pointed() == "there is no unit 'ngnix'\n  service restart ngnix\n                  ^^^^^"
    assert str(wrong) == "there is no unit 'ngnix'"


def test_without_a_line_there_is_nothing_to_point_at() -> None:
    assert Invalid("nothing was asked").pointed() == "nothing was asked"


def test_a_missing_word_is_pointed_at_behind_the_end() -> None:
    assert Invalid("needs name", "restart", 7, 8).pointed().splitlines()[2] == " " * 9 + "^"


def test_of_a_long_line_only_the_neighbourhood_is_shown() -> None:
    line = "x" * 500 + " wrong " + "y" * 500
    shown, carets = Invalid("no", line, 501, 506).pointed(width=40).splitlines()[1:]
    assert len(shown) == 42
    assert shown[carets.index("^") : carets.rindex("^") + 1] == "wrong"


def test_a_tab_or_an_invisible_character_does_not_move_the_carets() -> None:
    shown, carets = Invalid("no", "a\t\u202ewrong", 3, 8).pointed().splitlines()[1:]
    assert shown == "  a  wrong"
    assert shown[carets.index("^") :] == "wrong"


@given(st.text(max_size=300), st.integers(0, 300), st.integers(0, 300), st.integers(1, 100))
def test_pointing_never_fails_and_stays_within_its_width(line: str, start: int, length: int, width: int) -> None:
    start = min(start, len(line))
    said = Invalid("no", line, start, start + length).pointed(width).split("\n")
    assert all(len(part) <= width + 3 for part in said[1:])
    assert all(part.isprintable() for part in said)


@pytest.mark.parametrize(
    ("problem", "text"),
    [(Problem("service.httpd", "is missing"), "service.httpd: is missing"), (Problem("", "no file"), "no file")],
)
def test_a_problem_says_where_it_is(problem: Problem, text: str) -> None:
    assert str(problem) == text
