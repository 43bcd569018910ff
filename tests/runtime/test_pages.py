"""Long answers in pages: nothing is lost, nothing is longer than a phone shows, and memory is bounded."""

import asyncio
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.errors import Failed
from amon.runtime.pages import Behind, Key, Pages, Read, shown
from amon.testing import FakeClock

ME = ("alice@example.org", None)
KEY = ("lab", "alice@example.org", "01JD8M5W8X1V6Q2R3S4T5V6W7X")


def nothing(key: Key, offset: int, most: int) -> bytes:
    raise Failed("nothing is kept")


async def turned(text: str, behind: Behind | None = None, read: Read = nothing) -> list[str]:
    """Every page of a text, as somebody reads it who goes on saying more."""
    pages = Pages(FakeClock())
    read_so_far = [pages.first(ME, text, "", behind)]
    while (page := await pages.more(ME, read)) is not None:
        read_so_far.append(page)
    return read_so_far


def said(pages: list[str]) -> str:
    """Without the notes below."""
    return "".join(re.sub(r"\n\(\d+ more lines?: say more(, or file)?\)$", "", page) for page in pages)


@given(st.text("ab \n", max_size=5000) | st.integers(1, 9000).map(lambda size: "x" * size))
async def test_all_of_it_is_read_in_the_end_and_no_page_is_long(text: str) -> None:
    pages = await turned(text)
    for page in pages:
        assert len(page) <= 2048 + 40
        assert page.count("\n") <= 20
    assert said(pages).replace("\n", "") == text.replace("\n", "")


@given(st.text("ab ü\n😀", min_size=1, max_size=300), st.integers(1, 200), st.integers(0, 3000))
async def test_what_lies_behind_a_text_that_was_cut_is_read_to_its_end(text: str, times: int, cut: int) -> None:
    whole = text * times
    head, coded = whole[:cut], whole.encode()
    behind = Behind(KEY, len(head.encode()), max(1, whole.count("\n") - head.count("\n")))
    pages = await turned(head, behind, lambda key, offset, most: coded[offset : offset + most])
    for page in pages:
        assert len(page) <= 2048 + 40
        assert page.count("\n") <= 20
    assert said(pages).replace("\n", "") == whole.replace("\n", "")


async def test_pages_of_a_kept_output_are_read_when_they_are_asked_for_and_kept_nowhere_else() -> None:
    coded = b"".join(b"%07d\n" % number for number in range(500_000))
    asked: list[tuple[Key, int, int]] = []

    def read(key: Key, offset: int, most: int) -> bytes:
        asked.append((key, offset, most))
        return coded[offset : offset + most]

    pages = Pages(FakeClock())
    first = pages.first(ME, coded[:15_999].decode(), "", Behind(KEY, 15_999, 498_000))
    assert first.endswith("\n(499980 more lines: say more, or file)")
    assert asked == []
    for turn in range(1, 201):
        page = await pages.more(ME, read)
        assert page is not None
        assert page.startswith(f"{20 * turn:07}\n")
        assert page.endswith(f"\n({499_980 - 20 * turn} more lines: say more, or file)")
    assert all(key == KEY and most <= 16_384 for key, _, most in asked)
    assert len(asked) < 20
    assert pages.last(ME) == KEY


async def test_who_says_more_twice_at_once_gets_two_pages_and_a_new_answer_stays() -> None:
    coded = b"".join(b"%07d\n" % number for number in range(5_000))
    pages = Pages(FakeClock())
    pages.first(ME, coded[:1599].decode(), "", Behind(KEY, 1599, 4_800))
    read = await asyncio.gather(*(pages.more(ME, lambda key, offset, most: coded[offset:][:most]) for _ in range(2)))
    assert [page and page[:7] for page in read] == ["0000020", "0000040"]

    def interrupted(key: Key, offset: int, most: int) -> bytes:
        pages.first(ME, "another\n" * 50)
        return coded[offset:][:most]

    pages.first(ME, "line", "", Behind(KEY, 4, 4_800))
    assert await pages.more(ME, interrupted) is not None
    assert pages.last(ME) == "another\n" * 50


async def test_a_line_that_is_longer_than_a_page_is_broken() -> None:
    assert [len(page.partition("\n")[0]) for page in await turned("x" * 5000)] == [2048, 2048, 904]


async def test_only_the_last_answers_of_some_people_are_kept() -> None:
    pages = Pages(FakeClock())
    for n in range(300):
        pages.first((f"u{n}@example.org", None), "line\n" * 50)
    assert await pages.more(("u0@example.org", None), nothing) is None
    assert await pages.more(("u299@example.org", None), nothing) is not None


async def test_what_was_kept_for_more_comes_after_what_did_not_fit() -> None:
    pages = Pages(FakeClock())
    assert pages.first(ME, "verdict", "a\nb") == "verdict\n(2 more lines: say more)"
    assert await pages.more(ME, nothing) == "a\nb"
    assert await pages.more(ME, nothing) is None


async def test_ten_minutes_later_nothing_is_left_of_it() -> None:
    clock = FakeClock()
    pages = Pages(clock)
    pages.first(ME, "line\n" * 50)
    clock.advance(599)
    assert pages.last(ME) == "line\n" * 50
    assert await pages.more(ME, nothing) is not None
    clock.advance(601)
    assert pages.last(ME) is None
    assert await pages.more(ME, nothing) is None


async def test_an_output_that_is_gone_is_told_and_does_not_look_like_its_end() -> None:
    pages = Pages(FakeClock())
    pages.first(ME, "line", "", Behind(KEY, 4, 9))
    with pytest.raises(Failed, match="nothing is kept"):
        await pages.more(ME, nothing)


def test_the_note_stands_below_the_fence_and_a_single_line_needs_none() -> None:
    assert shown("one") == "one"
    assert shown("one\n(1 more line: say more)") == "one\n(1 more line: say more)"
    assert shown("one\ntwo\n(1 more line: say more)") == "one\n```\ntwo\n```\n(1 more line: say more)"


def test_a_later_page_is_all_columns() -> None:
    assert shown("one\ntwo", goes_on=True) == "```\none\ntwo\n```"
    assert shown("one", goes_on=True) == "```\none\n```"
    assert shown("one\n(1 more line: say more)", goes_on=True) == "```\none\n```\n(1 more line: say more)"
