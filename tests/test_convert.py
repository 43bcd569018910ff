"""Settings, typed words and data become typed values; every mistake is told at once, with its place."""

import enum
import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.convert import fields_of, from_data, from_text, hint_of, to_data
from amon.errors import Problem
from amon.fields import Field, Secret


class Colour(enum.Enum):
    red = "rot"
    green = "grün"


class Grade(enum.IntEnum):
    low = 1
    high = 2


UnitName = Annotated[str, Field("a unit", pattern=r"[\w@.-]+", longest=16)]


@dataclass(frozen=True, slots=True)
class Check:
    address: UnitName
    every: Annotated[float, Field("seconds between two", unit="s", least=1, most=3600)] = 60
    tries: Annotated[int, Field(least=1)] = 3


@dataclass(frozen=True, slots=True)
class Settings:
    password: Annotated[Secret, Field("the account's", secret=True)]
    checks: Annotated[tuple[Check, ...], Field(longest=3)] = ()
    named: dict[UnitName, Check] = field(default_factory=dict)
    log: Path | None = None
    colour: Colour = Colour.red
    level: Literal["a", "b"] = "a"
    size: Annotated[int, Field(unit="B")] = 0
    strict: bool = False

    def __post_init__(self) -> None:
        if self.strict and self.level == "b":
            raise ValueError("b is never strict")


def read(data: object) -> tuple[Settings | None, list[str]]:
    problems: list[Problem] = []
    settings = from_data(data, Settings, "host", problems)
    return settings, [str(problem) for problem in problems]


def test_what_is_right_becomes_a_value_of_the_declared_type() -> None:
    settings, problems = read(
        {
            "password": "hush",
            "checks": [{"address": "a", "every": "5 min"}],
            "named": {"x": {"address": "b"}},
            "log": "/var/log/x",
            "colour": "grün",
            "size": "64 KiB",
        }
    )
    assert problems == []
    assert settings == Settings(
        Secret("hush"), (Check("a", 300.0),), {"x": Check("b")}, Path("/var/log/x"), Colour.green, "a", 65_536
    )


def test_all_mistakes_are_told_at_once_each_with_its_path() -> None:
    settings, problems = read(
        {
            "checks": [{"address": "a"}, {"address": "b c", "evrey": 3}, {"every": 0.5, "address": 7, "tries": 1.5}],
            "named": {"no good": {"address": "a"}},
            "colour": "gruen",
            "level": 3,
            "size": "64 parsec",
            "strict": "yes",
            "lgo": "x",
        }
    )
    assert settings is None
    assert sorted(problems) == [
        r"host.checks[1].address: must match [\w@.-]+",
        "host.checks[1].evrey: is not known here; did you mean every?",
        "host.checks[2].address: expected text, got a number",
        "host.checks[2].every: must be at least 1 s",
        "host.checks[2].tries: expected a whole number, got 1.5",
        "host.colour: expected one of rot, grün; did you mean grün?",
        "host.level: expected one of a, b",
        "host.lgo: is not known here; did you mean log?",
        r"host.named.no good: this name must match [\w@.-]+",
        "host.password: is missing (the account's)",
        "host.size: 'parsec' is not a unit of this quantity; expected a size such as '64 KiB', '10 MB' or '512 B'",
        "host.strict: expected true or false, got text",
    ]


def test_what_the_settings_themselves_refuse_has_its_path_too() -> None:
    assert read({"password": "x", "strict": True, "level": "b"})[1] == ["host: b is never strict"]


def test_a_list_with_too_many_items_is_refused() -> None:
    assert read({"password": "x", "checks": [{"address": "a"}] * 4})[1] == [
        "host.checks: has 4 items; at most 3 are allowed"
    ]


def test_a_table_where_a_list_is_meant_says_so() -> None:
    assert read({"password": "x", "checks": {"a": 1}})[1] == ["host.checks: expected a list, got a table"]
    assert read([])[1] == ["host: expected a table, got a list"]
    assert read({"password": "x", "named": {"a": []}})[1] == ["host.named.a: expected a table, got a list"]


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf"), 10**400, True, "3", None, [3]])
def test_what_is_no_finite_number_is_refused_and_never_a_bug(number: object) -> None:
    for hint in (int, float):
        problems: list[Problem] = []
        from_data(number, hint, "count", problems)
        assert [problem.path for problem in problems] == ["count"]


def test_numbers_of_a_literal_are_taken_from_data_and_from_words() -> None:
    hint = hint_of(Literal[1, 10, "all"])
    problems: list[Problem] = []
    values: Any = [Literal[1, 10, "all"]]
    assert from_data(10, values[0], "", problems) == 10
    assert problems == []
    assert from_text("10", hint) == 10
    assert from_text("all", hint) == "all"
    from_data(True, values[0], "x", problems)
    assert [str(problem) for problem in problems] == ["x: expected one of 1, 10, all"]


@pytest.mark.parametrize(
    ("word", "hint", "value"),
    [
        ("5 min", Annotated[float, Field(unit="s")], 300.0), ("300", Annotated[int, Field(unit="s")], 300),
        ("7", int, 7), ("-7", int, -7), ("1e3", float, 1000.0), ("1e3", int, 1000), ("yes", bool, True),
        ("OFF", bool, False), ("rot", Colour, Colour.red), ("high", Grade, Grade.high), ("a", Literal["a"], "a"),
        ("a, b,c", tuple[str, ...], ("a", "b", "c")), ("1,2", list[int], [1, 2]), ("/tmp", Path, Path("/tmp")),
        ("7", int | None, 7), ("hush", Secret, Secret("hush")),
    ],
)  # fmt: skip
def test_words_become_values(word: str, hint: Any, value: object) -> None:
    assert from_text(word, hint_of(hint)) == value


