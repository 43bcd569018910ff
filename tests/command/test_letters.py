"""`-c 20`: a letter for a parameter's name, as people know it from other programs."""

from collections.abc import Mapping
from typing import Annotated, Any

import pytest

from admin_console.shell.kinds import Kind
from amon.command import BadDeclaration, Call, Command, Grammar, command, commands_of
from amon.command.complete import complete
from amon.command.manual import page
from amon.errors import Invalid
from amon.fields import Field

Host = Annotated[str, Field("whom", pattern=r"[\w.-]+", longest=64)]
Name = Annotated[str, Field("a name", pattern=r"\w[\w.-]*", longest=64)]
Count = Annotated[int, Field("how many", least=1, most=100, short="c")]
Explain = Annotated[bool, Field("tell the whole story", short="x")]
Key = Annotated[str, Field("a password", pattern=r".*", longest=64, secret=True, short="k")]


class Probe:
    @command()
    async def ping(self, call: Call, host: Host, count: Count = 3, explain: Explain = False) -> None:
        """Ping a host."""

    @command()
    async def trace(self, call: Call, hosts: Annotated[tuple[Name, ...], Field(longest=9)], long: bool = False) -> None:
        """Trace the way to hosts."""

    @command()
    async def say(self, call: Call, words: Annotated[str, Field("any words", pattern=".*", longest=9)]) -> None:
        """Say it."""

    @command()
    async def open(self, call: Call, host: Host, key: Key = "") -> None:
        """Open it."""


OFFERED: Mapping[str, Mapping[str, Command]] = {"probe": commands_of(Probe)}


def args(line: str) -> dict[str, Any]:
    return dict(Grammar(OFFERED).read(line).args)


@pytest.mark.parametrize(
    "line",
    [
        "ping cern -c 20 -x",
        "ping -c 20 cern -x",
        "ping -x -c20 cern",
        "ping cern 20 --explain",
        "ping cern -x count=20",
    ],
)
def test_a_letter_is_as_good_as_the_name(line: str) -> None:
    assert args(line) == {"host": "cern", "count": 20, "explain": True}


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ping cern -c", "-c needs a value"),
        ("ping cern -c many", "count: expected a number"),
        ("ping cern -c 200", "count: must be at most 100"),
        ("ping cern -xyes", "-x takes no value"),
        ("ping cern -c 1 --count 2", "count is given twice"),
        ("ping cern 1 left", "probe ping takes nothing more; 'left' is left over"),
    ],
)
def test_what_is_wrong_with_a_letter_is_said(line: str, says: str) -> None:
    with pytest.raises(Invalid) as refusal:
        args(line)
    assert refusal.value.message.startswith(says)


TAKES = "t takes: host, -c (count), -x (explain)"


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("ping cern -z 3", f"probe ping takes no '-z'; i{TAKES}"),
        ("ping -z cern", f"probe ping takes no '-z'; i{TAKES}"),  # before it is taken for the host
        ("ping cern 1 -z3", f"probe ping takes no '-z3'; i{TAKES}"),
        ("ping cern -C 3", f"probe ping takes no '-C'; did you mean -c (count)? I{TAKES}"),
        ("ping cern -explian", f"probe ping takes no '-explian'; did you mean -x (explain)? I{TAKES}"),
        ("trace cern -z", "probe trace takes no '-z'; it takes: hosts, --long"),  # no letters, and no host either
        ("trace cern -4", "probe trace takes no '-4'; it takes: hosts, --long"),
        ("trace -l cern", "probe trace takes no '-l'; did you mean --long? It takes: hosts, --long"),
        ("ping cern -5", "count: must be at least 1"),  # a number
        ("ping cern count=-z", "count: expected a number, got '-z'"),
    ],
)
def test_an_option_that_a_command_has_not_is_said_with_those_that_it_has(line: str, says: str) -> None:
    with pytest.raises(Invalid) as refusal:
        args(line)
    wrong = refusal.value
    assert wrong.message == says
    assert wrong.line[wrong.start : wrong.end].startswith("-")


def test_where_a_command_has_no_letters_a_value_may_begin_with_a_dash() -> None:
    assert args("say -z") == {"words": "-z"}


def test_a_secret_that_looks_like_an_option_is_taken_and_in_a_wrong_place_it_is_not_shown() -> None:
    assert args("open cern -hush") == {"host": "cern", "key": "-hush"}
    for line in ("open -hush cern", "open cern hush -hush"):
        with pytest.raises(Invalid, match="probe open takes no this; it takes: host, -k") as refusal:
            args(line)
        assert "hush" not in refusal.value.pointed()


def test_what_is_quoted_or_behind_two_dashes_is_no_letter() -> None:
    assert args("open '-k'") == {"host": "-k", "key": ""}
    assert args("open -- -k") == {"host": "-k", "key": ""}


def test_a_secret_behind_a_letter_is_not_shown() -> None:
    with pytest.raises(Invalid) as refusal:
        args("open cern -khush more")
    assert "hush" not in refusal.value.pointed()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("probe ping cern -", ["--explain", "-c", "-x"]),
        ("probe ping cern -c3 -", ["--explain", "-x"]),
        ("probe ping cern --count 3 -", ["--explain", "-x"]),
        ("probe ping cern -x -", ["-c"]),
        ("probe ping cern -c ", []),
    ],
)
def test_letters_are_offered_until_they_are_given(line: str, words: list[str]) -> None:
    assert complete(line, OFFERED, lambda instance, method: []) == words


def test_the_manual_tells_the_letter() -> None:
    assert "  count: -c; how many; at least 1; at most 100; else 3" in page("probe", OFFERED["probe"]["ping"])


def test_a_console_reads_which_parameters_are_secret_though_they_have_letters() -> None:
    kind = Kind()
    kind.heard_page("probe open", page("probe", OFFERED["probe"]["open"]))
    assert kind.pages["probe open"].params == ("host", "key")
    assert kind.pages["probe open"].secret


@pytest.mark.parametrize("short", ["cc", "1", "-", "ä"])
def test_a_letter_is_one_letter(short: str) -> None:
    async def odd(self: object, call: Call, n: int) -> None:
        """Odd."""

    odd.__annotations__["n"] = Annotated[int, Field("n", short=short)]
    with pytest.raises(BadDeclaration, match="must be one letter"):
        commands_of(type("Odd", (), {"odd": command()(odd)}))


def test_two_parameters_cannot_have_the_same_letter() -> None:
    async def odd(self: object, call: Call, n: Count, m: Count) -> None:
        """Odd."""

    with pytest.raises(BadDeclaration, match="the same letter"):
        commands_of(type("Odd", (), {"odd": command()(odd)}))
