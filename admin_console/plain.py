"""Results as lines, for a pipe and for terminals that can no more: each site's as it comes, then the summary."""

import asyncio
import contextlib
import os
import sys
from collections.abc import Iterator, Sequence
from typing import TextIO

from admin_console.paced import Pictures
from admin_console.run import Run
from admin_console.tables import Grid, Listing, apart, fleet_grid, listed, one_line, some_lines, state_of
from admin_console.wish import Report
from amon.command.answer import aligned
from amon.job import Row
from amon.runtime.fleet import Site
from amon.runtime.proofs import Word
from amon.text import visible
from amon.wire import Output

_LONGEST_ANSWER = 256  # bytes of what is typed to a question
_LONGEST_LINE = 8_192  # characters of a line that a session says
_LONGEST_STATUS = 60  # characters; --json has the whole


class PlainFace:
    """Results go to `out`; notes and questions to `notes`. Asks only where a person sits at both ends."""

    def __init__(self, out: TextIO | None = None, notes: TextIO | None = None) -> None:
        self.out, self.notes = out or sys.stdout, notes or sys.stderr
        self.can_ask = _is_terminal(sys.stdin) and _is_terminal(self.notes)
        self._job = ""
        self._told: dict[str, Row] = {}
        self._several = False
        self._pictures = Pictures()

    def note(self, text: str) -> None:
        print(visible(text), file=self.notes, flush=True)

    async def ask(self, question: str) -> str:
        """A line from standard input, while the connection goes on living."""
        self.notes.write(visible(question, lines=False))
        self.notes.flush()
        return await typed_line(sys.stdin.fileno())

    @contextlib.contextmanager
    def watching(self, run: Run) -> Iterator[None]:
        self._begin(run.id)
        self._several = len(run.book) > 1
        run.on_change = lambda: self._changed(run)
        try:
            yield
            self._changed(run)
        finally:
            run.on_change = lambda: None

    def output(self, site: str, output: Output) -> None:
        """Lines of a session, each with its site in front where there are several."""
        head = f"{one_line(site)}: " if self._several else ""
        if output.replaces:
            self._say_picture(head, self._pictures.take(site, output))
            return
        if output.missed:
            self.note(f"{head}({output.missed} left out: this end was too slow for them)")
        for line in output.lines:
            self.line(f"{head}{one_line(line, _LONGEST_LINE)}")

    def _say_picture(self, head: str, lines: list[str]) -> None:
        for line in lines:
            self.line(f"{head}{line[:_LONGEST_LINE]}")

    def _last_pictures(self) -> None:
        """What came after the last that was said."""
        for site, lines in self._pictures.rest():
            self._say_picture(f"{one_line(site)}: " if self._several else "", lines)

    def report(self, report: Report) -> None:
        self._last_pictures()
        book = report.book
        self._begin(report.job.id)
        for row in book.rows():
            self._tell(row)
        if book.unexpected:
            self.grid(apart(book.unexpected))
        self.line(book.summary())
        self._trust(report)

    def _trust(self, report: Report) -> None:
        for line in trust_lines(report):
            self.note(line)

    def fleet(self, sites: Sequence[Site], now: float) -> None:
        self.grid(fleet_grid(sites, now, _LONGEST_STATUS))

    def listing(self, listing: Listing) -> None:
        if listing.grid.rows:
            self.grid(listing.grid)
        for line in listing.lines:
            self.line(line)

    def grid(self, grid: Grid) -> None:
        self.line(drawn(grid))

    def prompt(self, command: str) -> None:
        """A command that is shown being given."""
        self.line(f"\n$ {command}")

    def line(self, text: str) -> None:
        print(visible(text), file=self.out, flush=True)  # whatever went wrong before: no terminal is commanded

    def _begin(self, job: str) -> None:
        """A face may see several jobs."""
        if job != self._job:
            self._job = job
            self._told.clear()

    def _changed(self, run: Run) -> None:
        for name in run.book.names:
            if name not in self._told and run.book[name].state.ended:
                self._tell(run.book[name])

    def _tell(self, row: Row) -> None:
        """One site's end, once; again if it was put right."""
        told = self._told.get(row.site)
        if told is not None and told.outcome == row.outcome:
            return
        self._told[row.site] = row
        text = some_lines(row.text.strip())
        said = f"{row.site}: {state_of(row)}"
        if "\n" in text:
            self.line("\n".join((said, *(f"    {line}" for line in text.split("\n")))))
        else:
            self.line(f"{said}: {text}" if text else said)


def trust_lines(report: Report) -> list[str]:
    """Whose answers are signed, and above all whose are not though they should be."""
    by_word = {word: sorted(site for site, said in report.words.items() if said is word) for word in Word}
    lines = [f"answers signed by their sites' keys: {len(by_word[Word.signed])}"] if by_word[Word.signed] else []
    if by_word[Word.by_id]:
        lines.append(
            f"signed for the id of the job, but not for what was asked under it: {listed(by_word[Word.by_id])}"
        )
    for word in (Word.unsigned, Word.forged, Word.other):
        if by_word[word]:
            lines.append(f"DO NOT TRUST what came as an answer of {listed(by_word[word])}: {word}")
    return lines


def drawn(grid: Grid) -> str:
    """The grid with blanks between its columns."""
    return aligned([grid.heads, *grid.rows], grid.right or (False,) * len(grid.heads))


async def typed_line(source: int) -> str:
    """A line from a terminal; empty at its end. The terminal itself keeps it until Enter."""
    loop = asyncio.get_running_loop()
    ready = asyncio.Event()
    loop.add_reader(source, ready.set)
    try:
        await ready.wait()
        return os.read(source, _LONGEST_ANSWER).decode(errors="replace")
    finally:
        loop.remove_reader(source)


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # closed
        return False
