"""Words of a shell become the line that a site reads back as the same words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_console.words import line_of, own_flags, quoted
from amon.command import split
from amon.errors import Invalid

WORD = st.text(st.characters(min_codepoint=33, max_codepoint=126) | st.sampled_from(" \"\\'=(@"), max_size=20)


@given(st.lists(WORD, min_size=2, max_size=6))
def test_words_come_back_as_they_were(words: list[str]) -> None:
    line = " ".join(map(quoted, words))
    assert [word.text for word in split(line)] == words


def test_plain_words_stay_as_they_are() -> None:
    assert line_of(["service", "restart", "httpd", "--force", "n=3"]) == "service restart httpd --force n=3"


def test_what_is_quoted_keeps_its_key_outside() -> None:
    line = line_of(["tail", "--match=two words", 'text=it\'s \\ "b"'])
    assert line == r'''tail --match="two words" text="it's \\ \"b\""'''


def test_one_word_with_blanks_is_the_line_already() -> None:
    assert line_of(["service restart httpd"]) == "service restart httpd"
    assert line_of(['say "two words"']) == 'say "two words"'


def test_blanks_are_no_command() -> None:
    with pytest.raises(Invalid, match="no command given"):
        line_of(["   "])


def test_a_megabyte_is_refused_before_anything_is_done_with_it() -> None:
    with pytest.raises(Invalid, match="1000005 characters long; at most 8192"):
        line_of(["say", "x" * 1_000_000])


@pytest.mark.parametrize("bad", ["\x1b[31m", "abc\u202edef", "a\x00b", "a\u200bb"])
def test_invisible_characters_are_refused(bad: str) -> None:
    with pytest.raises(Invalid, match="invisible"):
        line_of(["echo", bad])


def test_an_open_quote_is_pointed_at() -> None:
    with pytest.raises(Invalid, match="never closed"):
        line_of(['say "two words'])


def test_the_consoles_own_flags_may_stand_behind_the_command_as_people_type_them() -> None:
    assert own_flags(["uptime", "--json"]) == (["uptime"], frozenset({"--json"}))
    assert own_flags(["--dry-run", "service", "restart", "--yes", "httpd"]) == (
        ["service", "restart", "httpd"],
        frozenset({"--yes", "--dry-run"}),
    )
    assert own_flags(["say", "--", "--json"]) == (["say", "--", "--json"], frozenset())
