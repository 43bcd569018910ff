"""Results as JSON for programs: one document, in ASCII, so that nothing a site said can reach a terminal as it is."""

import json
from collections.abc import Sequence
from typing import Any, TextIO

from admin_console.broadcast import Report
from admin_console.plain import PlainFace
from admin_console.tables import health_word, shallow, worst_first
from amon.job import Book, Row
from amon.runtime.fleet import Site
from amon.runtime.gather import Gathering
from amon.runtime.proofs import Word
from amon.words import Column


class JsonFace(PlainFace):
    """Notes and questions as in a pipe; the result is one document on standard output."""

    def __init__(self, out: TextIO | None = None, notes: TextIO | None = None) -> None:
        super().__init__(out, notes)

    def _changed(self, job: Gathering) -> None:
        pass  # a program waits for the whole

    def report(self, report: Report) -> None:
        self._write(job_document(report))
        self._trust(report)

    def fleet(self, sites: Sequence[Site], now: float) -> None:
        self._write(fleet_document(sites))

    def _write(self, document: dict[str, Any]) -> None:
        self.out.write(json.dumps(document, indent=2) + "\n")
        self.out.flush()


def job_document(report: Report) -> dict[str, Any]:
    """Stable: keys are added, never renamed."""
    book = report.book
    return {
        "id": report.job.id,
        "line": report.job.line,
        "target": str(report.wish.target),
        "names": list(report.job.names),
        "dry_run": report.job.dry_run,
        "sites": [_site(row, report.words.get(row.site, Word.none)) for row in book.rows()],
        "counts": {str(state): count for state, count in book.counts().items()},
        "summary": book.summary(),
        "unexpected": _unexpected(book),
        "exit": int(report.exit),
    }


def _site(row: Row, word: Word) -> dict[str, Any]:
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
        # null: no key of this site is known here. A forged answer is not read: the site ends as if it had said nothing.
        "signed": {Word.none: None, Word.signed: True}.get(word, False),
    }


def _unexpected(book: Book) -> list[dict[str, str]]:
    return [{"site": u.site, "state": str(u.state), "why": u.why, "text": u.text} for u in book.unexpected]


def fleet_document(sites: Sequence[Site]) -> dict[str, Any]:
    counts: dict[str, int] = {}
    for site in sites:
        counts[health_word(site)] = counts.get(health_word(site), 0) + 1
    return {"sites": [_member(site) for site in worst_first(sites)], "counts": counts}


def _member(site: Site) -> dict[str, Any]:
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
