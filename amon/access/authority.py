"""One account's whole authority: the decision whether somebody may ask for something, with its reason and its rule.

The order: an agent never (unless one rule names exactly it and one command); what is denied; what is above `max_role`;
what is allowed; the role; nobody else. Every door asks anew each time: when a request comes, when it runs, at a yes.

Once the fleet's bundle is there, it alone grants; the site's own policy can then only take away.
"""

from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

from amon.access.bundle import Bundle
from amon.access.patterns import fits_address, is_pattern, named_by
from amon.access.policy import Decision, Policy, Standing
from amon.access.rules import Rule, Wanted, fits_command
from amon.access.signers import Signers
from amon.access.sshsig import COMMAND
from amon.words import Asker, Effect, Role

_MOST_REMEMBERED = 512  # askers
NOBODY = "nobody"  # as a gatherer


class Authority:
    """policy: the site's own. agents_domain: where agents live, who command nobody. signers: whose keys count.

    bundle: the fleet's, which takes the place of what the site grants and of its signers. closed: why nobody may
    anything for now, where it is known that there was a bundle and it cannot be read.
    """

    def __init__(
        self,
        policy: Policy,
        agents_domain: str,
        signers: Signers | None = None,
        bundle: Bundle | None = None,
        closed: str = "",
    ) -> None:
        self.policy = policy
        self.agents_domain = agents_domain
        self.bundle = bundle
        self.closed = closed
        self.signers = bundle.signers if bundle else signers or Signers()
        self.grants = bundle.policy if bundle else policy
        self._from = "bundle " if bundle else ""
        self._all = (policy, bundle.policy) if bundle else (policy,)
        # Who is named where does not change with the time, and lists may be long: a fleet has thousands of people.
        self._named = lru_cache(maxsize=_MOST_REMEMBERED)(self._look_up)
        self._keys = frozenset(key for one in self._all for key in one.fingerprints())

    # Who may

    def decide(self, asker: Asker, wanted: Wanted | None, now: float) -> Decision:
        """Whether `asker` may; `wanted` None: is he anybody here at all. now: seconds since the epoch."""
        out = self.closed or (self.bundle.out_of_date(now) if self.bundle else "")
        if out:
            known = any(one.standing(asker) for one in self._all)
            return Decision(False, out if known else _stranger(asker), "bundle")
        if self.is_agent(asker):
            return self._of_agent(asker, wanted, now)
        decision = self._of_person(asker, wanted, now)
        return decision if decision.allowed or asker.key else self._signing(asker, wanted, now, decision)

    def is_agent(self, asker: Asker) -> bool:
        """Whether it is of the agents' domain, however that is written."""
        domain = asker.domain.partition("/")[0].rstrip(".").lower()
        return domain == self.agents_domain.rstrip(".").lower()

    def counted_as(self, asker: Asker) -> str:
        """Under whose name it is counted what he costs: strangers can have any number of names and count as one."""
        return asker.jid if any(self._named(asker.jid, asker.key)) else ""

    # What is asked of those who may

    @property
    def rate(self) -> int:
        """Requests a minute of one asker; 0 is no limit."""
        return min((one.rate for one in self._all if one.rate), default=0)

    @property
    def max_role(self) -> Role:
        return min(one.max_role for one in self._all)

    def needs_signature(self, wanted: Wanted) -> bool:
        return any(wanted.effect in one.signed for one in self._all)

    def takes_key(self, asker: Asker, now: float) -> bool:
        """Whether the key of a signed request still counts, which it did when the request came."""
        lines = (line for line in self.signers.lines if line.may(asker.jid.lower(), COMMAND, now))
        return any(line.key.fingerprint == asker.key for line in lines)

    @property
    def gatherer(self) -> str:
        """The hub that sums up what is typed for several sites: what the site itself says, else the bundle; or none."""
        named = next((one.gatherer for one in self._all if one.gatherer), NOBODY)
        return "" if named == NOBODY else named.lower()

    def confirms(self, effect: Effect) -> bool:
        """Whether what was typed without a signature needs a code."""
        return any(effect in one.confirm for one in self._all)

    def needs_second(self, wanted: Wanted) -> bool:
        """Whether another person must agree."""
        return any(fits_command(pattern, wanted) for one in self._all for pattern in one.two_persons)

    # The decision, in its order

    def _of_agent(self, asker: Asker, wanted: Wanted | None, now: float) -> Decision:
        """Only what a rule grants that names this one agent and one command, both in full."""
        refused = f"{asker.jid} is in the agents' domain; agents do not command each other"
        if self._denied(asker, wanted, now) or self._is_capped(wanted):
            return Decision(False, refused, "agents")
        for place, rule in enumerate(self.grants.allow):
            named = any(not is_pattern(one) and fits_address(one, asker.jid) for one in rule.who)
            if named and rule.one_command and _grants(rule, wanted, now):
                return Decision(True, f"a rule names {asker.jid}", f"{self._from}{_label('allow', place, rule)}")
        return Decision(False, refused, "agents")

    def _of_person(self, asker: Asker, wanted: Wanted | None, now: float) -> Decision:
        found, allows = self._named(asker.jid, asker.key)
        role = min(found[0], self.max_role) if found else None
        denied = self._denied(asker, wanted, now)
        if found is None and not allows:
            return Decision(False, _stranger(asker), denied or "default deny")
        ask = self.grants.whom_to_ask(asker.jid, found[2] if found else allows[0][2])
        if denied:
            return Decision(False, f"{wanted or 'everything'} is denied to {asker.jid} here; {ask}", denied, role)
        if wanted is not None and self._is_capped(wanted):
            top = f"max_role {self.max_role}"
            return Decision(False, f"{wanted} needs role {wanted.role}, and nobody is that here ({top})", top, role)
        for place, rule, _ in allows:
            if _grants(rule, wanted, now):
                label = f"{self._from}{_label('allow', place, rule)}"
                return Decision(True, f"a rule allows it to {asker.jid}", label, role)
        lacks = next((rule.lacks(wanted, now) for _, rule, _ in allows if wanted and rule.is_about(wanted)), "")
        if found is None or role is None:
            return Decision(False, f"{lacks or _may_not(asker, wanted)}; {ask}", "default deny")
        named = f"{self._from}{found[0]} {found[1]}"
        if wanted is None or role >= wanted.role:
            return Decision(True, f"{asker.jid} is {role}", named, role)
        needs = lacks or f"this needs role {wanted.role}; {asker.jid} is {role} here"
        return Decision(False, f"{needs}; {ask}", named, role)

    def _signing(self, asker: Asker, wanted: Wanted | None, now: float, refused: Decision) -> Decision:
        """The same refusal, unless one of his own keys would be allowed what he is not without it."""
        for line in self.signers.lines if self._keys else ():
            key = line.key.fingerprint
            if key in self._keys and line.may(asker.jid.lower(), COMMAND, now):
                signed = self._of_person(replace(asker, key=key), wanted, now)
                if signed.allowed:
                    text = f"{asker.jid} may this only with a signature; sign it: amon run --sign"
                    return Decision(False, text, f"unsigned, else {signed.rule}", refused.role, sign=True)
        return refused

    def _denied(self, asker: Asker, wanted: Wanted | None, now: float) -> str:
        """The rule that denies it, the site's own first; empty if none does."""
        for policy, prefix in zip(self._all, ("", "bundle "), strict=False):
            for place, rule in enumerate(policy.deny):
                if _denies(rule, wanted, now) and named_by(rule.who, asker, policy.groups):
                    return f"{prefix}{_label('deny', place, rule)}"
        return ""

    def _is_capped(self, wanted: Wanted | None) -> bool:
        return wanted is not None and wanted.role > self.max_role

    def _look_up(self, jid: str, key: str) -> tuple[Standing | None, tuple[tuple[int, Rule, str], ...]]:
        """His role, and the rules that are about him: place, rule, and what named him."""
        asker = Asker(jid, key=key)
        return self.grants.standing(asker), tuple(self._allows(asker))

    def _allows(self, asker: Asker) -> Iterator[tuple[int, Rule, str]]:
        for place, rule in enumerate(self.grants.allow):
            named = named_by(rule.who, asker, self.grants.groups)
            if named is not None and rule.commands:
                yield place, rule, named[1]


def _grants(rule: Rule, wanted: Wanted | None, now: float) -> bool:
    if wanted is None:
        return rule.holds(now, broken=False)
    return rule.is_about(wanted) and not rule.lacks(wanted, now)


def _denies(rule: Rule, wanted: Wanted | None, now: float) -> bool:
    if wanted is None:
        return rule.everything and rule.holds(now, broken=True)
    return rule.stops(wanted, now)


def _label(kind: str, place: int, rule: Rule) -> str:
    return f"{kind}[{place}] {rule.about}".rstrip()


def _stranger(asker: Asker) -> str:
    return f"{asker.jid} has no role here; ask the owner of this site"


def _may_not(asker: Asker, wanted: Wanted | None) -> str:
    return f"{asker.jid} may not {wanted} here" if wanted else f"{asker.jid} may nothing here now"
