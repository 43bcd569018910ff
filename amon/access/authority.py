"""One account's whole authority: the decision whether somebody may ask for something, with its reason and its rule.

The order: an agent never (unless one rule names exactly it and one command); what is denied; what is above `max_role`;
what is allowed; the role; nobody else. Every door asks anew each time: when a request comes, when it runs, at a yes.
"""

from collections.abc import Iterator

from amon.access.patterns import is_pattern, named_by
from amon.access.policy import Decision, Policy
from amon.access.rules import Rule, Wanted, fits_command
from amon.words import Asker, Effect


class Authority:
    """policy: the site's own. agents_domain: where agents live, who command nobody."""

    def __init__(self, policy: Policy, agents_domain: str) -> None:
        self.policy = policy
        self.agents_domain = agents_domain

    def decide(self, asker: Asker, wanted: Wanted | None, now: float) -> Decision:
        """Whether `asker` may; `wanted` None: is he anybody here at all. now: seconds since the epoch."""
        if self._is_agent(asker):
            return self._of_agent(asker, wanted, now)
        return self._of_person(asker, wanted, now)

    @property
    def rate(self) -> int:
        """Requests a minute of one asker; 0 is no limit."""
        return self.policy.rate

    def needs_signature(self, wanted: Wanted) -> bool:
        return wanted.effect in self.policy.signed

    def confirms(self, effect: Effect) -> bool:
        """Whether what was typed without a signature needs a code."""
        return effect in self.policy.confirm

    def needs_second(self, wanted: Wanted) -> bool:
        """Whether another person must agree."""
        return any(fits_command(pattern, wanted) for pattern in self.policy.two_persons)

    def _is_agent(self, asker: Asker) -> bool:
        domain = asker.domain.partition("/")[0].rstrip(".").lower()
        return domain == self.agents_domain.rstrip(".").lower()

    def _of_agent(self, asker: Asker, wanted: Wanted | None, now: float) -> Decision:
        """Only what a rule grants that names this one agent and one command, both in full."""
        refused = f"{asker.jid} is in the agents' domain; agents do not command each other"
        if self._denied(asker, wanted, now) or self._is_capped(wanted):
            return Decision(False, refused, "agents")
        for place, rule in enumerate(self.policy.allow):
            named = any(not is_pattern(one) and one.lower() == asker.jid.lower() for one in rule.who)
            if named and rule.one_command and _grants(rule, wanted, now):
                return Decision(True, f"a rule names {asker.jid}", _label("allow", place, rule))
        return Decision(False, refused, "agents")

    def _of_person(self, asker: Asker, wanted: Wanted | None, now: float) -> Decision:
        stranger = f"{asker.jid} has no role here; ask the owner of this site"
        found = self.policy.standing(asker)
        role = min(found[0], self.policy.max_role) if found else None
        allows = list(self._allows(asker))
        denied = self._denied(asker, wanted, now)
        if found is None and not allows:
            return Decision(False, stranger, denied or "default deny")
        member = found[2] if found else allows[0][2]
        ask = self.policy.whom_to_ask(asker.jid, member)
        if denied:
            return Decision(False, f"{wanted or 'everything'} is denied to {asker.jid} here; {ask}", denied, role)
        if self._is_capped(wanted):
            top = self.policy.max_role
            reason = f"{wanted} needs more than role {top}, which is the highest through this account; {ask}"
            return Decision(False, reason, f"max_role {top}", role)
        for place, rule, _ in allows:
            if _grants(rule, wanted, now):
                return Decision(True, f"a rule allows it to {asker.jid}", _label("allow", place, rule), role)
        lacks = next((rule.lacks(wanted, now) for _, rule, _ in allows if wanted and rule.is_about(wanted)), "")
        if found is None or role is None:
            return Decision(
                False, f"{lacks}; {ask}" if lacks else f"{asker.jid} may not {wanted} here; {ask}", "default deny"
            )
        named = f"{found[0]} {found[1]}"
        if wanted is None or role >= wanted.role:
            return Decision(True, f"{asker.jid} is {role}", named, role)
        needs = lacks or f"this needs role {wanted.role}; {asker.jid} is {role} here"
        return Decision(False, f"{needs}; {ask}", named, role)

    def _denied(self, asker: Asker, wanted: Wanted | None, now: float) -> str:
        """The rule that denies it; empty if none does."""
        for place, rule in enumerate(self.policy.deny):
            hit = rule.everything and rule.holds(now, broken=True) if wanted is None else rule.stops(wanted, now)
            if hit and named_by(rule.who, asker, self.policy.groups):
                return _label("deny", place, rule)
        return ""

    def _is_capped(self, wanted: Wanted | None) -> bool:
        return wanted is not None and wanted.role > self.policy.max_role

    def _allows(self, asker: Asker) -> Iterator[tuple[int, Rule, str]]:
        """The rules that are about him: place, rule, and what named him."""
        for place, rule in enumerate(self.policy.allow):
            named = named_by(rule.who, asker, self.policy.groups)
            if named is not None:
                yield place, rule, named[1]


def _grants(rule: Rule, wanted: Wanted | None, now: float) -> bool:
    if wanted is None:
        return bool(rule.commands) and rule.holds(now, broken=False)
    return rule.is_about(wanted) and not rule.lacks(wanted, now)


def _label(kind: str, place: int, rule: Rule) -> str:
    return f"{kind}[{place}] {rule.about}".rstrip()
