"""One conversion per type, for settings from TOML, words people type and data from the wire; and back to plain data.

Hints understood: str, int, float, bool, Secret, Path, Literal, Enum, X | None, tuple[X, ...], list[X], dict[str, X]
and dataclasses, each optionally `Annotated` with a `Field`. All mistakes are collected, each with its path. Where a
secret is, and not only what it is, may be written too: who calls brings what finds it (`amon.config.sources`).
"""

import dataclasses
import enum
import math
import re
import sys
import types
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from amon.errors import Problem
from amon.fields import Field, Secret
from amon.text import did_you_mean
from amon.units import parse_quantity

T = TypeVar("T")
_NO_FIELD = Field()
_LARGEST = sys.float_info.max  # a whole number beyond it, hundreds of digits, is an attack on whoever makes it a float
# File names that are not UTF-8 arrive as lone surrogates; neither they nor these two can be in JSON within XML.
_UNSENDABLE = re.compile("[\ud800-\udfff\ufffe\uffff]")
_SLICE = 65_536  # characters
_WORDS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class _Bad(Exception):
    """A value that does not convert; caught at the nearest path."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hint:
    """A type hint taken apart: the bare type, its `Field`, and whether None is allowed."""

    bare: Any
    field: Field = _NO_FIELD
    optional: bool = False

    @property
    def origin(self) -> Any:
        return get_origin(self.bare)

    @property
    def args(self) -> tuple[Any, ...]:
        return get_args(self.bare)


def hint_of(hint: Any) -> Hint:
    """Take `Annotated[X | None, Field(...)]` apart, in whatever order it was written; an outer `Field` goes over."""
    field, optional = _NO_FIELD, False
    while True:
        origin = get_origin(hint)
        if origin is Annotated:
            for inner in reversed([extra for extra in hint.__metadata__ if isinstance(extra, Field)]):
                field = inner if field is _NO_FIELD else field.over(inner)
            hint = hint.__origin__
        elif origin in (Union, types.UnionType):
            rest = [arg for arg in get_args(hint) if arg is not type(None)]
            if len(rest) != 1:
                return Hint(hint, field, optional)
            hint, optional = rest[0], True
        else:
            return Hint(hint, field, optional)


@lru_cache(maxsize=512)
def fields_of(cls: type) -> Mapping[str, tuple[Hint, "dataclasses.Field[Any]"]]:
    """Name to hint and dataclass field, in order."""
    hints = get_type_hints(cls, include_extras=True)
    return {f.name: (hint_of(hints[f.name]), f) for f in dataclasses.fields(cls) if f.init}


Find = Callable[[Any, str, list[Problem]], Secret | None]
"""What was written for a secret, and where, to the secret; what is wrong goes to the problems, without the value."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Way:
    """How one value and all below it is read. hidden: a mistake must not quote it."""

    problems: list[Problem]
    typed: bool = False
    find: Find | None = None
    hidden: bool = False


def from_data(value: Any, hint: type[T], path: str, problems: list[Problem], find: Find | None = None) -> T | None:
    """`value` (TOML or JSON) as `hint`; mistakes go to `problems`, and then the result is None.

    find: makes secrets of what is written for them; without it they are texts.
    """
    return cast("T | None", _convert(value, hint_of(hint), path, _Way(problems, find=find)))


def from_text(text: str, hint: Hint) -> Any:
    """One typed word as `hint`. Raises ValueError with what is wrong, in words."""
    problems: list[Problem] = []
    value = _convert(text, hint, "", _Way(problems, typed=True))
    if problems:
        raise ValueError(problems[0].text)
    return value


def _convert(value: Any, hint: Hint, path: str, way: _Way) -> Any:
    if value is None and hint.optional:
        return None
    if (hint.field.secret or hint.bare is Secret) and not way.hidden:
        way = dataclasses.replace(way, hidden=True)
    if hint.bare is Secret and way.find is not None:
        result = way.find(value, path, way.problems)
    else:
        try:
            result = _by_type(value, hint, path, way)
        except (_Bad, ValueError) as bad:
            # A message may quote the value.
            way.problems.append(Problem(path, "is not what is expected here" if way.hidden else str(bad)))
            return None
    wrong = hint.field.problem(result)
    if wrong:
        way.problems.append(Problem(path, wrong))
    return result


def _by_type(value: Any, hint: Hint, path: str, way: _Way) -> Any:
    bare, origin = hint.bare, hint.origin
    if bare is Any:
        return value
    if dataclasses.is_dataclass(bare):
        return _dataclass(value, cast(type, bare), path, way)
    if origin in (tuple, list):
        return _sequence(value, hint, path, way)
    if origin is dict:
        return _table(value, hint, path, way)
    if origin is Literal:
        return _literal(value, hint.args)
    if isinstance(bare, type) and issubclass(bare, enum.Enum):
        return _choice(
            value, {member.name if issubclass(bare, enum.IntEnum) else str(member.value): member for member in bare}
        )
    return _scalar(value, hint, way.typed)


def _scalar(value: Any, hint: Hint, typed: bool) -> Any:
    if hint.bare is bool:
        return _boolean(value, typed)
    if hint.bare in (int, float):
        return _number(value, hint, typed)
    if hint.bare in (str, Path, Secret):
        if not isinstance(value, str):
            raise _Bad(f"expected text, got {_kind(value)}")
        return hint.bare(value)
    raise TypeError(f"no conversion to {hint.bare!r}")  # a mistake in the module, seen when it is loaded


