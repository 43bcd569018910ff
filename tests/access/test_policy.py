"""Who has which role: by the real bare address, never by a name in a room; patterns that mean what was meant."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.access import Policy, policy_problems
from amon.words import Role

AGENTS = "agents.example.org"
POLICY = Policy(
    observer=("*@example.org", "guest?@partner.example"),
    operator=("ops-*@example.org",),
    admin=("Alice@Example.org",),
    owner=("root@example.org",),
)


@pytest.mark.parametrize(
    ("jid", "role"),
    [
        ("bob@example.org", Role.observer),
        ("ops-1@example.org", Role.operator),
        ("alice@example.org", Role.admin),
        ("ALICE@EXAMPLE.ORG", Role.admin),
        ("root@example.org", Role.owner),
        ("guest1@partner.example", Role.observer),
        ("guest@partner.example", None),
        ("guest12@partner.example", None),
        ("bob@example.org.evil.example", None),
        ("bob@evil.example@example.org", None),
        ("evil.example", None),
        ("example.org", None),
        ("@example.org", Role.observer),  # the stream never brings such a sender
        ("bob@exampleXorg", None),
        ("root@example.orgx", None),
        ("xroot@example.org", Role.observer),
        ("", None),
    ],
)
def test_the_highest_role_wins_and_no_star_crosses_the_at(jid: str, role: Role | None) -> None:
    found = POLICY.role_of(jid)
    assert (found[0] if found else None) is role


def test_no_question_mark_stands_for_an_at() -> None:
    assert Policy(owner=("a?b", "a*b")).role_of("a@b") is None


def test_a_name_in_the_room_is_nobody() -> None:
    policy = Policy(owner=("ops@rooms.example.org",))
    assert policy.role_of("ops@rooms.example.org/alice") is None


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("alice", "is not a bare address"),
        ("@example.org", "is neither a bare address nor a group; there are none"),
        ("alice@", "is not a bare address"),
        ("a@b@c", "is not a bare address"),
        ("alice@example.org/desk", "is not a bare address"),
        ("alice @example.org", "is not a bare address"),
        ("alice@example.org\n", "is not a bare address"),
        ("<alice@example.org>", "is not a bare address"),
        ("cern@Agents.example.org", "in the agents' own domain"),
        ("*@*", "would trust other domains"),
        ("alice@example.???", "would trust other domains"),
        ("alice@*.example.org", "would trust other domains"),
    ],
)
def test_patterns_that_cannot_mean_what_was_meant_are_told_with_their_place(pattern: str, said: str) -> None:
    (problem,) = policy_problems(Policy(admin=("good@example.org", pattern)), AGENTS, "account.lab.policy")
    assert problem.path == "account.lab.policy.admin[1]"
    assert said in problem.text


def test_good_patterns_have_no_problem() -> None:
    assert not list(policy_problems(POLICY, AGENTS, ""))


def test_an_address_chosen_by_a_stranger_does_not_keep_the_agent_busy() -> None:
    policy = Policy(owner=("*a*a*a*a*a*a*b*@example.org",))
    began = time.thread_time()
    assert policy.role_of("a" * 1000 + "@example.org") is None
    assert time.thread_time() - began < 0.5
    assert policy.role_of("aaaaaaab@example.org") is not None


@given(st.text("ab*?", max_size=8), st.text("ab", max_size=8))
def test_stars_mean_what_they_mean_everywhere(pattern: str, name: str) -> None:
    def fits(pattern: str, name: str) -> bool:
        if not pattern:
            return not name
        if pattern[0] == "*":
            return fits(pattern[1:], name) or (bool(name) and fits(pattern, name[1:]))
        return bool(name) and pattern[0] in ("?", name[0]) and fits(pattern[1:], name[1:])

    found = Policy(owner=(f"x{pattern}@x",)).role_of(f"x{name}@x") is not None
    assert found is fits(pattern, name)
