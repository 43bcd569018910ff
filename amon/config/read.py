"""A file's text, or a part of its tables, as the dataclass that describes it; every mistake at once."""

from collections.abc import Mapping
from typing import Any, TypeVar, get_type_hints

from amon.config.toml import parse
from amon.convert import from_data
from amon.errors import Problem

T = TypeVar("T")


def read(text: str, cls: type[T], problems: list[Problem]) -> T | None:
    """The whole file; None if there is any problem."""
    tables = parse(text)
    if isinstance(tables, Problem):
        problems.append(tables)
        return None
    return from_data(tables, cls, "", problems)


def known_good(value: Any, cls: type[T]) -> T | None:
    """What is right of a table that also holds mistakes (told elsewhere), so that more can be looked at.

    Keys that are unknown or wrong count as not given; None if one that must be given is among them.
    """
    if not isinstance(value, Mapping):
        return None
    good: dict[str, Any] = {}
    for name, hint in get_type_hints(cls, include_extras=True).items():
        problems: list[Problem] = []
        if name in value:
            from_data(value[name], hint, "", problems)
            if not problems:
                good[name] = value[name]
    return from_data(good, cls, "", [])
