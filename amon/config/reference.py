"""The reference of a configuration as Markdown: one section per table, one row per key, from the dataclasses."""

from collections.abc import Iterator
from typing import Any

from amon.config import words
from amon.config.shape import Below, Key, keys, tables


def reference(cls: type[Any], title: str, *, path: str = "") -> str:
    """`title` heads the first table; those below are headed by their names."""
    return "\n".join(_section(cls, title, path)).strip("\n") + "\n"


def _section(cls: type[Any], title: str, path: str) -> Iterator[str]:
    rows = [_row(key) for key in keys(cls)]
    yield from (f"### {title}", "", *_about(cls))
    if rows:
        yield from ("| key | takes | if not given | meaning |", "| --- | --- | --- | --- |", *rows, "")
    for below in tables(cls):
        place = f"{path}.{below.name}" if path else below.name
        yield from _below(below, place)


def _about(cls: type[Any]) -> Iterator[str]:
    """The docstring's first paragraph; a dataclass without one has its signature there."""
    text = (cls.__doc__ or "").strip()
    if text and not text.startswith(f"{cls.__name__}("):
        yield from (" ".join(text.split("\n\n")[0].split()), "")


def _below(below: Below, path: str) -> Iterator[str]:
    if below.cls is not None:
        place = {"one": f"[{path}]", "named": f"[{path}.NAME]", "list": f"[[{path}]]", "free": ""}[below.kind]
        inner = f"{path}.NAME" if below.kind == "named" else path
        about = below.hint.field.about
        yield from _section(below.cls, f"`{place}`" + (f": {_cell(about)}" if about else ""), inner)
    else:
        example = below.hint.field.example
        such = f", such as `{words.value(example, below.hint)}`" if example else ""
        yield from (f"### `[{path}]`: {_cell(below.hint.field.about)}", "", f"Keys of your choice{such}.", "")


def _row(key: Key) -> str:
    field = key.hint.field
    default = "**must be given**" if key.required else _default(key)
    pattern = f" (`{_cell(field.pattern)}`)" if field.pattern else ""
    return f"| `{key.name}` | {_cell(words.takes(key.hint))}{pattern} | {default} | {_cell(field.about)} |"


def _default(key: Key) -> str:
    if key.default in (None, "", (), []):
        return "nothing"
    return f"`{_cell(words.value(key.default, key.hint))}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
