"""What is wrong with a policy as it is written: whatever can never mean what was meant, each with its place."""

import re
from collections.abc import Callable, Iterator

from amon.access.patterns import GROUP, KEY, is_pattern
from amon.access.policy import Policy
from amon.access.rules import Rule, command_fault
from amon.access.window import span_of, until_of, zone_of
from amon.errors import Problem
from amon.text import did_you_mean
from amon.words import Role

_NEVER = re.compile(r"[\s\x00-\x1f\x7f\"&'/:<>]")  # RFC 7622, 3.3.1: no address has these before a resource
_FINGERPRINT = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")  # ssh-keygen(1) -l
_PARAM = re.compile(r"[a-z][a-z0-9_-]{0,63}")


def policy_problems(policy: Policy, agents_domain: str, path: str) -> Iterator[Problem]:
    """All of it at once. agents_domain: empty if it is not known, as in a bundle for a whole fleet."""
    look = _Look(policy, agents_domain.lower())
    for role in Role:
        yield from look.people(getattr(policy, role.name), f"{path}.{role}")
    for name, members in policy.groups.items():
        yield from look.group(members, f"{path}.groups.{name}")
    for place, rule in enumerate(policy.deny):
        yield from look.rule(rule, f"{path}.deny[{place}]", denies=True)
    for place, rule in enumerate(policy.allow):
        yield from look.rule(rule, f"{path}.allow[{place}]", denies=False)
    yield from _commands(policy.two_persons, f"{path}.two_persons")
    gatherer = (policy.gatherer or "").lower()
    if agents_domain and gatherer.endswith(f"@{agents_domain.lower()}"):
        text = f"{policy.gatherer!r} is in the agents' domain; a hub has an account where people have theirs"
        yield Problem(f"{path}.gatherer", text)


class _Look:
    def __init__(self, policy: Policy, agents_domain: str) -> None:
        self.policy = policy
        self.agents_domain = agents_domain

    def people(self, who: tuple[str, ...], path: str) -> Iterator[Problem]:
        """Who has a role."""
        for place, one in enumerate(who):
            fault = self._fault(one) or self._agent_fault(one) or _domain_fault(one)
            if fault:
                yield Problem(f"{path}[{place}]", fault)

    def group(self, members: tuple[str, ...], path: str) -> Iterator[Problem]:
        if not members:
            yield Problem(path, "nobody is in this group; name somebody, or remove it")
        for place, one in enumerate(members):
            if one.startswith(GROUP):
                yield Problem(f"{path}[{place}]", f"{one!r}: groups do not stand in groups; write its people here")
            elif fault := self._fault(one) or self._agent_fault(one):
                yield Problem(f"{path}[{place}]", fault)

    def rule(self, rule: Rule, path: str, *, denies: bool) -> Iterator[Problem]:
        if not rule.who:
            yield Problem(f"{path}.who", "names nobody, so this rule is about nobody; write whom it is about")
        for place, one in enumerate(rule.who):
            fault = self._fault(one)
            if not fault and not denies:  # who is denied may be everybody, and any agent
                fault = _domain_fault(one) or self._vague_agent(one, rule)
            if fault:
                yield Problem(f"{path}.who[{place}]", fault)
        if not rule.commands:
            yield Problem(f"{path}.commands", "names no command, so this rule is about nothing; write which, or *")
        yield from _commands(rule.commands, f"{path}.commands")
        yield from _values(rule, f"{path}.only")
        yield from _times(rule, path)

    def _fault(self, one: str) -> str:
        if one.startswith(KEY):
            good = _FINGERPRINT.fullmatch(one.removeprefix(KEY))
            return "" if good else f"{one!r} is no key like key:SHA256:...; next: ssh-keygen -l -f FILE.pub shows it"
        if one.startswith(GROUP):
            known = list(self.policy.groups)
            near = did_you_mean(one[1:], known) or f"; there are {', '.join(known) or 'none'}"
            return "" if one[1:] in known else f"{one!r} is neither a bare address nor a group{near}"
        local, _, domain = one.partition("@")
        if not local or not domain or "@" in domain or _NEVER.search(one):
            return f"{one!r} is not a bare address like alice@example.org"
        return ""

    def _agent_fault(self, one: str) -> str:
        if one.startswith((KEY, GROUP)) or one.rpartition("@")[2].lower() != self.agents_domain:
            return ""
        return f"{one!r} is in the agents' own domain, which may never ask; use another"

    def _vague_agent(self, one: str, rule: Rule) -> str:
        fault = self._agent_fault(one)
        if not fault or (rule.one_command and not is_pattern(one)):
            return ""
        return f"{one!r} is in the agents' own domain: a rule names one agent and one command, both in full, or none"


def _domain_fault(one: str) -> str:
    if one.startswith((KEY, GROUP)) or not is_pattern(one.rpartition("@")[2]):
        return ""
    return f"{one!r} would trust other domains; write the domain in full"


def _commands(patterns: tuple[str, ...], path: str) -> Iterator[Problem]:
    for place, one in enumerate(patterns):
        if fault := command_fault(one):
            yield Problem(f"{path}[{place}]", fault)


def _values(rule: Rule, path: str) -> Iterator[Problem]:
    for param, patterns in rule.only.items():
        if not _PARAM.fullmatch(param):
            yield Problem(f"{path}.{param}", f"{param!r} is no name of a parameter")
        if not all(patterns.split("|")):
            text = "nothing stands before, behind or between the |; an empty value fits nothing"
            yield Problem(f"{path}.{param}", text if patterns else "fits nothing; write values like httpd|xrootd*")


def _times(rule: Rule, path: str) -> Iterator[Problem]:
    if fault := _fault_of(zone_of, rule.zone):
        yield Problem(f"{path}.zone", fault)
    for place, one in enumerate(rule.hours):
        if fault := _fault_of(span_of, one):
            yield Problem(f"{path}.hours[{place}]", fault)
    if rule.until and (fault := _fault_of(until_of, rule.until)):
        yield Problem(f"{path}.until", fault)


def _fault_of(read: Callable[[str], object], text: str) -> str:
    try:
        read(text)
    except ValueError as wrong:
        return str(wrong)
    return ""
