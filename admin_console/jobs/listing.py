"""`amon jobs`: what was asked last, how it stands by the book, and who delivers what is still queued."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from admin_console.jobs.naming import shorts
from admin_console.tables import Grid, Listing, one_line
from amon.job import summary
from amon.store.ledger import KeptJob, Ledger
from amon.words import State

_OPEN = (State.pending, State.accepted, State.running)
_LONGEST = 60  # characters of a line and of a target; --json has them whole


async def jobs_listing(ledger: Ledger, most: int, *, courier: bool) -> Listing:
    """The last jobs, newest first. courier: whether one runs here."""
    jobs = await ledger.recent(most)
    counts = await ledger.counts([job.id for job in jobs])
    names = shorts(await ledger.ids())
    rows = tuple(_row(job, counts[job.id], names[job.id]) for job in jobs)

    def who(job: KeptJob) -> str:
        if ledger.is_held(job.id):
            return "the courier delivers it" if courier else "an amon of yours delivers it"
        return "the courier takes it up" if courier else ""

    lines = [_held(job, counts[job.id], names[job.id], who(job)) for job in jobs if _is_queued(job, counts[job.id])]
    if not rows:
        lines = ["no job is known here; next: amon run TARGET COMMAND"]
    return Listing(
        "jobs",
        [_record(job, counts[job.id], names[job.id]) for job in jobs],
        Grid(("job", "when", "command", "target", "open", "summary"), rows, (False, False, False, False, True, False)),
        tuple(lines),
        bad=[names[job.id] for job in jobs if _open(counts[job.id])],
    )


def moment(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%SZ}"


def _row(job: KeptJob, counts: Mapping[str, int], name: str) -> tuple[str, ...]:
    line = f"(dry run) {job.line}" if job.dry_run else job.line
    words = one_line(line, _LONGEST), one_line(job.target, _LONGEST)
    return name, moment(job.created), *words, str(_open(counts) or ""), _summary(counts)


def _record(job: KeptJob, counts: Mapping[str, int], name: str) -> dict[str, Any]:
    return {
        "id": job.id,
        "short": name,
        "created": job.created,
        "line": job.line,
        "target": job.target,
        "asker": job.asker,
        "sites": len(job.names),
        "dry_run": job.dry_run,
        "detached": job.detached,
        "queue_until": job.queue_until,
        "ended": job.ended,
        "open": _open(counts),
        "counts": dict(counts),
        "summary": _summary(counts),
    }


def _summary(counts: Mapping[str, int]) -> str:
    known = Counter({state: counts[state] for state in State if counts.get(state)})
    return summary(known)


def _open(counts: Mapping[str, int]) -> int:
    return sum(counts.get(state, 0) for state in _OPEN)


def _is_queued(job: KeptJob, counts: Mapping[str, int]) -> bool:
    return job.queue_until is not None and job.ended is None and bool(counts.get(State.pending))


def _held(job: KeptJob, counts: Mapping[str, int], name: str, who: str) -> str:
    count = counts.get(State.pending, 0)  # who has it already is not queued any more
    sites = f"{count} site" if count == 1 else f"{count} sites"
    head = f"{name}: queued for {sites} until {moment(job.queue_until or 0)}"
    return f"{head}; {who or f'nobody delivers it; next: amon job {name} --follow'}"
