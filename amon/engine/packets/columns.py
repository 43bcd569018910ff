"""Records whose fields are columns of one length: rows picked, records joined."""

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, TypeVar

import numpy as np

from amon.engine.shapes import I64, Bools

T = TypeVar("T")


def picked(record: T, which: I64 | Bools | slice) -> T:
    """These rows of it; a field that is no column stays."""
    values: list[Any] = [getattr(record, field.name) for field in fields(record)]  # type: ignore[arg-type]
    return type(record)(*(value[which] if isinstance(value, np.ndarray) else value for value in values))


def joined(records: Sequence[T]) -> T:
    """One behind the other, at least one; fields that are no columns are counts and added up."""
    if len(records) == 1:
        return records[0]
    made: list[Any] = []
    for field in fields(records[0]):  # type: ignore[arg-type]
        values: list[Any] = [getattr(one, field.name) for one in records]
        made.append(np.concatenate(values) if isinstance(values[0], np.ndarray) else sum(values))
    return type(records[0])(*made)
