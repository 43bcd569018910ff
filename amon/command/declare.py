"""`@command`: one declaration per command, checked when the module is loaded, not when somebody asks.

Laws checked here: text parameters are bounded (pattern and longest, a rule learnt from Choria's contracts), what
changes something can say beforehand what it would do (`plan`), and every command has a sentence of help.
"""

import dataclasses
import enum
import inspect
import math
import re
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import (
    Any,
    Concatenate,
    Generic,
    Literal,
    ParamSpec,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    overload,
)

from amon.convert import Hint, hint_of
from amon.fields import Secret
from amon.text import did_you_mean
from amon.words import Asker, Effect, Role

P = ParamSpec("P")
R = TypeVar("R", bound=Awaitable[object] | AsyncIterator[object], covariant=True)
S = TypeVar("S")

_LETTER = re.compile("[A-Za-z]")
MISSING = dataclasses.MISSING
TIMEOUT = 30.0
LASTS = 3600.0
"""Seconds after which a command is ended that says nothing else: one that answers, and one that goes on telling."""
RESERVED = frozenset({"dry_run", "json", "yes"})
"""What may be typed behind any command: `--dry-run` for the site, `--json` and `--yes` for the console."""


class BadDeclaration(TypeError):
    """A mistake of the module's author; the module does not load and its health says this."""


May = Callable[[str, "Command"], bool]


def _say_yes(instance: str, command: "Command") -> bool:
    return True


def _say_nothing(text: str, fraction: float | None) -> None:
    pass


@dataclass(frozen=True, slots=True)
class Call:
    """One use of a command at one site, as the method sees it.

    role and rule: what the asker is here and which line of the policy says so. deadline: seconds the asker waits; the
    work may go on after it. `progress` and `note` tell him how far it is. account: the login of this agent that it
    came through; each is another organisation's view of the site. may: whether its asker may ask for a command of an
    instance, with one value or another. sites: those of the fleet that the line names (`@desy`), each with the
    addresses at which it is probed, blanks between; the asker's console knows them. Nobody vouches for them. site: what
    this site is called in that account.
    """

    id: str
    asker: Asker
    role: Role = Role.observer
    rule: str = ""
    deadline: float = 30.0
    _progress: Callable[[str, float | None], None] = field(default=_say_nothing, repr=False)
    account: str = ""
    may: May = field(default=_say_yes, repr=False)
    sites: Mapping[str, str] = field(default_factory=dict, repr=False)
    site: str = ""

    def progress(self, n: float, of: float, text: str = "") -> None:
        """Say how far it is: `n` of so many, in whatever unit; `text` tells what is being done now."""
        self._progress(text or f"{n:g} of {of:g}", min(1.0, max(0.0, n / of)) if of > 0 else None)

    def note(self, text: str) -> None:
        """Say what is being done now, where nobody knows how much there is to do."""
        self._progress(text, None)


@dataclass(frozen=True, slots=True)
class Param:
    name: str
    hint: Hint
    default: Any = MISSING

    @property
    def shown(self) -> str:
        """As people type it."""
        return self.name.replace("_", "-")

    @property
    def short(self) -> str:
        """The letter of `-c 20`, if it has one."""
        return self.hint.field.short

    @property
    def required(self) -> bool:
        return self.default is MISSING

    @property
    def flag(self) -> bool:
        return self.hint.bare is bool

    @property
    def many(self) -> bool:
        return self.hint.origin in (tuple, list)

    @property
    def item(self) -> Hint:
        """What one typed word is: an item of a list, else the value itself."""
        return hint_of(self.hint.args[0]) if self.many else self.hint

    @property
    def about(self) -> str:
        return self.hint.field.about or self.item.field.about

    @property
    def secret(self) -> bool:
        """Whether the value must not be written down."""
        return self.hint.field.secret or self.item.field.secret or self.item.bare is Secret


