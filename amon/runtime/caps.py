"""The hard cap on output: what is too long is cut, says so, and says how to get the rest."""

from typing import Any

import msgspec

from amon.text import cut
from amon.wire import Ended
from amon.words import Answer, State

TEXT_MOST = 16_384  # characters
DATA_MOST = 49_152  # bytes of JSON

_json = msgspec.json.Encoder()


def ended(ident: str, state: State, answer: Answer, seconds: float) -> Ended:
    """The outcome as it travels: at most `TEXT_MOST` of text and `DATA_MOST` of data."""
    text, text_cut = cut(answer.text, TEXT_MOST)
    data, data_cut = _cut_data(answer.data)
    if text_cut:
        text += f"\n(cut: {len(answer.text)} characters in all; ask for less)"
    columns = tuple((column.name, column.unit, column.about) for column in answer.columns)
    return Ended(ident, state, text, data, columns, round(seconds, 6), text_cut or data_cut)


def _cut_data(data: Any) -> tuple[Any, bool]:
    if data is None or len(_json.encode(data)) <= DATA_MOST:
        return data, False
    if isinstance(data, list):
        kept: list[Any] = []
        size = 2
        for item in data:
            size += len(_json.encode(item)) + 1
            if size > DATA_MOST:
                return kept, True
            kept.append(item)
        return kept, False
    if isinstance(data, dict):
        return {name: value for name, value in data.items() if len(_json.encode(value)) <= DATA_MOST // 16}, True
    return None, True
