"""What `amon audit` does, given a console and a face: log in, collect, show."""

import json
from typing import Literal, Protocol

from admin_console.audit.collect import Audit, AuditWish, collect, forget
from admin_console.audit.heads import Heads
from admin_console.audit.report import audit_csv, audit_document, audit_grid, faults, said, summary
from admin_console.session import Setup, in_fleet
from admin_console.settings import data_path
from admin_console.tables import Grid, listed
from amon.target import Expression

Style = Literal["table", "json", "jsonl", "csv", "quiet"]


class AuditFace(Protocol):
    """Where an audit is shown: results by `grid` and `line`, what is none by `note`."""

    def note(self, text: str) -> None: ...
    def grid(self, grid: Grid) -> None: ...
    def line(self, text: str) -> None: ...


def heads_of(console: Setup) -> Heads:
    """What this console remembers of the chains in its room."""
    return Heads(data_path(console.settings.room) / "audit_heads.json")


async def run_audit(
    console: Setup, face: AuditFace, wish: AuditWish, style: Style = "table", heads: Heads | None = None
) -> int:
    """Log in, ask, show; the exit code."""
    async with in_fleet(console) as session:
        audit = await collect(session, face, wish, heads or heads_of(console))
    show(face, audit, style)
    return audit.exit


async def run_forget(console: Setup, target: Expression, heads: Heads | None = None) -> str:
    """A line that says what was forgotten."""
    async with in_fleet(console) as session:
        names = await forget(session, target, heads or heads_of(console))
    return f"forgotten: {listed(names)}; what they show next is taken as it is"


def show(face: AuditFace, audit: Audit, style: Style) -> None:
    if style == "json":
        face.line(json.dumps(audit_document(audit), indent=2))
    elif style == "jsonl":
        document = audit_document(audit)
        more = {key: value for key, value in document.items() if key != "lines"}
        for record in (*document["lines"], {"summary": more}):
            face.line(json.dumps(record))
    elif style == "quiet":
        for site in sorted({*audit.silent, *(name for name, trail in audit.trails.items() if trail.fault)}):
            face.line(site)
    elif style == "csv":
        face.line(audit_csv(audit).removesuffix("\n"))
    else:
        if audit.lines:
            face.grid(audit_grid(audit))
        for line in said(audit):
            face.line(line)
        face.line(summary(audit))
    for line in faults(audit):
        face.note(line)
    if any(trail.fault for trail in audit.trails.values()):
        face.note("if you know why: amon audit SITE --forget; else look at that site, and at its log host")
    if any(trail.fault.startswith("broken:") for trail in audit.trails.values()):
        face.note("what is broken stays so in that journal: before --forget the site begins a new one (docs/agent.md)")
