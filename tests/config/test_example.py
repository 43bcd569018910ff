"""An example made from dataclasses reads back without a problem, also with every comment sign taken away."""

import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from amon.config import example, known_good, read, reference
from amon.errors import Problem
from amon.fields import Field, Secret

HUSH = Secret("hush")


@dataclass(frozen=True, slots=True)
class Check:
    address: Annotated[str, Field("whom to ask", example="127.0.0.1:80")]
    every: Annotated[float, Field("time between two", unit="s", least=1, most=3600)] = 90


@dataclass(frozen=True, slots=True)
class Door:
    """Who comes in."""

    open_: Annotated[bool, Field("whether it is open")] = True
    guests: Annotated[tuple[str, ...], Field("who may", longest=3, example=("alice",))] = ()


@dataclass(frozen=True, slots=True)
class Settings:
    name: Annotated[str, Field('its name, in "quotes"', example='a "b" \\c')]
    password: Annotated[Secret, Field("kept", secret=True)] = HUSH
    size: Annotated[int, Field("how large", unit="B")] = 65_536
    odd: Annotated[float, Field("not round", unit="s")] = 1 / 3
    place: Path | None = None
    kind: Literal["a", "b"] = "b"
    door: Annotated[Door, Field("the door")] = Door()
    checks: Annotated[dict[str, Check], Field("checks by name", example="web")] = field(default_factory=dict)
    more: Annotated[tuple[Check, ...], Field("more of them")] = ()
    tags: Annotated[dict[str, str], Field("free words", example={"tier one": "1"})] = field(default_factory=dict)


def problems_of(text: str) -> list[str]:
    problems: list[Problem] = []
    read(text, Settings, problems)
    return [str(problem) for problem in problems]


def test_the_example_as_printed_is_a_configuration_with_the_defaults() -> None:
    problems: list[Problem] = []
    assert read(example(Settings), Settings, problems) == Settings('a "b" \\c')
    assert problems == []


def test_every_default_and_every_table_is_valid_when_its_comment_sign_is_taken_away() -> None:
    text = re.sub(r"(?m)^# (?=\[|\S+ = |\"[^\"]+\" = )", "", example(Settings))
    found: Any = tomllib.loads(text)
    assert problems_of(text) == []
    assert found["size"] == "64 KiB"
    assert found["odd"] == 1 / 3
    assert found["door"] == {"open_": True, "guests": ["alice"]}
    assert found["checks"] == {"web": {"address": "127.0.0.1:80", "every": "1 min 30 s"}}
    assert found["more"] == [found["checks"]["web"]]
    assert found["tags"] == {"tier one": "1"}


def test_each_key_is_told_with_meaning_unit_and_bounds() -> None:
    assert '# time between two; a duration from 1 s to 1 h\n# every = "1 min 30 s"' in example(Check)
    assert '# whom to ask; text; must be given\naddress = "127.0.0.1:80"' in example(Check)


def test_what_is_chosen_is_written_and_opens_the_tables_above_it() -> None:
    text = example(Settings, live={"checks.db.address": "db:5432", "door.guests": ("bob",)})
    assert tomllib.loads(text) == {
        "name": 'a "b" \\c', "door": {"guests": ["bob"]}, "checks": {"db": {"address": "db:5432"}},
    }  # fmt: skip


def test_a_default_that_is_a_secret_is_neither_in_the_example_nor_in_the_reference() -> None:
    assert "hush" not in example(Settings) + reference(Settings, "Settings")


def test_the_reference_has_a_section_for_each_table_and_a_row_for_each_key() -> None:
    text = reference(Settings, "All")
    assert [line for line in text.splitlines() if line.startswith("#")] == [
        "### All",
        "### `[door]`: the door",
        "### `[checks.NAME]`: checks by name",
        "### `[[more]]`: more of them",
        "### `[tags]`: free words",
    ]
    assert '| `every` | a duration from 1 s to 1 h | `"1 min 30 s"` | time between two |' in text
    assert "| `address` | text | **must be given** | whom to ask |" in text


def test_what_is_right_beside_a_mistake_can_still_be_looked_at() -> None:
    assert known_good({"address": "a", "every": "soon", "evrey": 1}, Check) == Check("a")
    assert known_good({"every": 5}, Check) is None
    assert known_good([], Check) is None


def test_what_is_right_deep_beside_a_mistake_is_found_too() -> None:
    @dataclass(frozen=True)
    class Watch:
        checks: dict[Annotated[str, Field(pattern="[a-z]+")], Check]
        one: Check | None = None
        tags: tuple[int, ...] = ()

    written = {
        "checks": {"a": {"address": "a", "evrey": 1}, "b": {"every": 5}, "C": {"address": "c"}, "d": 7},
        "one": {"address": "x", "every": "soon"},
        "tags": [1, "two"],
    }
    assert known_good(written, Watch) == Watch({"a": Check("a")}, Check("x"))
