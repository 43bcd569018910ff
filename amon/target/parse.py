"""From a target text to an expression, or to an error that points at the word it means."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from amon.errors import Invalid
from amon.target.expression import All, And, Expression, HasModule, InHealth, Name, Not, Or, PartState, Tagged
from amon.target.facts import HEALTH_WORDS
from amon.text import did_you_mean
from amon.words import State

LONGEST = 4096
"""Characters of a whole expression."""
LONGEST_WORD = 128
DEEPEST = 32
"""Brackets and `not` inside each other."""
RESERVED = frozenset({"all", "and", "or", "not"})
"""Words of the language: no site may have such a name."""

_STATES = "|".join(state for state in State)
# Of a job several states may be meant; a comma before any other word begins another target.
_JOB = rf"@?job:[^\s(),:=]+:[^\s(),]+(?:,(?:{_STATES})(?![^\s(),]))*"
_TOKEN = re.compile(rf"{_JOB}|[(),]|[^\s(),]+", re.IGNORECASE)
_NAME = re.compile(r"[\w.+*?-]+")
_KEY = re.compile(r"[\w.-]+")
_VALUE = re.compile(r"[\w.+*?:/@%~-]+")
_OWNER = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PART = re.compile(r"(?:[\w.+*?@:-]+/)?[\w.+*?@:-]+")
_ID = re.compile(r"[0-9a-z]{1,26}")
_STARS = re.compile(r"\*{2,}")


@dataclass(frozen=True, slots=True)
class Word:
    """A word or sign of the text, in small letters, and where it stands."""

    text: str
    start: int
    end: int


def parse(text: str, *, jobs: bool = False) -> Expression:
    """The expression that `text` says; `Invalid` points at what is wrong in it.

    jobs: whether it may name jobs (`@job:7Q2K`), which only the console that keeps them can look up.
    """
    if len(text) > LONGEST:
        raise Invalid(f"this target is {len(text)} characters long; at most {LONGEST} are taken")
    return _Parser(text, jobs).whole()


class _Parser:
    """Recursive descent, one method per line of the grammar; `at` is the next word."""

    def __init__(self, text: str, jobs: bool = False) -> None:
        self.text = text
        self.jobs = jobs
        self.words = [Word(_small(m[0]), m.start(), m.end()) for m in _TOKEN.finditer(text)]
        self.at = 0
        self.depth = 0

    def whole(self) -> Expression:
        if not self.words:
            raise Invalid("no target given; say `all` to mean every site", self.text, 0, len(self.text))
        found = self.either()
        if self.at < len(self.words):
            word = self.words[self.at]
            if word.text == ")":
                raise self.error("this bracket was never opened", word)
            raise self.error("put `,` or `and` between two targets", word)
        return found

    def either(self) -> Expression:
        found = [self.both()]
        while self.next_is(",", "or"):
            found.append(self.both())
        return found[0] if len(found) == 1 else Or(_flat(Or, found))

    def both(self) -> Expression:
        found = [self.one()]
        while self.next_is("and"):
            found.append(self.one())
        return found[0] if len(found) == 1 else And(_flat(And, found))

    def one(self) -> Expression:
        if self.at == len(self.words):
            last = self.words[-1]
            raise self.error(f"a target is missing after `{last.text}`", last)
        word = self.words[self.at]
        self.at += 1
        if word.text in ("(", "not"):
            return self.nested(word)
        if word.text in (")", ",", "and", "or"):
            raise self.error(f"a target is missing before `{word.text}`", word)
        if word.text.startswith(("@job:", "job:")) and "=" not in word.text:
            return _job(self.text, word, self.jobs)
        return All() if word.text == "all" else _term(self.text, word)

    def nested(self, word: Word) -> Expression:
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.error(f"more than {DEEPEST} brackets or `not` inside each other", word)
        found = Not(self.one()) if word.text == "not" else self.either()
        if word.text == "(" and not self.next_is(")"):
            raise self.error("this bracket is never closed", word)
        self.depth -= 1
        return found

    def next_is(self, *texts: str) -> bool:
        """Whether the next word is one of these; it is then taken."""
        if self.at < len(self.words) and self.words[self.at].text in texts:
            self.at += 1
            return True
        return False

    def error(self, message: str, word: Word) -> Invalid:
        return Invalid(message, self.text, word.start, word.end)


def _small(text: str) -> str:
    """In small letters, unless they are more letters (`İ` becomes two): places must stay what they are."""
    small = text.lower()
    return small if len(small) == len(text) else text


def _flat(kind: type[And] | type[Or], found: list[Expression]) -> tuple[Expression, ...]:
    """`(a or b) or c` is `a or b or c`."""
    flat: list[Expression] = []
    for each in found:
        flat.extend(each.inner if isinstance(each, kind) else (each,))
    return tuple(flat)


def _term(line: str, word: Word) -> Expression:
    """One word: a name, or a key with what is asked of it."""
    if len(word.text) > LONGEST_WORD:
        message = f"this word is {len(word.text)} characters long; at most {LONGEST_WORD} are taken"
        raise Invalid(message, *_span(line, word))
    key, colon, rest = word.text.partition(":")
    if not colon:
        return _name(line, word)
    if key not in TERMS:
        return _other(line, word, key, rest)
    place = word.start + len(key) + 1
    return TERMS[key](line, Word(rest, place if rest else word.start, word.end))


def _other(line: str, word: Word, key: str, rest: str) -> Expression:
    """A part of any module or instance. Which there are, each site knows itself, so a slip is what is near to a key."""
    # `storage` has the letters of `tag`, and is none.
    near = did_you_mean(key, [known for known in TERMS if abs(len(known) - len(key)) <= 2])
    part, equals, state = rest.rpartition("=")
    if not near and equals and _OWNER.fullmatch(key) and _PART.fullmatch(part) and _KEY.fullmatch(state):
        return PartState(key, _STARS.sub("*", part), state)
    known = near or f"; known are {', '.join(f'{known}:' for known in TERMS)}, and MODULE:PART=STATE"
    raise Invalid(f"no target begins with {key + ':'!r}{known}", line, word.start, word.start + len(key))


def _name(line: str, word: Word) -> Expression:
    if not _NAME.fullmatch(word.text):
        key, equals, value = word.text.partition("=")
        hint = f"; did you mean tag:{word.text}?" if equals and _KEY.fullmatch(key) and _VALUE.fullmatch(value) else ""
        raise Invalid(f"{word.text!r} is not a site's name{hint}", *_span(line, word))
    return Name(_STARS.sub("*", word.text))


def _tag(line: str, word: Word) -> Expression:
    key, equals, value = word.text.partition("=")
    if not _KEY.fullmatch(key):
        raise Invalid("which tag? For example tag:tier=1, or tag:tier for any value", *_span(line, word))
    if equals and not _VALUE.fullmatch(value):
        raise Invalid(f"which value? For example tag:{key}=1, or tag:{key} for any", *_span(line, word))
    return Tagged(key, _STARS.sub("*", value) if equals else None)


def _health(line: str, word: Word) -> Expression:
    if word.text not in HEALTH_WORDS:
        near = did_you_mean(word.text, tuple(HEALTH_WORDS)) or "; known are ok, warn, crit, unknown, maint"
        raise Invalid(f"no level of health is called {word.text!r}{near}", *_span(line, word))
    return InHealth(HEALTH_WORDS[word.text])


def _service(line: str, word: Word) -> Expression:
    part, equals, state = word.text.rpartition("=")
    if not equals or not _PART.fullmatch(part) or not _KEY.fullmatch(state):
        raise Invalid("which service in which state? For example service:httpd=down", *_span(line, word))
    return PartState("service", _STARS.sub("*", part), state)


def _module(line: str, word: Word) -> Expression:
    if not _NAME.fullmatch(word.text):
        raise Invalid("which module? For example module:switch", *_span(line, word))
    return HasModule(_STARS.sub("*", word.text))


def _job(line: str, word: Word, known: bool) -> Expression:
    from amon.target.jobs import OfJob  # agents never need it

    if not known:
        raise Invalid("only the console that asked knows its jobs; name the sites themselves", *_span(line, word))
    _, ident, states = (word.text + ":").split(":", 2)
    if len(word.text) > LONGEST_WORD or not _ID.fullmatch(ident):
        raise Invalid("which job? For example @job:7Q2K, or @job:7Q2K:failed", *_span(line, word))
    wanted = tuple(dict.fromkeys(one for one in states.rstrip(":").split(",") if one))
    for state in wanted:
        if state not in set(State):
            near = did_you_mean(state, list(State)) or f"; known are {', '.join(State)}"
            raise Invalid(f"no site of a job is {state!r}{near}", *_span(line, word))
    return OfJob(ident.upper(), wanted)


def _span(line: str, word: Word) -> tuple[str, int, int]:
    return line, word.start, word.end


TERMS: Mapping[str, Callable[[str, Word], Expression]] = MappingProxyType(
    {"tag": _tag, "health": _health, "service": _service, "module": _module}
)
"""What may stand before a colon. A new kind of condition is a line here and a node in the tree."""
