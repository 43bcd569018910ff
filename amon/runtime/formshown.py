"""What a call came to, as a form shows it: the verdict in a note, then one field for each row, and never a table.

Of the clients looked at, few draw XEP-0004's table (`reported`), and one breaks on it; a note and single fields are
shown by all. They show one note only. Long lists are cut to what a person scrolls through, and say so.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from amon.command.answer import cell
from amon.runtime.spoken import verdict
from amon.text import visible
from amon.wire import Ended
from amon.words import State
from amon.xmpp.commands import Entry

ROWS = 40
_LONGEST = 400  # characters of a row
_VERDICT = 300

Note = tuple[Literal["info", "warn", "error"], str]
_BAD = frozenset({State.failed, State.refused, State.invalid, State.lost})


def note_of(outcome: Ended, name: str) -> Note:
    """The verdict, which must do alone: some clients show nothing else."""
    text = outcome.text or "nothing"
    first = text.partition("\n")[0]
    if outcome.state != State.done:
        kind: Literal["warn", "error"] = "error" if outcome.state in _BAD else "warn"
        return kind, _line(f"{outcome.state}: {first}", _VERDICT)
    said = verdict(outcome) or (first if first == text else "")
    return "info", _line(f"{name}: {said or 'done'}", _VERDICT)


def rows_of(outcome: Ended, typed: str) -> tuple[Entry, ...]:
    """The fields below the note. typed: what to type for all of it."""
    data = _inside(outcome.data) if "\n" not in outcome.text else outcome.data
    if outcome.state == State.done and isinstance(data, list) and data and all(isinstance(one, dict) for one in data):
        made: list[Entry] = [_row(one, place, _units(outcome)) for place, one in enumerate(data[: ROWS + 1])]
        count = len(data)
    elif outcome.state == State.done and isinstance(data, dict) and _is_listed(data, outcome.text):
        made = [_field(place, name, value, _units(outcome)) for place, (name, value) in enumerate(data.items())]
        made = [entry for entry in made if entry.value not in ("", "-")]
        count = len(made)
    else:
        lines = (outcome.text or "").split("\n")
        lines = [line for line in lines if line.strip()] if len(lines) > 1 else []
        made, count = list(lines_of(lines[: ROWS + 1])), len(lines)
    if outcome.whole is not None:
        return *made[:ROWS], _rest(f"all {outcome.whole.lines} lines", typed)
    if count > ROWS:
        return *made[:ROWS], _rest(f"and {count - ROWS}{' or more' if outcome.cut else ''} more", typed)
    return (*made, _rest("this is not all", typed)) if outcome.cut else tuple(made)


def lines_of(lines: Iterable[str], name: str = "line") -> tuple[Entry, ...]:
    """One field each, with a name of its own: of several lines in one field, or of fields without a name, poezio shows
    only one."""
    return tuple(Entry(f"{name}{n + 1}", "fixed", value=_line(line, _LONGEST)) for n, line in enumerate(lines))


def _rest(what: str, typed: str) -> Entry:
    return lines_of([f"{what}: type {typed}"], "rest")[0]


def _inside(data: Any) -> Any:
    """The rows of what says itself in one line and holds one list of them, such as a status with its parts."""
    lists = [one for one in data.values() if isinstance(one, list) and one] if isinstance(data, dict) else []
    return lists[0] if len(lists) == 1 and all(isinstance(row, dict) for row in lists[0]) else data


def _is_listed(data: Mapping[str, Any], text: str) -> bool:
    """Whether its text is `name: value` in lines, and not words of its own (amon.command.answer.text_of)."""
    return any(text.startswith(f"{name.replace('_', ' ')}:") for name in data) and "\n" in text


def _units(outcome: Ended) -> Mapping[str, str | None]:
    return {name: unit for name, unit, _ in outcome.columns}


def _row(row: Mapping[str, Any], place: int, units: Mapping[str, str | None]) -> Entry:
    """Its first column is what it is about; of the others those that say something, the worst word first."""
    (name, first), *others = row.items() or [("", "")]
    told = [_cell(one, value, units) for one, value in others if value not in (None, "", [], {})]
    label = _cell(name, first, units)
    return Entry(f"row{place + 1}", "text-single", _line(label, _LONGEST), _line("  ".join(told) or "-", _LONGEST))


def _cell(name: str, value: Any, units: Mapping[str, str | None]) -> str:
    shown = cell(value, units.get(name))
    # `up  process  3 min  restarts 0`: a word explains itself, a bare number does not.
    bare = isinstance(value, int | float) and not isinstance(value, bool) and units.get(name) in (None, "1")
    return f"{name.replace('_', ' ')} {shown}" if bare or isinstance(value, bool) else shown


def _field(place: int, name: str, value: Any, units: Mapping[str, str | None]) -> Entry:
    shown = cell(value, units.get(name))
    return Entry(f"row{place + 1}", "text-single", name.replace("_", " "), _line(shown, _LONGEST))


def _line(text: str, longest: int) -> str:
    text = visible(text[: longest + 1].replace("\n", " "), lines=False)
    return text if len(text) <= longest else text[: longest - 1] + "…"
