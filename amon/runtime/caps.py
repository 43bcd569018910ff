"""The hard cap on output: what is too long is cut, says so, and always fits into one message.

Sizes are those on the way: JSON (RFC 8259) as a text inside JSON, inside XML. A quote costs four bytes there, an
ampersand five.
"""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from amon.convert import to_data
from amon.fields import Secret, discreet
from amon.text import cut, visible
from amon.wire import Ended, Whole
from amon.words import Answer, State

ROWS_MOST = 2000  # of a list that a command gives back; more are not even made into text
TEXT_MOST = 16_384  # characters
DATA_MOST = 49_152  # bytes of JSON
TRAVELS_MOST = 120_000  # bytes of an outcome on its way; servers take 256 KiB, a payload may have 128 KiB characters
_COLUMNS_MOST = 64
_LONG = 32_768  # characters, about, of a result that is not dealt with between other things any more

_json = msgspec.json.Encoder()


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A result that was too long: what fits of it, and where all of it is; or, where `whole` is None, why it is not.

    data_cut: whether not all of its data is in `answer`. note: what is said behind a text.
    """

    answer: Answer
    whole: Whole | None
    fault: str = ""
    data_cut: bool = False

    def note(self, ident: str, text: str, *, text_cut: bool) -> str:
        if self.whole is None:
            what = f"cut after {len(text)} characters" if text_cut else "cut: not all data is here"
            return f"\n({what}; the rest could not be kept: {self.fault}; ask for less)"
        left = max(1, self.whole.lines - text.count("\n") - 1)
        what = f"{left} more line{'s' if left > 1 else ''}" if text_cut else "not all data is here"
        return f"\n(cut; {what}: amon job {ident} --save DIR)"


def ended(
    ident: str,
    state: State,
    answer: Answer,
    seconds: float,
    *,
    cut_before: bool = False,
    kept: Kept | None = None,
    typed: bool = False,
) -> Ended:
    """The outcome as it travels; what is full of quotes has to be shorter than what is not.

    kept: where all of it is. typed: a person asked, in a chat.
    """
    most, made = 1, _made(ident, state, answer, seconds, 1, cut_before, kept, typed)
    while _travels(made) > TRAVELS_MOST:
        most *= 2
        made = _made(ident, state, answer, seconds, most, cut_before, kept, typed)
    return made


def is_long(result: Any) -> bool:
    """Whether to make text and data of it takes so long that a thread has to do it. A look at little of it."""
    return _left(result, _LONG) < 0


def _left(value: Any, left: int) -> int:
    """What is left of so many characters; less than nothing is less than nothing."""
    if isinstance(value, str | bytes):
        return left - len(value) - 8
    if isinstance(value, list | tuple | set | frozenset):
        inside: Iterable[Any] = value
        left -= 8 * len(value)
    elif isinstance(value, Mapping):
        inside = (*value.keys(), *value.values()) if len(value) < _LONG else ()
        left -= 16 * len(value)
    elif dataclasses.is_dataclass(value):
        inside = [getattr(value, field.name) for field in dataclasses.fields(value)]
    else:
        return left - 8
    for one in inside:
        if left < 0:
            break
        left = _left(one, left)
    return left


def bounded(result: Any, hides: Iterable[str]) -> tuple[Any, bool]:
    """Data of a long result, of which not more is looked at than could travel, and whether that is not all of it.

    hides: what must not be in it.
    """
    result, was_cut = rows(result[: 2 * DATA_MOST] if isinstance(result, str) else result)
    budget = _Budget(tuple(hides), was_cut=was_cut)
    return budget.short(to_data(result)), budget.was_cut


@dataclasses.dataclass(slots=True)
class _Budget:
    hides: tuple[str, ...]
    nodes: int = 25_000
    characters: int = 8 * DATA_MOST
    was_cut: bool = False

    def short(self, value: Any) -> Any:
        self.nodes -= 1
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, list | dict):
            room = max(0, min(ROWS_MOST, self.nodes))
            self.was_cut = self.was_cut or len(value) > room
            if isinstance(value, dict):
                return {key: self.short(one) for key, one in list(value.items())[:room]}
            return [self.short(one) for one in value[:room]]
        return value

    def _text(self, text: str) -> str:
        room = min(DATA_MOST, max(256, self.characters))
        self.characters -= min(len(text), room)
        if len(text) <= room:
            return text
        from amon.runtime.veil import Veil

        self.was_cut = True
        return Veil(self.hides).feed(text[:room])  # what lies across the cut may be half of a secret: it is left out


def discreetly(answer: Answer, hidden: Iterable[Secret] = ()) -> Answer:
    """Without secrets that a module, or a library below it, put into its words or its data.

    hidden: those of the call itself; all others that live are looked for, too.
    """
    hidden = tuple(hidden)
    text, data = discreet(answer.text, hidden), answer.data
    written = _json.encode(data).decode()  # one search through all of it, instead of one in each text
    if discreet(written, hidden) != written:
        data = _without(data, hidden)
    return Answer(text, data, answer.columns)


def _without(value: Any, hidden: tuple[Secret, ...]) -> Any:
    if isinstance(value, str):
        return discreet(value, hidden)
    if isinstance(value, list | tuple):
        return [_without(one, hidden) for one in value]
    if isinstance(value, dict):
        return {discreet(str(key), hidden): _without(one, hidden) for key, one in value.items()}
    # A number is no text that a secret could be in, unless all of it is one.
    return "***" if isinstance(value, int | float) and discreet(str(value), hidden) != str(value) else value


def rows(result: Any) -> tuple[Any, bool]:
    """A result of bounded length, and whether it was cut."""
    if isinstance(result, list | tuple) and len(result) > ROWS_MOST:
        return result[:ROWS_MOST], True
    return result, False


def note(text: str, hidden: Iterable[Secret] = ()) -> str:
    """One line of progress."""
    return visible(discreet(text, hidden)[:400], lines=False)[:200]


def _made(
    ident: str,
    state: State,
    answer: Answer,
    seconds: float,
    share: int,
    cut_before: bool,
    kept: Kept | None,
    typed: bool,
) -> Ended:
    text, text_cut = cut(answer.text, TEXT_MOST // share)
    data, data_cut = _fit(answer.data, DATA_MOST // share)
    is_cut = text_cut or data_cut or cut_before
    if kept is not None and is_cut and (text_cut or not typed):
        whole = kept.whole
        # Who reads it in a chat says `more`, and is told there how much there is.
        text += "" if typed and whole is not None else kept.note(ident, text, text_cut=text_cut)
    else:
        whole = None
        if text_cut:
            text += f"\n(cut after {len(text)} characters; ask for less)"
        elif cut_before and not typed:
            text += f"\n(cut after {ROWS_MOST} rows; ask for less)"
    columns = tuple((column.name, column.unit, column.about) for column in answer.columns[:_COLUMNS_MOST])
    return Ended(ident, state, text, data, columns, round(seconds, 6), is_cut, whole)


def _travels(outcome: Ended) -> int:
    inner = _json.encode(outcome)
    escaped = inner.count(b'"') + inner.count(b"\\")
    return len(inner) + escaped + 4 * inner.count(b"&") + 3 * (inner.count(b"<") + inner.count(b">"))


def _fit(value: Any, most: int) -> tuple[Any, bool]:
    """`value` in at most `most` bytes of JSON, and whether something is missing: items at the end, long texts."""
    if len(_json.encode(value)) <= most:
        return value, False
    if isinstance(value, str):
        return value[: max(0, most - 2) // 6], True  # a character is at most six bytes of JSON
    if isinstance(value, list):
        return _fit_list(value, most), True
    return (_fit_dict(value, most) if isinstance(value, dict) else None), True


def _fit_list(items: list[Any], most: int) -> list[Any]:
    """The first items, each whole."""
    kept: list[Any] = []
    left = most - 2
    for item in items:
        left -= len(_json.encode(item)) + 1
        if left < 0:
            break
        kept.append(item)
    return kept


def _fit_dict(table: dict[str, Any], most: int) -> dict[str, Any]:
    """Every name stays; small values before large ones, and the first that does not fit gets what is left."""
    left = most - 2 - sum(len(_json.encode(name)) + 6 for name in table)
    if left < 0:
        return {}
    kept: dict[str, Any] = {}
    for name in sorted(table, key=lambda name: _size(table[name])):
        kept[name], _ = _fit(table[name], left)
        left = max(0, left - len(_json.encode(kept[name])))
    return {name: kept[name] for name in table}


def _size(value: Any) -> int:
    """Roughly; only an order is made of it."""
    return len(value) if isinstance(value, str | list | dict) else 0
