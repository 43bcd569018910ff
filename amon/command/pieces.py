"""A long result as text, piece by piece: the same words as `answer.text_of`, without all of them in memory at once.

Meant for a thread of its own: a piece is some 64 KiB, so none of the steps holds up anybody for long.
"""

import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from amon.command.answer import cell, columns_of, is_table, text_of
from amon.convert import fields_of, to_data
from amon.words import Column

PIECE = 65_536  # characters
_SIMPLE = (str, int, bool, type(None))


def pieces(result: Any) -> Iterator[str]:
    """Put together they are `text_of(result)`."""
    if isinstance(result, list | tuple) and result:
        yield from _packed(_table(result) if is_table(result) else (str(one) for one in result))
    else:
        yield from _sliced(text_of(result))


def _sliced(text: str) -> Iterator[str]:
    for start in range(0, len(text), PIECE):
        yield text[start : start + PIECE]


def _packed(lines: Iterable[str]) -> Iterator[str]:
    """Lines, with an end of line between two, in pieces."""
    taken: list[str] = []
    size, end = 0, ""
    for line in lines:
        taken += end, line
        size, end = size + len(line) + 1, "\n"
        if size >= PIECE:
            yield from _sliced("".join(taken))
            taken, size = [], 0
    yield from _sliced("".join(taken))


@dataclasses.dataclass(slots=True)
class _Shape:
    """How wide a column is, whether all in it are numbers, and whether anything is."""

    column: Column
    width: int
    right: bool = True
    used: bool = False

    def look(self, value: Any) -> None:
        self.used = self.used or value not in (None, "", [], {})
        self.right = self.right and isinstance(value, int | float | None)
        self.width = max(self.width, len(_cell(value, self)))

    @property
    def head(self) -> str:
        return self.column.name.replace("_", " ")


def _table(rows: Sequence[Any]) -> Iterator[str]:
    """Looked through twice: how wide a column is, is known after the last row. See `answer.table_text`."""
    kind: type = type(rows[0])
    shapes = [_Shape(column, len(column.name)) for column in columns_of(kind)]
    plain = [not hint.field.secret for hint, _ in fields_of(kind).values()]
    for row in rows:
        for shape, value in zip(shapes, _values(row, kind, shapes, plain), strict=True):
            shape.look(value)
    used = [shape for shape in shapes if shape.used]
    yield _line(used, [shape.head for shape in used])
    for row in rows:
        values = _values(row, kind, shapes, plain)
        yield _line(used, [_cell(value, shape) for value, shape in zip(values, shapes, strict=True) if shape.used])


def _values(row: Any, kind: type, shapes: Sequence[_Shape], plain: Sequence[bool]) -> list[Any]:
    """As `to_data` makes them; most are what they are, and there may be a million rows."""
    if type(row) is kind:
        values = [getattr(row, shape.column.name) for shape in shapes]
        if all(type(one) in _SIMPLE and is_plain for one, is_plain in zip(values, plain, strict=True)):
            return values
    data = to_data(row)
    return [data.get(shape.column.name) for shape in shapes]


def _cell(value: Any, shape: _Shape) -> str:
    return value if type(value) is str and value.isascii() and value.isprintable() else cell(value, shape.column.unit)


def _line(shapes: Sequence[_Shape], words: Sequence[str]) -> str:
    return "  ".join(
        word.rjust(shape.width) if shape.right else word.ljust(shape.width)
        for word, shape in zip(words, shapes, strict=True)
    ).rstrip()
