"""A file's text, or a part of its tables, as the dataclass that describes it; every mistake at once."""

from collections.abc import Mapping
from dataclasses import is_dataclass
from typing import Any, Final, TypeVar, get_type_hints

from amon.config.toml import parse
from amon.convert import Find, Hint, from_data, hint_of
from amon.errors import Problem

T = TypeVar("T")
_NOTHING: Final = object()


def read(text: str, cls: type[T], problems: list[Problem], find: Find | None = None) -> T | None:
    """The whole file; None if there is any problem. find: finds its secrets, see `from_data`."""
    tables = parse(text)
    if isinstance(tables, Problem):
        problems.append(tables)
        return None
    return from_data(tables, cls, "", problems, find)


def known_good(value: Any, cls: type[T], find: Find | None = None) -> T | None:
    """What is right of a table that also holds mistakes (told elsewhere), so that more can be looked at.

    Keys that are unknown or wrong count as not given, at any depth; None if one that must be given is among them.
    """
    good = _good(value, cls, find)
    return None if good is _NOTHING else from_data(good, cls, "", [], find)


def _good(value: Any, hint: Any, find: Find | None) -> Any:
    """The part of a plain value that can be read as `hint`; `_NOTHING` if it is none. A list is right or wrong."""
    if _reads(value, hint, find):
        return value
    taken = hint_of(hint)
    if not isinstance(value, Mapping) or not (is_dataclass(taken.bare) or taken.origin is dict):
        return _NOTHING
    hints = _below(value, taken)
    kept = {name: _good(value[name], inner, find) for name, inner in hints.items() if name in value}
    good = {name: one for name, one in kept.items() if one is not _NOTHING}
    return good if _reads(good, hint, find) else _NOTHING


def _below(value: Mapping[str, Any], taken: Hint) -> Mapping[str, Any]:
    if taken.origin is dict:
        # A name may be what is wrong.
        return {name: taken.args[1] for name in value if hint_of(taken.args[0]).field.problem(name) is None}
    return get_type_hints(taken.bare, include_extras=True)


def _reads(value: Any, hint: Any, find: Find | None) -> bool:
    problems: list[Problem] = []
    from_data(value, hint, "", problems, find)
    return not problems
