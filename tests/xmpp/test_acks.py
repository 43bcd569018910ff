"""Counting of XEP-0198, against a plugin that only holds the numbers."""

import asyncio
from collections import deque
from xml.etree.ElementTree import Element

import pytest

from amon.xmpp.acks import Acks, Resume, Sent


class Numbers:
    """What slixmpp's plugin keeps."""

    def __init__(self) -> None:
        self.sm_id = "s1"
        self.enabled_in = self.enabled_out = True
        self.handled = self.seq = self.last_ack = 0
        self.unacked_queue: deque[tuple[int, Sent]] = deque()


class Failed:
    """A `failed` of the server, with or without what it had handled."""

    def __init__(self, handled: str | None) -> None:
        self.xml = Element("failed", {"h": handled} if handled is not None else {})


def sent(*numbers: int) -> list[tuple[int, Sent]]:
    return [(number, Sent(f"m{number}", "")) for number in numbers]


async def test_what_went_is_kept_until_the_server_has_it() -> None:
    numbers, said = Numbers(), list[str]()
    acks = Acks(numbers, said.append, None)
    for number in range(50):
        acks.went(Sent(str(number), "x"))
    await asyncio.sleep(0)
    assert acks.waiting == 50
    assert said == ["<r xmlns='urn:xmpp:sm:3'/>"], "asked once for the fifty"
    acks.stop()


async def test_a_question_is_answered_with_what_is_said_next_or_soon() -> None:
    numbers, asked = Numbers(), asyncio.Event()
    acks = Acks(numbers, lambda text: asked.set(), None)
    assert acks.take_answer() == ""
    acks.came()
    acks.asked()
    assert acks.take_answer() == "<a xmlns='urn:xmpp:sm:3' h='1'/>"
    assert acks.take_answer() == ""
    acks.asked()
    async with asyncio.timeout(5):
        await asked.wait()
    assert "h='1'" in acks.take_answer()
    acks.stop()


async def test_a_quick_conversation_has_one_answer_in_a_period_and_one_after_a_hundred_stanzas() -> None:
    numbers, later = Numbers(), asyncio.Event()
    acks = Acks(numbers, lambda text: later.set(), None)
    answers = []
    for _ in range(150):
        acks.came()
        acks.asked()
        answers.append(acks.take_answer())
    assert [number for number, answer in enumerate(answers) if answer] == [0, 100]
    async with asyncio.timeout(5):
        await later.wait()
    assert "h='150'" in acks.take_answer()
    acks.stop()


async def test_the_last_answer_is_given_without_a_question() -> None:
    numbers = Numbers()
    acks = Acks(numbers, print, None)
    acks.came()
    assert acks.last_answer() == "<a xmlns='urn:xmpp:sm:3' h='1'/>"
    assert acks.take_answer() == "", "nothing may come after the end of the stream"


async def test_nothing_is_counted_before_it_is_agreed() -> None:
    numbers = Numbers()
    numbers.enabled_in = numbers.enabled_out = False
    acks = Acks(numbers, print, None)
    acks.went(Sent("1", "x"))
    acks.came()
    assert (acks.waiting, numbers.handled) == (0, 0)
    assert acks.last_answer() == ""


def test_the_numbers_turn_over() -> None:
    numbers = Numbers()
    numbers.handled = 2**32 - 1
    Acks(numbers, print, None).came()
    assert numbers.handled == 0


def test_a_new_stream_takes_up_where_the_last_one_was_cut() -> None:
    numbers = Numbers()
    resume = Resume("s9", 7, 12, 10, sent(11, 12))
    acks = Acks(numbers, print, resume)
    assert (numbers.sm_id, numbers.handled, numbers.seq, numbers.last_ack) == ("s9", 7, 12, 10)
    assert acks.resume() == resume


@pytest.mark.parametrize(
    ("handled", "lost"),
    [
        (None, ("m11", "m12", "m13")),
        ("12", ("m13",)),
        ("13", ()),
        ("10", ("m11", "m12", "m13")),
        ("x", ("m11", "m12", "m13")),
    ],
)
def test_what_is_lost_is_named_as_far_as_the_server_does_not_have_it(
    handled: str | None, lost: tuple[str, ...]
) -> None:
    acks = Acks(Numbers(), print, Resume("s9", 7, 13, 10, sent(11, 12, 13)))
    acks.not_resumed(Failed(handled))
    assert acks.take_lost() == lost
    assert acks.take_lost() == ()


def test_a_server_without_resumption_gives_nothing_to_take_up() -> None:
    numbers = Numbers()
    numbers.sm_id = ""
    assert Acks(numbers, print, None).resume() is None