def _boolean(value: Any, typed: bool) -> bool:
    if isinstance(value, bool):
        return value
    if typed and value.lower() in _WORDS:
        return _WORDS[value.lower()]
    raise _Bad("expected yes or no" if typed else f"expected true or false, got {_kind(value)}")


def _number(value: Any, hint: Hint, typed: bool) -> int | float:
    unit = hint.field.unit
    if isinstance(value, str) and unit and unit != "1":
        value = parse_quantity(value, unit)
    elif isinstance(value, str) and typed:
        value = _typed_number(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise _Bad(f"expected a number, got {_kind(value)}")
    if not -_LARGEST <= value <= _LARGEST:  # nan neither
        raise _Bad("expected a finite number")
    if hint.bare is int:
        if value != int(value):
            raise _Bad(f"expected a whole number, got {value:g}")
        return int(value)
    return float(value)


def _typed_number(text: str) -> int | float:
    if len(text) > 40:
        raise _Bad("expected a number")
    try:
        return int(text)
    except ValueError:
        pass
    try:
        return float(text)
    except ValueError:
        raise _Bad(f"expected a number, got {text!r}") from None


def _literal(value: Any, args: tuple[Any, ...]) -> Any:
    for arg in args:
        if type(value) is type(arg) and value == arg:
            return arg
    return _choice(value, {str(arg): arg for arg in args})


def _choice(value: Any, choices: Mapping[str, Any]) -> Any:
    if isinstance(value, str) and value in choices:
        return choices[value]
    known = ", ".join(choices)
    near = did_you_mean(value, list(choices)) if isinstance(value, str) else ""
    raise _Bad(f"expected one of {known}{near}")


def _sequence(value: Any, hint: Hint, path: str, way: _Way) -> Any:
    if way.typed and isinstance(value, str):
        value = [part.strip() for part in value.split(",") if part.strip()]
    if not isinstance(value, list | tuple):
        raise _Bad(f"expected a list, got {_kind(value)}")
    item = hint_of(hint.args[0])
    made = [_convert(one, item, f"{path}[{n}]", way) for n, one in enumerate(value)]
    return tuple(made) if hint.origin is tuple else made


def _table(value: Any, hint: Hint, path: str, way: _Way) -> Any:
    if not isinstance(value, Mapping):
        raise _Bad(f"expected a table, got {_kind(value)}")
    key, item = hint_of(hint.args[0]), hint_of(hint.args[1])
    for name in value:
        wrong = key.field.problem(name)
        if wrong:
            way.problems.append(Problem(_below(path, name), f"this name {wrong}"))
    return {name: _convert(one, item, _below(path, name), way) for name, one in value.items()}


def _dataclass(value: Any, cls: type, path: str, way: _Way) -> Any:
    if not isinstance(value, Mapping):
        raise _Bad(f"expected a table, got {_kind(value)}")
    known, problems = fields_of(cls), way.problems
    before = len(problems)
    for name in value:
        if name not in known:
            problems.append(
                Problem(
                    _below(path, str(name)), f"is not known here{did_you_mean(str(name), list(known)) or _list(known)}"
                )
            )
    made: dict[str, Any] = {}
    for name, (hint, field) in known.items():
        if name in value:
            made[name] = _convert(value[name], hint, _below(path, name), way)
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            problems.append(
                Problem(_below(path, name), f"is missing{f' ({hint.field.about})' if hint.field.about else ''}")
            )
    if len(problems) > before:
        return None
    return cls(**made)


def _list(known: Mapping[str, Any]) -> str:
    return f"; known: {', '.join(known)}" if known else ""


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _kind(value: Any) -> str:
    names = {dict: "a table", list: "a list", str: "text", bool: "true or false", int: "a number", float: "a number"}
    return names.get(type(value), type(value).__name__)


def to_data(value: Any) -> Any:
    """Plain JSON values of anything a command may give back; secrets stay hidden, paths become text."""
    if isinstance(value, enum.Enum):
        return value.name if isinstance(value, enum.IntEnum) else value.value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, str):
        return _sendable(value)
    if value is None or isinstance(value, bool | int):
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _shown(getattr(value, name), hint) for name, (hint, _) in fields_of(type(value)).items()}
    if isinstance(value, Mapping):
        return {str(to_data(key)): to_data(item) for key, item in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [to_data(item) for item in value]
    return str(value)


def _sendable(text: str) -> str:
    """In slices: while one is searched no other thread runs."""
    if len(text) <= _SLICE:
        return _UNSENDABLE.sub("\ufffd", text)
    slices = (text[start : start + _SLICE] for start in range(0, len(text), _SLICE))
    return "".join(_UNSENDABLE.sub("\ufffd", one) for one in slices)


def _shown(value: Any, hint: Hint) -> Any:
    if hint.field.secret and value is not None:
        return "***"
    if isinstance(value, tuple | list) and hint.origin in (tuple, list):
        item = hint_of(hint.args[0])
        return [_shown(one, item) for one in value]
    if isinstance(value, Mapping) and len(hint.args) == 2:
        item = hint_of(hint.args[1])
        return {str(to_data(key)): _shown(one, item) for key, one in value.items()}
    return to_data(value)
