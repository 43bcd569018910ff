"""`amon audit`: what was asked of all sites, in one table, and whether any of them shows another past than before.

The first page of every site is asked for by an ordinary broadcast; the others site by site, several sites at once.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from admin_console.audit.heads import Heads
from admin_console.audit.trails import MOST_KEPT, Known, Trail
from admin_console.plain import trust_lines
from admin_console.run import Run
from admin_console.session import Session
from admin_console.wish import Report, Wish, chosen
from admin_console.words import quoted
from amon.access import AuditRecord, Line
from amon.errors import Failed
from amon.ids import new_id
from amon.job import ExitCode
from amon.runtime.gather import Job, gathering
from amon.runtime.proofs import Word
from amon.target import Expression
from amon.words import Outcome, State

BROKEN = 1  # exit code
AT_ONCE = 16  # sites that are asked for more at a time
SHOWN = 100  # lines of each site, if nothing else is said
_EACH = 1_000_000  # lines: as many as go into one answer
_HASTE = 100  # pages that are asked for without a pause
_PAUSE = 0.12  # seconds; a policy that says nothing else allows ten requests a second


@dataclass(frozen=True, slots=True)
class AuditWish:
    """Which lines of which sites. since: seconds ago. verify: every chain as a whole, from its oldest line on."""

    target: Expression
    since: float | None = None
    who: str = ""
    refused: bool = False
    count: int | None = None
    verify: bool = False
    timeout: float = 30.0

    @property
    def picked(self) -> bool:
        """The sites pick out lines: what travels is little, and nothing links it."""
        return (bool(self.who) or self.refused) and not self.verify

    @property
    def keep(self) -> int:
        if self.count is None:
            return SHOWN if self.since is None else MOST_KEPT
        return min(self.count, MOST_KEPT)

    def line(self, after: int | None = None) -> str:
        words = ["audit", str(self.keep if after is None else _EACH)]
        if after is not None:
            words.append(f"after={after}")
        if self.since is not None and after is None:
            words.append(f"since={self.since:g}s")
        if self.picked:
            words += [f"who={quoted(self.who)}"] * bool(self.who) + ["--refused"] * self.refused
        return " ".join(words)

    def trail(self, site: str, known: Known | None) -> Trail:
        """What takes the pages of this site."""
        start = 0 if (self.who or self.refused) and self.since is None else None
        return Trail(site, self.keep, known, self.verify, self.picked, start, wanted=self.wants)

    def wants(self, record: AuditRecord) -> bool:
        """Whether the line is shown."""
        by = not self.who or record.asker == self.who
        return by and (not self.refused or record.outcome.startswith(State.refused))


@dataclass(frozen=True, slots=True)
class Audit:
    """What came of it. trails: by site. silent: sites that gave none, or not all of it, each with why.

    lines: site and line, oldest first. exit: 1 if a chain is not what it was, else as of a broadcast.
    """

    wish: AuditWish
    names: tuple[str, ...]
    trails: Mapping[str, Trail]
    silent: Mapping[str, str]
    lines: Sequence[tuple[str, Line]]
    exit: int


class Ear(Protocol):
    """Whoever can be told a line that is no result."""

    def note(self, text: str) -> None: ...


async def collect(session: Session, ear: Ear, wish: AuditWish, heads: Heads) -> Audit:
    """Ask, go on asking until all is there, verify, compare with the last time, and remember."""
    known = heads.recall()
    asked = Wish(wish.target, wish.line(), wish.timeout)
    run = Run(session, asked)
    run.note = ear.note
    report = await run.finish()
    for line in trust_lines(report):
        ear.note(line)
    trails: dict[str, Trail] = {}
    silent: dict[str, str] = {}
    for row in report.book.rows():
        if row.state is State.done and row.outcome is not None:
            jid = session.fleet.sites[row.site].jid
            trails[row.site] = wish.trail(row.site, known.get(jid))
            trails[row.site].take(row.outcome.answer.data)
        else:
            silent[row.site] = f"{row.state}: {row.text}"
    silent.update(await _rest(session, trails, wish))
    _remember(session, ear, heads, [trail for site, trail in trails.items() if site not in silent])
    return _made(wish, report, trails, silent)


def _made(wish: AuditWish, report: Report, trails: Mapping[str, Trail], silent: Mapping[str, str]) -> Audit:
    lines = [(site, line) for site, trail in trails.items() for line in trail.lines]
    lines.sort(key=lambda pair: (pair[1].record.time if pair[1].record else 0.0, pair[0], pair[1].seq))
    code = int(report.exit)
    if any(site in trails for site in silent):
        code = code or int(ExitCode.no_answer)
    if any(trail.fault for trail in trails.values()):
        code = BROKEN
    return Audit(wish, report.job.names, trails, silent, lines, code)


async def _rest(session: Session, trails: Mapping[str, Trail], wish: AuditWish) -> dict[str, str]:
    """Page on. Of sites that did not give all of it, why."""
    gate = asyncio.Semaphore(AT_ONCE)
    missing: dict[str, str] = {}

    async def go_on(trail: Trail) -> None:
        async with gate:
            while trail.after is not None and trail.site not in missing:
                if trail.pages > _HASTE:
                    await session.clock.sleep(_PAUSE)
                outcome, word = await _page(session, trail.site, wish.line(trail.after), wish.timeout)
                if outcome.state is not State.done:
                    missing[trail.site] = f"not all of it: {outcome.state}: {outcome.text}"
                elif word not in (Word.none, Word.signed):
                    missing[trail.site] = f"not all of it: an answer was {word}"
                else:
                    trail.take(outcome.answer.data)

    async with asyncio.TaskGroup() as tasks:
        for trail in trails.values():
            tasks.create_task(go_on(trail))
    return missing


async def _page(session: Session, site: str, line: str, timeout: float) -> tuple[Outcome, Word]:
    job = Job(new_id(session.clock.time()), line, (site,), timeout)
    with gathering(session.fleet, session.room, job, session.clock) as asked:
        asked.send()
        await asked.collect()
        if asked.asking:
            asked.decline("it wants more than the question")
        outcome = asked.book[site].outcome
        assert outcome is not None
        return outcome, asked.words.get(site, Word.none)


def _remember(session: Session, ear: Ear, heads: Heads, trails: Sequence[Trail]) -> None:
    """What is sound, as far as it goes. Of what is not, what was known before stays: it is the evidence."""
    seen = {
        session.fleet.sites[trail.site].jid: (trail.page.chain, trail.at)
        for trail in trails
        if not trail.fault and trail.page is not None and trail.at is not None
    }
    try:
        if seen:
            heads.remember(seen, session.clock.time())
    except Failed as fault:
        ear.note(str(fault))


async def forget(session: Session, target: Expression, heads: Heads) -> tuple[str, ...]:
    """Take what these sites show next as it is; their names."""
    names = await chosen(session, target)
    heads.forget(session.fleet.sites[name].jid for name in names)
    return names
