"""Results as JSON for programs: one document, in ASCII, so that nothing a site said can reach a terminal as it is."""

import json
from collections import Counter, deque
from collections.abc import Sequence
from typing import Any, TextIO

from admin_console.plain import PlainFace
from admin_console.run import Run
from admin_console.tables import Listing, health_word, shallow, worst_first
from admin_console.wish import Report
from amon.job import Book, Row
from amon.runtime.fleet import Site
from amon.runtime.proofs import Word
from amon.wire import Output
from amon.words import Column, Whole

_MOST_OUTPUTS, _LARGEST_OUTPUTS = 1_000, 16 * 2**20  # parts of sessions in a document; characters of all of them
WELL = ("ok", "maint")  # healths nobody has to look at


class JsonFace(PlainFace):
    """Notes and questions as in a pipe; the result is one document on standard output."""

    def __init__(self, out: TextIO | None = None, notes: TextIO | None = None) -> None:
        super().__init__(out, notes)
        self._outputs: deque[tuple[dict[str, Any], int]] = deque()
        self._size = 0

    def _changed(self, run: Run) -> None:
        pass  # a program waits for the whole

    def report(self, report: Report) -> None:
        said = {"output": [part for part, _ in self._outputs]} if self._outputs else {}
        self._write({**job_document(report), **said})
        self._trust(report)

    def output(self, site: str, output: Output) -> None:
        """Of what sessions say a document keeps so much; -o jsonl tells all of it as it comes."""
        said = {"seq": output.seq, "items": [shallow(item) for item in output.items], "text": output.text}
        part = {"site": site, **said, "missed": output.missed}
        self._outputs.append((part, len(json.dumps(part))))
        self._size += self._outputs[-1][1]
        while len(self._outputs) > _MOST_OUTPUTS or self._size > _LARGEST_OUTPUTS:
            self._size -= self._outputs.popleft()[1]

    def fleet(self, sites: Sequence[Site], now: float) -> None:
        self._write(fleet_document(sites))

    def listing(self, listing: Listing) -> None:
        self._write({**listing.more, listing.name: [dict(record) for record in listing.records]})

    def _write(self, document: dict[str, Any]) -> None:
        self.out.write(json.dumps(document, indent=2) + "\n")
        self.out.flush()


def job_document(report: Report) -> dict[str, Any]:
    """Stable: keys are added, never renamed."""
    words = report.words
    return {
        **job_summary(report),
        "sites": [site_document(row, words.get(row.site, Word.none)) for row in report.book.rows()],
    }


def job_summary(report: Report) -> dict[str, Any]:
    """All of it but the sites."""
    book = report.book
    return {
        "id": report.job.id,
        "line": report.job.line,
        "target": str(report.wish.target),
        "names": list(report.job.names),
        "dry_run": report.job.dry_run,
        "counts": {str(state): count for state, count in book.counts().items()},
        "summary": book.summary(),
        "unexpected": _unexpected(book),
        "exit": int(report.exit),
    }


def site_document(row: Row, word: Word) -> dict[str, Any]:
    outcome = row.outcome
    columns: tuple[Column, ...] = outcome.answer.columns if outcome else ()
    return {
        "site": row.site,
        "state": str(row.state),
        "text": row.text,
        "data": shallow(outcome.answer.data) if outcome else None,
        "columns": [{"name": column.name, "unit": column.unit, "about": column.about} for column in columns],
        "seconds": outcome.seconds if outcome else None,
        "late": row.late,
        "cut": outcome.cut if outcome else False,
        "whole": _whole(outcome.whole) if outcome and outcome.whole else None,  # `amon job ID --save DIR` fetches it
        # null: no key of this site is known here. A forged answer is not read: the site ends as if it had said nothing.
        "signed": {Word.none: None, Word.signed: True}.get(word, False),
    }


def _whole(whole: Whole) -> dict[str, Any]:
    return {"size": whole.size, "digest": whole.digest, "lines": whole.lines, "cut": whole.cut}


def _unexpected(book: Book) -> list[dict[str, str]]:
    return [{"site": u.site, "state": str(u.state), "why": u.why, "text": u.text} for u in book.unexpected]


def fleet_document(sites: Sequence[Site]) -> dict[str, Any]:
    return {"sites": [member_document(site) for site in worst_first(sites)], "counts": fleet_counts(sites)}


def fleet_counts(sites: Sequence[Site]) -> dict[str, int]:
    """How many are of each health."""
    return dict(Counter(health_word(site) for site in sites))


def member_document(site: Site) -> dict[str, Any]:
    report = site.health
    bad = report.bad if report is not None else ()
    return {
        "site": site.name,
        "jid": site.jid,
        "online": site.online,
        "health": health_word(site),
        "show": site.show,
        "status": site.status,
        "bad": [{"name": name, "level": level, "state": state} for name, level, state in bad],
        "agent": site.agent,
        "modules": list(report.modules) if report is not None else [],
        "tags": dict(site.tags),
        "changed": site.changed,
    }
