"""Results as grids of plain words, made safe: what sites say is shown, never obeyed by a terminal. Pure.

A `Grid` is drawn by `plain.py` with blanks and by `live.py` with colours; nothing in it is markup.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from amon.command.answer import cell
from amon.job import Book, Row, Unexpected
from amon.runtime.fleet import Site
from amon.runtime.tame import TEXT_MOST
from amon.text import cut, visible
from amon.units import age
from amon.words import Column, State

LONGEST_CELL = 400  # characters
LONGEST_TEXT = TEXT_MOST  # characters: what a site cut ends in a line that says where the rest is
_DEEPEST = 12
MOST_LISTED = 12  # names
_MOST_ROWS = 2_000
_MOST_CELLS = 50_000

LONGEST_STATUS = 200

OFFLINE, HIDDEN = "offline", "hidden"
HEALTH_ORDER = ("crit", OFFLINE, "warn", HIDDEN, "unknown", "maint", "ok")
_WHY_HIDDEN = "not in this site's policy; ask its owner"


@dataclass(frozen=True, slots=True)
class Grid:
    """Heads and rows of words; `right` says which columns hold numbers."""

    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    right: tuple[bool, ...] = ()


@dataclass(frozen=True, slots=True)
class Listing:
    """A list that is no book, for every face: `grid` and `lines` for people, the others for programs.

    records: plain JSON values, under `name` in a document; more: what holds for all of them. bad: names that `quiet`
    prints. Nothing here was made safe yet but the grid and the lines.
    """

    name: str
    records: Sequence[Mapping[str, Any]]
    grid: Grid
    lines: tuple[str, ...] = ()
    more: Mapping[str, Any] = field(default_factory=dict)
    bad: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Layout:
    """A closed book on paper: grids, then what has lines of its own, each under its sites."""

    grids: tuple[Grid, ...]
    blocks: tuple[tuple[str, str], ...] = ()


def one_line(text: str, most: int = LONGEST_CELL) -> str:
    """Somebody else's words in one safe, short line."""
    line = visible(text[: most + 1], lines=False)
    return line if len(line) <= most else line[: most - 1] + "…"


def some_lines(text: str) -> str:
    """Somebody else's words, safe and not endless."""
    kept, was_cut = cut(text, LONGEST_TEXT)
    return visible(kept).rstrip() + ("\n(cut; --json has all of it)" if was_cut else "")


def word(value: Any, unit: str | None) -> str:
    """A value of a result in a cell; what no honest site sends is shown as it is."""
    try:
        return one_line(cell(shallow(value), unit))
    except (ValueError, OverflowError, TypeError):
        return one_line(str(value)[:LONGEST_CELL])


def shallow(value: Any, depth: int = _DEEPEST) -> Any:
    """Data without what lies too deep to be written down again."""
    if isinstance(value, dict):
        return {str(key): shallow(one, depth - 1) for key, one in value.items()} if depth else "…"
    if isinstance(value, list | tuple):
        return [shallow(one, depth - 1) for one in value] if depth else "…"
    return value


def state_of(row: Row) -> str:
    return f"{row.state} (late)" if row.late else str(row.state)


def fleet_grid(sites: Sequence[Site], now: float, longest: int = LONGEST_STATUS) -> Grid:
    """Worst first. longest: characters of a status; what stands beside it has half as many."""
    heads = ("site", "health", "status", "agent", "modules", "tags", "changed")
    return _without_empty(Grid(heads, tuple(_site_row(site, now, longest) for site in worst_first(sites))))


def worst_first(sites: Sequence[Site]) -> list[Site]:
    return sorted(sites, key=lambda site: (HEALTH_ORDER.index(health_word(site)), site.name))


def health_word(site: Site) -> str:
    if not site.online:
        return HIDDEN if site.hidden else OFFLINE
    level = site.health.level if site.health is not None else "unknown"
    return level if level in HEALTH_ORDER and level not in (OFFLINE, HIDDEN) else "unknown"


