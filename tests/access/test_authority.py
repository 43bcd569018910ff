"""The decision: its order, its reasons, what it keeps to itself, and that narrowing never widens."""

import time
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.access import Authority, Policy, Rule, Wanted
from amon.access.bundle import Bundle
from amon.access.signers import Signers, read_signers
from amon.access.sshkey import PublicKey
from amon.words import Asker, Effect, Role

AGENTS = "agents.example.org"
ALICE, BOB, EVE = "alice@example.org", "bob@example.org", "eve@evil.example"
CERN = f"cern@{AGENTS}"
NOW = 1_795_000_000.0  # a Wednesday, 2026-11-18 11:06 UTC
KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
KEY = PublicKey.from_line(KEY_LINE).fingerprint

RESTART = Wanted("service", "restart", Role.operator, Effect.change, {"services": ("httpd",)})
STATUS = Wanted("agent", "status", Role.observer, Effect.read)
UPDATE = Wanted("host", "update", Role.admin, Effect.danger)


def authority(**policy: Any) -> Authority:
    return Authority(Policy(**policy), AGENTS)


def signers() -> Signers:
    return read_signers(f"{ALICE} {KEY_LINE}", "signers")[0]


def bundle(policy: Policy, issued: float = NOW - 100, expires: float = NOW + 100) -> Bundle:
    return Bundle("ops@rooms.example.org", 3, issued, expires, policy, Signers(), "", b"")


def decided(one: Authority, jid: str, wanted: Wanted | None = RESTART, key: str = "") -> tuple[bool, str]:
    decision = one.decide(Asker(jid, key=key), wanted, NOW)
    return decision.allowed, decision.rule


# The order


def test_nobody_may_anything_where_nothing_is_written() -> None:
    for wanted in (None, STATUS, RESTART, UPDATE):
        decision = authority().decide(Asker(ALICE), wanted, NOW)
        assert (decision.allowed, decision.rule, decision.role) == (False, "default deny", None)
        assert decision.reason == f"{ALICE} has no role here; ask the owner of this site"


@given(st.sampled_from(Role), st.sampled_from(Role))
def test_a_role_may_what_lower_roles_may(has: Role, needed: Role) -> None:
    one = authority(**{has.name: (ALICE,)})
    decision = one.decide(Asker(ALICE), replace(RESTART, role=needed), NOW)
    assert decision.allowed is (has >= needed)
    assert (decision.rule, decision.role) == (f"{has} {ALICE}", has)


def test_a_rule_grants_what_it_names_whatever_role_that_needs_and_nothing_else() -> None:
    one = authority(observer=("*@example.org",), allow=(Rule((BOB,), ("host update",), about="patch day"),))
    assert decided(one, BOB, UPDATE) == (True, "allow[0] patch day")
    assert decided(one, BOB, RESTART) == (False, "observer *@example.org")
    assert decided(one, ALICE, UPDATE) == (False, "observer *@example.org")


def test_a_rule_alone_makes_somebody_known() -> None:
    one = authority(allow=(Rule((BOB,), ("service restart",), {"services": "httpd"}),))
    assert decided(one, BOB, None) == (True, "allow[0]")
    assert decided(one, BOB, RESTART) == (True, "allow[0]")
    decision = one.decide(Asker(BOB), STATUS, NOW)
    assert (decision.allowed, decision.role) == (False, None)
    assert decision.reason == f"{BOB} may not status here; ask an owner of this site"


def test_rights_to_read_are_no_rights_to_change() -> None:
    one = authority(allow=(Rule((BOB,), ("service status", "status")),))
    assert not decided(one, BOB, RESTART)[0]
    assert decided(one, BOB, STATUS)[0]


