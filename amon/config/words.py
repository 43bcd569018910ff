"""Values as TOML has them, and in words what a key takes: `a duration, at least 1 s`. Source: TOML 1.0.0, toml.io."""

import enum
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from amon.convert import Hint, hint_of
from amon.fields import Secret
from amon.units import format_quantity, parse_quantity

_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_COUNTED = {"s": "a duration", "B": "a size", "b/s": "a rate", "%": "a percentage", "°C": "a temperature"}


def key(name: str) -> str:
    return name if _BARE_KEY.fullmatch(name) else json.dumps(name, ensure_ascii=False)


def value(given: Any, hint: Hint) -> str:
    """`given` as it is written in a file; a secret is never written."""
    if isinstance(given, Secret):
        return '"***"'
    if isinstance(given, bool):
        return "true" if given else "false"
    if isinstance(given, enum.Enum):
        return _text(given.name if isinstance(given, enum.IntEnum) else str(given.value))
    if isinstance(given, int | float):
        return _number(given, hint.field.unit or "1")
    if isinstance(given, Mapping):
        inner = hint_of(hint.args[1]) if len(hint.args) == 2 else Hint(str)
        return "{ " + ", ".join(f"{key(str(k))} = {value(v, inner)}" for k, v in given.items()) + " }"
    if isinstance(given, tuple | list):
        inner = hint_of(hint.args[0]) if hint.args else Hint(str)
        return "[" + ", ".join(value(one, inner) for one in given) + "]"
    return _text(str(given))


def made_up(hint: Hint) -> Any:
    """Something of the right kind, for a key that has neither default nor example."""
    kinds: dict[Any, Any] = {str: "...", Secret: "...", bool: False, Path: "/path/to/file"}
    if hint.origin is Literal:
        return hint.args[0]
    if hint.origin in (tuple, list, dict):
        return {} if hint.origin is dict else ()
    if isinstance(hint.bare, type) and issubclass(hint.bare, enum.Enum):
        return next(iter(hint.bare))
    if hint.bare in (int, float):
        return hint.field.least if hint.field.least is not None else 0
    return kinds.get(hint.bare, "...")


def takes(hint: Hint) -> str:
    """What may be written, for people."""
    if hint.origin is Literal:
        return "one of " + ", ".join(value(one, Hint(str)) for one in get_args(hint.bare))
    if isinstance(hint.bare, type) and issubclass(hint.bare, enum.Enum):
        return "one of " + ", ".join(value(one, Hint(str)) for one in hint.bare)
    if hint.bare is bool:
        return "true or false"
    if hint.bare in (int, float):
        return _COUNTED.get(hint.field.unit or "1", "a number") + _bounds(hint)
    if hint.origin in (tuple, list):
        inner = hint_of(hint.args[0])
        most = f", at most {hint.field.longest}" if hint.field.longest is not None else ""
        each = f"a list, each {inner.field.about}" if inner.field.about else f"a list of {_many(takes(inner))}"
        return f"{each}{most}"
    if hint.bare is Path:
        return "a path"
    if hint.bare is Secret:
        return "text, kept secret, or a table that says where it is: file, env or credential"
    return "text, kept secret" if hint.field.secret else "text"


def _many(one: str) -> str:
    plural = {"text": "texts", "a path": "paths", "a number": "numbers", "a duration": "durations", "a size": "sizes"}
    return plural.get(one, f"values, each {one}")


def _bounds(hint: Hint) -> str:
    field, unit = hint.field, hint.field.unit or "1"
    least = None if field.least is None else format_quantity(field.least, unit)
    most = None if field.most is None else format_quantity(field.most, unit)
    if least is not None and most is not None:
        return f" from {least} to {most}"
    return f", at least {least}" if least is not None else f", at most {most}" if most is not None else ""


def _number(given: float, unit: str) -> str:
    plain = str(int(given)) if float(given).is_integer() and abs(given) < 2**53 else repr(given)
    if unit in ("1", "") or not given:
        return plain
    text = format_quantity(given, unit)
    try:
        return _text(text) if parse_quantity(text, unit) == given else plain
    except ValueError:
        return plain


def _text(text: str) -> str:
    # JSON's strings are TOML's, but for DEL, which TOML wants escaped.
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
