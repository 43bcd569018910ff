"""How a job is spread over its sites: so many at a time, some first, no more after too many failures. Pure.

Sources of the words: Salt's `--batch` (sliding: a new one begins as soon as one has ended), Choria's `--limit` with a
seed, the canary of release engineering.
"""

import math
import secrets
from collections import deque
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Protocol

from amon.errors import Invalid
from amon.job.rows import Row
from amon.words import State

MOST_SHARE = 1_000_000
_SEEDS = 1_000_000
_LONGEST_REASON = 200  # characters of what a canary said

FAILURES = frozenset({State.failed, State.lost, State.silent, State.refused, State.invalid})
"""The ends that count for `max_failures`: something went wrong there, or may have, or the site would not do it.

`not-here` and `expired` do not count, because nothing happened there: how many sites are switched off says nothing of
whether the change is good, and a fleet of which a tenth sleeps could never be rolled over. `cancelled` and
`not-started` are the asker's own doing, and of `running` nobody knows yet. A late report that puts a `silent` right
takes it out of the count again; a job that was stopped stays stopped all the same.
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """How a job is spread over its sites; the default is all at once. Times in seconds.

    batch: so many sites at a time, a new one as soon as one has ended; 0: no limit. canary: so many first, those that
    are online before others; the rest begins only when all of them are done. max_failures: when more sites than that
    have not ended well (`FAILURES`) no other is begun; None: however many. splay: beginnings are spread evenly over
    that time, of the canaries and of the rest each. within: after that time no other site is begun; those under way
    keep the time that their request gave them. seed: what `sample` drew the sites with, to tell it and draw them again.
    """

    batch: int = 0
    canary: int = 0
    max_failures: int | None = None
    splay: float = 0.0
    within: float | None = None
    seed: int = 0


ALL_AT_ONCE = Plan()


class Standing(Protocol):
    """What a rollout reads of a book (`amon.job.Book`)."""

    @property
    def under_way(self) -> int:
        """Rows that were begun and have not ended, those that ask back among them."""
        ...

    @property
    def waiting(self) -> int:
        """Rows that were not begun: their turn has not come, or they wait for their site to come online."""
        ...

    @property
    def tally(self) -> Mapping[State, int]:
        """How many rows are in each state."""
        ...

    def __getitem__(self, site: str) -> Row: ...


class Rollout:
    """Whose turn it is. Feed it with the book and the time; ask the sites that it names.

        names = rollout.ready(book, now)     # whose turn it is: each name comes at most once (but see `back`)
        if rollout.stopped:
            book.stop(rollout.stopped, now)  # who still waits is not-started, with the reason
        for name in names:
            book.ask(name, now)              # and send it

    It keeps: at most `batch` rows are under way; nobody but canaries begins before all canaries are done; after it has
    stopped nobody begins; nobody begins before his share of the splay or after `within`. It takes no row for under way
    that the book does not, so every name it gives has to be begun (`ask`), held or ended before it is asked again.
    Since every row that was begun ends by itself (the book's first rule), every turn comes.
    """

    def __init__(
        self, plan: Plan, names: Sequence[str], online: Container[str], now: float, begun: Sequence[str] = ()
    ) -> None:
        """online: who is seen to be there now; they are canaries first. now: of the clock that the book is fed with.

        begun: those of the names that an earlier rollout of this job has begun. As long as they are no more than the
        canaries, they are canaries; else the canaries were done.
        """
        self.plan = plan
        before = frozenset(begun)
        left = [name for name in names if name not in before]
        self.canaries: tuple[str, ...] = ()
        if len(before) <= plan.canary:
            more = sorted(left, key=lambda name: name not in online)[: plan.canary - len(before)]
            self.canaries = (*begun, *more)
        chosen = frozenset(self.canaries)
        self.stopped = ""
        """Why no other site is begun; empty as long as they are."""
        self.ends_at = math.inf if plan.within is None else now + plan.within
        """When the last site may begin, on the clock of `now`."""
        rest = tuple(name for name in left if name not in chosen)
        first = tuple(name for name in self.canaries if name not in before)
        self._stages = deque([first, rest] if self.canaries else [rest])
        self._line: deque[str] = deque()
        self._opened = now  # when this stage began
        self._each = 0.0  # seconds between two beginnings
        self._begun = 0  # beginnings in this stage
        self._gate = self.canaries  # who has to be done before the next stage
        self._next: float | None = None
        self._now = now
        self._open_stage(now)

    def ready(self, book: Standing, now: float) -> tuple[str, ...]:
        """Whose turn it is now; nobody once it has `stopped`. Those whose row has ended meanwhile are passed over."""
        self._now = now = max(now, self._now)
        self._next = None
        if not book.waiting:  # time or somebody else has ended who was still in line
            self._end_line()
            return ()
        if not self.stopped:
            self.stopped = self._why_stop(book, now)
        if self.stopped:
            self._end_line()
            return ()
        if self._stages and not self._line and self._gate_passed(book):
            self._gate = ()
            self._open_stage(now)
        return self._take(book, now)

    def back(self, name: str) -> None:
        """It was its turn and it was not there; now it is: it goes to the head of the line."""
        if not self.stopped:
            self._line.appendleft(name)
            self._begun -= 1

    def stop(self, why: str) -> None:
        """Begin nobody any more."""
        self.stopped = self.stopped or why

    def next_due(self) -> float | None:
        """When `ready` is needed next, besides each time that a row has ended. None: only then."""
        if self.stopped or not (self._line or any(self._stages)):
            return None
        dues = [due for due in (self._next, self.ends_at) if due is not None and due < math.inf]
        return min(dues) if dues else None

    def upcoming(self, most: int) -> tuple[str, ...]:
        """Those whose turn comes next, in order: what is signed ahead for them holds for a while."""
        found: list[str] = []
        for stage in (self._line, *self._stages):
            found += list(stage)[: most - len(found)]
        return tuple(found)

    def latest_end(self, each: float) -> float:
        """When the last row has ended at the latest, if each takes at most `each` seconds from its beginning.

        Of a job that nobody answers a question of, and that waits for no site to come online.
        """
        at = self._opened
        stages = [len(stage) for stage in (self._line, *self._stages) if stage]
        for count in stages:
            rounds = math.ceil(count / self.plan.batch) if self.plan.batch else 1
            at += self.plan.splay + rounds * each
        return min(at, self.ends_at + each)

    def _end_line(self) -> None:
        self._line.clear()
        self._stages.clear()

    def _open_stage(self, now: float) -> None:
        names = self._stages.popleft()
        self._line.extend(names)
        self._opened, self._begun = now, 0
        self._each = self.plan.splay / max(1, len(names))

    def _why_stop(self, book: Standing, now: float) -> str:
        if now >= self.ends_at:
            return "the time of the whole job was up before its turn came"
        for name in self._gate:
            row = book[name]
            if row.state.ended and row.state is not State.done:
                said = row.text.partition("\n")[0][:_LONGEST_REASON]
                return f"the canary {name} is {row.state}" + (f": {said}" if said else "")
        most, failures = self.plan.max_failures, sum(book.tally.get(state, 0) for state in FAILURES)
        if most is not None and failures > most:
            return f"{failures} {'site' if failures == 1 else 'sites'} had not ended well; --max-failures is {most}"
        return ""

    def _gate_passed(self, book: Standing) -> bool:
        return all(book[name].state is State.done for name in self._gate)

    def _take(self, book: Standing, now: float) -> tuple[str, ...]:
        room = self.plan.batch - book.under_way if self.plan.batch else len(self._line)
        taken: list[str] = []
        while self._line and len(taken) < room:
            if not book[self._line[0]].waits:
                self._line.popleft()
                continue
            at = self._opened + self._begun * self._each
            if at > now:
                self._next = at
                break
            taken.append(self._line.popleft())
            self._begun += 1
        return tuple(taken)


def parse_share(text: str, of: int, least: int = 1) -> int:
    """`10` or `10%` of so many sites, as a number of sites; rounded down, but not below `least`. `Invalid` if neither.

    least: 0 where none at all is a number, too, as for failures.
    """
    number, percent, rest = text.strip().partition("%")
    try:
        if rest or len(number) > 20 or not set(number.strip()) <= set("0123456789."):
            raise ValueError
        value = float(number)
        if percent:
            if value > 100:
                raise Invalid(f"{text!r} is more than all sites; at most 100%")
            wanted = math.floor(value * of / 100)
            return max(wanted, least) if value else _at_least(0, text, least)
        return _at_least(int(number), text, least)
    except ValueError:
        said = f"expected a number of sites such as '10', or a share of them such as '10%', not {text[:40]!r}"
        raise Invalid(said) from None


def _at_least(value: int, text: str, least: int) -> int:
    if not least <= value <= MOST_SHARE:
        raise Invalid(f"{text!r} is out of range: at least {least} and at most {MOST_SHARE}")
    return value


def draw_seed() -> int:
    """A seed for `sample` where nobody gave one; tell it, so that the same sites can be drawn again."""
    return secrets.randbelow(_SEEDS)


def sample(names: Sequence[str], limit: int, seed: int) -> tuple[str, ...]:
    """So many of these names, drawn by the seed, in the order they came in.

    The same for the same names and seed wherever and whenever it is drawn, since each name has its own lot: where a
    site came to the fleet or left it, the others' lots are what they were.
    """
    drawn = frozenset(sorted(names, key=lambda name: _lot(name, seed))[: max(0, limit)])
    return tuple(name for name in names if name in drawn)


def _lot(name: str, seed: int) -> tuple[bytes, str]:
    return sha256(f"{seed}\n{name}".encode()).digest(), name


def describe(plan: Plan) -> Iterable[str]:
    """The plan in words, a part each."""
    if plan.canary:
        yield f"{plan.canary} first"
    if plan.batch:
        yield f"{plan.batch} at a time"
    if plan.max_failures is not None:
        yield f"stops after more than {plan.max_failures} {'failure' if plan.max_failures == 1 else 'failures'}"
    if plan.splay:
        yield f"spread over {plan.splay:g} s"
    if plan.within is not None:
        yield f"none is begun after {plan.within:g} s"
