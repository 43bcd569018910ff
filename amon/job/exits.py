"""What a job's end is for a script: one exit code, distinct from those of the shell and of option parsing (1 and 2)."""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from types import MappingProxyType

from amon.words import State


class ExitCode(IntEnum):
    """Where several apply, the first in `PRECEDENCE` counts."""

    all_done = 0
    failed = 10
    """At least one site did it and it went wrong."""
    no_answer = 11
    """At least one site is silent, lost, not here or expired: nobody knows, or nothing happened there.

    So it is where an answer is not proven by the key that its site has.
    """
    none_matched = 12
    """The target means no site; nothing was sent."""
    refused = 13
    """At least one site refused it or did not understand it."""
    running = 14
    """At least one site is still at it; ask again by the job's id."""
    cancelled = 15
    """At least one site was cancelled, or its turn in a batch never came."""


CODES: Mapping[State, ExitCode] = MappingProxyType(
    {
        State.done: ExitCode.all_done,
        State.failed: ExitCode.failed,
        State.silent: ExitCode.no_answer,
        State.lost: ExitCode.no_answer,
        State.not_here: ExitCode.no_answer,
        State.expired: ExitCode.no_answer,
        State.refused: ExitCode.refused,
        State.invalid: ExitCode.refused,
        State.running: ExitCode.running,
        State.accepted: ExitCode.running,
        State.pending: ExitCode.running,
        State.cancelled: ExitCode.cancelled,
        State.not_started: ExitCode.cancelled,
    }
)
PRECEDENCE = (
    ExitCode.failed, ExitCode.no_answer, ExitCode.refused, ExitCode.running, ExitCode.cancelled, ExitCode.all_done,
)  # fmt: skip
"""What changed something for the worse, then what is not known, then what did not happen."""


def exit_code(states: Iterable[State]) -> ExitCode:
    """The code for a job whose sites ended so. A late `done` is a done: what counts is how the book stands."""
    found = {CODES[state] for state in states}
    return next((code for code in PRECEDENCE if code in found), ExitCode.none_matched)