def test_a_denial_goes_over_everything_and_names_its_rule() -> None:
    rules = {
        "deny": (Rule(("*@*",), ("host *",)), Rule((ALICE,), ("service *",), {"services": "httpd"}, about="on call"))
    }
    one = authority(owner=(ALICE,), allow=(Rule((ALICE,), ("*",)),), **rules)
    assert decided(one, ALICE, UPDATE) == (False, "deny[0]")
    decision = one.decide(Asker(ALICE), RESTART, NOW)
    assert (decision.allowed, decision.rule, decision.role) == (False, "deny[1] on call", Role.owner)
    assert decision.reason == f"service restart is denied to {ALICE} here; ask an owner of this site"
    assert decided(one, ALICE, STATUS) == (True, "allow[0]")


def test_a_denial_of_everything_makes_somebody_nobody() -> None:
    one = authority(owner=("*@example.org",), deny=(Rule((BOB,), ("*",)),))
    assert decided(one, BOB, None) == (False, "deny[0]")
    assert decided(one, ALICE, None) == (True, "owner *@example.org")


def test_the_highest_role_of_an_account_caps_roles_and_rules() -> None:
    one = authority(owner=(ALICE,), allow=(Rule((BOB,), ("*",)),), max_role=Role.operator)
    assert decided(one, ALICE, RESTART) == (True, f"owner {ALICE}")
    for who in (ALICE, BOB):
        decision = one.decide(Asker(who), UPDATE, NOW)
        assert (decision.allowed, decision.rule) == (False, "max_role operator")
        assert decision.reason == "host update needs role admin, and nobody is that here (max_role operator)"
    assert one.decide(Asker(ALICE), None, NOW).role is Role.operator


def test_a_rule_that_does_not_quite_fit_says_what_would() -> None:
    rule = Rule((BOB,), ("service restart",), {"services": "httpd|xrootd*"})
    decision = authority(observer=(BOB,), allow=(rule,)).decide(
        Asker(BOB), replace(RESTART, args={"services": ("sshd",)}), NOW
    )
    assert decision.reason == ("you may service restart only with services httpd|xrootd*; ask an owner of this site")
    assert decision.rule == f"observer {BOB}"


def test_a_rule_holds_at_its_hours_only() -> None:
    one = authority(allow=(Rule((BOB,), ("*",), hours=("Wed 11:00-11:30",)),))
    assert one.decide(Asker(BOB), RESTART, NOW).allowed
    later = one.decide(Asker(BOB), RESTART, NOW + 3600)
    assert not later.allowed
    assert later.reason.startswith("you may service restart only Wed 11:00-11:30 (UTC)")
    assert not one.decide(Asker(BOB), None, NOW + 3600).allowed


def test_what_was_allowed_when_it_came_is_refused_when_it_runs_after_the_rights_are_gone() -> None:
    until = authority(admin=(ALICE,), allow=(Rule((BOB,), ("*",), until="2026-11-18T12:00Z"),))
    assert until.decide(Asker(BOB), RESTART, NOW).allowed
    assert not until.decide(Asker(BOB), RESTART, NOW + 3600).allowed
    removed = authority(admin=(ALICE,))  # what a reload puts in its place
    assert not removed.decide(Asker(BOB), RESTART, NOW).allowed


# Who


def test_a_group_means_its_people_and_never_another_group() -> None:
    one = authority(
        groups={"shift": (BOB, f"key:{KEY}"), "all": ("@shift", "*@staff.example.org")},
        operator=("@shift",),
        admin=("@all",),
    )
    assert decided(one, BOB) == (True, "operator @shift")
    assert decided(one, EVE, key=KEY) == (True, "operator @shift")
    assert decided(one, "x@staff.example.org") == (True, "admin @all")
    assert decided(one, "@shift") == (False, "default deny")
    assert decided(authority(operator=("@shift",)), BOB) == (False, "default deny")


