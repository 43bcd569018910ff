"""`amon-agent policy show`: who may what through an account, as it is in force now: the site's part and the fleet's."""

from collections.abc import Iterator, Sequence

from amon.access import Authority, Policy, Rule
from amon.access.window import shown
from amon.text import visible
from amon.words import Role


def policy_text(account: str, authority: Authority, now: float) -> str:
    """For people; names what does not count any more, so that nobody relies on it."""
    lines = [f"account {account}"]
    bundle = authority.bundle
    if authority.closed:
        lines.append(f"  nobody may anything: {authority.closed}")
    elif bundle is not None:
        lines.append(f"  bundle {bundle.serial} of {bundle.fleet}, signed by {bundle.key}")
        lines.append(f"  issued {shown(bundle.issued)}, expires {shown(bundle.expires)}")
        late = bundle.out_of_date(now)
        lines += [f"  nobody may anything: {late}"] if late else []
        lines += ["", "the fleet's policy: it grants", *_policy(bundle.policy, grants=True)]
        lines += ["", "the site's own: it only takes away", *_policy(authority.policy, grants=False)]
    if bundle is None:
        lines += ["", "the site's own policy", *_policy(authority.policy, grants=True)]
    keys = [f"{', '.join(line.principals)}  {line.key.fingerprint}" for line in authority.signers.lines]
    lines += ["", "keys that sign requests", *_indented(keys or ["none"])]
    return visible("\n".join(lines)) + "\n"


def _policy(policy: Policy, *, grants: bool) -> Iterator[str]:
    rows: list[tuple[str, str]] = []
    if grants:
        rows += [(str(role), _who(getattr(policy, role.name))) for role in sorted(Role, reverse=True)]
    rows += [(f"@{name}", _who(members)) for name, members in policy.groups.items()]
    rows += [(f"deny[{place}]", _rule(rule)) for place, rule in enumerate(policy.deny)]
    if grants:
        rows += [(f"allow[{place}]", _rule(rule)) for place, rule in enumerate(policy.allow)]
    rows += [
        ("max_role", str(policy.max_role)),
        ("signed", _who(policy.signed)),
        ("confirm", _who(policy.confirm)),
        ("two_persons", _who(policy.two_persons)),
        ("rate", f"{policy.rate} a minute" if policy.rate else "no limit"),
        *([("gatherer", policy.gatherer)] if policy.gatherer else []),
    ]
    width = max(len(name) for name, _ in rows)
    yield from (f"  {name:{width}}  {said}" for name, said in rows)


def _rule(rule: Rule) -> str:
    said = [f"{_who(rule.who)}: {_who(rule.commands)}"]
    said += [f"with {name} {patterns}" for name, patterns in rule.only.items()]
    said += [*rule.hours, f"until {rule.until}" if rule.until else ""]
    said.append(f"({rule.zone})" if rule.hours or rule.until else "")
    said.append(f"[{rule.about}]" if rule.about else "")
    return "; ".join(part for part in said if part)


def _who(items: Sequence[str]) -> str:
    return ", ".join(str(one) for one in items) or "-"


def _indented(lines: Sequence[str]) -> list[str]:
    return [f"  {line}" for line in lines]
