"""One rule: which commands it is about, with which values, and when; nothing selected is nothing."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.access.rules import Rule, Wanted, command_fault, fits_command
from amon.words import Effect, Role

NOW = 1_795_000_000.0


def named(instance: str, command: str) -> Wanted:
    return Wanted(instance, command, Role.operator, Effect.change)


def wanted(**args: tuple[str, ...]) -> Wanted:
    return Wanted("service", "restart", Role.operator, Effect.change, args)


def rule(commands: tuple[str, ...] = ("*",), **more: Any) -> Rule:
    return Rule(("alice@example.org",), commands, **more)


@pytest.mark.parametrize(
    ("pattern", "instance", "command", "fits"),
    [
        ("service restart", "service", "restart", True),
        ("service restart", "service", "stop", False),
        ("service restart", "web", "restart", False),
        ("service *", "service", "stop", True),
        ("* restart", "web", "restart", True),
        ("* restart", "agent", "restart", True),
        ("web-? re*", "web-1", "reload", True),
        ("web-? re*", "web-12", "reload", False),
        ("*", "anything", "whatever", True),
        ("* *", "anything", "whatever", True),
        ("status", "agent", "status", True),
        ("agent status", "agent", "status", True),
        ("uptime", "uptime", "uptime", True),
        ("uptime", "uptime", "since", False),
        ("status", "service", "status", False),  # one word never means what another instance has by that name
        ("service", "service", "restart", False),  # nor all that an instance has
        ("s*", "agent", "status", True),
        ("s*", "service", "status", False),
        ("", "agent", "status", False),
        ("", "", "", False),
    ],
)
def test_a_pattern_names_instance_and_command(pattern: str, instance: str, command: str, fits: bool) -> None:
    assert fits_command(pattern, named(instance, command)) is fits


def test_no_command_named_is_no_command_and_not_all() -> None:
    nothing = rule(())
    assert not nothing.is_about(wanted())
    assert not nothing.stops(wanted(), NOW)


@pytest.mark.parametrize(
    ("only", "args", "lacks", "stops"),
    [
        ({}, {}, False, True),
        ({"services": "httpd"}, {"services": ("httpd",)}, False, True),
        ({"services": "httpd|xrootd*"}, {"services": ("xrootd@1",)}, False, True),
        ({"services": "httpd|xrootd*"}, {"services": ("httpd", "xrootd")}, False, True),
        ({"services": "httpd"}, {"services": ("httpd", "sshd")}, True, True),  # all must fit to allow, one to deny
        ({"services": "httpd"}, {"services": ("sshd",)}, True, False),
        ({"services": "httpd"}, {"services": ("HTTPD",)}, True, False),
        ({"services": "httpd"}, {"services": ("httpd\n",)}, True, False),
        ({"services": "httpd"}, {"services": ("xhttpd",)}, True, False),
        ({"services": "httpd"}, {"services": ()}, True, True),  # none given may mean all
        ({"services": "httpd"}, {}, True, False),  # the command has no such parameter
        ({"services": "*"}, {"services": ()}, True, True),
        ({"services": ""}, {"services": ("",)}, True, False),
        ({"services": "|"}, {"services": ("",)}, True, False),
        ({"log-file": "a"}, {"log_file": ("a",)}, False, True),
        ({"log_file": "a"}, {"log-file": ("a",)}, False, True),
        ({"services": "httpd", "lines": "?"}, {"services": ("httpd",), "lines": ("5",)}, False, True),
        ({"services": "httpd", "lines": "?"}, {"services": ("httpd",), "lines": ("50",)}, True, False),
        ({"services": "*"}, {"services": ("a\nb",)}, False, True),
    ],
)
def test_values_must_all_fit_to_allow_and_one_is_enough_to_deny(
    only: dict[str, str], args: dict[str, tuple[str, ...]], lacks: bool, stops: bool
) -> None:
    one = rule(only=only)
    assert bool(one.lacks(wanted(**args), NOW)) is lacks
    assert one.stops(wanted(**args), NOW) is stops


def test_what_lacks_is_said_with_what_would_do() -> None:
    assert rule(only={"services": "httpd|x*"}).lacks(wanted(services=("sshd",)), NOW) == (
        "you may service restart only with services httpd|x*"
    )
    assert rule(hours=("Sat 10:00-11:00",), zone="Europe/Berlin", until="2040-01-01").lacks(wanted(), NOW) == (
        "you may service restart only Sat 10:00-11:00, until 2040-01-01 (Europe/Berlin)"
    )
    assert rule(until="2001-01-01").lacks(wanted(), NOW) == "you may service restart only until 2001-01-01 (UTC)"


@pytest.mark.parametrize("more", [{"hours": ("whenever",)}, {"zone": "Mars"}, {"until": "never"}])
def test_a_time_that_cannot_be_read_allows_nothing_and_denies_always(more: dict[str, Any]) -> None:
    broken = rule(**more)
    assert broken.lacks(wanted(), NOW)
    assert broken.stops(wanted(), NOW)


@pytest.mark.parametrize(
    "pattern", ["", " ", "service  restart", "a b c", "Service restart", "service/restart", "a\tb", "ä"]
)
def test_a_pattern_that_is_none_is_told(pattern: str) -> None:
    assert "is no command like" in command_fault(pattern)


@pytest.mark.parametrize("pattern", ["*", "* *", "service restart", "status", "web-1 re?oad", "log_1 *"])
def test_a_good_pattern_has_no_fault(pattern: str) -> None:
    assert command_fault(pattern) == ""


def test_a_value_chosen_by_a_stranger_does_not_keep_the_agent_busy() -> None:
    hard = rule(only={"services": "*a*a*a*a*a*a*a*b*c"})
    began = time.thread_time()
    assert hard.lacks(wanted(services=("a" * 50_000,)), NOW)
    assert time.thread_time() - began < 0.5


WORDS = st.text("ab-*?| \n@", max_size=8)


@given(
    st.lists(WORDS, max_size=3), st.dictionaries(WORDS, WORDS, max_size=2), WORDS, WORDS, st.lists(WORDS, max_size=3)
)
def test_no_words_make_a_rule_break(
    commands: list[str], only: dict[str, str], instance: str, command: str, values: list[str]
) -> None:
    odd = rule(tuple(commands), only=only)
    one = Wanted(instance, command, Role.observer, Effect.read, {"a": tuple(values)})
    assert isinstance(odd.lacks(one, NOW), str)
    assert odd.stops(one, NOW) in (True, False)


@given(st.text("ab*?", max_size=8), st.text("ab\n", max_size=8))
def test_stars_in_values_mean_what_they_mean_everywhere(pattern: str, value: str) -> None:
    def fits(pattern: str, value: str) -> bool:
        if not pattern:
            return not value
        if pattern[0] == "*":
            return fits(pattern[1:], value) or (bool(value) and fits(pattern, value[1:]))
        return bool(value) and pattern[0] in ("?", value[0]) and fits(pattern[1:], value[1:])

    # A letter in front, because an empty pattern is nothing at all here.
    found = not rule(only={"a": f"x{pattern}"}).lacks(wanted(a=(f"x{value}",)), NOW)
    assert found is fits(pattern, value)
