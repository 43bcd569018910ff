"""From words to a checked ask; every refusal says what was meant and points at it."""

import time
from contextlib import suppress
from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.command import Ask, Call, Grammar, command, commands_of
from amon.errors import Invalid
from amon.fields import Field, Secret
from tests.command.offers import OFFERED, Probe, Unit

GRAMMAR = Grammar(OFFERED)


def refused(line: str) -> tuple[str, str]:
    """What is said about a line, and the part of it that is pointed at."""
    with pytest.raises(Invalid) as refusal:
        GRAMMAR.read(line)
    wrong = refusal.value
    assert wrong.message.isprintable()
    return wrong.message, line[wrong.start : wrong.end]


def args(line: str) -> dict[str, Any]:
    return dict(GRAMMAR.read(line).args)


# Which command is meant


@pytest.mark.parametrize(
    ("line", "name"),
    [
        ("service list", "service list"), ("service restart httpd", "service restart"), ("help", "help"),
        ("agent help", "help"), ("status", "status"), ("service status", "service status"),
        ("restart httpd", "service restart"), ("list", "service list"), ("uptime", "uptime"),
        ("uptime uptime", "uptime"), ("uplink ping cern", "uplink ping"), ("hel", "help"),
        ("service sta", "service status"), ("service li", "service list"), ("agent he", "help"),
    ],
)  # fmt: skip
def test_a_command_is_named_in_full_or_shortly_where_one_thing_can_be_meant(line: str, name: str) -> None:
    assert GRAMMAR.read(line).name == name


@pytest.mark.parametrize(
    ("line", "says", "word"),
    [
        ("restrat httpd", "there is no 'restrat' here; did you mean restart or status?", "restrat"),
        ("quux", "there is no 'quux' here; try help", "quux"),
        ("service", "service can be asked for: ", "service"),
        ("agent", "agent can be asked for: help, status", "agent"),
        ("service restrat httpd", "service has no command 'restrat'; did you mean restart or status?", "restrat"),
        ("service quux", "service has no command 'quux'; it has: ", "quux"),
        ("ping cern", "'ping' could be 'uplink ping' or 'inside ping'; say which", "ping"),
        ("service s", "service has no command 's'", "s"),
        ("h", "there is no 'h' here", "h"),
    ],
)  # fmt: skip
def test_an_unknown_or_ambiguous_command_is_pointed_at(line: str, says: str, word: str) -> None:
    message, pointed = refused(line)
    assert message.startswith(says)
    assert pointed == word


def test_what_changes_something_must_be_typed_in_full() -> None:
    assert refused("service rest httpd") == (
        "service has no command 'rest'; did you mean restart?", "rest",
    )  # fmt: skip
    assert refused("rest httpd")[1] == "rest"


def test_several_commands_that_begin_alike_are_all_named() -> None:
    grammar = Grammar({"service": {**OFFERED["service"], "statistics": OFFERED["service"]["list"]}})
    with pytest.raises(Invalid, match="'stat' could be status or statistics; say which"):
        grammar.read("service stat")


def test_an_empty_line_asks_nothing() -> None:
    for line in ("", "   ", "\t"):
        assert refused(line)[0] == "nothing was asked; try help"


# What it is given


@pytest.mark.parametrize(
    "line",
    [
        "service kill httpd KILL '5 min' --force-it --no-gently",
        "service kill httpd signal=KILL after='5 min' force-it=yes gently=off",
        'service kill --after "5 min" --signal KILL --name httpd --force_it --no-gently',
        'service kill --after="5 min" --no-gently --force-it -- httpd KILL',
        "kill after=300 KILL name=httpd --force-it --gently=no".replace("KILL name=httpd", "name=httpd KILL"),
    ],
)
def test_values_are_given_in_order_by_name_or_as_flags(line: str) -> None:
    assert args(line) == {
        "name": "httpd", "signal": "KILL", "after": 300.0, "force_it": True, "gently": False, "token": "hush",
    }  # fmt: skip


def test_values_come_in_the_order_of_the_declaration_however_they_were_typed() -> None:
    assert list(args("kill --force-it after=5 name=x")) == ["name", "signal", "after", "force_it", "gently", "token"]


def test_a_dry_run_is_a_word_of_every_command() -> None:
    assert GRAMMAR.read("service restart httpd --dry-run").dry_run
    assert not GRAMMAR.read("service restart httpd").dry_run


def test_a_list_takes_several_words_or_one_with_commas() -> None:
    for line in (
        "restart a b c",
        "restart a,b,c",
        "restart a, b ,c",
        "restart names=a,b c",
        "restart names=a names=b,c",
    ):
        assert args(line) == {"names": ("a", "b", "c")}


