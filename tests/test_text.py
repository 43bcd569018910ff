"""What people type and hosts produce, made safe to read and to show."""

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.errors import Invalid
from amon.text import LONGEST_LINE, cut, did_you_mean, hidden, normal_line, visible

HIDDEN = ["\x00", "\x07", "\x1b", "\x7f", "\x85", "\u200b", "\u202e", "\u2066", "\u2069", "\ufeff", "\u2028", "\ud800"]


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("restart “my unit”", 'restart "my unit"'), ("echo ‘x’", "echo 'x'"), ("restart –dry-run", "restart --dry-run"),
        ("restart —dry-run", "restart --dry-run"), ("ｕｐｔｉｍｅ", "uptime"), ("log\u00a0httpd", "log httpd"),
        ("  uptime \t", "uptime"), ("a\tb", "a\tb"), ("Zürich", "Zürich"), ("Zu\u0308rich", "Zürich"), ("", ""),
    ],
)  # fmt: skip
def test_what_a_phone_makes_of_a_line_is_put_back(typed: str, meant: str) -> None:
    assert normal_line(typed) == meant


@pytest.mark.parametrize("character", [*HIDDEN, "\n", "\r"])
def test_an_invisible_character_in_a_line_is_refused_and_named(character: str) -> None:
    with pytest.raises(Invalid, match="character 8 is invisible") as refusal:
        normal_line(f"restart{character}x")
    assert str(refusal.value).isprintable()


def test_a_megabyte_is_refused_before_it_is_looked_at() -> None:
    began = time.thread_time()
    with pytest.raises(Invalid, match="1000000 characters long; at most 8192"):
        normal_line("\u202e" * 1_000_000)
    assert time.thread_time() - began < 0.05


def test_a_line_that_only_grows_too_long_is_refused_too() -> None:
    assert len(unicodedata.normalize("NFKC", "\ufdfa")) == 18
    with pytest.raises(Invalid, match="characters long"):
        normal_line("\ufdfa" * 8000)


@given(st.text(max_size=200))
def test_a_line_is_taken_as_it_is_meant_or_refused_and_is_then_settled(line: str) -> None:
    try:
        taken = normal_line(line)
    except Invalid:
        return
    assert normal_line(taken) == taken
    assert len(taken) <= LONGEST_LINE
    assert not any(hidden(character) for character in taken.replace("\t", ""))


@pytest.mark.parametrize("character", HIDDEN)
def test_what_cannot_be_seen_is_shown_as_a_mark(character: str) -> None:
    assert visible(f"a{character}b") == "a\ufffdb"


def test_lines_are_kept_where_lines_are_wanted() -> None:
    assert visible("a\r\nb\tc\n") == "a\nb   c\n"
    assert visible("a\nb", lines=False) == "a\ufffdb"


@given(st.text())
def test_nothing_hidden_passes(text: str) -> None:
    shown = visible(text)
    assert not any(hidden(character) for character in shown.replace("\n", ""))
    assert visible(shown) == shown


def test_fifty_megabytes_are_made_visible_without_holding_up_the_loop() -> None:
    log = "an ordinary line of a log, äöü\n" * 200_000
    began = time.thread_time()
    assert visible(log) == log
    assert time.thread_time() - began < 2


def test_a_cut_leaves_whole_lines_and_says_that_it_cut() -> None:
    assert cut("one\ntwo\nthree", 100) == ("one\ntwo\nthree", False)
    assert cut("one\ntwo\nthree", 10) == ("one\ntwo", True)
    assert cut("x" * 20, 10) == ("x" * 10, True)
    assert cut("a\n" + "x" * 20, 10) == ("a\n" + "x" * 8, True)


@given(st.text(), st.integers(0, 50))
def test_a_cut_is_a_beginning_and_never_longer_than_allowed(text: str, most: int) -> None:
    head, left_out = cut(text, most)
    assert len(head) <= most
    assert text.startswith(head)
    assert left_out == (head != text)


def test_a_near_miss_is_answered_with_what_was_likely_meant() -> None:
    assert did_you_mean("ngnix", ["nginx", "httpd"]) == "; did you mean nginx?"
    assert did_you_mean("UPTIME", {"uptime"}) == "; did you mean uptime?"
    assert did_you_mean("xyz", ["nginx"]) == ""
    assert did_you_mean("a", ("a1", "a2", "a3", "a4")).count(" or ") == 2


def test_a_very_long_word_is_compared_quickly() -> None:
    began = time.thread_time()
    did_you_mean("a" * 1_000_000, ["a" * 60] * 200)
    assert time.thread_time() - began < 1


@pytest.mark.parametrize(
    "character", ["\u034f", "\u115f", "\u1160", "\u180b", "\u2800", "\u3164", "\ufe00", "\uffa0", "\U000e0100"]
)
def test_a_letter_without_a_picture_is_shown_as_a_mark_and_an_emoji_is_left_whole(character: str) -> None:
    assert visible(f"cern{character}") == "cern\ufffd"
    assert visible(f"one\x00\ncern{character}") == "one\ufffd\ncern\ufffd"
    assert visible("done ✔️ ünïcode") == "done ✔️ ünïcode"


@pytest.mark.parametrize("dash", "\ufe58\ufe31\ufe32\u2014\uff0d")
def test_a_normal_line_is_normal_already(dash: str) -> None:
    """Else a person would sign another line than the one that is done."""
    made = normal_line(f"wipe {dash}dry-run \u201ca b\u201d")
    assert normal_line(made) == made
