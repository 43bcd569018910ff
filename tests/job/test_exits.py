"""Exit codes: distinct, stable, and the worst one wins."""

import pytest

from amon.job import ExitCode, exit_code
from amon.job.exits import CODES, PRECEDENCE
from amon.words import State


def test_every_state_has_a_code_and_every_code_a_place() -> None:
    assert set(CODES) == set(State)
    assert set(PRECEDENCE) == set(ExitCode) - {ExitCode.none_matched}


def test_codes_are_what_the_manual_says_and_leave_1_and_2_alone() -> None:
    assert {code.name: int(code) for code in ExitCode} == {
        "all_done": 0, "failed": 10, "no_answer": 11, "none_matched": 12, "refused": 13, "running": 14, "cancelled": 15,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([], ExitCode.none_matched),
        ([State.done], ExitCode.all_done),
        ([State.done, State.failed, State.lost], ExitCode.failed),
        ([State.done, State.silent, State.refused], ExitCode.no_answer),
        ([State.not_here], ExitCode.no_answer),
        ([State.invalid, State.running], ExitCode.refused),
        ([State.running, State.cancelled], ExitCode.running),
        ([State.done, State.not_started], ExitCode.cancelled),
    ],
)
def test_the_worst_state_decides(states: list[State], code: ExitCode) -> None:
    assert exit_code(states) is code
