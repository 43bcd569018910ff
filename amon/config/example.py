"""A commented file from the dataclasses: each key with what it means and takes, its default commented out.

What must be given is written with its example, and so is what the caller chooses (`live`). A table in which neither
stands is commented out as a whole.
"""

import textwrap
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from amon.config import words
from amon.config.shape import Below, Key, keys, tables
from amon.convert import Hint, hint_of

_WIDTH = 110


@dataclass(frozen=True, slots=True)
class _Choice:
    """live: values written out, by path; skip: paths left to somebody else."""

    live: Mapping[str, Any]
    skip: frozenset[str]

    def reaches(self, path: str) -> bool:
        return any(one == path or one.startswith(f"{path}.") for one in self.live)


def example(
    cls: type[Any],
    *,
    below: str = "",
    live: Mapping[str, Any] | None = None,
    skip: frozenset[str] = frozenset(),
    on: bool = True,
) -> str:
    """The text for `cls` as the table `below` (the whole file if empty); `on` False comments all of it out."""
    lines = _table(cls, below, _Choice(live or {}, skip), on)
    return "\n".join(lines).strip("\n") + "\n"


def _table(cls: type[Any], path: str, choice: _Choice, on: bool) -> Iterator[str]:
    for key in keys(cls):
        if _join(path, key.name) not in choice.skip:
            yield from _key(key, _join(path, key.name), choice, on)
            yield ""
    for below in tables(cls):
        if _join(path, below.name) not in choice.skip:
            yield from _below(below, _join(path, below.name), choice, on)


def _key(key: Key, path: str, choice: _Choice, on: bool) -> Iterator[str]:
    yield from comment("; ".join(part for part in (key.hint.field.about, _about(key)) if part))
    written = on and (key.required or path in choice.live)
    given = choice.live[path] if path in choice.live else _shown(key)
    # A secret's example is an example; a default of a secret, if somebody has one, is not shown.
    text = words.value(given, key.hint)
    yield f"{'' if written else '# '}{words.key(key.name)} = {text}"


def _about(key: Key) -> str:
    return f"{words.takes(key.hint)}{'; must be given' if key.required else ''}"


def _shown(key: Key) -> Any:
    """The default; where there is none, or it is empty, the example."""
    field = key.hint.field
    if key.required or key.default in (None, "", (), []):
        if field.example is not None:
            return field.example
        return words.made_up(key.hint) if key.default is None else key.default
    return key.default


def _below(below: Below, path: str, choice: _Choice, on: bool) -> Iterator[str]:
    on = on and (below.required or choice.reaches(path))
    yield from comment(below.hint.field.about)
    if below.kind == "named":
        path = _join(path, _name(below, path, choice))
    yield f"{'' if on else '# '}{'[[' if below.kind == 'list' else '['}{path}{']]' if below.kind == 'list' else ']'}"
    if below.cls is not None:
        yield from _table(below.cls, path, choice, on)
        return
    items: Any = choice.live.get(path, below.hint.field.example or {})
    for name, given in items.items():
        yield f"{'' if on else '# '}{words.key(name)} = {words.value(given, _item(below.hint))}"
    yield ""


def _name(below: Below, path: str, choice: _Choice) -> str:
    """The name of the one table that stands for all: the one chosen, else the example's."""
    for one in choice.live:
        if one.startswith(f"{path}."):
            return one[len(path) + 1 :].partition(".")[0]
    key = hint_of(below.hint.args[0]).field
    tries = (below.hint.field.example, key.example, "name", "/name")
    return next((one for one in tries if isinstance(one, str) and not key.problem(one)), "name")


def _item(hint: Hint) -> Hint:
    return hint_of(hint.args[1])


def comment(text: str) -> Iterator[str]:
    """`text` as lines of comment."""
    for line in textwrap.wrap(text, _WIDTH - 2, break_long_words=False, break_on_hyphens=False):
        yield f"# {line}"


def _join(path: str, name: str) -> str:
    return f"{path}.{words.key(name)}" if path else words.key(name)
