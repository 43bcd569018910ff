"""A typed line taken apart: whether it is meant for this site, what it asks, and how many it is for. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from amon.command import split
from amon.command.line import Word
from amon.errors import Invalid
from amon.runtime.spoken import Reach
from amon.target import All, Expression, Facts, parse
from amon.text import normal_line


@dataclass(frozen=True, slots=True)
class Line:
    """text: what is asked, without the target. target: whom for, where that was typed."""

    text: str
    reach: Reach
    target: Expression | None = None

    @property
    def alone(self) -> bool:
        return self.reach is Reach.alone

    @property
    def first(self) -> str:
        """The first word; phones begin every line with a capital letter."""
        return self.text.partition(" ")[0].lower()

    @property
    def rest(self) -> str:
        return self.text.partition(" ")[2].strip()


def named(text: str, site: str, prefix: str) -> Line | None:
    """`site: line` or `site, line`: what clients make of a completed nick. `Invalid` for what no keyboard types."""
    for mark in (":", ","):
        name, found, rest = text.lstrip().partition(mark)
        if found and name.strip().lower() == site.lower():
            return Line(normal_line(rest).removeprefix(prefix).strip(), Reach.alone)
    return None


def prefixed(text: str, prefix: str, facts: Callable[[], Facts]) -> Line | None:
    """`!line` or `!line @target`, if the target fits this site. `Invalid` for a target that cannot be read."""
    line = addressed(text, prefix)
    return line if line is None or line.target is None or line.target.matches(facts()) else None


def addressed(text: str, prefix: str) -> Line | None:
    """`!line` or `!line @target`, whoever it is for. `Invalid` for a target that cannot be read."""
    if not text.lstrip().startswith(prefix):
        return None
    return _with_target(normal_line(text)[len(prefix) :].strip())


def direct(text: str, prefix: str) -> Line:
    """A line one to one: the prefix is optional, and so is a target, which must fit. Always for this site alone."""
    line = _with_target(normal_line(text).removeprefix(prefix).strip())
    return Line(line.text, Reach.alone, line.target)


def whole(text: str, prefix: str) -> Line:
    """A line one to one in which `@site` is no target but a word of the command."""
    return Line(normal_line(text).removeprefix(prefix).strip(), Reach.alone)


def _with_target(text: str) -> Line:
    """Take the `@target` words out of a line; several mean any of them."""
    try:
        found = split(text)
    except Invalid as wrong:  # without the line: nobody has read yet which of its words is secret
        raise Invalid(wrong.message) from None
    words = [word for word in found if not word.quoted and word.text.startswith("@") and len(word.text) > 1]
    if not words:
        return Line(text, Reach.unsaid)
    target = parse(", ".join(word.text[1:] for word in words))
    return Line(_without(text, words), _reach(target), target)


def _reach(target: Expression) -> Reach:
    if target.plain_name() is not None:
        return Reach.alone
    return Reach.everyone if isinstance(target, All) else Reach.some


def _without(text: str, words: list[Word]) -> str:
    for word in reversed(words):
        text = text[: word.start].rstrip() + " " + text[word.end :].lstrip()
    return text.strip()
