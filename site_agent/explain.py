"""`amon-agent policy`: what the policy says of a request, and the policy itself, without an agent and without doing it.

The line is read by the real grammar of the configured instances, and decided by the same authority that a running agent
asks; so the answer is the agent's. What only a running one knows (how fast somebody asks) is not in it.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass

from amon.access import Authority, Decision, Wanted
from amon.access.sshsig import COMMAND
from amon.access.window import shown, until_of
from amon.command import Grammar
from amon.command.declare import Param
from amon.errors import Failed, Invalid
from amon.runtime.wanted import wanted_of
from amon.text import did_you_mean, normal_line, visible
from amon.words import Asker, Effect
from amon.xmpp.address import bare
from site_agent.configuration import AccountPlan, Loaded
from site_agent.findings import Group
from site_agent.offered import offered
from site_agent.policies import authority_of

ALLOWED, REFUSED = 0, 13
_KEY = re.compile(r"SHA256:[A-Za-z0-9+/]{43}")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the policy says. needs: what is asked of him besides, each in words."""

    account: str
    asker: Asker
    wanted: Wanted
    line: str
    decision: Decision
    needs: tuple[str, ...]
    now: float

    @property
    def code(self) -> int:
        return ALLOWED if self.decision.allowed else REFUSED

    def text(self) -> str:
        said = "allowed" if self.decision.allowed else "refused"
        by = f", signed by {self.asker.key}" if self.asker.key else ""
        lines = [
            f"{said}: {self.asker.jid}{by}: {self.line}",
            f"  why:     {self.decision.reason}",
            f"  rule:    {self.decision.rule}",
            *(f"  needs:   {need}" for need in self.needs),
            f"  effect:  {self.wanted.effect}; declared for role {self.wanted.role}",
            f"  account: {self.account}, at {shown(self.now)}",
        ]
        return visible("\n".join(lines)) + "\n"

    def json(self) -> str:
        decision, wanted = self.decision, self.wanted
        data = {
            "allowed": decision.allowed,
            "reason": decision.reason,
            "rule": decision.rule,
            "role": str(decision.role) if decision.role else None,
            "sign": decision.sign,
            "needs": list(self.needs),
            "who": self.asker.jid,
            "key": self.asker.key,
            "line": self.line,
            "command": str(wanted),
            "effect": str(wanted.effect),
            "needs_role": str(wanted.role),
            "account": self.account,
            "time": self.now,
        }
        return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def explain(
    loaded: Loaded, who: str, words: Sequence[str], now: float, *, account: str | None = None, key: str = ""
) -> Answer:
    """Raises `Invalid` for a wrong address, key, account or line, and `Failed` where there is nothing to ask."""
    asker = Asker(bare(who), key=_fingerprint(key))
    plan, authority = account_of(loaded, account)
    ask = Grammar(offered(loaded.specs)).read(normal_line(line_of(words)))
    wanted = wanted_of(ask)
    decision = _key_decision(authority, asker, now) or authority.decide(asker, None, now)
    if decision.allowed:
        decision = authority.decide(asker, wanted, now)
    needs = _needs(authority, asker, wanted) if decision.allowed and not ask.dry_run else ()
    if needs and authority.needs_signature(wanted) and not asker.key and not _has_key(authority, asker, now):
        text = f"it must be signed, and no key of {asker.jid} counts here"
        decision, needs = Decision(False, text, "signature", decision.role), ()
    shown_line = " ".join([ask.name, *_values(ask.command.params, wanted), *["--dry-run"] * ask.dry_run])
    return Answer(plan.name, asker, wanted, shown_line, decision, needs, now)


def account_of(loaded: Loaded, account: str | None) -> tuple[AccountPlan, Authority]:
    """The account that is meant, and its authority as it stands on the disk now."""
    if loaded.settings is None or not loaded.accounts:
        problems = loaded.problems
        if problems and all(one.group is Group.mode for one in problems):  # said by root, for instance
            raise Failed(str(problems[0]))
        raise Failed("the configuration has problems; next: amon-agent check")
    names = {plan.name: plan for plan in loaded.accounts}
    if account is None and len(names) > 1:
        raise Invalid(f"there are the accounts {', '.join(names)}; say which: --account NAME")
    if account is not None and account not in names:
        near = did_you_mean(account, list(names)) or f"; in order are {', '.join(names)}"
        raise Invalid(f"no account {account!r} is in order here{near}")
    plan = names[account] if account is not None else loaded.accounts[0]
    return plan, authority_of(plan.law, plan.login.domain, loaded.settings.state, plan.name)


def line_of(words: Sequence[str]) -> str:
    """One word is the whole line; words of a shell are quoted again where they need it."""
    if len(words) == 1:
        return words[0]
    return " ".join(word if re.fullmatch(r"[^\s\"'\\]+", word) else _quoted(word) for word in words)


def moment_of(text: str) -> float:
    """Seconds since the epoch of `2026-11-21T03:00`, in UTC if nothing else is said. Raises `Invalid`."""
    try:
        if len(text) > len("2026-11-21"):
            return until_of(text)
    except ValueError as wrong:
        raise Invalid(str(wrong)) from None
    raise Invalid(f"{text!r} is no time like 2026-11-21T03:00")


def _quoted(word: str) -> str:
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _fingerprint(key: str) -> str:
    key = key.removeprefix("key:")
    if key and not _KEY.fullmatch(key):
        raise Invalid(f"{key[:64]!r} is no key like SHA256:...; next: ssh-keygen -l -f FILE.pub shows it")
    return key


def _has_key(authority: Authority, asker: Asker, now: float) -> bool:
    lines = authority.signers.lines
    keys = [line for line in lines if not asker.key or line.key.fingerprint == asker.key]
    return any(line.may(asker.jid, COMMAND, now) for line in keys)


def _key_decision(authority: Authority, asker: Asker, now: float) -> Decision | None:
    """A signature that is not accepted is refused before anything else is looked at."""
    if not asker.key or _has_key(authority, asker, now):
        return None
    return Decision(False, f"{asker.key} is no key of {asker.jid} that counts here now", "signature")


def _needs(authority: Authority, asker: Asker, wanted: Wanted) -> tuple[str, ...]:
    needs = []
    if authority.needs_signature(wanted) and not asker.key:
        needs.append(f"a signature (effect {wanted.effect}): amon run --sign, or amon sign")
    elif authority.confirms(wanted.effect) and not asker.key and wanted.effect is not Effect.read:
        needs.append("a yes with a code, where it is typed in a chat")
    if authority.needs_second(wanted):
        needs.append("a second person's yes")
    return tuple(needs)


def _values(params: Sequence[Param], wanted: Wanted) -> list[str]:
    given = [(param, wanted.args[param.name]) for param in params if wanted.args[param.name]]
    return [f"{param.shown}={'***' if param.secret else ','.join(values)}" for param, values in given]
