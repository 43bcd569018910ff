"""Rules of a policy that are well written and yet do nothing here: worth a look, not wrong.

A rule may be about a command of a module that comes later, so it hinders nothing; more often it is a misspelling.
"""

from collections.abc import Iterator, Mapping

from amon.access import Policy, Rule, Wanted
from amon.access.patterns import KEY
from amon.access.rules import fits_command
from amon.access.window import shown, window
from amon.command.declare import Command
from amon.command.grammar import Offered
from amon.errors import Problem
from amon.text import did_you_mean
from site_agent.policies import Law


def law_notes(law: Law, path: str, offered: Offered, unknown: frozenset[str], now: float) -> Iterator[Problem]:
    """offered: what can be asked for here. unknown: instances of which nobody can say what they offer."""
    known = [(Wanted(name, one.name, one.role, one.effect), one) for name in offered for one in offered[name].values()]
    look = _Look(known, unknown, now)
    policy = law.policy
    yield from look.patterns(policy.two_persons, f"{path}.policy.two_persons")
    for kind, rules in (("deny", policy.deny), ("allow", policy.allow)):
        for place, rule in enumerate(rules):
            yield from look.rule(rule, f"{path}.policy.{kind}[{place}]")
    yield from look.capped(policy, f"{path}.policy.allow")
    yield from _evaded(policy, f"{path}.policy.deny")
    yield from _unsigned(law, known, path)


class _Look:
    def __init__(self, known: list[tuple[Wanted, Command]], unknown: frozenset[str], now: float) -> None:
        self.known = known
        self.unknown = unknown
        self.now = now

    def patterns(self, patterns: tuple[str, ...], path: str) -> Iterator[Problem]:
        for place, pattern in enumerate(patterns):
            first, _, second = pattern.partition(" ")
            if self._about(pattern) or (second and any(_may_mean(first, name) for name in self.unknown)):
                continue
            titles = [str(wanted) for wanted, _ in self.known]
            of_instance = any(wanted.instance == pattern for wanted, _ in self.known)
            hint = f"; all of them are '{pattern} *'" if of_instance else did_you_mean(pattern, titles)
            yield Problem(f"{path}[{place}]", f"no command here is meant by {pattern!r}{hint}")

    def rule(self, rule: Rule, path: str) -> Iterator[Problem]:
        yield from self.patterns(rule.commands, f"{path}.commands")
        ends = window(rule.hours, rule.zone, rule.until)
        if ends.until is not None and ends.over(self.now):
            yield Problem(f"{path}.until", f"it ended on {shown(ends.until)}; remove the rule, or give it another end")
        commands = [command for pattern in rule.commands for command in self._about(pattern)]
        params = {param.name.replace("-", "_") for command in commands for param in command.params}
        for name in rule.only if commands and not self.unknown else ():
            if name.replace("-", "_") not in params:
                text = f"no command of this rule takes {name!r}, so the rule fits nothing"
                yield Problem(f"{path}.only.{name}", text + did_you_mean(name, sorted(params)))

    def capped(self, policy: Policy, path: str) -> Iterator[Problem]:
        for place, rule in enumerate(policy.allow):
            roles = [command.role for pattern in rule.commands for command in self._about(pattern)]
            if roles and min(roles) > policy.max_role:
                text = f"all of this needs role {min(roles)}, and max_role is {policy.max_role}: nobody may"
                yield Problem(f"{path}[{place}].commands", text)

    def _about(self, pattern: str) -> list[Command]:
        return [command for wanted, command in self.known if fits_command(pattern, wanted)]


def _may_mean(pattern: str, instance: str) -> bool:
    return any(char in pattern for char in "*?") or pattern == instance


def _evaded(policy: Policy, path: str) -> Iterator[Problem]:
    for place, rule in enumerate(policy.deny):
        if any(one.startswith(KEY) for one in rule.who):
            text = "denied to a key is only what that key signs; the same person may ask unsigned"
            yield Problem(f"{path}[{place}].who", text)


def _unsigned(law: Law, known: list[tuple[Wanted, Command]], path: str) -> Iterator[Problem]:
    if law.signers.lines or law.organisation:
        return
    shut: Mapping[str, None] = dict.fromkeys(str(wanted) for wanted, _ in known if wanted.effect in law.policy.signed)
    if shut:
        yield Problem(
            f"{path}.signers", f"nobody can ask for {', '.join(shut)}: it must be signed, and no key counts here"
        )
