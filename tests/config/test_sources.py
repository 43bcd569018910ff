"""A secret from where it is: one mechanism for agent and console, every mistake with its path, the value in none."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import pytest

from amon.config import NoSecret, Sources, WrongMode, known_good
from amon.convert import from_data
from amon.errors import Problem
from amon.fields import Field, Secret


@dataclass(frozen=True, slots=True)
class Inner:
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class Outer:
    password: Annotated[Secret | None, Field(secret=True, longest=16, pattern=r"[a-z]+")] = None
    tokens: tuple[Secret, ...] = ()
    named: dict[str, Secret] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)
    rest: tuple[Inner, ...] = ()


class Place:
    """A directory with a secret in a file and one of systemd's."""

    def __init__(self, folder: Path) -> None:
        self.file, self.credentials = folder / "file", folder / "credentials"
        self.credentials.mkdir()
        for path, text in ((self.file, "hushfile\n"), (self.credentials / "xmpp", "hushsystemd")):
            path.write_text(text)
            path.chmod(0o600)
        self.problems: list[Problem] = []
        self.sources = Sources(environment={"AMON": "hushenv", "EMPTY": ""}, credentials=self.credentials)

    def read(self, value: Any) -> Outer | None:
        return from_data(value, Outer, "", self.problems, self.sources.find)

    def said(self) -> list[str]:
        return [str(problem) for problem in self.problems]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_every_secret_may_be_written_in_four_ways_also_in_lists_and_tables(place: Place) -> None:
    file, env, credential = {"file": str(place.file)}, {"env": "AMON"}, {"credential": "xmpp"}
    read = place.read(
        {
            "password": file, "tokens": ["plain", file, env], "named": {"a": credential}, "inner": {"token": env},
            "rest": [{"token": credential}],
        }
    )  # fmt: skip
    assert place.said() == []
    assert read is not None
    assert read.password == Secret("hushfile")
    assert read.tokens == (Secret("plain"), Secret("hushfile"), Secret("hushenv"))
    assert read.named == {"a": Secret("hushsystemd")}
    assert (read.inner.token, read.rest[0].token) == (Secret("hushenv"), Secret("hushsystemd"))
    assert list(place.sources.written) == ["tokens[0]"], "only this one stands in the file itself"


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ({}, "password: write it as text, or as a table with one of"),
        ({"file": "/a", "env": "B"}, "password: write it as text, or as a table with one of"),
        ({"fille": "/a"}, "; did you mean file?"),
        (7, "password: is not what is expected here"),
        ({"env": 7}, "password.env: expected text"),
        ({"env": "A B"}, "password.env: is no name of a variable"),
        ({"env": "NOWHERE"}, "password.env: the environment has no NOWHERE; next: set it"),
        ({"env": "EMPTY"}, "password.env: the variable EMPTY is empty"),
        ({"file": "relative"}, "password.file: relative is relative; write the whole path"),
        ({"file": "/nowhere/x"}, "password.file: /nowhere/x does not exist"),
        ({"credential": "../file"}, "password.credential: is no name of a credential"),
        ({"credential": "a/b"}, "password.credential: is no name of a credential"),
        ({"credential": ".."}, "password.credential: is no name of a credential"),
        ({"credential": "none"}, "does not exist"),
    ],
)
def test_what_leads_to_no_secret_is_said_with_its_path(place: Place, written: Any, said: str) -> None:
    place.read({"password": written})
    (problem,) = place.said()
    assert said in problem


def test_all_mistakes_are_told_at_once_and_none_shows_a_value(place: Place) -> None:
    place.file.chmod(0o644)
    assert place.read(
        {
            "password": {"env": "EMPTY"}, "tokens": [{"file": str(place.file)}, {"hushkey": "hushvalue"}],
            "inner": {"token": ["hushlist"]}, "named": {"a": {"env": "hush env"}},
        }
    ) is None  # fmt: skip
    assert [problem.path for problem in place.problems] == [
        "password.env", "tokens[0].file", "tokens[1]", "named.a.env", "inner.token",
    ]  # fmt: skip
    assert isinstance(place.problems[1], WrongMode)
    assert isinstance(place.problems[0], NoSecret)
    assert "hush" not in "".join(place.said())


def test_a_value_from_elsewhere_is_held_to_the_same_rules_and_not_quoted(place: Place) -> None:
    place.file.write_text("HUSH")
    place.read({"password": {"file": str(place.file)}})
    assert place.said() == ["password: must match [a-z]+"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o700])
def test_a_file_that_others_could_read_is_refused_with_the_command_that_mends_it(place: Place, mode: int) -> None:
    place.file.chmod(mode)
    place.read({"password": {"file": str(place.file)}})
    assert place.said() == [
        f"password.file: {place.file} has mode {mode:04o}, but a secret is for one reader only; "
        f"next: chmod 600 {place.file}"
    ]


@pytest.mark.parametrize(
    ("content", "said"), [(b"", "is empty"), (b"a\nb", "has more than one line"), (b"\xff", "UTF-8")]
)
def test_a_file_holds_one_line_of_text(place: Place, content: bytes, said: str) -> None:
    place.file.write_bytes(content)
    place.read({"password": {"file": str(place.file)}})
    assert said in "".join(place.said())


def test_without_systemd_a_credential_says_how_to_hand_it_over(place: Place) -> None:
    place.sources.credentials = None
    place.read({"password": {"credential": "xmpp"}})
    assert "next: LoadCredential=xmpp:/path/of/file" in "".join(place.said())


def test_relative_paths_count_from_the_file_where_that_is_wanted(place: Place) -> None:
    place.sources.beside = place.file.parent
    read = place.read({"password": {"file": "file"}})
    assert read is not None
    assert read.password == Secret("hushfile")


def test_one_reading_looks_at_a_place_once(place: Place) -> None:
    place.read({"password": {"file": str(place.file)}})
    place.file.write_text("another")
    again = known_good({"password": {"file": str(place.file)}, "nonsense": 1}, Outer, place.sources.again)
    assert again is not None
    assert again.password == Secret("hushfile"), "the same reading holds the same values"


def test_without_a_finder_a_secret_is_text_and_nothing_is_opened(place: Place) -> None:
    problems: list[Problem] = []
    from_data({"password": {"file": str(place.file)}}, Outer, "", problems)
    assert [str(problem) for problem in problems] == ["password: is not what is expected here"]
