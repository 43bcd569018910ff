"""Results on a terminal: a table that lives while sites answer, and the closed book in colours. Source: rich.

Everything that sites said is `Text`, never markup, and went through `tables.py` first.
"""

import asyncio
import contextlib
import os
from collections.abc import Iterator, Sequence
from typing import Literal, TextIO

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from admin_console.drawing import Drawing, Place
from admin_console.narrow import fits, records, without_side
from admin_console.plain import PlainFace
from admin_console.run import Run
from admin_console.tables import Grid, apart, book_layout, fleet_grid, one_line, state_of
from admin_console.wish import Report
from amon.job import Row
from amon.runtime.fleet import Site
from amon.text import visible
from amon.units import age
from amon.wire import Output

_EVERY = 0.1  # seconds between two pictures
_STYLES = {
    "ok": "green", "warn": "yellow", "crit": "bold red", "maint": "blue", "unknown": "magenta", "offline": "bold red",
    "hidden": "magenta",
    "done": "green", "failed": "bold red", "lost": "bold red", "silent": "red", "not-here": "red", "refused": "yellow",
    "invalid": "yellow", "running": "cyan", "accepted": "cyan", "pending": "dim", "cancelled": "magenta",
    "not-started": "magenta", "expired": "magenta",
    "up": "green", "down": "bold red", "unhealthy": "bold red", "given-up": "bold red", "starting": "yellow",
    "stopping": "yellow",
}  # fmt: skip
_STATES = {"state", "health", "level"}


def console_for(out: TextIO, coloured: bool, terminal: bool | None = None) -> Console:
    """coloured: decided already, whatever the environment says; without colours it is layout alone."""
    dumb = os.environ.get("TERM", "dumb") in ("dumb", "unknown", "")
    kind: Literal["auto", "standard"] | None = ("standard" if dumb else "auto") if coloured else None
    return Console(
        file=out, force_terminal=terminal, color_system=kind, no_color=not coloured,
        highlight=False, markup=False, emoji=False,
    )  # fmt: skip


class LiveFace(PlainFace):
    """moving: whether pictures may replace each other; a recording cannot have that."""

    def __init__(
        self,
        out: TextIO | None = None,
        notes: TextIO | None = None,
        console: Console | None = None,
        *,
        moving: bool = True,
    ) -> None:
        super().__init__(out, notes)
        self.console = console or Console(file=self.out, highlight=False, markup=False, emoji=False)
        self._moving = moving
        self._table: _Table | None = None
        self._drawing: Drawing | None = None

    @contextlib.contextmanager
    def watching(self, run: Run) -> Iterator[None]:
        """Draws at each change, but not more often than eyes follow, and while nothing changes for the clock's sake."""
        if not self._moving:
            yield
            return
        stage = console_for(self.notes, self.console.color_system is not None)
        self._several = len(run.book) > 1
        self._table = _Table(run, stage)
        try:
            yield
        finally:
            self._close_table()
            if self._drawing is not None:
                self._drawing.close()
                self._drawing = None

    def note(self, text: str) -> None:
        """Above what is drawn: a line in the midst of it would shift it, and leave lines of it behind."""
        place = self._drawing or self._table
        with place.aside() if place is not None else contextlib.nullcontext():
            super().note(text)

    def output(self, site: str, output: Output) -> None:
        """What a session says takes the place of the table; where it draws, each drawing that of the last."""
        self._close_table()
        if output.replaces and self._moving:
            self._drawing = self._drawing or Drawing(self.console, self._several)
            self._drawing.draw(site, output)
            return
        super().output(site, output)

    def _close_table(self) -> None:
        if self._table is not None:
            self._table.close()
            self._table = None

    def report(self, report: Report) -> None:
        self._last_pictures()
        layout = book_layout(report.book)
        for grid in layout.grids:
            self.grid(grid)
        self._blocks(layout.blocks)
        if report.book.unexpected:
            self.grid(apart(report.book.unexpected))
        self.line(report.book.summary())
        self._trust(report)

    def fleet(self, sites: Sequence[Site], now: float) -> None:
        self.grid(without_side(fleet_grid(sites, now), self.console.width))

    def grid(self, grid: Grid) -> None:
        """In columns where they fit, else in lines."""
        if len(grid.heads) < 3 or fits(grid, self.console.width):
            self.console.print(drawn(grid))
        elif len(grid.heads) > 3:
            self._blocks(records(grid))
        else:
            for row in grid.rows:
                cells = (_cell(head, word) for head, word in zip(grid.heads, row, strict=True) if word)
                self.console.print(Text(": ").join(cells))

    def _blocks(self, blocks: Sequence[tuple[str, str]]) -> None:
        for site, text in blocks:
            self.console.print(Text(f"{visible(site, lines=False)}:", "bold"))
            self.console.print(Padding(Text(visible(text)), (0, 0, 0, 2)))

    def prompt(self, command: str) -> None:
        self.console.print(Text(f"\n$ {command}", "bold cyan"))

    def line(self, text: str) -> None:
        self.console.print(Text(visible(text)), soft_wrap=True)  # a line that is copied must be whole


class _Table(Place):
    """The job as it is now: a bar, the time, and as many sites as fit."""

    def __init__(self, run: Run, stage: Console) -> None:
        super().__init__(stage, stays=False)
        self._run, self._stage = run, stage
        self._began = asyncio.get_running_loop().time()
        self._drawing = asyncio.create_task(self._keep_drawing(), name="live table")

    def close(self) -> None:
        self._drawing.cancel()
        super().close()

    async def _keep_drawing(self) -> None:
        while True:
            self.show(self.draw())
            await asyncio.sleep(_EVERY)

    def draw(self) -> RenderableType:
        book = self._run.book
        ended = sum(row.state.ended for row in book.rows())
        head = Table.grid(padding=(0, 1))
        passed = age(asyncio.get_running_loop().time() - self._began)
        head.add_row(ProgressBar(len(book), ended, width=30), Text(f"{ended}/{len(book)}"), Text(passed, "dim"))
        room = max(3, self._stage.height - 5)
        rows = [book[name] for name in book.names]
        if len(rows) > room:
            # What is still open is what one waits for; what went well is what one may miss.
            rows = [row for row in book.rows() if not row.state.ended or row.state != "done"][:room]
        most = max(8, self._stage.width - 30)
        table = drawn(Grid(("site", "state", "progress"), tuple(_progress(row, most) for row in rows)))
        hidden = len(book) - len(rows)
        return Group(head, table, Text(f"and {hidden} more", "dim")) if hidden else Group(head, table)


def _progress(row: Row, most: int) -> tuple[str, str, str]:
    share = f"{row.fraction:.0%} " if row.fraction is not None and not row.state.ended else ""
    return row.site, state_of(row), share + one_line(row.text.strip().partition("\n")[0], most)


def drawn(grid: Grid) -> Table:
    """The grid as rich draws it, without a frame: what is copied from it is text."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    right = grid.right or (False,) * len(grid.heads)
    for head, to_right in zip(grid.heads, right, strict=True):
        table.add_column(Text(visible(head, lines=False)), justify="right" if to_right else "left", overflow="fold")
    for row in grid.rows:
        table.add_row(*(_cell(head, word) for head, word in zip(grid.heads, row, strict=True)))
    return table


def _cell(head: str, word: str) -> Text:
    word = visible(word, lines=False)  # rich lets ESC pass
    if head == "site" or head == "name":
        return Text(word, "bold" if head == "site" else "")
    return Text(word, _STYLES.get(word.partition(" ")[0], "")) if head in _STATES else Text(word)
