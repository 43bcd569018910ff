"""The site's policy: which bare addresses have which role, and the decision whether one may ask for a command.

A pattern is a bare address; `*` and `?` stand for characters but never for an `@`, so `*@example.org` is everybody
there and nobody elsewhere (a glob that crosses the `@` has let strangers in elsewhere).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated

from amon.errors import Problem
from amon.fields import Field
from amon.words import Asker, Role

_NEVER = re.compile(r"[\s\x00-\x1f\x7f\"&'/:<>]")  # RFC 7622, 3.3.1: no address has these before a resource
_MOST_NAMED = 3

Address = Annotated[str, Field("bare address like alice@example.org; * matches within one side of the @", longest=1024)]


@dataclass(frozen=True, slots=True)
class Policy:
    """Who has which role at this site, for one account. Nobody else may ask anything."""

    observer: Annotated[tuple[Address, ...], Field("may look")] = ()
    operator: Annotated[tuple[Address, ...], Field("may also restart services and what else is routine")] = ()
    admin: Annotated[tuple[Address, ...], Field("may also change the set-up", example=("alice@example.org",))] = ()
    owner: Annotated[tuple[Address, ...], Field("may everything")] = ()

    def role_of(self, jid: str) -> tuple[Role, str] | None:
        """The highest role and the pattern that gave it; None for a stranger."""
        for role in sorted(Role, reverse=True):
            for pattern in getattr(self, role.name):
                if _matches(pattern.lower(), jid.lower()):
                    return role, pattern
        return None

    def decide(self, asker: Asker, needed: Role, agents_domain: str) -> "Decision":
        """Whether `asker` has at least the role `needed`. Pure; the reason is for people."""
        if asker.domain.lower() == agents_domain.lower():
            return Decision(False, f"{asker.jid} is in the agents' domain; agents do not command each other", "agents")
        found = self.role_of(asker.jid)
        if found is None:
            return Decision(False, f"{asker.jid} has no role here; ask the owner of this site", "default deny")
        role, pattern = found
        rule = f"{role} {pattern}"
        if role < needed:
            reason = f"this needs role {needed}; {asker.jid} is {role} here; {self._whom_to_ask(asker.jid, pattern)}"
            return Decision(False, reason, rule, role)
        return Decision(True, f"{asker.jid} is {role}", rule, role)

    def _whom_to_ask(self, jid: str, rule: str) -> str:
        """Names people only to those whom the policy names: a pattern may stand for a whole university."""
        for role in (Role.owner, Role.admin):
            people = [one for one in getattr(self, role.name) if not _is_pattern(one) and one.lower() != jid.lower()]
            if people and not _is_pattern(rule):
                return f"ask an {role} of this site: {', '.join(people[:_MOST_NAMED])}"
        return "ask an owner of this site"


@dataclass(frozen=True, slots=True)
class Decision:
    """allowed, why in words, the rule that made it, and the role the asker has (None: a stranger)."""

    allowed: bool
    reason: str
    rule: str
    role: Role | None = None


def role_problems(policy: Policy, agents_domain: str, path: str) -> Iterable[Problem]:
    """Patterns that can never mean what was meant."""
    for role in Role:
        for place, pattern in enumerate(getattr(policy, role.name)):
            where = f"{path}.{role}[{place}]"
            local, at, domain = pattern.partition("@")
            if not at or not local or not domain or "@" in domain or _NEVER.search(pattern):
                yield Problem(where, f"{pattern!r} is not a bare address like alice@example.org")
            elif domain.lower() == agents_domain.lower():
                yield Problem(where, f"{pattern!r} is in the agents' own domain, which may never ask; use another")
            elif _is_pattern(domain):
                yield Problem(where, f"{pattern!r} would trust other domains; write the domain in full")


def _is_pattern(address: str) -> bool:
    return "*" in address or "?" in address


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> re.Pattern[str]:
    """Between two stars the first fit is as good as any other, so it is never given back (an atomic group).

    Else an address of a thousand letters, chosen by a stranger, keeps the agent busy for seconds.
    """
    head, *parts = [_literal(part) for part in re.sub(r"\*+", "*", pattern).split("*")]
    if not parts:
        return re.compile(head)
    *middle, last = parts
    return re.compile(head + "".join(f"(?>[^@]*?{part})" for part in middle) + f"[^@]*{last}")


def _literal(part: str) -> str:
    return "".join("[^@]" if character == "?" else re.escape(character) for character in part)


def _matches(pattern: str, jid: str) -> bool:
    return _compiled(pattern).fullmatch(jid) is not None
