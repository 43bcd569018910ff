"""An audit on paper: whatever stands in the lines, a table stays a table and a sheet computes nothing."""

import csv
import io
import json
from dataclasses import replace

from admin_console.audit.collect import Audit, AuditWish
from admin_console.audit.report import audit_csv, audit_document, audit_grid, faults, said, summary
from admin_console.audit.trails import Trail, utc
from amon.access import AuditRecord, Line
from amon.target import parse

RECORD = AuditRecord(1_763_643_042.0, "main", "alice@example.org", None, "01J", "status", True, "admin", "done")
EVIL = "\x1b]0;owned\x07\n\u202eroot" + "x" * 5000


def made(*records: tuple[str, AuditRecord | None], silent: dict[str, str] | None = None, fault: str = "") -> Audit:
    lines = [(site, Line(7, record, "", "ab" * 32)) for site, record in records]
    trails = {site: Trail(site, 10, fault=fault) for site, _ in records}
    silent = silent or {}
    return Audit(AuditWish(parse("all")), (*trails, *silent), trails, silent, lines, 0)


def test_nothing_that_a_site_said_reaches_a_terminal_as_it_is() -> None:
    evil = replace(RECORD, asker=EVIL, line=EVIL, rule=EVIL, outcome=EVIL, key=EVIL, room=EVIL)
    audit = made(("cern", evil), silent={"ral": EVIL}, fault=EVIL)
    cells = [cell for row in audit_grid(audit).rows for cell in row]
    assert all(cell.isprintable() and len(cell) <= 120 for cell in cells)
    assert all(line.isprintable() and len(line) < 500 for line in (*faults(audit), *said(audit), summary(audit)))
    assert json.dumps(audit_document(audit)).isascii()


def test_columns_that_are_empty_everywhere_are_left_out() -> None:
    assert audit_grid(made(("cern", RECORD))).heads == ("site", "time (UTC)", "who", "what", "outcome", "line", "rule")
    signed = replace(RECORD, key="SHA256:x", room="ops@rooms.example.org")
    assert audit_grid(made(("cern", RECORD), ("fnal", signed))).heads[-2:] == ("key", "room")


def test_a_line_that_is_withheld_stands_nowhere() -> None:
    audit = made(("cern", None))
    assert audit_grid(audit).rows == ()
    assert audit_document(audit)["lines"] == []
    assert audit_csv(audit).count("\n") == 1


def test_a_sheet_takes_no_cell_for_a_formula() -> None:
    for start in "=+-@":
        audit = made(("cern", replace(RECORD, line=f"{start}1+1", asker=f"{start}x")))
        (row,) = csv.DictReader(io.StringIO(audit_csv(audit)))
        assert (row["what"], row["asker"]) == (f"'{start}1+1", f"'{start}x")


def test_every_site_is_counted_once_in_the_last_line() -> None:
    audit = made(("cern", RECORD), ("fnal", RECORD), silent={"ral": "silent: nothing came"})
    assert summary(audit) == "3 sites: 2 sound, 1 without audit; 2 lines"
    assert list(faults(audit)) == ["ral: no audit: silent: nothing came"]
    broken = made(("cern", RECORD), fault="cut off")
    assert summary(broken) == "1 site: 1 BROKEN; 1 lines"


def test_a_time_that_is_none_is_shown_as_a_number() -> None:
    assert utc(1_763_643_042.0) == "2025-11-20 12:50:42"
    assert utc(2.0**53) == "9007199254740992"
