"""What a job said, added up and checked: each probe has one end, in the rows and in the tally alike."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from amon.engine.asking.asked import Gap, Job
from amon.engine.asking.client import Engine
from amon.engine.messages import COLUMNS, STATES, Batch, Ended, Spec, State, Taken, Tally


@dataclass(slots=True)
class Book:
    """rows: by place in the list and state, how many. states: by state. ends: of which list and number. tally: at last.

    keep: called with every batch.
    """

    keep: Callable[[Batch], None] = lambda batch: None
    rows: Counter[tuple[int, str]] = field(default_factory=Counter)
    states: Counter[str] = field(default_factory=Counter)
    kinds: Counter[tuple[int, int]] = field(default_factory=Counter)
    """ICMP type and code, of unreachable ones."""
    sent: list[int] = field(default_factory=list)
    """Epoch ns of each probe that was sent, once."""
    batches: int = 0
    gaps: list[Gap] = field(default_factory=list)
    told: list[State] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    text: str = ""

    async def listen(self, job: Job) -> "Book":
        """Until it has ended."""
        async for report in job:
            self.take(report)
        return self

    def take(self, report: "Taken | Batch | State | Ended | Gap") -> None:
        match report:
            case Batch():
                assert report.seq == self.batches, f"batch {report.seq} after {self.batches - 1}"
                self.batches += 1
                self._enter(report)
                self.keep(report)
            case Ended():
                self.tally, self.text = report.tally, report.text
            case State():
                self.told.append(report)
                balanced(report.tally)
            case Gap():
                self.gaps.append(report)

    def _enter(self, batch: Batch) -> None:
        columns = {name: column(batch, name) for name in ("target", "state", "type", "code", "sent")}
        for target, state, kind, code, sent in zip(*columns.values(), strict=True):
            name = STATES[state]
            self.rows[target, name] += 1
            self.states[name] += 1
            if name == "unreachable":
                self.kinds[kind, code] += 1
            if name not in ("late", "unsent"):
                self.sent.append(sent)

    def of(self, places: Iterable[int]) -> dict[str, int]:
        """Rows of these targets, by state."""
        wanted = set(places)
        found: Counter[str] = Counter()
        for (target, state), count in self.rows.items():
            if target in wanted:
                found[state] += count
        return dict(found)

    def check(self) -> "Book":
        """The rows say what the tally says; a late row amends one that was called lost."""
        tally = self.tally
        balanced(tally)
        assert (tally.in_flight, tally.ahead) == (0, 0), tally
        said = {
            "answered": tally.answered,
            "unreachable": tally.unreachable,
            "hop": tally.hops,
            "lost": tally.lost + tally.late,
            "late": tally.late,
            "unsent": tally.unsent,
        }
        assert {name: self.states[name] for name in STATES} == said, tally
        return self


def balanced(tally: Tally) -> None:
    """The two equations of `messages.Tally`."""
    assert tally.scheduled == tally.skipped + tally.ahead + tally.sent + tally.unsent, tally
    ends = tally.answered + tally.unreachable + tally.hops + tally.lost + tally.late
    assert tally.sent == ends + tally.in_flight, tally


def column(batch: Batch, name: str) -> "list[int]":
    """One item for each row."""
    assert name in COLUMNS
    values = batch.column(name).tolist()
    return values if len(values) == batch.rows else values * batch.rows


async def book_of(engine: Engine, spec: Spec, addresses: Iterable[str]) -> Book:
    """Of a job with so many rounds: begun, listened to until it has ended, checked."""
    assert spec.rounds is not None
    job = await engine.begin(spec, list(addresses))
    return (await Book().listen(job)).check()
