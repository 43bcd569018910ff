"""From what a command gave back (dataclasses whose fields carry units) to text, table and JSON."""

import dataclasses
import enum
from collections.abc import Mapping, Sequence
from typing import Any, cast

from amon.convert import fields_of, to_data
from amon.text import visible
from amon.units import format_quantity
from amon.words import Answer, Column

NEW_LINE = "\n"


def answer_of(result: Any, longest: int | None = None) -> Answer:
    """Text (of at most `longest` characters), data and columns of a result: a dataclass, a list of them, or None."""
    if result is None:
        return Answer("done")
    rows = result if isinstance(result, list | tuple) else [result]
    columns = columns_of(type(rows[0])) if rows and dataclasses.is_dataclass(rows[0]) else ()
    return Answer(visible(text_of(result)[:longest]), to_data(result), columns)


def columns_of(cls: type) -> tuple[Column, ...]:
    return tuple(Column(name, hint.field.unit, hint.field.about) for name, (hint, _) in fields_of(cls).items())


def text_of(result: Any) -> str:
    """For people: the class's own `__str__` where it has one, else a table or `name: value` lines."""
    if isinstance(result, list | tuple):
        if not result:
            return "nothing"
        if not is_table(result):
            return "\n".join(str(one) for one in result)
        rows = [to_data(one) for one in result]
        return table_text(columns_of(type(result[0])), rows)
    if _speaks(result) or not dataclasses.is_dataclass(result):
        return str(result)
    return _lines(result)


def is_table(rows: Sequence[Any]) -> bool:
    """Whether these, at least one, are shown in columns and not line by line."""
    return dataclasses.is_dataclass(rows[0]) and not _speaks(rows[0])


def _speaks(value: Any) -> bool:
    """Whether the class itself, or one above it, says how it reads."""
    return any("__str__" in vars(cls) for cls in type(value).__mro__[:-1])


def _lines(result: Any) -> str:
    data = to_data(result)
    lines = []
    for name, (hint, _) in fields_of(cast(type, type(result))).items():
        value = getattr(result, name)
        if value is None or (isinstance(value, list | tuple | dict | str) and not value):
            continue
        shown = cell(data[name], hint.field.unit) if hint.field.secret else _block(value, data[name], hint.field.unit)
        lines.append(f"{name.replace('_', ' ')}:{'' if shown.startswith(NEW_LINE) else ' '}{shown}")
    return NEW_LINE.join(lines)


def _block(value: Any, data: Any, unit: str | None) -> str:
    """A value beside its name, or below it where it has lines of its own."""
    if isinstance(value, list | tuple) and dataclasses.is_dataclass(value[0]):
        return NEW_LINE + text_of(value)
    if dataclasses.is_dataclass(value):
        return str(value) if _speaks(value) else NEW_LINE + _lines(value)
    if isinstance(value, str) and NEW_LINE in value:
        return NEW_LINE + value
    return cell(data, unit)


def cell(value: Any, unit: str | None = None) -> str:
    """One value of a table, as people write it."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float) and unit:
        return format_quantity(value, unit)
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, enum.Enum):
        return str(value.value)
    if isinstance(value, list | tuple):
        return ", ".join(cell(one, unit) for one in value) or "-"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={cell(one, unit)}" for key, one in value.items()) or "-"
    return visible(str(value), lines=False)


def table_text(columns: Sequence[Column], rows: Sequence[Mapping[str, Any]]) -> str:
    """Aligned columns; numbers to the right; a column that is empty in every row is left out."""
    used = [column for column in columns if any(row.get(column.name) not in (None, "", [], {}) for row in rows)]
    cells = [[cell(row.get(column.name), column.unit) for column in used] for row in rows]
    heads = [column.name.replace("_", " ") for column in used]
    right = [all(isinstance(row.get(column.name), int | float | None) for row in rows) for column in used]
    return aligned([heads, *cells], right)


def aligned(lines: Sequence[Sequence[str]], right: Sequence[bool]) -> str:
    """Words in columns with blanks between; right: of each column, whether its words end below each other."""
    widths = [max(len(line[place]) for line in lines) for place in range(len(right))]
    return "\n".join(
        "  ".join(
            word.rjust(width) if to_right else word.ljust(width)
            for word, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )
