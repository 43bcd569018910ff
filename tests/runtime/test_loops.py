"""Programs that answer each other fall silent; people who ask the same thing now and then do not notice."""

from amon.runtime.loops import SAME, Loops
from amon.testing import FakeClock
from tests.runtime.scene import ALICE, BOB


def test_the_same_answer_again_and_again_ends_in_silence_and_is_told_once() -> None:
    told: list[str] = []
    loops = Loops(FakeClock(), told.append)
    for _ in range(SAME):
        loops.said(ALICE, "what?")
    assert not loops.muted(ALICE)
    for _ in range(5):
        loops.said(ALICE, "what?")
    assert loops.muted(ALICE)
    assert not loops.muted(BOB)
    assert told == [f"{ALICE} got one answer {SAME} times in 10 min; muted for 10 min"]


def test_answers_that_take_turns_are_a_loop_too() -> None:
    loops = Loops(FakeClock(), lambda text: None)
    for n in range(3 * (SAME + 1)):
        loops.said(ALICE, f"answer {n % 3}")
    assert loops.muted(ALICE)


def test_silence_ends_by_itself() -> None:
    clock = FakeClock()
    loops = Loops(clock, lambda text: None)
    for _ in range(SAME + 1):
        loops.said(ALICE, "what?")
    clock.advance(599)
    assert loops.muted(ALICE)
    clock.advance(2)
    assert not loops.muted(ALICE)


def test_somebody_who_looks_every_half_minute_is_no_loop() -> None:
    clock = FakeClock()
    loops = Loops(clock, lambda text: None)
    for _ in range(1000):
        loops.said(ALICE, "OK 7/7")
        clock.advance(30)
    assert not loops.muted(ALICE)


def test_a_thousand_different_answers_are_no_loop() -> None:
    loops = Loops(FakeClock(), lambda text: None)
    for n in range(5000):
        loops.said(ALICE, f"answer {n}")
    assert not loops.muted(ALICE)