@pytest.mark.parametrize(
    "who", [(), ("",), ("@",), ("@nobody",), ("key:",), ("key:*",), ("*",), ("@empty",), ("example.org",), ("alice",)]
)
def test_nothing_selected_is_nobody(who: tuple[str, ...]) -> None:
    one = authority(owner=who, allow=(Rule(who, ("*",)),), groups={"empty": ()})
    for asker in (ALICE, "", "@", "key:", "empty", "example.org@"):
        assert not decided(one, asker, RESTART)[0]
        assert not decided(one, asker, None)[0]


def test_an_empty_rule_allows_nothing_and_denies_nothing() -> None:
    one = authority(
        admin=(ALICE,), allow=(Rule((), ("*",)), Rule((BOB,), ())), deny=(Rule((), ("*",)), Rule((ALICE,), ()))
    )
    assert decided(one, BOB) == (False, "default deny")
    assert decided(one, BOB, None) == (False, "default deny")
    assert decided(one, ALICE) == (True, f"admin {ALICE}")


def test_a_key_counts_only_where_it_signed_this_request() -> None:
    one = authority(owner=(f"key:{KEY}",))
    assert decided(one, EVE, UPDATE, key=KEY) == (True, f"owner key:{KEY}")
    assert not decided(one, EVE, UPDATE)[0]
    assert not decided(one, EVE, UPDATE, key=KEY.lower())[0]
    assert not decided(one, EVE, UPDATE, key=KEY[:-1])[0]


def test_who_could_sign_is_told_to_and_nobody_else_is() -> None:
    policy = Policy(observer=(ALICE, BOB), allow=(Rule((f"key:{KEY}",), ("service restart",)),))
    one = Authority(policy, AGENTS, signers())
    decision = one.decide(Asker(ALICE), RESTART, NOW)
    assert (decision.allowed, decision.sign, decision.rule) == (False, True, "unsigned, else allow[0]")
    assert decision.reason == f"{ALICE} may this only with a signature; sign it: amon run --sign"
    assert one.decide(Asker(ALICE, key=KEY), RESTART, NOW).allowed
    for other in (BOB, EVE):
        assert "sign" not in one.decide(Asker(other), RESTART, NOW).reason
        assert not one.decide(Asker(other), RESTART, NOW).sign
    assert not one.decide(Asker(ALICE), UPDATE, NOW).sign  # not with the key either
    assert not one.decide(Asker(ALICE, key="SHA256:other"), RESTART, NOW).sign


@pytest.mark.parametrize(
    ("jid", "allowed"),
    [
        ("alice@example.org", True),
        ("Alice@EXAMPLE.org", True),
        ("alice@example.org.evil.example", False),
        ("alice@evil.example", False),
        ("alice@evil.example@example.org", False),
        ("evil.example/alice@example.org", False),
        ("alice@example.org/desk", False),
        ("ops@rooms.example.org/alice", False),
        ("ops@rooms.example.org", False),
        ("alice", False),
        ("example.org", False),
    ],
)
def test_no_star_crosses_the_at_in_roles_groups_and_rules(jid: str, allowed: bool) -> None:
    pattern = "a*@example.org"
    for one in (
        authority(operator=(pattern,)),
        authority(operator=("@g",), groups={"g": (pattern,)}),
        authority(allow=(Rule((pattern,), ("*",)),)),
    ):
        assert decided(one, jid)[0] is allowed


def test_a_long_list_costs_little_for_who_came_before() -> None:
    many = authority(
        observer=tuple(f"{place}-*@example.org" for place in range(2000)),
        allow=tuple(Rule((f"{place}?@example.org",), ("service restart",)) for place in range(300)),
    )
    for who in (BOB, EVE):
        many.decide(Asker(who), RESTART, NOW)
        began = time.thread_time()
        for _ in range(100):
            assert not many.decide(Asker(who), RESTART, NOW).allowed
        assert time.thread_time() - began < 0.1


# Agents


