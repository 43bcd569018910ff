"""Results for programs that read no JSON document: a line of JSON for each site, CSV, or only names. Source: RFC 4180.

On standard output is nothing but data, and nothing that a site said gets there as a command for a terminal or a sheet.
"""

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from admin_console.plain import PlainFace
from admin_console.report import WELL, fleet_counts, job_summary, member_document, site_document
from admin_console.run import Run
from admin_console.tables import Listing, health_word, one_line, shallow, worst_first
from admin_console.wish import Report
from amon.job import Row
from amon.runtime.fleet import Site
from amon.runtime.proofs import Word
from amon.text import visible
from amon.wire import Output
from amon.words import State

# OWASP, CSV Injection: a sheet takes what begins like this for a formula; in wide letters, too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "＝", "＋", "－", "＠")
_MOST_CELLS = 1_000_000  # of one book; sites that each name other columns must not make billions of empty cells
_ROW = ("site", "state", "seconds", "late", "text")
_MEMBER = ("site", "jid", "online", "health", "show", "status", "agent", "modules", "tags", "bad", "changed")


class LinesFace(PlainFace):
    """JSON lines: each site's outcome as it comes, and again if it is put right; the last line is the summary."""

    def report(self, report: Report) -> None:
        self._begin(report.job.id)
        for row in report.book.rows():
            self._tell_once(row, report.words.get(row.site, Word.none))
        self._write({"summary": job_summary(report)})
        self._trust(report)

    def output(self, site: str, output: Output) -> None:
        """What a session says, as it says it."""
        said = {"seq": output.seq, "items": [shallow(item) for item in output.items], "text": output.text}
        self._write({"site": site, "session": output.id, **said, "missed": output.missed})

    def fleet(self, sites: Sequence[Site], now: float) -> None:
        for site in worst_first(sites):
            self._write(member_document(site))
        self._write({"summary": {"counts": fleet_counts(sites)}})

    def listing(self, listing: Listing) -> None:
        for record in listing.records:
            self._write(record)
        self._write({"summary": dict(listing.more)})

    def _changed(self, run: Run) -> None:
        for name in run.book.names:
            if name not in self._told and run.book[name].state.ended:
                self._tell_once(run.book[name], run.words.get(name, Word.none))

    def _tell_once(self, row: Row, word: Word) -> None:
        told = self._told.get(row.site)
        if told is None or (told.state, told.outcome) != (row.state, row.outcome):
            self._told[row.site] = row
            self._write(site_document(row, word))

    def _write(self, document: Mapping[str, Any]) -> None:
        self.out.write(json.dumps(document) + "\n")
        self.out.flush()


class CsvFace(PlainFace):
    """One row for each record of each answer, when the book is closed; `csv_of` says how cells are written."""

    def _changed(self, run: Run) -> None:
        pass  # the head names the columns of all answers

    def report(self, report: Report) -> None:
        self._write(book_csv(report.book.rows()))
        self._trust(report)

    def output(self, site: str, output: Output) -> None:
        """Of a session its end is a row; what it said before is for formats that can tell it as it comes."""

    def fleet(self, sites: Sequence[Site], now: float) -> None:
        self._write(csv_of(_MEMBER, (_member_cells(site) for site in worst_first(sites))))

    def listing(self, listing: Listing) -> None:
        heads = tuple(dict.fromkeys(key for record in listing.records for key in record)) or listing.grid.heads
        self._write(csv_of(heads, ([record.get(head) for head in heads] for record in listing.records)))

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()


class QuietFace(PlainFace):
    """Only names of what did not end well, or is not well, each in a line; the rest is in the exit code."""

    def _changed(self, run: Run) -> None:
        pass

    def report(self, report: Report) -> None:
        self._names(row.site for row in report.book.rows() if row.state is not State.done)
        self._trust(report)

    def output(self, site: str, output: Output) -> None:
        """Nothing of it is a name."""

    def fleet(self, sites: Sequence[Site], now: float) -> None:
        self._names(site.name for site in worst_first(sites) if health_word(site) not in WELL)

    def listing(self, listing: Listing) -> None:
        self._names(listing.bad)

    def _names(self, names: Iterable[str]) -> None:
        for name in names:
            self.out.write(visible(name, lines=False) + "\n")
        self.out.flush()


def book_csv(rows: Sequence[Row]) -> str:
    """A row for each record; our columns, then those of the answers: `data.text` where the name is one of ours."""
    records = [(row, record) for row in rows for record in _records(row)]
    names = _columns(rows)
    if len(records) * len(names) > _MOST_CELLS:
        cells = ([*_own(row), None if record is None else dict(record)] for row, record in records)
        return csv_of((*_ROW, "data"), cells)
    heads = [f"data.{name}" if name in _ROW else name for name in names]
    cells = ([*_own(row), *((record or {}).get(name) for name in names)] for row, record in records)
    return csv_of((*_ROW, *heads), cells)


def csv_of(heads: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """RFC 4180: a head, lines end with CR LF, quotes where they are needed; numbers plain, what is nested as JSON.

    A text that a sheet would take for a formula (=, +, -, @, also behind blanks) gets a ' in front.
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_cell(one_line(head)) for head in heads])
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value!r}"
    nested = isinstance(value, Mapping | list | tuple)
    return defused(visible(json.dumps(shallow(value), ensure_ascii=False) if nested else str(value)))


def defused(text: str) -> str:
    """`text` so that no sheet computes it."""
    return f"'{text}" if text.lstrip().startswith(_FORMULA) or text.startswith(_FORMULA) else text


def _own(row: Row) -> tuple[Any, ...]:
    outcome = row.outcome
    listed = outcome is not None and isinstance(outcome.answer.data, list) and bool(outcome.answer.columns)
    return row.site, str(row.state), outcome.seconds if outcome else None, row.late, "" if listed else row.text.strip()


def _records(row: Row) -> Iterator[Mapping[str, Any] | None]:
    """At least one: a site without a record has a row, too."""
    answer = row.outcome.answer if row.outcome is not None else None
    if answer is None or not answer.columns:
        yield None
        return
    found = answer.data if isinstance(answer.data, list) else [answer.data]
    records = [record for record in found if isinstance(record, Mapping)]
    yield from records or (None,)


def _columns(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(c.name for row in rows if row.outcome for c in row.outcome.answer.columns))


def _member_cells(site: Site) -> list[Any]:
    said = member_document(site)
    tags = " ".join(f"{key}={value}" for key, value in sorted(site.tags.items()))
    bad = " ".join(f"{one['name']}={one['state']}" for one in said["bad"])
    return [{**said, "modules": " ".join(said["modules"]), "tags": tags, "bad": bad}[head] for head in _MEMBER]
