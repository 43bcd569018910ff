"""Whatever the plan, the fleet and the sites' luck: the promises of a rollout hold, and its book closes in time."""

import math
from dataclasses import dataclass, field

from hypothesis import given, settings
from hypothesis import strategies as st

from amon.job import Book, Plan, Rollout, Wait, sample
from amon.job.plan import FAILURES
from amon.words import Answer, Outcome, State

NAMES = tuple(f"s{number}" for number in range(8))
START, ACCEPT_BY, DEADLINE, GRACE = 1000.0, 5.0, 30.0, 2.0
EACH = DEADLINE + GRACE
MOST_STEPS = 1000

PLANS = st.builds(
    Plan,
    batch=st.integers(0, 5),
    canary=st.integers(0, 4),
    max_failures=st.none() | st.integers(0, 3),
    splay=st.sampled_from([0.0, 0.0, 3.0, 60.0]),
    within=st.none() | st.sampled_from([0.0, 10.0, 100.0]),
)


@dataclass(frozen=True)
class Luck:
    """What becomes of a site once it is asked: after so many seconds that; or it bounces, or asks a person back."""

    after: float
    kind: str  # a state, or bounced, gone, silent, hangs, asks
    thinks: float = 0.0


LUCKS = st.builds(
    Luck,
    st.sampled_from([0.0, 0.1, 4.0, 29.0, 40.0]),
    st.sampled_from(["done", "done", "done", "failed", "refused", "bounced", "gone", "silent", "hangs", "asks"]),
    st.sampled_from([0.0, 1.0, 500.0]),
)


@dataclass
class World:
    """Plays a whole job: only time that something is due at, or something happens at, is visited."""

    plan: Plan
    lucks: dict[str, Luck]
    online: frozenset[str]
    cancel_at: float
    now: float = START
    begun: list[str] = field(default_factory=list)
    begun_at: dict[str, float] = field(default_factory=dict)
    thought: float = 0.0
    events: list[tuple[float, str, str]] = field(default_factory=list)

    def play(self) -> None:
        self.rollout = Rollout(self.plan, NAMES, self.online, START)
        ends = self.rollout.ends_at
        self.book = Book("01J", NAMES, START, ACCEPT_BY, DEADLINE, GRACE, turns=True, ends=ends)
        self.latest = self.rollout.latest_end(EACH)
        for _ in range(MOST_STEPS):
            self.turn()
            if self.book.closed:
                return
            dues = [self.book.next_due(), self.rollout.next_due(), self.cancel_at, *(at for at, _, _ in self.events)]
            due = min(due for due in dues if due is not None)
            assert due < math.inf, "nothing is due and the book is open"
            self.now = max(due, self.now)
            for event in sorted(event for event in self.events if event[0] <= self.now):
                self.events.remove(event)
                self.happen(*event[1:])
            if self.now >= self.cancel_at:
                self.cancel_at = math.inf
                self.rollout.stop("cancelled")
                self.book.cancel(self.now)
        raise AssertionError("it is always due and never done")

    def turn(self) -> None:
        self.book.tick(self.now)
        names = self.rollout.ready(self.book, self.now)
        if self.rollout.stopped:
            assert names == ()
            self.book.stop(self.rollout.stopped, self.now)
        for name in names:
            self.begin(name)

    def begin(self, name: str) -> None:
        book, plan = self.book, self.plan
        assert name not in self.begun, "begun twice"
        if name not in self.rollout.canaries:
            assert all(book[canary].state is State.done for canary in self.rollout.canaries), "before its canaries"
        failures = sum(book.counts().get(state, 0) for state in FAILURES)
        assert plan.max_failures is None or failures <= plan.max_failures, "after too many failures"
        assert plan.within is None or self.now < START + plan.within, "after the time of the whole job"
        book.ask(name, self.now)
        self.begun.append(name)
        self.begun_at[name] = self.now
        assert not plan.batch or book.under_way <= plan.batch, "more than a batch"
        luck = self.lucks[name]
        self.events.append((self.now + luck.after, name, luck.kind))

    def happen(self, name: str, kind: str) -> None:
        book, luck = self.book, self.lucks[name]
        if kind == "bounced":
            book.bounced(name, self.now)
        elif kind == "gone":
            book.gone(name, self.now)
        elif kind == "hangs":
            book.accepted(name, self.now)
        elif kind == "asks":
            book.hold(name, self.now)
            self.thought += luck.thinks + luck.after
            self.events.append((self.now + luck.thinks, name, "yes"))
        elif kind == "yes":
            if not book[name].state.ended:
                book.ask(name, self.now)
                self.events.append((self.now + luck.after, name, "done"))
        elif kind != "silent":
            book.ended(Outcome(name, State(kind), Answer(kind)), self.now)


@settings(max_examples=400, deadline=None)
@given(
    plan=PLANS,
    lucks=st.fixed_dictionaries(dict.fromkeys(NAMES, LUCKS)),
    online=st.frozensets(st.sampled_from(NAMES)),
    cancel_at=st.sampled_from([math.inf, math.inf, START, START + 7.0, START + 100.0]),
)
def test_the_promises_of_a_rollout(
    plan: Plan, lucks: dict[str, Luck], online: frozenset[str], cancel_at: float
) -> None:
    world = World(plan, lucks, online, cancel_at)
    world.play()
    rows = {row.site: row for row in world.book.rows()}
    assert all(row.state.ended for row in rows.values())
    assert world.now <= world.latest + world.thought + EACH * bool(world.thought)
    for name, row in rows.items():
        if name not in world.begun:
            assert row.state is State.not_started
            assert row.text
        assert row.waits is Wait.nothing
    if len(world.begun) < len(NAMES):
        assert world.rollout.stopped or plan.within is not None
    gaps = sorted(world.begun_at[name] for name in world.begun if name not in world.rollout.canaries)
    if plan.splay and len(gaps) > 1:
        rest = len(NAMES) - len(world.rollout.canaries)
        assert gaps[-1] - START >= plan.splay * (len(gaps) - 1) / rest - 1e-6
    chosen = [name in online for name in world.rollout.canaries]
    assert chosen == sorted(chosen, reverse=True)
    assert sum(chosen) == min(plan.canary, len(online), len(NAMES))


@settings(max_examples=100, deadline=None)
@given(names=st.lists(st.text(max_size=5), unique=True, max_size=30), limit=st.integers(0, 40), seed=st.integers())
def test_a_sample_is_a_part_in_order_and_always_the_same(names: list[str], limit: int, seed: int) -> None:
    drawn = sample(names, limit, seed)
    assert drawn == sample(names, limit, seed)
    assert len(drawn) == min(limit, len(names))
    assert [name for name in names if name in drawn] == list(drawn)
    assert set(drawn) == set(sample(list(reversed(names)), limit, seed))