@pytest.mark.parametrize("jid", [CERN, CERN.upper(), AGENTS, f"x@{AGENTS}", f"{CERN}.", f"{AGENTS}/x", f"{CERN}/agent"])
def test_no_role_group_key_or_pattern_lets_an_agent_command(jid: str) -> None:
    who = (jid, f"*@{AGENTS}", "*@*", "@g", f"key:{KEY}")
    one = authority(owner=who, groups={"g": (jid,)}, allow=(Rule(who, ("*",)), Rule(("@g", f"key:{KEY}"), ("status",))))
    for wanted in (None, STATUS, RESTART):
        decision = one.decide(Asker(jid, key=KEY), wanted, NOW)
        assert (decision.allowed, decision.rule) == (False, "agents")
        assert decision.reason == f"{jid} is in the agents' domain; agents do not command each other"


def test_one_agent_may_one_command_where_a_rule_names_both_in_full() -> None:
    one = authority(allow=(Rule((CERN,), ("service restart",), {"services": "httpd"}, about="hub"),))
    assert decided(one, CERN.upper()) == (True, "allow[0] hub")
    assert decided(one, CERN, None) == (True, "allow[0] hub")
    assert decided(one, CERN, STATUS) == (False, "agents")
    assert decided(one, CERN, replace(RESTART, args={"services": ("sshd",)})) == (False, "agents")
    assert decided(one, f"other@{AGENTS}") == (False, "agents")


@pytest.mark.parametrize(
    "rule",
    [
        Rule((CERN,), ("service *",)),
        Rule((CERN,), ("*",)),
        Rule((CERN,), ("service restart", "status")),
        Rule((f"cer?@{AGENTS}",), ("service restart",)),
        Rule((f"*@{AGENTS}",), ("service restart",)),
        Rule(("@hub",), ("service restart",)),
        Rule((CERN,), ("service restart",), until="2026-11-01"),
        Rule((CERN,), ()),
    ],
)
def test_a_rule_that_is_less_than_exact_lets_no_agent_in(rule: Rule) -> None:
    assert decided(authority(allow=(rule,), groups={"hub": (CERN,)}), CERN) == (False, "agents")


def test_a_denial_and_the_highest_role_hold_for_agents_too() -> None:
    exact = Rule((CERN,), ("service restart",))
    assert not decided(authority(allow=(exact,), deny=(Rule(("*@*",), ("service *",)),)), CERN)[0]
    assert not decided(authority(allow=(exact,), max_role=Role.observer), CERN)[0]
    assert decided(authority(allow=(exact,)), CERN)[0]


# What it keeps to itself


def test_strangers_learn_no_rule_and_no_name() -> None:
    one = authority(
        owner=(ALICE,),
        deny=(Rule(("*@*",), ("host *",), about="frozen"),),
        max_role=Role.operator,
        groups={"shift": (BOB,)},
    )
    said = {one.decide(Asker(EVE), wanted, NOW).reason for wanted in (None, STATUS, RESTART, UPDATE)}
    assert said == {f"{EVE} has no role here; ask the owner of this site"}
    assert one.decide(Asker(EVE), UPDATE, NOW).rule == "deny[0] frozen"  # the audit learns it


@pytest.mark.parametrize(
    ("policy", "whom"),
    [
        (Policy(observer=(BOB,), owner=("ann@b", "*@c", "carl@b")), "ask an owner of this site: ann@b, carl@b"),
        (Policy(observer=(BOB,), owner=("a@b", "c@b", "d@b", "e@b")), "ask an owner of this site: a@b, c@b, d@b"),
        (Policy(observer=(BOB,), admin=("ann@b",)), "ask an admin of this site: ann@b"),
        (Policy(admin=("Bob@example.org",), max_role=Role.operator), "nobody is that here (max_role operator)"),
        (Policy(observer=(BOB,), owner=("a*@b", "o?@b", f"key:{KEY}")), "ask an owner of this site"),
        (Policy(observer=("*@example.org",), owner=("ann@b",)), "ask an owner of this site"),
        (Policy(observer=("@g",), owner=("ann@b",), groups={"g": ("b*@example.org",)}), "ask an owner of this site"),
        (
            Policy(observer=("@g",), owner=("@o",), groups={"g": (BOB,), "o": ("ann@b",)}),
            "ask an owner of this site: ann@b",
        ),
        (Policy(allow=(Rule(("*@example.org",), ("x",)),), owner=("ann@b",)), "ask an owner of this site"),
        (Policy(allow=(Rule((BOB,), ("x",)),), owner=("ann@b",)), "ask an owner of this site: ann@b"),
    ],
)
def test_who_is_refused_learns_whom_to_ask_but_no_pattern_and_nothing_through_one(policy: Policy, whom: str) -> None:
    decision = Authority(policy, AGENTS).decide(Asker(BOB), replace(UPDATE, role=Role.owner), NOW)
    assert not decision.allowed
    assert decision.reason.endswith(whom)


