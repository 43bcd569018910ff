"""The settings of `host` as an administrator writes them."""

import pytest

from amon.convert import from_data
from amon.errors import Problem
from modules.host.settings import Disk, Settings


def read(data: object) -> tuple[Settings | None, list[str]]:
    problems: list[Problem] = []
    settings = from_data(data, Settings, "host", problems)
    return settings, [str(problem) for problem in problems]


def test_nothing_needs_to_be_set() -> None:
    assert read({}) == (Settings(), [])


def test_limits_are_written_with_their_units() -> None:
    settings, problems = read(
        {
            "every": "1 min",
            "disk": {"warn": "80 %", "crit": 90},
            "mounts": {"/data": {"warn": 97, "crit": 99}},
            "watch": ["disk"],
            "ignore": ["/snap/*"],
        }
    )
    assert problems == []
    assert settings is not None
    assert (settings.every, settings.disk, settings.mounts) == (60, Disk(80, 90), {"/data": Disk(97, 99)})


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"disk": {"warn": 96}}, "host.disk: warn (96) must not be above crit (95)"),
        ({"memory": {"warn": 110}}, "host.memory.warn: must be at most 100 %"),
        ({"every": 0}, "host.every: must be at least 1 s"),
        (
            {"watch": ["disks"]},
            "host.watch[0]: expected one of load, memory, swap, disk, temperature; did you mean disk?",
        ),
        ({"mounts": {"data": {}}}, r"host.mounts.data: this name must match /[^\x00-\x1f]*"),
        ({"mount": {}}, "host.mount: is not known here; did you mean mounts?"),
        ({"temperature": {"crit": "hot"}}, "host.temperature.crit: expected a temperature such as '65 °C', not 'hot'"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_place(data: object, says: str) -> None:
    settings, problems = read(data)
    assert settings is None
    assert problems == [says]
