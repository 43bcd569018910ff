"""What docs/probes.md shows can be typed and configured as it stands there."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from amon.command import Grammar, commands_of
from amon.convert import from_data
from amon.errors import Problem
from modules.probe import ProbeModule, Settings

PAGE = Path(__file__).parents[3] / "docs" / "probes.md"
TEXT = PAGE.read_text(encoding="utf-8")
OFFERED = {name: commands_of(ProbeModule) for name in ("probe", "uplink", "mesh")}


def lines() -> Iterator[str]:
    """Commands as they are typed in a chat, or behind a target on a console."""
    for quoted in re.findall(r"`((?:probe|uplink) [^`]+)`", TEXT):
        yield from quoted.replace("\\|", "|").split("; ")
    for typed in re.findall(
        r"(?:amon run (?:--\S+ (?:\. |10min )?)*(?:'[^']+'|\S+)|you, to cern {8}) ?((?:probe|mesh) .+)", TEXT
    ):
        yield re.split(r"  +|`|\)|;", typed)[0]


def typable() -> list[str]:
    found = [line.replace(" [bad|missing|junk|denied]", " bad").replace(" [TARGET] [MOST]", "") for line in lines()]
    return sorted({line for line in found if "..." not in line})


@pytest.mark.parametrize("line", typable())
def test_each_command_of_the_page_is_one(line: str) -> None:
    assert Grammar(OFFERED).read(line).command.name == line.split()[1]


def test_the_page_shows_every_command() -> None:
    shown = {line.split()[1] for line in lines()} | set(re.findall(r"^\| `([a-z]+) ", TEXT, re.MULTILINE))
    assert set(commands_of(ProbeModule)) <= shown | {"captured"}


@pytest.mark.parametrize("block", re.findall(r"```toml\n(.*?)```", TEXT, re.DOTALL))
def test_each_configuration_of_the_page_is_read(block: str) -> None:
    for instance in tomllib.loads(block).get("instance", {}).values():
        problems: list[Problem] = []
        found = from_data(instance["settings"], Settings, "", problems)
        assert problems == []
        assert found is not None
        assert list(ProbeModule.problems(found)) == []
