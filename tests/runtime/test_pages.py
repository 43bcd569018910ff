"""Long answers in pages: nothing is lost, nothing is longer than a phone shows, and memory is bounded."""

from hypothesis import given
from hypothesis import strategies as st

from amon.runtime.pages import Pages, shown
from amon.testing import FakeClock

ME = ("alice@example.org", None)


def turned(text: str) -> list[str]:
    """Every page of a text, as somebody reads it who goes on saying more."""
    pages, read = Pages(FakeClock()), list[str]()
    left: str | None = text
    while left is not None:
        read.append(pages.first(ME, left))
        left = pages.more(ME)
    return read


@given(st.text("ab \n", max_size=5000) | st.integers(1, 9000).map(lambda size: "x" * size))
def test_all_of_it_is_read_in_the_end_and_no_page_is_long(text: str) -> None:
    pages = turned(text)
    for page in pages:
        assert len(page) <= 2048 + 40
        assert page.count("\n") <= 20
    said = [page.rpartition("\n")[0] if page.endswith("say more)") else page for page in pages]
    assert "".join(said).replace("\n", "") == text.replace("\n", "")


def test_a_line_that_is_longer_than_a_page_is_broken() -> None:
    assert [len(page.partition("\n")[0]) for page in turned("x" * 5000)] == [2048, 2048, 904]


def test_only_the_last_answers_of_some_people_are_kept() -> None:
    pages = Pages(FakeClock())
    for n in range(300):
        pages.first((f"u{n}@example.org", None), "line\n" * 50)
    assert pages.more(("u0@example.org", None)) is None
    assert pages.more(("u299@example.org", None)) is not None


def test_what_was_kept_for_more_comes_after_what_did_not_fit() -> None:
    pages = Pages(FakeClock())
    assert pages.first(ME, "verdict", "a\nb") == "verdict\n(2 more lines: say more)"
    assert pages.more(ME) == "a\nb"


def test_the_note_stands_below_the_fence_and_a_single_line_needs_none() -> None:
    assert shown("one") == "one"
    assert shown("one\n(1 more line: say more)") == "one\n(1 more line: say more)"
    assert shown("one\ntwo\n(1 more line: say more)") == "one\n```\ntwo\n```\n(1 more line: say more)"


def test_a_later_page_is_all_columns() -> None:
    assert shown("one\ntwo", goes_on=True) == "```\none\ntwo\n```"
    assert shown("one", goes_on=True) == "```\none\n```"
    assert shown("one\n(1 more line: say more)", goes_on=True) == "```\none\n```\n(1 more line: say more)"
