"""From what a command gave back to text, table and data: units for people, plain numbers for programs, no secrets."""

import enum
import json
from dataclasses import dataclass, field
from typing import Annotated, Any

from hypothesis import given
from hypothesis import strategies as st

from amon.command.answer import answer_of, table_text
from amon.fields import Field, Secret
from amon.text import hidden
from amon.words import Answer, Column


class Mood(enum.Enum):
    well = "well"


@dataclass(frozen=True, slots=True)
class Disk:
    mount: Annotated[str, Field("where")]
    size: Annotated[int | None, Field("whole", unit="B")] = None
    used: Annotated[float, Field("used", unit="%")] = 0.0
    read_only: bool = False
    note: str = ""


@dataclass(frozen=True, slots=True)
class Rate:
    bits: Annotated[float, Field(unit="b/s")]

    def __str__(self) -> str:
        return f"{self.bits:g} bits"


@dataclass(frozen=True, slots=True)
class Faster(Rate):
    pass


@dataclass(frozen=True, slots=True)
class Host:
    up: Annotated[float, Field(unit="s")] = 5400.0
    mood: Mood = Mood.well
    load_per_core: float = 0.123456
    busy: bool = True
    rate: Rate = Rate(5.0)
    main: Disk = Disk("/", 1024, 50)
    disks: tuple[Disk, ...] = (Disk("/a", 2048, 90.5),)
    names: tuple[str, ...] = ("x", "y")
    counts: dict[str, int] = field(default_factory=lambda: {"a": 1})
    log: str = "one\ntwo"
    nothing: str | None = None
    empty: tuple[str, ...] = ()


def test_nothing_to_say_is_done() -> None:
    assert answer_of(None) == Answer("done")
    assert answer_of([]) == Answer("nothing", [])


def test_one_thing_reads_as_names_and_values_with_their_units() -> None:
    assert answer_of(Host()).text.splitlines() == [
        "up: 1 h 30 min", "mood: well", "load per core: 0.1235", "busy: yes", "rate: 5 bits",
        "main:", "mount: /", "size: 1 KiB", "used: 50 %", "read only: no",
        "disks:", "mount   size    used  read only", "/a     2 KiB  90.5 %         no",
        "names: x, y", "counts: a=1", "log:", "one", "two",
    ]  # fmt: skip


def test_several_things_are_a_table_with_numbers_to_the_right_and_no_empty_column() -> None:
    answer = answer_of([Disk("/", 10 * 2**30, 7), Disk("/home", None, 99.95, read_only=True)])
    assert answer.text.splitlines() == [
        "mount    size     used  read only",
        "/      10 GiB      7 %         no",
        "/home       -  99.95 %        yes",
    ]


def test_a_class_that_says_how_it_reads_is_believed_and_so_is_one_derived_from_it() -> None:
    assert answer_of(Rate(5.0)).text == "5 bits"
    assert answer_of([Faster(5.0), Faster(6.0)]).text == "5 bits\n6 bits"


def test_programs_get_plain_values_and_the_units_apart() -> None:
    answer = answer_of([Disk("/", 1024, 7.5)])
    assert answer.data == [{"mount": "/", "size": 1024, "used": 7.5, "read_only": False, "note": ""}]
    assert answer.columns[:3] == (
        Column("mount", None, "where"),
        Column("size", "B", "whole"),
        Column("used", "%", "used"),
    )
    assert json.loads(json.dumps(answer_of(Host()).data))["rate"] == {"bits": 5.0}


def test_a_table_can_be_made_from_the_data_far_from_the_module() -> None:
    disks = [Disk("/", 1024, 7.5), Disk("/home", 2**40, 80)]
    answer = answer_of(disks)
    assert table_text(answer.columns, json.loads(json.dumps(answer.data))) == answer.text
    assert table_text(answer.columns, []) == ""


@dataclass(frozen=True, slots=True)
class Account:
    name: str
    password: Annotated[str, Field(secret=True)]
    tokens: tuple[Annotated[str, Field(secret=True)], ...]
    key: Secret


def test_secrets_are_masked_in_every_form() -> None:
    @dataclass(frozen=True, slots=True)
    class Holder:
        account: Account
        accounts: tuple[Account, ...]
        by_name: dict[str, Account]

    one = Account("x", "hush", ("hush", "hush"), Secret("hush"))
    for result in (one, [one, one], Holder(one, (one,), {"a": one})):
        answer = answer_of(result)
        assert "hush" not in answer.text + json.dumps(answer.data)
        assert "***" in answer.text


def test_what_a_host_says_cannot_paint_over_the_screen() -> None:
    odd = Disk("/\x1b[2J\u202e", note="a\tb\nc")
    assert answer_of([odd]).text.splitlines()[1].startswith("/\ufffd[2J\ufffd")
    for result in (odd, [odd], "x\x07\u2066", ["\x00"]):
        assert not any(hidden(character) for character in answer_of(result).text.replace("\n", ""))


def test_what_is_no_number_is_shown_as_none() -> None:
    assert answer_of([Disk("/", None, float("nan"))]).data[0]["used"] is None


ROW: Any = st.builds(
    Disk,
    st.text(max_size=10),
    st.none() | st.integers(0, 2**70),
    st.floats(),
    st.booleans(),
    st.text(max_size=10),
)


@given(st.lists(ROW, min_size=1, max_size=4))
def test_any_rows_make_a_table_whose_lines_are_as_many_as_the_rows(rows: list[Disk]) -> None:
    answer = answer_of(rows)
    assert len(answer.text.split("\n")) == len(rows) + 1
    json.dumps(answer.data, allow_nan=False)
