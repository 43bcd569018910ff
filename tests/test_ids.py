"""Identifiers: in order of time, the same for the same message, short for people."""

import re

from hypothesis import given
from hypothesis import strategies as st

from amon.ids import code, new_id, short, typed_id

WORDS = st.text(max_size=40)
ULID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")


@given(st.floats(0, 4e9))
def test_a_fresh_id_is_an_id_and_no_two_are_alike(now: float) -> None:
    assert ULID.fullmatch(new_id(now))
    assert new_id(now) != new_id(now)


@given(st.integers(0, 4 * 10**9), st.integers(1, 10**6))
def test_ids_sort_by_their_time(now: int, later: int) -> None:
    assert new_id(now) < new_id(now + later)


def test_a_known_moment_is_written_as_other_ulid_programs_write_it() -> None:
    assert new_id(1_469_918_176.385)[:10] == "01ARYZ6S41"  # the example of the ULID specification


@given(WORDS, st.none() | WORDS, WORDS)
def test_a_typed_line_has_the_same_id_each_time_it_comes(asker: str, room: str | None, message: str) -> None:
    assert typed_id(asker, room, message) == typed_id(asker, room, message)
    assert ULID.fullmatch(typed_id(asker, room, message))


def test_another_asker_room_or_message_is_another_id() -> None:
    told = [("a@x", "r@m", "1"), ("b@x", "r@m", "1"), ("a@x", "s@m", "1"), ("a@x", "r@m", "2"), ("a@x", None, "1")]
    assert len({typed_id(*one) for one in told}) == len(told)


def test_people_see_the_shortest_end_that_nothing_else_has() -> None:
    ident = "01ARYZ6S41TSV4RRFFQ69G5FAV"
    assert short(ident) == "5FAV"
    assert short(ident, [ident]) == "5FAV"
    assert short(ident, ["01ARYZ6S41TSV4RRFFQ69X5FAV"]) == "G5FAV"
    assert short(ident, ["X" + ident]) == ident


@given(st.lists(st.floats(0, 4e9), min_size=1, max_size=20))
def test_a_short_end_names_one_id_only(moments: list[float]) -> None:
    idents = [new_id(moment) for moment in moments]
    for ident in idents:
        assert [other for other in idents if other.endswith(short(ident, idents))] == [ident]


def test_the_word_that_confirms_is_three_letters_and_belongs_to_the_request() -> None:
    idents = [new_id(1e9) for _ in range(50)]
    assert all(len(code(ident)) == 3 and code(ident) == code(ident) for ident in idents)
    assert len({code(ident) for ident in idents}) > 40