@pytest.mark.parametrize(
    ("word", "hint", "says"),
    [
        ("x", int, "expected a number, got 'x'"), ("1.5", int, "expected a whole number"), ("9" * 41, int, "a number"),
        ("nan", float, "finite"), ("1e999", float, "finite"), ("maybe", bool, "expected yes or no"),
        ("medium", Grade, "expected one of low, high"), ("a b", UnitName, "must match"),
        ("x" * 17, UnitName, "17 characters long; at most 16"), ("5", Check, "expected a table"),
        ("11 s", Annotated[float, Field(unit="s", most=10)], "at most 10 s"),
        ("-1", Annotated[int, Field(least=0)], "at least 0"), ("", int, "expected a number"),
        ("a,1", list[int], "expected a number, got 'a'"), ("\u202e", int, r"'\u202e'"),
    ],
)  # fmt: skip
def test_wrong_words_are_answered_with_what_was_expected(word: str, hint: Any, says: str) -> None:
    with pytest.raises(ValueError, match=re.escape(says)):
        from_text(word, hint_of(hint))


HINTS = st.sampled_from(
    [int, float, bool, Secret, Path, Colour, Grade, Literal["a", 1], UnitName, Annotated[float, Field(unit="s")],
     list[int], tuple[UnitName, ...], int | None, Check]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=20,
)


@given(st.text(max_size=100), HINTS)
def test_no_word_is_a_bug(word: str, hint: Any) -> None:
    with suppress(ValueError):
        from_text(word, hint_of(hint))


@given(JSON | st.dictionaries(st.sampled_from(list(fields_of(Settings))), JSON))
def test_no_data_is_a_bug_and_only_faultless_data_makes_settings(data: object) -> None:
    settings, problems = read(data)
    assert (settings is None) == bool(problems)


def test_bounds_hold_for_paths_and_secrets_as_for_text() -> None:
    for kind in (Path, Secret):
        hint = Annotated[kind, Field(pattern=r"/\w+", longest=5)]  # type: ignore[valid-type]
        for word in ("/toolong", "../x"):
            with pytest.raises(ValueError, match=r"must match|characters long"):
                from_text(word, hint_of(hint))


def test_an_error_about_a_secret_does_not_tell_it() -> None:
    problems: list[Problem] = []
    hint: Any = Annotated[int, Field(secret=True)]
    from_data("hush hush", hint, "pin", problems)
    with pytest.raises(ValueError, match="not what is expected") as refusal:
        from_text("hush", hint_of(hint))
    assert "hush" not in str(refusal.value) + str(problems)


def test_a_field_written_over_another_keeps_what_it_does_not_say() -> None:
    hint = hint_of(Annotated[UnitName | None, Field("which unit", longest=8)])
    assert hint.optional
    assert hint.field == Field("which unit", pattern=r"[\w@.-]+", longest=8)
    assert hint_of(Annotated[UnitName, Field("which unit", longest=8)]).field == hint.field


HUSH = Secret("hush")


@dataclass(frozen=True, slots=True)
class Told:
    password: Annotated[str, Field(secret=True)] = "hush"
    secret: Secret = HUSH
    many: tuple[Annotated[str, Field(secret=True)], ...] = ("hush",)
    table: dict[str, Annotated[str, Field(secret=True)]] = field(default_factory=lambda: {"a": "hush"})
    none: Annotated[str | None, Field(secret=True)] = None


def test_secrets_are_masked_wherever_they_stand() -> None:
    told = {"password": "***", "secret": "***", "many": ["***"], "table": {"a": "***"}, "none": None}
    assert to_data(Told()) == told
    assert to_data([{"x": Told()}]) == [{"x": told}]
    assert "hush" not in f"{Secret('hush')} {Secret('hush')!r}"
    assert Secret("hush").reveal() == "hush"
    assert Secret("a") == Secret("a") != Secret("b")
    assert len({Secret("a"), Secret("a")}) == 1


def test_what_goes_out_is_plain_json() -> None:
    assert to_data([Colour.red, Grade.high, Path("/x"), float("inf"), {1: (True, None)}, Check("a")]) == [
        "rot", "high", "/x", None, {"1": [True, None]}, {"address": "a", "every": 60, "tries": 3},
    ]  # fmt: skip


@given(st.text(alphabet=st.characters(categories=["Cs", "L"], include_characters="\ufffe\uffff")))
def test_a_file_name_that_is_not_utf_8_can_still_be_sent(name: str) -> None:
    sent = json.dumps(to_data({name: name}), ensure_ascii=False).encode()
    assert "\ufffe".encode() not in sent
    assert "\uffff".encode() not in sent


@dataclass(frozen=True, slots=True)
class Hidden:
    numbers: Annotated[tuple[int, ...], Field(secret=True)] = ()
    named: Annotated[dict[str, int], Field(secret=True)] = field(default_factory=dict)
    plain: Secret | None = None


def test_what_stands_in_a_secret_list_or_table_is_not_quoted_either() -> None:
    problems: list[Problem] = []
    from_data({"numbers": ["hush"], "named": {"a": "hush"}, "plain": ["hush"]}, Hidden, "", problems)
    assert len(problems) == 3
    assert "hush" not in "".join(problem.text for problem in problems)
    with pytest.raises(ValueError, match="is not what is expected here"):
        from_text("hush", hint_of(Annotated[tuple[int, ...], Field(secret=True)]))