# What else is asked


def test_danger_needs_a_signature_and_changes_a_code_unless_it_says_otherwise() -> None:
    one = authority()
    assert [one.needs_signature(wanted) for wanted in (STATUS, RESTART, UPDATE)] == [False, False, True]
    assert [one.confirms(effect) for effect in Effect] == [False, True, True]
    assert not one.needs_second(UPDATE)
    assert one.rate == 600
    other = authority(signed=tuple(Effect), confirm=(), two_persons=("host *",), rate=0)
    assert all(other.needs_signature(wanted) for wanted in (STATUS, RESTART, UPDATE))
    assert not any(other.confirms(effect) for effect in Effect)
    assert (other.needs_second(UPDATE), other.needs_second(RESTART)) == (True, False)
    assert other.rate == 0


# The fleet's bundle


def test_where_there_is_a_bundle_the_site_grants_nothing() -> None:
    site = Policy(owner=(BOB,), allow=(Rule((BOB,), ("*",)),), groups={"shift": (BOB,)})
    fleet = Policy(operator=(ALICE, "@shift"), allow=(Rule((ALICE,), ("host update",), about="patches"),))
    one = Authority(site, AGENTS, signers(), bundle(fleet))
    assert decided(one, BOB) == (False, "default deny")
    assert decided(one, ALICE) == (True, f"bundle operator {ALICE}")
    assert decided(one, ALICE, UPDATE) == (True, "bundle allow[0] patches")
    assert not one.signers.lines  # the site's signers go too


def test_the_site_only_narrows_a_bundle() -> None:
    site = Policy(
        groups={"leavers": (ALICE,)},
        deny=(Rule(("@leavers",), ("service *",)),),
        max_role=Role.operator,
        signed=(Effect.change,),
        confirm=(Effect.read,),
        two_persons=("status",),
        rate=30,
    )
    fleet = Policy(
        owner=(ALICE, BOB), deny=(Rule((BOB,), ("status",)),), signed=(), confirm=(), two_persons=("host *",), rate=60
    )
    one = Authority(site, AGENTS, None, bundle(fleet))
    assert decided(one, ALICE, RESTART) == (False, "deny[0]")
    assert decided(one, BOB, STATUS) == (False, "bundle deny[0]")
    assert decided(one, BOB, UPDATE) == (False, "max_role operator")
    assert decided(one, BOB, RESTART) == (True, f"bundle owner {BOB}")
    assert [one.needs_signature(wanted) for wanted in (STATUS, RESTART, UPDATE)] == [False, True, False]
    assert [one.confirms(effect) for effect in Effect] == [True, False, False]
    assert [one.needs_second(wanted) for wanted in (STATUS, RESTART, UPDATE)] == [True, False, True]
    assert one.rate == 30
    assert Authority(replace(site, rate=0), AGENTS, None, bundle(fleet)).rate == 60
    assert Authority(replace(site, rate=90), AGENTS, None, bundle(fleet)).rate == 60


