"""What a site sent, cut to what an honest site sends at most: size, depth and count are the sender's choice, not ours.

A payload of 128 KiB may hold 65,000 lists inside each other or beside each other, numbers of 4,000 digits and a name of
100,000 letters. What comes out of here is small enough to keep, to compare, to draw and to write down again. Pure.
"""

import math
from typing import Any

from msgspec.structs import replace

from amon.wire import Ended, NeedsWord, Output, Payload, Progress

TEXT_MOST = 16_500  # characters; an agent cuts at 16,384 and says so behind it
NOTE_MOST = 200
DEEPEST = 16
NODES_MOST = 25_000  # values; the 48 KiB of JSON that an agent sends at most cannot hold more
_NAME_MOST, _UNIT_MOST = 64, 16  # characters
_LARGEST = 2**63
_COST = 100  # bytes that a value takes at most, beside its characters


class _Budget:
    def __init__(self) -> None:
        self.nodes = NODES_MOST
        self.characters = 0
        self.was_cut = False


def tame(payload: Payload) -> tuple[Payload, int]:
    """The payload as it may be kept, and about how many bytes it then takes."""
    if isinstance(payload, Progress):
        fraction = payload.fraction if payload.fraction is not None and 0 <= payload.fraction <= 1 else None
        return replace(payload, text=payload.text[:NOTE_MOST], fraction=fraction), _COST + 4 * NOTE_MOST
    if isinstance(payload, NeedsWord):
        return replace(payload, text=payload.text[:TEXT_MOST]), _COST + 4 * len(payload.text[:TEXT_MOST])
    if isinstance(payload, Output):
        return _tame_part(payload)
    return _tame_end(payload) if isinstance(payload, Ended) else (payload, _COST)


def without_data(payload: Payload) -> Payload:
    """What is kept where there is no room for all of it."""
    if not isinstance(payload, Ended):
        return payload
    text = f"{payload.text[:NOTE_MOST]}\n(cut: this job has more answers than fit into memory)"
    return replace(payload, text=text, data=None, columns=(), cut=True)


def _tame_part(part: Output) -> tuple[Output, int]:
    """Of a session. What an honest site sends at once is a quarter of this."""
    budget = _Budget()
    items = tuple(_tame_list(list(part.items), DEEPEST, budget))
    columns, text = _columns(part.columns), part.text[:TEXT_MOST]
    cost = _COST * (NODES_MOST - budget.nodes + 4 * len(columns)) + 4 * (budget.characters + len(text))
    return replace(part, items=items, text=text, columns=columns, missed=min(part.missed, _LARGEST)), cost


def _columns(columns: tuple[tuple[str, str | None, str], ...]) -> tuple[tuple[str, str | None, str], ...]:
    return tuple(
        (name[:_NAME_MOST], None if unit is None else unit[:_UNIT_MOST], about[:NOTE_MOST])
        for name, unit, about in columns
    )


def _tame_end(ended: Ended) -> tuple[Ended, int]:
    budget = _Budget()
    data = _tame(ended.data, DEEPEST, budget)
    columns = _columns(ended.columns)
    seconds = ended.seconds if ended.seconds is not None and 0 <= ended.seconds < _LARGEST else None
    text = ended.text[:TEXT_MOST]
    was_cut = ended.cut or budget.was_cut or len(text) < len(ended.text)
    whole = ended.whole if ended.whole is not None and max(ended.whole.size, ended.whole.lines) < _LARGEST else None
    cost = _COST * (NODES_MOST - budget.nodes + 4 * len(columns)) + 4 * (budget.characters + len(text))
    told = replace(ended, text=text, data=data, columns=columns, seconds=seconds, cut=was_cut, whole=whole)
    return told, cost


def _tame(value: Any, depth: int, budget: _Budget) -> Any:
    budget.nodes -= 1
    if budget.nodes < 0 or (depth < 0 and isinstance(value, list | dict)):
        budget.nodes, budget.was_cut = max(0, budget.nodes), True
        return None
    if isinstance(value, str):
        budget.was_cut = budget.was_cut or len(value) > TEXT_MOST
        budget.characters += min(len(value), TEXT_MOST)
        return value[:TEXT_MOST]
    if isinstance(value, list):
        return _tame_list(value, depth, budget)
    if isinstance(value, dict):
        return _tame_dict(value, depth, budget)
    return _tame_number(value, budget)


def _tame_list(items: list[Any], depth: int, budget: _Budget) -> list[Any]:
    kept = []
    for item in items:
        if budget.nodes <= 0:
            budget.was_cut = True
            break
        kept.append(_tame(item, depth - 1, budget))
    return kept


def _tame_dict(table: dict[Any, Any], depth: int, budget: _Budget) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for name, item in table.items():
        if budget.nodes <= 0:
            budget.was_cut = True
            break
        short = str(name)[:NOTE_MOST]
        budget.characters += len(short)
        kept[short] = _tame(item, depth - 1, budget)
    return kept


def _tame_number(value: Any, budget: _Budget) -> Any:
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, int | float) and -_LARGEST <= value <= _LARGEST and math.isfinite(value):
        return value
    budget.was_cut = True
    return None
