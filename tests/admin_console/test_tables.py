"""Results on paper: what becomes one table, what stays text, and that nothing a site says is obeyed."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from admin_console.plain import drawn
from admin_console.tables import (
    LONGEST_TEXT,
    book_layout,
    fleet_grid,
    one_line,
    shallow,
    shared_names,
    some_lines,
    word,
)
from amon.job import Book
from amon.runtime.fleet import Site
from amon.text import hidden
from amon.wire import HealthReport
from amon.words import Answer, Column, Outcome, State

DISKS = (Column("name"), Column("size", "B"))


def book(**answers: Answer | State) -> Book:
    made = Book("job", answers, 0.0)
    for site, answer in answers.items():
        if isinstance(answer, Answer):
            made.ended(Outcome(site, State.done, answer), 1.0)
        elif answer is State.not_here:
            made.offline(site, 1.0)
        else:
            made.ended(Outcome(site, answer, Answer(f"it is {answer}")), 1.0)
    return made


def disks(*rows: dict[str, Any]) -> Answer:
    return Answer("text\nof it", list(rows), DISKS)


def test_answers_of_one_kind_become_one_table_over_all_sites_with_units() -> None:
    full = disks({"name": "/", "size": 2**30}, {"name": "/data", "size": 2**41})
    layout = book_layout(book(fnal=full, cern=disks({"name": "/", "size": 2**30})))
    (grid,) = layout.grids
    assert grid.heads == ("site", "name", "size")
    assert grid.rows == (("cern", "/", "1 GiB"), ("fnal", "/", "1 GiB"), ("fnal", "/data", "2 TiB"))
    assert grid.right == (False, False, True)


def test_sites_that_did_not_do_it_come_first_and_worst_first() -> None:
    layout = book_layout(book(cern=disks({"name": "/", "size": 1}), fnal=State.refused, desy=State.failed))
    ends, results = layout.grids
    assert ends.rows == (("desy", "failed", "it is failed"), ("fnal", "refused", "it is refused"))
    assert results.rows == (("cern", "/", "1 B"),)


def test_answers_of_one_line_are_shown_as_their_authors_wrote_them() -> None:
    up = (Column("seconds", "s"),)
    layout = book_layout(book(cern=Answer("up 3 d", {"seconds": 3.0}, up), fnal=Answer("up 4 d", {"seconds": 4.0}, up)))
    (grid,) = layout.grids
    assert grid.rows == (("cern", "done", "up 3 d"), ("fnal", "done", "up 4 d"))
    assert layout.blocks == ()


def test_answers_of_different_kinds_stay_text_under_their_site() -> None:
    layout = book_layout(book(cern=disks({"name": "/", "size": 1}), fnal=Answer("other\nlines", [1], (Column("x"),))))
    (grid,) = layout.grids
    assert grid.rows == (("cern", "done", "text …"), ("fnal", "done", "other …"))
    assert layout.blocks == (("cern", "text\nof it"), ("fnal", "other\nlines"))


def test_sites_that_say_the_same_at_length_are_named_together() -> None:
    same = Answer("commands:\n  status")
    assert book_layout(book(cern=same, fnal=same, desy=Answer("a\nb"))).blocks == (
        ("cern, fnal", "commands:\n  status"),
        ("desy", "a\nb"),
    )
    many = book(**{f"s{number:02}": same for number in range(20)})
    assert book_layout(many).blocks[0][0].endswith("s10, s11 and 8 more")


@pytest.mark.parametrize("data", [[{"name": {"deep": 1}}], {"name": [{"a": 1}]}, "text", [3], [{"size": 1}, "x"]])
def test_data_that_is_no_table_stays_text(data: Any) -> None:
    layout = book_layout(book(cern=Answer("a\nb", data, DISKS)))
    assert layout.blocks == (("cern", "a\nb"),)


def test_a_page_of_help_is_a_page_and_no_cell() -> None:
    page = "service restart NAME\nRestart it."
    layout = book_layout(book(cern=Answer(page, {"text": page}, (Column("text"),))))
    assert layout.blocks == (("cern", page),)
    assert [grid.heads for grid in layout.grids] == [("site", "state", "result")]


def test_a_late_answer_is_marked() -> None:
    made = Book("job", ["cern"], 0.0, accept_by=1.0)
    made.tick(5.0)
    made.ended(Outcome("cern", State.done, Answer("at last")), 6.0)
    assert book_layout(made).grids[0].rows == (("cern", "done (late)", "at last"),)


def test_the_fleet_is_shown_worst_first_and_offline_sites_too() -> None:
    good = HealthReport("ok", 3, modules=("service",))
    sites = [
        Site("a-good", "", online=True, health=good, status="OK 3/3", tags={"tier": "1"}, agent="1.0", changed=940.0),
        Site("b-gone", ""),
        Site("c-warn", "", online=True, health=HealthReport("warn", 2)),
        Site("d-crit", "", online=True, health=HealthReport("crit", 2)),
        Site("e-odd", "", online=True, health=HealthReport("\x1b[31mpurple", 2)),
    ]
    grid = fleet_grid(sites, 1_000.0)
    assert [row[:2] for row in grid.rows] == [
        ("d-crit", "crit"), ("b-gone", "offline"), ("c-warn", "warn"), ("e-odd", "unknown"), ("a-good", "ok"),
    ]  # fmt: skip
    assert grid.rows[-1] == ("a-good", "ok", "OK 3/3", "1.0", "service", "tier=1", "1 min ago")


def test_a_site_that_does_not_show_itself_has_a_word_of_its_own_and_the_next_step() -> None:
    grid = fleet_grid([Site("kek", "", hidden=True), Site("ral", "")], 0.0)
    assert grid.rows == (("ral", "offline", ""), ("kek", "hidden", "not in this site's policy; ask its owner"))


def test_what_a_site_says_of_itself_at_length_is_cut_for_lines() -> None:
    health = HealthReport("ok", 3, modules=("m" * 40,))
    long = Site("cern", "", online=True, health=health, status="s" * 190, tags={"t": "v" * 90}, agent="a" * 90)
    (line,) = fleet_grid([long], 0.0, 60).rows
    assert [len(cell) for cell in line] == [4, 2, 60, 30, 30, 30]


def test_sites_of_one_name_are_listed_with_what_to_do() -> None:
    said = shared_names([Site("cern@a.example", ""), Site("cern@b.example", ""), Site("fnal", "")])
    assert said.startswith("cern@a.example, cern@b.example: a target knows sites by the name before the @")
    assert said.endswith("next: give one of them an account with another name")
    assert shared_names([Site("fnal", "")]) == ""


@given(st.text(max_size=600))
def test_no_text_keeps_a_character_that_a_terminal_would_obey(text: str) -> None:
    assert not any(hidden(character) for character in one_line(text))
    assert not any(hidden(character) for character in some_lines(text).replace("\n", ""))
    assert len(one_line(text)) <= 400


def test_long_texts_are_cut_and_say_so() -> None:
    assert some_lines("line\n" * 10_000).endswith("(cut; --json has all of it)")
    assert len(some_lines("x" * 10**6)) < LONGEST_TEXT + 100


NUMBERS = st.integers() | st.floats(allow_nan=True) | st.booleans() | st.none() | st.text(max_size=20)
VALUES = st.recursive(
    NUMBERS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3)
)


@given(VALUES, st.sampled_from([None, "s", "B", "b/s", "1", "\x1b[5mB", "%"]))
def test_whatever_a_cell_holds_becomes_one_safe_line(value: Any, unit: str | None) -> None:
    assert not any(hidden(character) for character in word(value, unit))


def test_a_number_beyond_all_numbers_is_shown_and_not_computed_with() -> None:
    assert word(10**400, "B").startswith("1000")
    assert word(float("inf"), "s") == "inf s"


def test_data_that_lies_too_deep_is_cut_off() -> None:
    deep: Any = 1
    for _ in range(5_00):
        deep = [deep]
    assert str(shallow(deep)).count("[") == 12


def test_a_grid_in_a_pipe_has_straight_columns() -> None:
    layout = book_layout(book(cern=disks({"name": "/", "size": 2**30}), fnal=disks({"name": "/data", "size": 1})))
    assert drawn(layout.grids[0]).splitlines() == [
        "site  name    size",
        "cern  /      1 GiB",
        "fnal  /data    1 B",
    ]