@dataclass(frozen=True, slots=True)
class Command:
    """What is known about a command: all of it data, made once from the declaration.

    streams: it answers with a session: item after item, until it is stopped, has told all or `timeout` is over.
    replaces: each item is a picture that takes the place of the one before.
    """

    name: str
    summary: str
    manual: str
    params: tuple[Param, ...]
    role: Role
    effect: Effect
    timeout: float
    run: Callable[..., Any] = field(repr=False, compare=False)
    plan: Callable[..., Awaitable[Any]] | None = field(repr=False, compare=False)
    streams: bool = False
    replaces: bool = False

    @property
    def names_sites(self) -> bool:
        """Whether it has a parameter that may name other sites."""
        return any(param.item.field.sites for param in self.params)

    def param(self, name: str) -> Param | None:
        return next((param for param in self.params if param.name == name), None)

    def lettered(self, word: str) -> Param | None:
        """The parameter that `-c` or `-c20` begins; None where no letter is meant."""
        letter = word[1:2] if word.startswith("-") else ""
        return next((param for param in self.params if letter and param.short == letter), None)


class Declared(Generic[S, P, R]):
    """What `@command` leaves in the class: a method that also carries its declaration."""

    def __init__(
        self,
        run: Callable[Concatenate[S, Call, P], R],
        role: Role,
        effect: Effect,
        timeout: float | None,
        replaces: bool = False,
    ) -> None:
        self.function = run
        self.role = role
        self.effect = effect
        self.streams = inspect.isasyncgenfunction(run)
        self.replaces = replaces
        self.timeout = timeout if timeout is not None else LASTS if self.streams else TIMEOUT
        self.planned: Callable[..., Awaitable[Any]] | None = None
        self.__doc__ = run.__doc__
        self.__name__ = run.__name__

    def plan(
        self, function: Callable[Concatenate[S, Call, P], Awaitable[object]]
    ) -> Callable[Concatenate[S, Call, P], Awaitable[object]]:
        """Decorate the method, with the same parameters, that says what would be done and does nothing."""
        self.planned = function
        return function

    @overload
    def __get__(self, instance: None, owner: type) -> "Declared[S, P, R]": ...
    @overload
    def __get__(self, instance: S, owner: type) -> Callable[Concatenate[Call, P], R]: ...
    def __get__(self, instance: S | None, owner: type) -> Any:
        return self if instance is None else cast(Any, self.function).__get__(instance, owner)


def command(
    *, role: str = "observer", effect: str = "read", timeout: float | None = None, replaces: bool = False
) -> Callable[[Callable[Concatenate[S, Call, P], R]], Declared[S, P, R]]:
    """Make an async method `(self, call, ...)` a command that people with `role` may ask for.

    An async generator, `-> AsyncIterator[Row]` of a dataclass or of str, makes a session: each item goes to the asker
    at once, until he stops it. It is closed where it waits, so what it holds is given back in `finally`. replaces: each
    item is a picture of several lines that takes the place of the one before; of those in between none is missed.
    effect: "read", "change" or "danger"; the latter two need a `plan`. timeout: seconds after which it is ended (30 if
    not given, an hour for a session).
    """

    if role not in Role.__members__:
        raise BadDeclaration(f"there is no role {role!r}{did_you_mean(role, list(Role.__members__))}")
    if effect not in Effect.__members__:
        raise BadDeclaration(f"there is no effect {effect!r}{did_you_mean(effect, list(Effect.__members__))}")
    if timeout is not None and not 0 < timeout < math.inf:
        raise BadDeclaration(f"a timeout of {timeout} s leaves no time to do anything, or all of it")

    def declared(run: Callable[Concatenate[S, Call, P], R]) -> Declared[S, P, R]:
        return Declared(run, Role[role], Effect(effect), timeout, replaces)

    return declared


def commands_of(cls: type) -> Mapping[str, Command]:
    """The commands declared in `cls` and its bases, by the name people type. Raises `BadDeclaration`."""
    found: dict[str, Command] = {}
    for attribute in dir(cls):
        declared = inspect.getattr_static(cls, attribute)
        if isinstance(declared, Declared):
            made = _read(cls, declared)
            if made.name in found:
                raise BadDeclaration(f"{cls.__name__} has two commands that people would type as {made.name!r}")
            found[made.name] = made
    return found


