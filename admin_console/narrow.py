"""What becomes of a grid where there is no room for it: side columns go, then lines take the place of columns. Pure."""

from admin_console.tables import Grid

COLUMNS_FROM = 60  # characters; on narrower terminals nothing stands in columns
_BETWEEN = 3  # characters, as `live.py` draws
_TEXT = 56  # what is longer may be folded before a column goes
_CELL = 20
_NOTHING = ("", "-")


def without_side(grid: Grid, width: int, kept: int = 3) -> Grid:
    """The grid without as many of its last columns as it takes for the others to have room; the first stay."""
    if width < COLUMNS_FROM:
        return _first(grid, kept)
    while len(grid.heads) > kept and _needed(grid, _TEXT) > width:
        grid = _first(grid, len(grid.heads) - 1)
    return grid


def fits(grid: Grid, width: int) -> bool:
    """Whether all of it can stand in columns, its longest cells folded."""
    return width >= COLUMNS_FROM and _needed(grid, _CELL) <= width


def records(grid: Grid) -> tuple[tuple[str, str], ...]:
    """Rows as lines, each under its site: `web: state up, restarts 0`."""
    lines: dict[str, list[str]] = {}
    for site, first, *cells in grid.rows:
        more = ", ".join(
            f"{head} {cell}" for head, cell in zip(grid.heads[2:], cells, strict=True) if cell not in _NOTHING
        )
        lines.setdefault(site, []).append(": ".join(filter(None, (first, more))))
    return tuple((site, "\n".join(said)) for site, said in lines.items())


def _first(grid: Grid, count: int) -> Grid:
    return Grid(grid.heads[:count], tuple(row[:count] for row in grid.rows), grid.right[:count])


def _needed(grid: Grid, most: int) -> int:
    """Characters from edge to edge if no cell has more than `most` in a line."""
    columns = zip(grid.heads, *grid.rows, strict=True)
    widths = [min(most, max(map(len, column))) for column in columns]
    return sum(widths) + _BETWEEN * (len(widths) - 1) + 1
