"""The tables and keys that a dataclass stands for, in the order of a TOML file: keys first, then the tables below."""

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

from amon.convert import Hint, fields_of, hint_of

Kind = Literal["one", "named", "list", "free"]
"""`[a.b]`, `[a.b.NAME]`, `[[a.b]]`, and a table whose keys its writer chooses."""


@dataclass(frozen=True, slots=True)
class Key:
    """A key with a plain value. default: what counts if it is not given; None for no value at all."""

    name: str
    hint: Hint
    required: bool
    default: Any


@dataclass(frozen=True, slots=True)
class Below:
    """A table within this one; `cls` describes it, None where its keys are free."""

    name: str
    hint: Hint
    kind: Kind
    cls: type[Any] | None
    required: bool


def keys(cls: type) -> Iterator[Key]:
    for name, (hint, field) in fields_of(cls).items():
        if _below(name, hint, field) is None:
            yield Key(name, hint, _required(field), _default(field))


def tables(cls: type) -> Iterator[Below]:
    for name, (hint, field) in fields_of(cls).items():
        below = _below(name, hint, field)
        if below is not None:
            yield below


def _below(name: str, hint: Hint, field: "dataclasses.Field[Any]") -> Below | None:
    if dataclasses.is_dataclass(hint.bare):
        return Below(name, hint, "one", hint.bare, _required(field))  # type: ignore[arg-type]
    if hint.origin is dict:
        inner = hint_of(hint.args[1]).bare
        named = dataclasses.is_dataclass(inner)
        return Below(name, hint, "named" if named else "free", inner if named else None, _required(field))
    if hint.origin in (tuple, list) and dataclasses.is_dataclass(hint_of(hint.args[0]).bare):
        return Below(name, hint, "list", hint_of(hint.args[0]).bare, _required(field))
    return None


def _required(field: "dataclasses.Field[Any]") -> bool:
    return field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING


def _default(field: "dataclasses.Field[Any]") -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    return field.default_factory() if field.default_factory is not dataclasses.MISSING else None