def _site_row(site: Site, now: float, longest: int) -> tuple[str, ...]:
    modules = ", ".join(site.health.modules) if site.health is not None else ""
    tags = ", ".join(f"{key}={value}" for key, value in sorted(site.tags.items()))
    since = f"{age(now - site.changed)} ago" if site.changed is not None else ""
    health = health_word(site)
    status = one_line(_WHY_HIDDEN if health == HIDDEN else site.status, longest)
    return site.name, health, status, *(one_line(text, longest // 2) for text in (site.agent, modules, tags)), since


def shared_names(sites: Sequence[Site]) -> str:
    """A line about sites of one name in several domains, which no target can tell apart; empty if there are none."""
    shared = [site.name for site in sites if "@" in site.name]
    if not shared:
        return ""
    return (
        f"{listed(shared)}: a target knows sites by the name before the @ and cannot mean one of these alone; "
        "next: give one of them an account with another name"
    )


def book_layout(book: Book) -> Layout:
    """Every site worst first; answers of one kind become one table over all sites, which comes last."""
    rows = book.rows()
    tabled = _of_one_kind([row for row in rows if row.state is State.done])
    held = {row.site for row in tabled}
    others = [row for row in rows if row.site not in held]
    grids = []
    if others:
        grids.append(Grid(("site", "state", "result"), tuple(_end_row(row) for row in others)))
    if tabled:
        grids.append(_results(sorted(tabled, key=lambda row: row.site)))
    return Layout(tuple(grids), _blocks([row for row in others if _lines(row)]))


def _blocks(rows: Sequence[Row]) -> tuple[tuple[str, str], ...]:
    """What has lines of its own, once for all sites that say the same."""
    sites: dict[str, list[str]] = {}
    for row in rows:
        sites.setdefault(some_lines(row.text), []).append(row.site)
    return tuple((listed(names), text) for text, names in sites.items())


def listed(names: Sequence[str]) -> str:
    """`cern, fnal and 8 more`."""
    more = len(names) - MOST_LISTED
    return ", ".join(names[:MOST_LISTED]) + (f" and {more} more" if more > 0 else "")


def apart(unexpected: Sequence[Unexpected]) -> Grid:
    """Answers that fit no row."""
    heads = ("unexpected from", "state", "why", "text")
    return Grid(heads, tuple((one_line(u.site), str(u.state), u.why, one_line(u.text)) for u in unexpected))


def _end_row(row: Row) -> tuple[str, str, str]:
    text = row.text.strip()
    return row.site, state_of(row), one_line(text.partition("\n")[0]) + (" …" if _lines(row) else "")


def _lines(row: Row) -> bool:
    return "\n" in row.text.strip()


def _of_one_kind(rows: list[Row]) -> list[Row]:
    """The rows, if all their answers have the same columns and say more than a line would."""
    answers = [row.outcome.answer for row in rows if row.outcome is not None]
    if not answers or any(answer.columns != answers[0].columns for answer in answers) or not answers[0].columns:
        return []
    records = [record for answer in answers for record in _records(answer.data)]
    too_many = len(records) > _MOST_ROWS or len(records) * len(answers[0].columns) > _MOST_CELLS
    if too_many or any(not _is_flat(record) for record in records):
        return []
    return rows if any(isinstance(answer.data, list) or "\n" in answer.text.strip() for answer in answers) else []


def _records(data: Any) -> list[Any]:
    return data if isinstance(data, list) else [data]


def _is_flat(record: Any) -> bool:
    return isinstance(record, Mapping) and not any(_is_nested(value) for value in record.values())


def _is_nested(value: Any) -> bool:
    """What has no room in a cell; text of several lines neither, such as a page of help."""
    if isinstance(value, str):
        return "\n" in value.strip()
    return isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(one, dict | list) for one in value)
    )


def _results(rows: Sequence[Row]) -> Grid:
    columns: tuple[Column, ...] = rows[0].outcome.answer.columns if rows[0].outcome is not None else ()
    pairs = [(row, record) for row in rows if row.outcome for record in _records(row.outcome.answer.data)]
    used = [column for column in columns if any(record.get(column.name) not in (None, "", []) for _, record in pairs)]
    heads = ("site", *(one_line(column.name.replace("_", " "), 40) for column in used))
    cells = tuple((row.site, *(word(record.get(c.name), c.unit) for c in used)) for row, record in pairs)
    right = tuple(all(isinstance(record.get(c.name), int | float | None) for _, record in pairs) for c in used)
    return Grid(heads, cells, (False, *right))


def _without_empty(grid: Grid) -> Grid:
    kept = [place for place, _ in enumerate(grid.heads) if place < 3 or any(row[place] for row in grid.rows)]
    return Grid(
        tuple(grid.heads[place] for place in kept), tuple(tuple(row[place] for place in kept) for row in grid.rows)
    )
