"""Targets for what people type or write: chat lines, the target language, addresses, the policy file."""

from typing import Any

from amon.access import Authority, Policy, Wanted, policy_problems
from amon.command import Ask, Call, Grammar, command, commands_of
from amon.config import read
from amon.errors import Invalid, Problem
from amon.runtime.typed import Line, direct, named, prefixed
from amon.target import Facts, parse
from amon.target.parse import LONGEST
from amon.text import hidden, normal_line, visible
from amon.words import Asker, Effect, Role
from amon.xmpp.address import full, split
from tests.command.offers import OFFERED
from tests.fuzz.target import Target, must, text_of

FACTS = Facts("cern", {"tier": "1"}, "warn", {"service/web": "down"}, frozenset({"service"}), {"service/web": "s"})
AGENTS = "agents.amon.test"
_STRANGERS = ("eve@amon.test", "eve@evil.test", "a@b@evil.test", f"desy@{AGENTS}", "amon.test")
_ASKERS = tuple(map(Asker, _STRANGERS))
_STATUS = Wanted("agent", "status", Role.observer, Effect.read)
_RESTART = Wanted("service", "restart", Role.operator, Effect.change, {"names": ("httpd",)})
NOW = 1_795_162_716.0


class Executed(BaseException):
    """A command ran. Nothing that only reads may let that happen; no `except Exception` catches it."""


class _Trap:
    """Commands that must never run here."""

    @command()
    async def look(self, call: Call) -> None:
        """Look."""
        raise Executed

    @command(role="operator", effect="change")
    async def mend(self, call: Call) -> None:
        """Mend."""
        raise Executed

    @mend.plan
    async def _(self, call: Call) -> None:
        raise Executed


GRAMMAR = Grammar({**OFFERED, "trap": commands_of(_Trap)})


def chat(data: bytes) -> None:
    """A typed line, in a room and one to one, to the ask that it is."""
    text = text_of(data)
    for take in (_named, _prefixed, _direct):
        try:
            line = take(text)
        except Invalid as wrong:
            _points_inside(wrong)
            continue
        if line is not None:
            _asked(line.text)
    _asked(text)


def _named(text: str) -> Line | None:
    return named(text, "cern", "!")


def _prefixed(text: str) -> Line | None:
    return prefixed(text, "!", lambda: FACTS)


def _direct(text: str) -> Line | None:
    return direct(text, "!")


def _asked(text: str) -> None:
    try:
        ask = GRAMMAR.read(normal_line(text))
    except Invalid as wrong:
        _points_inside(wrong)
        return
    _holds(ask, normal_line(text))


def _holds(ask: Ask, line: str) -> None:
    must(ask.command in GRAMMAR.offered[ask.instance].values(), "what is asked for is in the registry")
    must(set(ask.args) == {param.name for param in ask.command.params}, "every parameter has a value, and no other")
    if ask.command.effect is not Effect.read:
        must(ask.command.name in line.lower(), "what changes something is typed in full")


def _points_inside(wrong: Invalid) -> None:
    must(0 <= wrong.start <= wrong.end, "an error points at a place")
    must(len(wrong.pointed()) < 40_000, "an error is not much longer than the line")


def target(data: bytes) -> None:
    """The target language: read, matched, written and read again."""
    text = text_of(data)
    try:
        found = parse(text)
    except Invalid as wrong:
        must(0 <= wrong.start <= wrong.end <= len(text), "an error points into the text")
        return
    fits = found.matches(FACTS)
    if len(str(found)) > LONGEST:
        return  # ` or ` is longer than a comma
    again = parse(str(found))
    must(again.matches(FACTS) == fits, "what is written reads back with the same meaning")
    must(str(again) == str(found), "writing it twice is the same")


def address(data: bytes) -> None:
    """A JID as it may stand in a stanza."""
    try:
        bare, resource = split(text_of(data))
    except Invalid:
        return
    must(split(bare) == (bare, ""), "a prepared address stays what it is")
    must(full(f"{bare}/{resource}" if resource else bare).startswith(bare), "a full address begins with the bare one")
    must(bare.count("@") < 2, "a bare address has one @ at most")


def shown(data: bytes) -> None:
    """Text of a host or a stranger on its way to a terminal."""
    for lines in (True, False):
        made = visible(text_of(data), lines=lines)
        must(not any(hidden(sign) for sign in made if sign != "\n" or not lines), "nothing hidden is shown")


def policy(data: bytes) -> None:
    """The policy as a file has it: read with all its problems, and where there are none, asked."""
    problems: list[Problem] = []
    made: Any = read(text_of(data), Policy, problems)
    must((made is None) == bool(problems), "a file is read or its problems are told")
    if made is None:
        return
    problems = list(policy_problems(made, AGENTS, "policy"))
    for one in problems:
        must(bool(one.text), "a problem says something")
    if not problems:
        _judges(Authority(made, AGENTS), text_of(data).lower().replace("\\u0040", "@"))


def _judges(authority: Authority, text: str) -> None:
    """Whom it lets in stands in the file, with the domain in full; an agent with its whole address."""
    for asker in _ASKERS:
        for wanted in (None, _STATUS, _RESTART):
            decision = authority.decide(asker, wanted, NOW)
            must(bool(decision.reason and decision.rule), "a decision has its reason and its rule")
            named = asker.jid if asker.domain == AGENTS else f"@{asker.domain}"
            must(not decision.allowed or named in text or "\\" in text, "who is let in is written there")


_RULE = (
    "[[allow]]\n",
    "[[deny]]\n",
    "who = [",
    'commands = ["*"]',
    "only = { names = ",
    "hours = [",
    "@group",
    "groups",
)

TARGETS = (
    Target("chat", chat, ("!", "cern:", "@all", "@(", "service restart ", "--dry-run", "trap mend", '"', "\u202e"), 40),
    Target("target", target, ("all", "and", "or", "not", "(", ")", "tag:", "health:", "service:x=up", "*", ","), 25),
    Target("address", address, ("@", "/", ".", "amon.test", "alice", "\u0130", "\u00df"), 120),
    Target("shown", shown, ("\u001b[2J", "\u202e", "\r\n", "\t"), 80),
    Target("policy", policy, (*_RULE, 'admin = ["', "@amon.test", '"]\n', "observer", "*", "?", "\n", "[[", "="), 40),
)
