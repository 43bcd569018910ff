"""What a kind of sites can be asked: what is kept of it, and what is never sent to complete a line."""

import json

import pytest

from admin_console.shell.kinds import MOST_WORDS, Kind, Page, page_of, safe_words
from amon.command.declare import commands_of
from amon.command.manual import page
from amon.text import hidden
from tests.admin_console.odd import OddModule
from tests.admin_console.test_hostile_words import EVIL

MANUAL = (
    "vault put NAME PASSWORD [--force]\nKeep a password.\n  name: under what; at most 3\n"
    "  password: it itself; secret\n  force\nneeds role admin; change: --dry-run tells what would be done"
)


def vault() -> Kind:
    kind = Kind()
    kind.heard_words("", "vault\nservice\nuptime\nstatus\nhelp")
    kind.heard_words("vault ", "put\nlist")
    kind.heard_words("service ", "restart\nlist\nput")
    kind.heard_words("uptime ", "uptime")
    kind.heard_page("vault put", MANUAL)
    return kind


def test_a_manual_says_what_is_secret_and_what_streams() -> None:
    assert page_of(MANUAL) == Page("vault put NAME PASSWORD [--force]", ("name", "password", "force"), True)
    follow = page_of(
        "logs follow UNIT\nLines.\n  unit: which\ngoes on telling until you stop it, at most 1 h\nneeds role x"
    )
    assert follow == Page("logs follow UNIT", ("unit",), False, True)
    assert page_of("service list: Tell them.\nservice restart: Do it.") is None
    assert page_of("") is None


def test_a_manual_that_an_agent_makes_is_read() -> None:
    commands = commands_of(OddModule)
    assert page_of(page("odd", commands["keep"])) == Page("odd keep WORDS", ("words",))


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ([], None),
        (["vault"], "vault"),
        (["Vault", "PUT", "x"], "vault put"),
        (["uptime"], "uptime"),
        (["status", "put"], "status"),
        (["restart", "httpd"], "service restart"),
        (["put", "x"], None),  # two instances have it
        (["hunter2"], None),
        (["vault", "hunter2"], "vault"),
    ],
)
def test_the_first_words_name_a_command_only_where_a_site_said_so(words: list[str], command: str | None) -> None:
    assert vault().command_of(words) == command


@pytest.mark.parametrize(
    ("words", "line"),
    [
        ([], ""),
        (["vault"], "vault "),
        (["vault", "put"], "vault put "),
        (["vault", "put", "mail", "hunter2"], "vault put x x "),
        (["vault", "put", "password=hunter2", "--force"], "vault put password=x --force "),
        (["vault", "put", "--password", "hunter2"], "vault put --password x "),
        (["vault", "put", "--hunter2", "--hunter=2", "hunter=2", "=2"], "vault put --x --x=x x=x x "),
        (["vault", "hunter2"], "vault x "),
        (["restart", "a b"], "service restart x "),
        (["hunter2"], None),
        (["hunter2", "put"], None),
        (["vault", "put", *["x"] * 200], None),
    ],
)
def test_nothing_that_a_person_typed_is_sent_to_complete_his_line(words: list[str], line: str | None) -> None:
    assert vault().question(words) == line


def test_what_a_site_tells_is_shown_only_if_it_is_what_it_looks_like() -> None:
    assert safe_words(["a", "", "a", EVIL, "b\x1b[2J", "x" * 201, "über", "a b", "\u202eb"]) == ("a", "über", "a b")
    assert len(safe_words(str(number) for number in range(10_000))) == MOST_WORDS
    usage = page_of(f"{EVIL * 20}\nneeds role x")
    assert usage is not None
    assert not any(map(hidden, usage.usage.replace("\ufffd", "")))
    assert len(usage.usage) <= 300


def test_what_is_kept_of_one_kind_is_bounded() -> None:
    kind = Kind()
    for number in range(2_000):
        kind.heard_words(f"a{number} ", "x")
        kind.heard_page(f"a{number}", "a\nneeds role x")
    assert (len(kind.words), len(kind.pages)) == (400, 400)


def test_it_is_written_down_and_read_again() -> None:
    assert Kind.of(json.loads(json.dumps(vault().data()))) == vault()


@pytest.mark.parametrize(
    "data",
    [None, 3, [], {"words": 3, "pages": []}, {"words": {"": 3}, "pages": {"a": 3}}, {"words": {"": [3, None]}},
     {"pages": {"a": ["u", ["x"]]}}, {"pages": {"a": ["u", "x", False, False]}}],
)  # fmt: skip
def test_what_is_broken_is_nothing(data: object) -> None:
    kind = Kind.of(data)
    assert (kind.words.get("", ()), kind.pages) == ((), {})


def test_what_is_broken_counts_as_secret() -> None:
    assert Kind.of({"pages": {"a": ["u", ["x"], "no", 1]}}).pages["a"] == Page("u", ("x",), True, False)
