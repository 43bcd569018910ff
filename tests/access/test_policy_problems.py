"""What is wrong with a policy as it is written, each with its place."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.access import Policy, Rule, policy_problems
from amon.convert import from_data
from amon.errors import Problem

AGENTS = "agents.example.org"
ALICE, KEY = "alice@example.org", "key:SHA256:" + "A" * 43


def told(**policy: Any) -> list[str]:
    return [str(one) for one in policy_problems(Policy(**policy), AGENTS, "p")]


def rule(who: tuple[str, ...] = (ALICE,), commands: tuple[str, ...] = ("*",), **more: Any) -> Rule:
    return Rule(who, commands, **more)


def test_a_policy_with_everything_in_it_has_no_problem() -> None:
    assert not told(
        observer=("*@example.org",),
        admin=(ALICE, KEY, "@shift"),
        groups={"shift": (ALICE, KEY, "ops-*@example.org")},
        deny=(rule(("*@*", f"*@{AGENTS}", "@shift"), ("service stop", "status")),),
        allow=(
            rule(
                ("@shift",),
                ("service restart",),
                only={"services": "httpd|x*"},
                hours=("Mon-Fri 08:00-18:00", "22:00-06:00"),
            ),
            rule((KEY,), ("* *",), zone="Europe/Berlin", until="2040-12-31T18:00"),
            rule((f"cern@{AGENTS}", ALICE), ("service status",)),
        ),
        two_persons=("service stop", "host *"),
    )


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        ({"admin": ("@ops",)}, "p.admin[0]: '@ops' is neither a bare address nor a group; there are none"),
        (
            {"admin": ("@shfit",), "groups": {"shift": (ALICE,)}},
            "p.admin[0]: '@shfit' is neither a bare address nor a group; did you mean shift?",
        ),
        (
            {"admin": ("key:SHA256:abc",)},
            "p.admin[0]: 'key:SHA256:abc' is no key like key:SHA256:...; next: ssh-keygen -l",
        ),
        ({"admin": ("key:MD5:aa:bb",)}, "is no key like"),
        ({"admin": ("",)}, "p.admin[0]: '' is not a bare address"),
        ({"admin": ("*",)}, "'*' is not a bare address"),
        ({"groups": {"g": ()}}, "p.groups.g: nobody is in this group"),
        ({"groups": {"g": (ALICE, "@h"), "h": (ALICE,)}}, "p.groups.g[1]: '@h': groups do not stand in groups"),
        ({"groups": {"g": ("others",)}}, "p.groups.g[0]: 'others' is not a bare address"),
        ({"groups": {"g": (f"x@{AGENTS}",)}}, "p.groups.g[0]: 'x@agents.example.org' is in the agents' own domain"),
        ({"allow": (rule(()),)}, "p.allow[0].who: names nobody"),
        ({"deny": (rule(()),)}, "p.deny[0].who: names nobody"),
        ({"allow": (rule(commands=()),)}, "p.allow[0].commands: names no command"),
        ({"deny": (rule(commands=("Service Stop",)),)}, "p.deny[0].commands[0]: 'Service Stop' is no command like"),
        ({"gatherer": f"hub@{AGENTS.upper()}"}, "p.gatherer: 'hub@AGENTS.EXAMPLE.ORG' is in the agents' domain"),
        ({"two_persons": ("a b c",)}, "p.two_persons[0]: 'a b c' is no command like"),
        (
            {"allow": (rule((f"x@{AGENTS}",)),)},
            "p.allow[0].who[0]: 'x@agents.example.org' is in the agents' own domain: a rule",
        ),
        ({"allow": (rule((f"x@{AGENTS.upper()}",), ("a", "b")),)}, "one agent and one command, both in full, or none"),
        ({"allow": (rule((f"*@{AGENTS}",), ("status",)),)}, "one agent and one command, both in full, or none"),
        ({"allow": (rule(("*@*",)),)}, "p.allow[0].who[0]: '*@*' would trust other domains"),
        ({"allow": (rule(only={"services": ""}),)}, "p.allow[0].only.services: fits nothing"),
        ({"allow": (rule(only={"services": "a||b"}),)}, "p.allow[0].only.services: nothing stands before"),
        ({"allow": (rule(only={"a b": "x"}),)}, "p.allow[0].only.a b: 'a b' is no name of a parameter"),
        ({"deny": (rule(hours=("08:00-18:00", "noon")),)}, "p.deny[0].hours[1]: 'noon' are no hours like"),
        ({"deny": (rule(zone="Mars"),)}, "p.deny[0].zone: 'Mars' is no time zone known here"),
        ({"deny": (rule(until="soon"),)}, "p.deny[0].until: 'soon' is no date"),
    ],
)
def test_what_can_never_mean_what_was_meant_is_told_with_its_place(policy: dict[str, Any], said: str) -> None:
    (one,) = told(**policy)
    assert said in one


def test_all_mistakes_are_told_at_once() -> None:
    broken = rule((), (), only={"x": ""}, hours=("noon",), zone="Mars", until="soon")
    assert len(told(admin=("x", "y"), allow=(broken,), two_persons=("",))) == 9


WORDS = st.text(max_size=12) | st.sampled_from(["@g", "a@b", "*@*", "key:", "service *", "Mon 08:00-09:00"])


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | WORDS,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    [
                        "observer",
                        "owner",
                        "groups",
                        "allow",
                        "deny",
                        "who",
                        "commands",
                        "only",
                        "hours",
                        "zone",
                        "until",
                        "rate",
                    ]
                )
                | WORDS,
                inner,
                max_size=4,
            )
        ),
        max_leaves=25,
    )
)
def test_whatever_stands_in_a_file_is_read_or_told(data: Any) -> None:
    problems: list[Problem] = []
    policy = from_data(data, Policy, "p", problems)
    if policy is not None:
        problems += policy_problems(policy, AGENTS, "p")
    assert policy is not None or problems
    assert all(one.text for one in problems)