@pytest.mark.parametrize("line", ["restart ,", 'restart ""', "restart names=", "restart ,,, ''"])
def test_a_list_of_nothing_is_never_everything(line: str) -> None:
    assert refused(line)[0] == "names: nothing is named here"


def test_quoting_keeps_a_word_from_being_an_option() -> None:
    assert args('kill "-9"')["name"] == "-9"
    assert args(r"kill \--x")["name"] == "--x"
    assert args("kill -- --x")["name"] == "--x"
    assert args("kill x token='a=b --c'")["token"] == "a=b --c"
    assert args("kill x token=")["token"] == ""


@pytest.mark.parametrize(
    ("line", "says", "word"),
    [
        ("uptime now", "uptime takes nothing; 'now' is left over", "now"),
        ("uplink ping cern 3 4", "uplink ping takes nothing more; '4' is left over", "4"),
        ("uplink ping cern three", "count: expected a number, got 'three'", "three"),
        ("uplink ping cern 1.5", "count: expected a whole number, got 1.5", "1.5"),
        ("uplink ping cern 101", "count: must be at most 100", "101"),
        ("uplink ping cern count=0", "count: must be at least 1", "0"),
        ("uplink ping cern --count", "--count needs a value", "--count"),
        ("uplink ping cern --count=x", "count: expected a number, got 'x'", "x"),
        ("uplink ping cern cuont=3", "uplink ping takes no 'cuont'; did you mean count?", "cuont=3"),
        ("uplink ping cern --cuont 3", "uplink ping takes no 'cuont'; did you mean count?", "--cuont"),
        ("uplink ping cern 3 count=4", "count is given twice", "4"),
        ("uplink ping a;b", r"host: must match [\w@.-]+", "a;b"),
        ("uplink ping " + "x" * 65, "host: is 65 characters long; at most 64 are allowed", "x" * 65),
        ("uptime --now", "uptime takes no 'now'; it takes nothing", "--now"),
        ("kill x after='11 min'", "after: must be at most 600 s", "'11 min'"),
        ("kill x after='5 parsec'", "after: 'parsec' is not a unit", "'5 parsec'"),
        ("kill x signal=INT", "signal: expected one of TERM, KILL", "INT"),
        ("kill x signal=KIL", "signal: expected one of TERM, KILL", "KIL"),
        ("kill x --force-it=maybe", "force-it: expected yes or no", "maybe"),
        ("kill x --force-it --no-force-it", "force-it is given twice", "--no-force-it"),
        ("kill x --no-signal", "service kill takes no 'no-signal'; did you mean signal?", "--no-signal"),
        ("restart a b,c;d", r"names: must match [\w@.-]+", "b,c;d"),
        ("restart a b c d", "names: has 4 items; at most 3 are allowed", "a b c d"),
        ("restart", "service restart needs names (the unit)", "") ,
        ("uplink ping", "uplink ping needs host (the unit)", ""),
        ('service restart "httpd', 'this " is never closed', '"'),
        ("service restart @(a", "this ( is never closed", "("),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_pointed_at(line: str, says: str, word: str) -> None:
    message, pointed = refused(line)
    assert message.startswith(says)
    assert pointed == word


def test_the_carets_stand_below_the_wrong_word() -> None:
    with pytest.raises(Invalid) as refusal:
        GRAMMAR.read('uplink ping "cern" three')
    assert refusal.value.pointed().splitlines()[1:] == ['  uplink ping "cern" three', " " * 21 + "^^^^^"]


def test_a_wrong_secret_is_not_quoted() -> None:
    with pytest.raises(Invalid) as refusal:
        GRAMMAR.read(f"kill x token={'hushhush' * 9}")
    assert "hush" not in refusal.value.message


# Whatever anybody types

WORDS = st.sampled_from(
    ["service", "agent", "uplink", "uptime", "restart", "kill", "status", "sta", "httpd", "--after", "--no-gently",
     "--", "after=", "names=a,b", "=", "--=", "--no-", '"', "'x y'", "@(a or b)", "@(", "\\", ",", "\u202e", "\x00",
     "5", "5 min"]
)  # fmt: skip


def read(line: str) -> Ask | None:
    with suppress(Invalid):
        return GRAMMAR.read(line)
    return None


@given(st.lists(WORDS | st.text(max_size=8), max_size=12).map(" ".join))
def test_any_line_is_an_ask_or_refused(line: str) -> None:
    ask = read(line)
    if ask is not None:
        assert list(ask.args) == [param.name for param in ask.command.params]


@given(st.text(max_size=300))
def test_any_text_is_an_ask_or_refused(line: str) -> None:
    read(line)


@pytest.mark.parametrize(
    "line",
    ["restart " + "a " * 4000, "restart " + "a," * 4000, "kill " + "--x " * 2000, "kill x token=" + '"' * 8000,
     "restart " + "@(a) " * 1600, "restart " + "\\" * 8000, "x" * 8192, "service " + "y" * 8000, "@(" * 4000,
     "kill " + "after=1 " * 1000, "a" * 1_000_000],
)  # fmt: skip
def test_no_line_takes_long(line: str) -> None:
    began = time.thread_time()
    read(line)
    assert time.thread_time() - began < 0.5


@pytest.mark.parametrize("line", ["Service Restart httpd", "SERVICE restart httpd", "Restart httpd"])
def test_a_phone_that_begins_with_a_capital_is_understood(line: str) -> None:
    ask = GRAMMAR.read(line)
    assert (ask.name, ask.args["names"]) == ("service restart", ("httpd",))


# Secrets in what is said about a mistake


class Vault:
    @command()
    async def login(
        self,
        call: Call,
        user: Unit,
        key: Annotated[Secret, Field("what lets in", pattern=r"[^\n]+", longest=32)],
        tries: Annotated[int, Field("how often", least=1, most=9)] = 1,
        more: Annotated[tuple[Annotated[int, Field(least=0)], ...], Field(secret=True, longest=3)] = (),
    ) -> None:
        """Log in."""


LOCKED = Grammar({"vault": commands_of(Vault), "agent": commands_of(Probe)})


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("vault login alice hushhush one", "vault login alice *** ***"),
        ("vault login alice key=hushhush tries=0", "vault login alice *** tries=0"),
        ("vault login tries=0 alice hushhush", "vault login tries=0 *** ***"),
        ("vault login alice bogus=1 hushhush", "vault login alice *** ***"),
        ("vault login alice hush=hush 2", "vault login alice *** ***"),
        ("vault login alice --hushhush", "vault login alice ***"),
        ("vault login alice '--hush hush' 1 1 1 1 hushhush", "vault login alice *** 1 *** *** *** ***"),
        ("vault login key=hushhush", "vault login ***"),
        ("vault login alice hushhush more=hush", "vault login alice *** ***"),
        (f"vault login alice {'hush' * 9}", "vault login alice ***"),
        ("vault login alice hushhush hushhush 1 2 3 4", "vault login alice *** *** *** *** *** ***"),
    ],
)
def test_a_mistake_in_a_line_with_a_secret_shows_nothing_that_may_be_it(line: str, shown: str) -> None:
    with pytest.raises(Invalid) as refusal:
        LOCKED.read(line)
    pointed = refusal.value.pointed()
    assert refusal.value.line == shown
    assert "hush" not in pointed
    assert 0 <= refusal.value.start <= len(shown)
    assert refusal.value.start < refusal.value.end <= len(shown) + 1