@pytest.mark.parametrize(
    ("times", "said"),
    [
        ({"expires": NOW}, "the policy bundle 3 of ops@rooms.example.org has expired (2026-11-18 11:06 UTC)"),
        ({"issued": NOW + 301}, "the clock of this site says 2026-11-18 11:06 UTC, before its policy was issued"),
    ],
)
def test_a_bundle_out_of_its_time_lets_nobody_do_anything(times: dict[str, float], said: str) -> None:
    site = Policy(owner=(BOB,))
    one = Authority(site, AGENTS, None, bundle(Policy(owner=(ALICE,), allow=(Rule((CERN,), ("status",)),)), **times))
    for who in (ALICE, BOB):
        decision = one.decide(Asker(who), STATUS, NOW)
        assert (decision.allowed, decision.rule) == (False, "bundle")
        assert decision.reason.startswith(said)
    assert one.decide(Asker(EVE), None, NOW).reason == f"{EVE} has no role here; ask the owner of this site"
    assert not one.decide(Asker(CERN), STATUS, NOW).allowed


def test_a_bundle_that_was_there_and_cannot_be_read_lets_nobody_do_anything() -> None:
    one = Authority(Policy(owner=(ALICE,)), AGENTS, closed="the policy bundle cannot be read; look at FILE")
    assert one.decide(Asker(ALICE), STATUS, NOW).reason == "the policy bundle cannot be read; look at FILE"
    assert not one.decide(Asker(EVE), STATUS, NOW).allowed


# Whatever is written

JIDS = st.sampled_from(
    [ALICE, BOB, EVE, CERN, "@g", "@h", f"key:{KEY}", "*@example.org", "*@*", "a*@example.org", "", "@"]
)
WHO = st.lists(JIDS | st.text(max_size=4), max_size=3).map(tuple)
COMMANDS = st.lists(
    st.sampled_from(["*", "service *", "service restart", "status", "host update", "* re*"]) | st.text(max_size=4),
    max_size=2,
).map(tuple)
RULES = st.builds(
    Rule,
    WHO,
    COMMANDS,
    st.dictionaries(st.sampled_from(["services", "x"]), st.sampled_from(["httpd", "*", "a|b*", ""]), max_size=1),
    hours=st.sampled_from([(), ("Wed 11:00-12:00",), ("Sat 11:00-12:00",), ("odd",)]),
    until=st.sampled_from(["", "2026-11-17", "2027-01-01", "odd"]),
)
POLICIES = st.builds(
    Policy,
    observer=WHO,
    operator=WHO,
    admin=WHO,
    owner=WHO,
    max_role=st.sampled_from(Role),
    signed=st.lists(st.sampled_from(Effect), max_size=3).map(tuple),
    two_persons=COMMANDS,
    rate=st.integers(0, 5),
    groups=st.dictionaries(st.sampled_from(["g", "h"]), WHO, max_size=2),
    deny=st.lists(RULES, max_size=2).map(tuple),
    allow=st.lists(RULES, max_size=3).map(tuple),
)
ASKERS = st.builds(
    Asker,
    st.sampled_from([ALICE, BOB, EVE, CERN, CERN.upper(), "", "@g"]) | st.text(max_size=6),
    key=st.sampled_from(["", KEY]),
)
WANTED = st.sampled_from(
    [None, STATUS, RESTART, UPDATE, replace(RESTART, args={"services": ()}), replace(RESTART, some=True)]
)


@given(POLICIES, ASKERS, WANTED)
def test_every_decision_has_a_reason_and_a_rule(policy: Policy, asker: Asker, wanted: Wanted | None) -> None:
    decision = Authority(policy, AGENTS, signers()).decide(asker, wanted, NOW)
    assert decision.reason
    assert decision.rule
    assert not (decision.allowed and decision.sign)


@given(POLICIES, ASKERS, WANTED, st.text(max_size=20), st.none() | st.text(max_size=20))
def test_nothing_but_the_bare_address_and_the_key_counts(
    policy: Policy, asker: Asker, wanted: Wanted | None, full: str, room: str | None
) -> None:
    """No room, no name in it, no resource; a roster is not even there to be asked."""
    one = Authority(policy, AGENTS, signers())
    assert one.decide(asker, wanted, NOW) == one.decide(replace(asker, full=full, room=room), wanted, NOW)


