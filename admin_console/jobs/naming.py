"""Jobs as people name them: by the shortest end of the id that no other job here has; and as targets."""

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from amon.errors import Invalid
from amon.ids import short
from amon.store.look import job_in, known_ids
from amon.target import Expression, parse
from amon.target.jobs import OfJob, with_jobs
from amon.words import State

if TYPE_CHECKING:
    import click

_PROPOSED = 20  # jobs in a completion
_STATES = ("failed", "lost", "silent", "not-here", "not-started")


def short_of(ident: str, ledger: Path | None) -> str:
    """What to type for this job here."""
    return short(ident, known_ids(ledger) if ledger is not None else ())


def shorts(idents: Iterable[str]) -> dict[str, str]:
    """The same for many that are all there are; costs no more than a look at each for each length."""
    left, found, length = list(idents), dict[str, str](), 4
    every = left
    while left and length < 26:
        ends: dict[str, int] = {}
        for ident in every:
            ends[ident[-length:]] = ends.get(ident[-length:], 0) + 1
        found.update((ident, ident[-length:]) for ident in left if ends[ident[-length:]] == 1)
        left = [ident for ident in left if ident not in found]
        length += 1
    return {**found, **{ident: ident for ident in left}}


def meant(text: str, ledger: Path | None) -> Expression:
    """A target as it was typed at this console, with the sites of jobs it names read from the book of jobs.

    `Refused` for an id that no job or that several jobs end in; `Invalid` for what is no target.
    """
    return with_jobs(parse(text, jobs=True), lambda term: _sites(term, ledger))


def _sites(term: OfJob, ledger: Path | None) -> frozenset[str]:
    if ledger is None:
        raise Invalid(f"{term}: this console keeps no book of jobs")
    _, rows = job_in(ledger, term.ident)
    return frozenset(row.site.lower() for row in rows if not term.states or row.state in term.states)


def job_words(incomplete: str, idents: Iterable[str]) -> list[str]:
    """`@job:` terms that begin like this, for the completion of a target."""
    head, _, rest = incomplete.partition(":")
    if not incomplete.startswith("@") or not "@job".startswith(head):
        return []
    names = list(shorts(idents).values())[:_PROPOSED]
    ident, colon, _ = rest.partition(":")
    if colon:
        states = (*_STATES, *(state for state in State if state.ended and state not in _STATES))
        found = [f"@job:{ident}:{state}" for state in states]
    else:
        found = [f"@job:{name}" for name in names]
    return [one for one in found if one.lower().startswith(incomplete.lower())]


def complete_job(ctx: "click.Context", param: "click.Parameter", incomplete: str) -> list[str]:
    """Ids of jobs, newest first, for click's `shell_complete`: from the book, no server is asked."""
    return job_ids(incomplete, known_here())


def job_ids(incomplete: str, idents: Iterable[str]) -> list[str]:
    """The short ids that begin like this."""
    return [one for one in shorts(idents).values() if one.startswith(incomplete.upper())][:_PROPOSED]


def known_here(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Ids of the last jobs in all rooms of this user: whoever completes a line has read no configuration."""
    from admin_console.settings import state_path

    found: list[str] = []
    for path in sorted(state_path("room", environment).parent.glob("*/jobs.db")):
        found += known_ids(path)
    return sorted(found, reverse=True)