def test_the_carets_stand_below_the_mask_of_the_wrong_word() -> None:
    with pytest.raises(Invalid) as refusal:
        LOCKED.read("vault login alice key=hushhush tries=ten")
    assert refusal.value.pointed().splitlines()[1:] == [
        "  vault login alice *** tries=ten", "  " + " " * len("vault login alice *** tries=") + "^^^",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "line", ["vault logn alice hushhush", "valt login alice hushhush", "vault login alice 'hushhush"]
)
def test_of_a_line_that_nobody_can_read_nothing_behind_the_mistake_is_shown(line: str) -> None:
    with pytest.raises(Invalid) as refusal:
        LOCKED.read(line)
    assert "hush" not in refusal.value.pointed()
    assert refusal.value.pointed(), "but it says what is wrong"


SOME = ["alice", "-x", "key=", "--key", "tries=2", "--", "'", "x=", "--no-", "more=7", "\\"]


@given(st.lists(st.sampled_from(SOME), max_size=6), st.sampled_from(["", "-"]))
def test_a_planted_secret_is_in_no_mistake(words: list[str], dash: str) -> None:
    said = ""
    try:
        LOCKED.read(" ".join(["vault login alice", *words, f"{dash}planted-secret", *words]))
    except Invalid as refusal:
        said = refusal.pointed()
    assert "planted" not in said


def test_the_values_of_secret_parameters_are_kept_hidden_and_out_of_the_repr() -> None:
    ask = LOCKED.read("vault login alice hushhush more=123456,7")
    assert ask.hidden == (Secret("hushhush"), Secret("123456")), "what is short stands in many a text"
    assert "hush" not in repr(ask)
    assert "123456" not in repr(ask)