@given(POLICIES, RULES, ASKERS, WANTED)
def test_one_denial_more_never_allows_more(policy: Policy, rule: Rule, asker: Asker, wanted: Wanted | None) -> None:
    more = replace(policy, deny=(*policy.deny, rule))
    if Authority(more, AGENTS).decide(asker, wanted, NOW).allowed:
        assert Authority(policy, AGENTS).decide(asker, wanted, NOW).allowed


@given(POLICIES, POLICIES, ASKERS, WANTED)
def test_no_site_widens_a_bundle(site: Policy, fleet: Policy, asker: Asker, wanted: Wanted | None) -> None:
    alone, both = Authority(Policy(), AGENTS, None, bundle(fleet)), Authority(site, AGENTS, None, bundle(fleet))
    if both.decide(asker, wanted, NOW).allowed:
        assert alone.decide(asker, wanted, NOW).allowed
    if wanted is not None:
        fleet_only = Authority(fleet, AGENTS)
        assert both.needs_signature(wanted) >= fleet_only.needs_signature(wanted)
        assert both.needs_second(wanted) >= fleet_only.needs_second(wanted)
        assert both.confirms(wanted.effect) >= fleet_only.confirms(wanted.effect)
    assert both.rate <= fleet.rate or fleet.rate == 0
    assert fleet.rate == 0 or both.rate > 0


@given(POLICIES, POLICIES, ASKERS, WANTED)
def test_a_bundle_allows_no_more_than_the_same_policy_at_a_site(
    site: Policy, fleet: Policy, asker: Asker, wanted: Wanted | None
) -> None:
    if Authority(site, AGENTS, None, bundle(fleet)).decide(asker, wanted, NOW).allowed:
        assert Authority(fleet, AGENTS).decide(asker, wanted, NOW).allowed


@given(POLICIES, st.sampled_from([CERN, CERN.upper(), AGENTS, f"x@{AGENTS}"]), WANTED)
def test_no_policy_lets_an_agent_do_more_than_one_command_of_a_rule(
    policy: Policy, jid: str, wanted: Wanted | None
) -> None:
    decision = Authority(policy, AGENTS).decide(Asker(jid, key=KEY), wanted, NOW)
    exact = [rule for rule in policy.allow if CERN in rule.who and rule.one_command]
    assert not decision.allowed or (exact and decision.rule.startswith("allow["))


@given(st.text(max_size=2000), st.text("a*?@", max_size=40))
def test_no_address_keeps_the_agent_busy(jid: str, pattern: str) -> None:
    one = authority(owner=(pattern, f"*a{pattern}b*@example.org"), allow=(Rule((pattern,), ("*",)),))
    began = time.thread_time()
    one.decide(Asker(jid + "a" * 1000), RESTART, NOW)
    assert time.thread_time() - began < 0.5


# Who sums up


def test_a_gatherer_is_what_the_site_names_and_else_what_the_bundle_names() -> None:
    hub, other = "Hub@example.org", "other@example.org"
    named = bundle(Policy(gatherer=hub))
    assert authority().gatherer == ""
    assert authority(gatherer=hub).gatherer == "hub@example.org"
    assert Authority(Policy(), AGENTS, bundle=named).gatherer == "hub@example.org"
    assert Authority(Policy(gatherer=other), AGENTS, bundle=named).gatherer == other
    assert Authority(Policy(gatherer="nobody"), AGENTS, bundle=named).gatherer == ""


def test_a_gatherer_may_nothing_because_it_is_one() -> None:
    one = authority(gatherer="hub@example.org", admin=(ALICE,))
    for wanted in (None, STATUS, RESTART):
        assert decided(one, "hub@example.org", wanted) == (False, "default deny")
