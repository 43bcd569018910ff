"""The site's policy: who has which role, what is allowed or denied besides, and what must be signed or confirmed.

What is decided from it, `authority.py` says. Patterns of addresses never cross an `@`; `patterns.py` has the reason.
"""

from dataclasses import dataclass, field
from typing import Annotated

from amon.access.patterns import GROUP, KEY, is_pattern, named_by
from amon.access.rules import CommandPattern, Rule, Who
from amon.fields import Field
from amon.words import Asker, Effect, Role

_MOST_NAMED = 3
_LONGEST = 2000

GroupName = Annotated[str, Field("a group", pattern=r"[a-z0-9][a-z0-9_.-]*", longest=64)]

Standing = tuple[Role, str, str]
"""The highest role, the entry that gave it, and the address, pattern or key that the entry is in the end."""


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may what at this site, for one account; nobody else may anything. Denials go first, then what is allowed."""

    observer: Annotated[tuple[Who, ...], Field("may look", longest=_LONGEST)] = ()
    operator: Annotated[
        tuple[Who, ...], Field("may also restart services and what else is routine", longest=_LONGEST)
    ] = ()
    admin: Annotated[
        tuple[Who, ...], Field("may also change the set-up", longest=_LONGEST, example=("alice@example.org",))
    ] = ()
    owner: Annotated[tuple[Who, ...], Field("may everything", longest=_LONGEST)] = ()
    max_role: Annotated[Role, Field("what needs a higher role nobody may through this account")] = Role.owner
    signed: Annotated[tuple[Effect, ...], Field("what must be signed with the asker's key", longest=3)] = (
        Effect.danger,
    )
    confirm: Annotated[
        tuple[Effect, ...], Field("what must be confirmed when typed without a signature", longest=3)
    ] = (
        Effect.change,
        Effect.danger,
    )
    two_persons: Annotated[
        tuple[CommandPattern, ...],
        Field("commands that a second person must agree to", longest=200, example=("service stop",)),
    ] = ()
    rate: Annotated[int, Field("requests a minute of one asker; 0 is no limit", least=0, most=100_000)] = 600
    gatherer: Annotated[
        str | None,
        Field(
            "the hub that sums up what is typed for several sites; no right comes with it; `nobody` is none at all",
            pattern=r"[^@/\s]+@[^@/\s]+|nobody",
            longest=512,
            example="hub@example.org",
        ),
    ] = None
    groups: Annotated[
        dict[GroupName, tuple[Who, ...]],
        Field(
            "people by a name of your choice, written @NAME above and below",
            longest=200,
            example={"shift": ("bob@example.org",)},
        ),
    ] = field(default_factory=dict)
    deny: Annotated[tuple[Rule, ...], Field("what nobody named here may, whatever else stands here", longest=500)] = ()
    allow: Annotated[
        tuple[Rule, ...], Field("what those named here may besides their role, whatever role it needs", longest=500)
    ] = ()

    def role_of(self, jid: str, key: str = "") -> tuple[Role, str] | None:
        """The highest role and the pattern that gave it; None for a stranger."""
        found = self.standing(Asker(jid, key=key))
        return found[:2] if found else None

    def standing(self, asker: Asker) -> Standing | None:
        for role in sorted(Role, reverse=True):
            found = named_by(getattr(self, role.name), asker, self.groups)
            if found is not None:
                return role, *found
        return None

    def whom_to_ask(self, jid: str, member: str) -> str:
        """Names people only to those whom the policy names: a pattern may stand for a whole university."""
        for role in (Role.owner, Role.admin):
            people = [one for one in self._people(role) if one.lower() != jid.lower()]
            if people and not is_pattern(member):
                return f"ask an {role} of this site: {', '.join(people[:_MOST_NAMED])}"
        return "ask an owner of this site"

    def fingerprints(self) -> set[str]:
        """The fingerprints that are named somewhere."""
        lists = [getattr(self, role.name) for role in Role]
        lists += [*self.groups.values(), *(rule.who for rule in (*self.deny, *self.allow))]
        return {one.removeprefix(KEY) for who in lists for one in who if one.startswith(KEY)}

    def _people(self, role: Role) -> list[str]:
        who: tuple[str, ...] = getattr(self, role.name)
        members = [name for one in who for name in (self.groups.get(one[1:], ()) if one.startswith(GROUP) else (one,))]
        return [one for one in members if not is_pattern(one) and not one.startswith((GROUP, KEY))]


@dataclass(frozen=True, slots=True)
class Decision:
    """allowed, why in words, the rule that made it, and the role the asker has (None: a stranger).

    sign: the same request would be allowed if it were signed by a key of the asker's.
    """

    allowed: bool
    reason: str
    rule: str
    role: Role | None = None
    sign: bool = False
