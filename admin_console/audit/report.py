"""An audit of many sites on paper: one table sorted by time, JSON or CSV; and what is to be said of each chain."""

import csv
import io
from collections.abc import Iterator
from typing import Any

from admin_console.audit.collect import Audit
from admin_console.audit.trails import Trail, utc
from admin_console.formats import defused
from admin_console.tables import Grid, one_line
from amon.access import AuditRecord

_HEADS = ("site", "time (UTC)", "who", "what", "outcome", "line", "rule", "key", "room")
_CSV = ("site", "line", "time", "account", "asker", "room", "id", "what", "allowed", "rule", "outcome", "key", "effect")
_LONGEST = 120  # characters of a cell


def audit_grid(audit: Audit) -> Grid:
    """Columns that are empty everywhere are left out."""
    rows = [
        (site, utc(r.time), r.asker, r.line, r.outcome, str(line.seq), r.rule, r.key, r.room or "")
        for site, line in audit.lines
        if (r := line.record) is not None
    ]
    safe = [tuple(one_line(cell, _LONGEST) for cell in row) for row in rows]
    kept = [place for place in range(len(_HEADS)) if place < 6 or any(row[place] for row in safe)]
    right = tuple(_HEADS[place] == "line" for place in kept)
    return Grid(tuple(_HEADS[p] for p in kept), tuple(tuple(row[p] for p in kept) for row in safe), right)


def faults(audit: Audit) -> Iterator[str]:
    """A line for each site whose chain is not what it was, or that did not give its audit."""
    for site, trail in sorted(audit.trails.items()):
        if trail.fault:
            yield f"{site}: {one_line(trail.fault)}"
    for site, why in sorted(audit.silent.items()):
        yield f"{site}: no audit: {one_line(why)}"


def said(audit: Audit) -> Iterator[str]:
    """What is known of each chain, and of lines that are not shown."""
    for site, trail in sorted(audit.trails.items()):
        if trail.fault or site in audit.silent:
            continue
        picked = "; the site picked these lines, --verify looks at all" if audit.wish.picked else ""
        more = f"; {trail.withheld} lines of its other accounts are not shown" if trail.withheld else ""
        yield f"{site}: {trail.soundness}{picked}{more}"


def summary(audit: Audit) -> str:
    broken = sum(bool(trail.fault) for trail in audit.trails.values())
    sound = len(audit.trails) - broken - sum(site in audit.silent for site in audit.trails)
    counts = ((sound, "not verified" if audit.wish.picked else "sound"), (broken, "BROKEN"))
    words = [f"{count} {what}" for count, what in (*counts, (len(audit.silent), "without audit")) if count]
    sites = f"{len(audit.names)} {'site' if len(audit.names) == 1 else 'sites'}"
    return f"{sites}: {', '.join(words)}; {len(audit.lines)} lines"


def audit_document(audit: Audit) -> dict[str, Any]:
    """Stable: keys are added, never renamed."""
    return {
        "sites": [_site(audit, site) for site in sorted(audit.names)],
        "lines": [
            {"site": site, "seq": line.seq, "hash": line.hash, **_fields(line.record)}
            for site, line in audit.lines
            if line.record is not None
        ],
        "summary": summary(audit),
        "exit": audit.exit,
    }


def audit_csv(audit: Audit) -> str:
    """With a head; what a sheet would compute is quoted."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(_CSV)
    for site, line in audit.lines:
        r = line.record
        if r is not None:
            head = (site, str(line.seq), utc(r.time), r.account, r.asker, r.room or "", r.id, r.line)
            cells = (*head, "yes" if r.allowed else "no", r.rule, r.outcome, r.key, r.effect)
            writer.writerow([_plain(cell) for cell in cells])
    return out.getvalue()


def _plain(cell: str) -> str:
    return defused(one_line(cell, 4096))


def _site(audit: Audit, site: str) -> dict[str, Any]:
    trail = audit.trails.get(site)
    return {
        "site": site,
        "answered": site not in audit.silent,
        "why": one_line(audit.silent.get(site, "")),
        "fault": one_line(trail.fault) if trail is not None else "",
        "said": one_line(trail.soundness) if trail is not None else "",
        "withheld": trail.withheld if trail is not None else 0,
        **_ends(trail),
    }


def _ends(trail: Trail | None) -> dict[str, Any]:
    page = trail.page if trail is not None else None
    if trail is None or page is None:
        return {"chain": None, "dropped": None, "head": None, "verified_after": None}
    return {
        "chain": page.chain,
        "dropped": page.anchor.seq,
        "head": {"seq": page.head.seq, "hash": page.head.hash},
        "verified_after": None if trail.first is None or trail.fault else trail.first.seq,
    }


def _fields(record: AuditRecord) -> dict[str, Any]:
    r = record
    return {
        "time": r.time, "account": r.account, "asker": r.asker, "room": r.room, "id": r.id, "line": r.line,
        "allowed": r.allowed, "rule": r.rule, "outcome": r.outcome, "key": r.key, "effect": r.effect,
    }  # fmt: skip
