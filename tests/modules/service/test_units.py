"""A unit of systemd in our words."""

import time

import pytest

from amon.testing import FakeClock
from modules.service.states import Condition
from modules.service.systemd import seen_of
from modules.service.units import Unit

FOUND = {
    "LoadState": "loaded",
    "ActiveState": "active",
    "SubState": "running",
    "Result": "success",
    "MainPID": "812",
    "ExecMainStatus": "0",
    "ExecMainCode": "0",
    "NRestarts": "2",
    "MemoryCurrent": "4096",
}


@pytest.mark.parametrize(
    ("change", "condition", "text"),
    [
        ({}, Condition.UP, ""),
        ({"ActiveState": "reloading"}, Condition.UP, ""),
        ({"ActiveState": "inactive"}, Condition.DOWN, ""),
        ({"ActiveState": "activating", "SubState": "auto-restart"}, Condition.STARTING, "systemd restarts it"),
        ({"ActiveState": "deactivating"}, Condition.STOPPING, ""),
        ({"ActiveState": "failed", "Result": "timeout"}, Condition.FAILED, "timeout"),
        (
            {"ActiveState": "failed", "Result": "exit-code", "ExecMainCode": "1", "ExecMainStatus": "203"},
            Condition.FAILED,
            "exit status 203",
        ),
        (
            {"ActiveState": "failed", "Result": "signal", "ExecMainCode": "2", "ExecMainStatus": "9"},
            Condition.FAILED,
            "killed by SIGKILL",
        ),
        ({"ActiveState": "maintenance"}, Condition.UNKNOWN, "maintenance"),
        ({"LoadState": "masked"}, Condition.UNKNOWN, "a.service is masked; systemctl unmask it"),
    ],
)
def test_is_named(change: dict[str, str], condition: Condition, text: str, clock: FakeClock) -> None:
    seen = seen_of("a.service", Unit.of({**FOUND, **change}, clock))
    assert (seen.condition, seen.text) == (condition, text)


def test_only_what_ended_without_fault_was_ended_on_purpose(clock: FakeClock) -> None:
    stopped = Unit.of({**FOUND, "ActiveState": "inactive"}, clock)
    failed = Unit.of({**FOUND, "ActiveState": "inactive", "Result": "exit-code"}, clock)
    assert seen_of("a.service", stopped).on_purpose
    assert not seen_of("a.service", failed).on_purpose


@pytest.mark.parametrize("unset", ["[not set]", str(2**64 - 1), 2**64 - 1, ""])
def test_a_number_that_is_not_set_is_none(unset: object, clock: FakeClock) -> None:
    assert Unit.of({**FOUND, "MemoryCurrent": unset}, clock).memory is None


def test_its_age_does_not_depend_on_the_wall_clock(clock: FakeClock) -> None:
    changed = int((time.monotonic() - 5) * 1e6)
    since = Unit.of({**FOUND, "StateChangeTimestampMonotonic": str(changed)}, clock).since
    assert since is not None
    assert clock.time() - since == pytest.approx(5, abs=1)