def _read(cls: type, declared: "Declared[Any, Any, Any]") -> Command:
    where = f"{cls.__name__}.{declared.__name__}"
    doc = inspect.getdoc(declared.function) or ""
    if not doc:
        raise BadDeclaration(f"{where} has no docstring; its first line is the help people see")
    if declared.streams:
        _check_session(where, declared)
    elif not inspect.iscoroutinefunction(declared.function):
        raise BadDeclaration(f"{where} must be async")
    elif declared.replaces:
        raise BadDeclaration(f"{where} is no session: it has no items that could replace each other")
    params = _params(where, declared.function)
    if declared.effect is not Effect.read:
        if declared.planned is None:
            raise BadDeclaration(f"{where} has effect {declared.effect} but no plan; add @{declared.__name__}.plan")
        if not inspect.iscoroutinefunction(declared.planned):
            raise BadDeclaration(f"the plan of {where} must be async")
        if _params(f"the plan of {where}", declared.planned) != params:
            raise BadDeclaration(f"the plan of {where} must take the same parameters")
    summary, _, manual = doc.partition("\n")
    return Command(
        name=declared.__name__.rstrip("_").replace("_", "-"),
        summary=summary.strip(),
        manual=manual.strip(),
        params=params,
        role=declared.role,
        effect=declared.effect,
        timeout=declared.timeout,
        run=declared.function,
        plan=declared.planned,
        streams=declared.streams,
        replaces=declared.replaces,
    )


def _check_session(where: str, declared: "Declared[Any, Any, Any]") -> None:
    """A session only looks: what changes something has an end that is told and kept."""
    if declared.effect is not Effect.read:
        raise BadDeclaration(f"{where} is a session and has effect {declared.effect}; a session can only read")
    told = _hints(where, declared.function).get("return")
    kinds = get_args(told) if get_origin(told) in (AsyncIterator, AsyncGenerator) else ()
    item = hint_of(kinds[0]).bare if kinds else None
    if item is not str and not (isinstance(item, type) and dataclasses.is_dataclass(item)):
        raise BadDeclaration(f"{where} is a session and must say what of: -> AsyncIterator[a dataclass or str]")


def _hints(where: str, function: Callable[..., Any]) -> Mapping[str, Any]:
    try:
        return get_type_hints(function, include_extras=True)
    except (NameError, AttributeError) as unknown:
        raise BadDeclaration(f"{where}: a type cannot be found: {unknown}") from None


def _params(where: str, function: Callable[..., Any]) -> tuple[Param, ...]:
    """What people may give: every parameter after `self` and the call."""
    hints = _hints(where, function)
    parameters = list(inspect.signature(function).parameters.values())
    if len(parameters) < 2:
        raise BadDeclaration(f"{where} must take self and the call first")
    params = tuple(_param(f"{where}: parameter {one.name}", one, hints) for one in parameters[2:])
    if len({param.name for param in params}) < len(params):
        raise BadDeclaration(f"{where} has two parameters that people would type alike")
    letters = [param.short for param in params if param.short]
    if len(set(letters)) < len(letters):
        raise BadDeclaration(f"{where} has two parameters with the same letter")
    return params


def _param(where: str, parameter: inspect.Parameter, hints: Mapping[str, Any]) -> Param:
    name = parameter.name
    if parameter.kind is not inspect.Parameter.POSITIONAL_OR_KEYWORD:
        raise BadDeclaration(f"{where} must be a plain one: neither *, ** nor keyword-only")
    if name not in hints:
        raise BadDeclaration(f"{where} has no type")
    if name in RESERVED:
        raise BadDeclaration(f"{where} bears the name of what every command takes already")
    hint = hint_of(hints[name])
    _check_bounded(where, hint)
    if hint.field.short and not _LETTER.fullmatch(hint.field.short):
        raise BadDeclaration(f"{where} is short {hint.field.short!r}; it must be one letter")
    default = MISSING if parameter.default is inspect.Parameter.empty else parameter.default
    return Param(name.rstrip("_"), hint, default)


def _check_bounded(where: str, hint: Hint) -> None:
    """Only types that can be typed, and nothing without limit: what comes here was written by anybody."""
    bare = hint.bare
    if bare in (str, Path, Secret):
        if hint.field.pattern is None or hint.field.longest is None:
            raise BadDeclaration(f"{where} is text without pattern and longest; say what it may contain")
    elif hint.origin is list or (hint.origin is tuple and hint.args[1:] == (...,)):
        if hint.field.longest is None:
            raise BadDeclaration(f"{where} is a list without longest; say how many items it may have")
        _check_bounded(where, hint_of(hint.args[0]))
    elif not (bare in (bool, int, float) or hint.origin is Literal or _is_enum(bare)):
        raise BadDeclaration(f"{where} is of a type that cannot be typed: {bare}")


def _is_enum(bare: Any) -> bool:
    return isinstance(bare, type) and issubclass(bare, enum.Enum)
