"""A typed line, taken apart into words that know where they stood."""

import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.command import Word, split
from amon.errors import Invalid


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []), ("   ", []), ("a b", ["a", "b"]), ("  a \t b ", ["a", "b"]), ('a "b c" d', ["a", "b c", "d"]),
        ("'b c'", ["b c"]), ('name="b c"', ["name=b c"]), (r"b\ c", ["b c"]), (r'"say \"x\""', ['say "x"']),
        (r"'a\b'", [r"a\b"]), ('""', [""]), ("a'b'c", ["abc"]), ("\\", ["\\"]), ("@(a and b) c", ["@(a and b)", "c"]),
        ("@((a) or (b))", ["@((a) or (b))"]), ("@(a)b", ["@(a)", "b"]), ("x@(a b", ["x@(a", "b"]), ("@x", ["@x"]),
    ],
)  # fmt: skip
def test_words_are_held_together_as_in_a_shell(line: str, words: list[str]) -> None:
    assert [word.text for word in split(line)] == words


def test_every_word_knows_where_it_stood() -> None:
    line = ' restart "my unit" name="x y" '
    assert [line[word.start : word.end] for word in split(line)] == ["restart", '"my unit"', 'name="x y"']


@pytest.mark.parametrize(("line", "quoted"), [('"--x"', True), (r"\--x", True), ("--x", False), ('--x="a b"', False)])
def test_a_word_that_begins_with_a_quote_or_a_backslash_is_never_an_option(line: str, quoted: bool) -> None:
    assert [word.quoted for word in split(line)] == [quoted]


@pytest.mark.parametrize(
    ("line", "says", "place"),
    [
        ('restart "my unit', 'this " is never closed', 8), ("it's", "this ' is never closed", 2),
        ("on @(a or (b) x", "this ( is never closed", 4), ('"\\"', 'this " is never closed', 0),
    ],
)  # fmt: skip
def test_what_is_opened_and_never_closed_is_pointed_at(line: str, says: str, place: int) -> None:
    with pytest.raises(Invalid) as refusal:
        split(line)
    assert refusal.value.message == says
    assert (refusal.value.start, refusal.value.end) == (place, place + 1)


@pytest.mark.parametrize("line", ["a " * 500_000, '"' * 1_000_000, "@(" * 500_000, "(" * 1_000_000, "\\" * 1_000_000])
def test_a_megabyte_is_refused_at_once(line: str) -> None:
    began = time.thread_time()
    with pytest.raises(Invalid, match="1000000 characters long"):
        split(line)
    assert time.thread_time() - began < 0.05


@pytest.mark.parametrize("character", ["\x00", "\n", "\x1b", "\u202e", "\u2066", "\u200b", "\ud800"])
def test_what_no_keyboard_types_is_refused_also_between_quotes(character: str) -> None:
    with pytest.raises(Invalid, match="character 12 is invisible") as refusal:
        split(f'restart "a {character} b"')
    assert (refusal.value.start, refusal.value.end) == (11, 12)
    assert character == "\n" or character not in refusal.value.pointed()


PRINTABLE = st.characters(exclude_categories=["Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"])


@given(st.lists(st.text(PRINTABLE, max_size=20), max_size=8))
def test_words_put_between_quotes_come_back_as_they_were(words: list[str]) -> None:
    line = " ".join('"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"' for word in words)
    assert [word.text for word in split(line)] == words


@given(st.text(alphabet=st.sampled_from("ab \t\"'\\@()=-,\u202e\u3000"), max_size=200) | st.text(max_size=200))
def test_any_line_is_taken_apart_or_refused(line: str) -> None:
    words: tuple[Word, ...] = ()
    with suppress(Invalid):
        words = split(line)
    places = [place for word in words for place in (word.start, word.end)]
    assert places == sorted(places)
    assert all(0 <= place <= len(line) for place in places)
