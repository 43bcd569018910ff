"""One rule of a policy: who, which commands, with which values, when. Whether it grants or denies, its list says."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated

from amon.access.patterns import fits, fits_one_of, is_pattern
from amon.access.window import window
from amon.fields import Field
from amon.words import Effect, Role

_AGENT = "agent"  # amon.command.grammar.AGENT: the instance whose commands need no name in front of them
_WORD = re.compile(r"[a-z0-9_*?-]{1,64}")

Who = Annotated[
    str,
    Field(
        "a bare address like alice@example.org (* within one side of the @), `@group` or `key:SHA256:...`", longest=1024
    ),
]
CommandPattern = Annotated[
    str, Field("a command like `service restart`, `service *`, `status`, or `*` for all", longest=130)
]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks for. args: parameter to its values as text; none where no value was given.

    instance: the instance's name; for the agent's own commands `agent`. some: with one value or another, which is what
    help and completion ask; a rule that is only about certain values then allows, and does not deny.
    """

    instance: str
    command: str
    role: Role
    effect: Effect
    args: Mapping[str, tuple[str, ...]] = field(default_factory=dict, repr=False)  # there may be secrets in it
    some: bool = False

    def __str__(self) -> str:
        return self.command if self.instance in (_AGENT, self.command) else f"{self.instance} {self.command}"

    def values(self, param: str) -> tuple[str, ...] | None:
        """None: the command has no such parameter. `log-file` and `log_file` are one."""
        name = param.replace("-", "_")
        return next((given for one, given in self.args.items() if one.replace("-", "_") == name), None)


@dataclass(frozen=True, slots=True)
class Rule:
    """Who, for which commands, with which values, when. Nobody or no command is none."""

    who: Annotated[tuple[Who, ...], Field("whom it is about", longest=500, example=("@shift",))]
    commands: Annotated[tuple[CommandPattern, ...], Field("which commands", longest=200, example=("service restart",))]
    only: Annotated[
        dict[str, Annotated[str, Field("values like httpd|xrootd*", longest=1024)]],
        Field("only with these values: `|` between several, * in them", longest=20, example={"name": "httpd|xrootd*"}),
    ] = field(default_factory=dict)
    hours: Annotated[
        tuple[Annotated[str, Field("hours like Mon-Fri 08:00-18:00", longest=64)], ...],
        Field("when; always if not given", longest=20, example=("Mon-Fri 08:00-18:00",)),
    ] = ()
    zone: Annotated[str, Field("time zone of hours and until", longest=64, example="Europe/Berlin")] = "UTC"
    until: Annotated[
        str, Field("the last day, 2026-12-31, or a time, 2026-12-31T18:00", longest=40, example="2026-12-31")
    ] = ""
    about: Annotated[
        str,
        Field("what it is for; stands in the audit", pattern=r"[^\x00-\x1f\x7f]*", longest=100, example="night shift"),
    ] = ""

    def is_about(self, wanted: Wanted) -> bool:
        return any(fits_command(pattern, wanted) for pattern in self.commands)

    @property
    def one_command(self) -> bool:
        """Whether it names a single command in full."""
        return len(self.commands) == 1 and not is_pattern(self.commands[0])

    @property
    def everything(self) -> bool:
        return "*" in self.commands and not self.only

    def holds(self, now: float, *, broken: bool) -> bool:
        """Whether it is the time for it. broken: what counts if its hours cannot be read."""
        try:
            return window(self.hours, self.zone, self.until).open(now)
        except ValueError:
            return broken

    def lacks(self, wanted: Wanted, now: float) -> str:
        """Why it does not allow this, which it is about; empty if it does."""
        for param, patterns in self.only.items() if not wanted.some else ():
            values = wanted.values(param)
            if not values or not all(fits_one_of(patterns, value) for value in values):
                return f"you may {wanted} only with {param} {patterns}"
        if not self.holds(now, broken=False):
            ends = f"until {self.until}" if self.until else ""
            return f"you may {wanted} only {', '.join((*self.hours, ends)).strip(', ')} ({self.zone})"
        return ""

    def stops(self, wanted: Wanted, now: float) -> bool:
        """Whether it denies this. One value is enough, and so is none, which may stand for all."""
        if not self.is_about(wanted) or not self.holds(now, broken=True) or (wanted.some and self.only):
            return False
        return all(_is_hit(patterns, wanted.values(param)) for param, patterns in self.only.items())


def fits_command(pattern: str, wanted: Wanted) -> bool:
    """`INSTANCE COMMAND`; one word is a command of the agent's own or one that bears its instance's name."""
    if pattern == "*":
        return True
    first, blank, second = pattern.partition(" ")
    if blank:
        return fits(first, wanted.instance) and fits(second, wanted.command)
    return first != "" and wanted.instance in (_AGENT, wanted.command) and fits(first, wanted.command)


def command_fault(pattern: str) -> str:
    """What is wrong with a pattern of commands; empty if nothing is."""
    words = pattern.split(" ")
    if len(words) > 2 or not all(_WORD.fullmatch(word) for word in words):
        return f"{pattern!r} is no command like 'service restart', 'service *' or 'status'; names are in small letters"
    return ""


def _is_hit(patterns: str, values: tuple[str, ...] | None) -> bool:
    if values is None:
        return False
    return not values or any(fits_one_of(patterns, value) for value in values)
