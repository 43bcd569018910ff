"""Looks after jobs: lets them begin, finds their next hops, tells how they are, and ends them."""

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np

from amon.engine.asking.sums import tallies
from amon.engine.desk.server import Desk
from amon.engine.messages import Ended, Limits, Refused, Spec, State, Taken, Tally
from amon.engine.packets.frames import spec as packet_of
from amon.engine.packets.table import Table
from amon.engine.packets.targets import Targets
from amon.engine.paths.paths import Paths
from amon.engine.shapes import U16
from amon.engine.turn.hearing import Hearer
from amon.engine.turn.jobs import Edition, Job, Jobs, List
from amon.engine.turn.schedule import ROUND_MOST, SECOND, Schedule, beginning, interval_of, rate_of
from amon.engine.turn.sending import AHEAD

PUT_AT_ONCE = 1 << 16
"""Targets that get their rows in one turn, or rows that get others: 2 to 4 ms."""
RESOLVED_AT_ONCE = 256
"""Addresses whose next hop is asked for in one turn: 1 to 2 ms."""
NEIGHBOURS_WITHIN = SECOND
"""ns a new list waits for its next hops to answer; then those that have not are unsent."""
TOLD_EVERY = SECOND
MOVED_MOST = 1_000_000
"""Probes of a job that wait because jitter moved them: 18 bytes each."""


@dataclass(slots=True)
class _Putting:
    """A list on its way into rows of `Targets`, from `base` on: so many are there."""

    targets: List
    base: int | None = None
    done: int = 0


@dataclass(slots=True)
class _Resolving:
    """hops: found so far; wanted: those of targets that may be probed."""

    edition: Edition
    done: int = 0
    hops: set[int] = field(default_factory=set)
    wanted: set[int] = field(default_factory=set)


class Keeper:
    def __init__(
        self,
        jobs: Jobs,
        targets: Targets,
        table: Table,
        paths: Paths,
        desk: Desk,
        hearer: Hearer,
        begun: Callable[[Edition], None],
        monotonic: Callable[[], int],
    ) -> None:
        self._jobs, self._targets, self._table = jobs, targets, table
        self._paths = paths
        self._desk, self._hearer, self._begun, self._monotonic = desk, hearer, begun, monotonic
        self._random = np.random.default_rng()
        self._putting: _Putting | None = None
        self._resolving: deque[_Resolving] = deque()
        self._past = Tally()
        self._told = 0

    @property
    def whole(self) -> Tally:
        """Of all jobs since the start."""
        return tallies([self._past, *(self._tally(edition) for edition in self._jobs.editions.values())])

    # --- beginning

    def begin(self, job: Job, spec: Spec, targets: List, limits: Limits, apart: int) -> bool:
        """This list is probed so from now on, if it may; the client is told. Whether that is done: a long list takes
        some turns, and is to be said again in each until it is given up. apart: realtime minus monotonic, ns."""
        if self._putting is None:
            if job.current is not None and spec == job.current.spec and self._goes_on(job.current, targets):
                self._taken(job.current)
                return True
            if text := self._objection(job, spec, targets, limits):
                self._object(job, targets, text)
                return True
            self._putting = _Putting(targets)
        elif self._putting.targets is not targets:
            return False  # one after the other, none takes long
        base = self._put(self._putting)
        if base is None:
            return False
        self._putting = None
        now = self._monotonic()
        schedule = Schedule(targets.order, spec, *beginning(spec, len(targets.order), now, now + apart), self._random)
        schedule.skip(now)
        packet = packet_of(spec.size, spec.tos, spec.df)
        edition = Edition(job, targets, self._jobs.take_row(), base, packet, schedule)
        self._jobs.begin(edition)
        self._resolving.append(_Resolving(edition))
        self._taken(edition)
        self._begun(edition)
        return True

    def give_up(self, targets: List) -> None:
        """It is not to begin any more."""
        work = self._putting
        if work is not None and work.targets is targets:
            self._putting = None
            if work.base is not None:
                self._targets.free(work.base, len(targets.high))

    def _put(self, work: _Putting) -> int | None:
        """Some more of it into its rows; the first of these once all are there."""
        high, low = work.targets.high, work.targets.low
        if work.base is None:
            if not self._targets.make_room(len(high), PUT_AT_ONCE):
                return None
            work.base = self._targets.take(len(high))
        rows = slice(work.done, work.done + PUT_AT_ONCE)
        self._targets.put(work.base + work.done, high[rows], low[rows])
        work.done = rows.stop
        return work.base if work.done >= len(high) else None

    def _object(self, job: Job, targets: List, text: str) -> None:
        self._desk.send(job.client, Refused(text, job.ident))
        if job.current is None or not _covers(targets, job.current.list):
            self._jobs.stop(job)

    @staticmethod
    def _goes_on(edition: Edition, targets: List) -> bool:
        """Whether that is the list that is probed. One with an end goes on also where other targets are allowed than
        when it began: what has been probed is not probed again."""
        if targets.addresses != edition.list.addresses:
            return False
        # What is denied is told of the first thousand only.
        same = targets.denied == edition.list.denied and np.array_equal(targets.allowed, edition.list.allowed)
        return same or (edition.spec.rounds is not None and edition.judged(targets))

    def _objection(self, job: Job, spec: Spec, targets: List, limits: Limits) -> str:
        count = len(targets.order)
        if not count:
            reasons = ", ".join(f"{denied.text} ({denied.count:,})" for denied in targets.denied)
            return f"none of the targets may be probed: {reasons}"
        if not self._jobs.has_room(job.client.tenant):
            return "this engine has as many lists as it can hold; next: end some jobs"
        if interval_of(spec, count) > ROUND_MOST:
            days = ROUND_MOST // SECOND // 86400
            return f"at {spec.rate:g} packets/s a round would take more than {days} days; next: a larger rate"
        rate = rate_of(spec, count)
        if rate > limits.rate:
            wanted = f"{count:,} targets every {spec.interval:g} s come to {rate:,.0f} packets/s"
            return f"{wanted}, and {job.client.tenant} may send {limits.rate:,.0f}; next: a longer interval, or `rate`"
        moved = rate * spec.jitter * interval_of(spec, count) / SECOND
        if moved > MOVED_MOST:
            return f"its jitter makes {moved:,.0f} probes wait, {MOVED_MOST:,} may at a time; next: a smaller jitter"
        if rate * spec.timeout > limits.in_flight and spec.rounds is None:
            wanted = f"{rate:,.0f} packets/s that wait {spec.timeout:g} s for an answer are {rate * spec.timeout:,.0f}"
            return f"{wanted} under way, and {limits.in_flight:,} may be; next: a shorter timeout"
        return ""

    def _taken(self, edition: Edition) -> None:
        count = int(np.count_nonzero(edition.probed))
        taken = Taken(edition.job.ident, count, edition.schedule.rate, edition.denied, edition.job.editions - 1)
        self._desk.send(edition.job.client, taken)

    def realign(self, apart: int, by: int) -> None:
        """The wall clock was stepped by so many ns. apart: realtime minus monotonic since then."""
        now = self._monotonic()
        for edition in self._jobs.probed:
            if edition.spec.aligned:
                edition.realign(now, apart, by, AHEAD)

    # --- next hops

    @property
    def is_resolving(self) -> bool:
        return bool(self._resolving)

    def resolve(self) -> bool:
        """Ask for the next hops of a few addresses more. Whether a list is ready to be probed now."""
        if not self._resolving:
            return False
        work = self._resolving.popleft()
        edition = work.edition
        if self._jobs.editions.get(edition.row) is not edition:
            return False
        first, end = work.done, min(work.done + RESOLVED_AT_ONCE, edition.count)
        rows = slice(edition.base + first, edition.base + end)
        found = self._paths.resolve(edition.list.high[first:end], edition.list.low[first:end])
        self._targets.hop[rows] = found
        for hops in (work.hops, edition.hops):
            hops.update(found.tolist())
        work.wanted.update(found[edition.list.allowed[first:end]].tolist())
        work.done = end
        if end < edition.count:
            self._resolving.append(work)  # a short list is not to wait for a long one
            return False
        edition.hops = work.hops
        if not self._resolving:
            self._paths.keep(self._hops_in_use())
        return self._ready(work)

    def resolve_again(self) -> None:
        """The ways may be others now. What is probed goes on as it was until its next hops are found anew."""
        waiting = {id(work.edition) for work in self._resolving if work.edition.resolved < work.edition.count}
        self._resolving = deque(work for work in self._resolving if id(work.edition) in waiting)
        again = (edition for edition in self._jobs.probed if id(edition) not in waiting)
        self._resolving.extend(_Resolving(edition) for edition in again)

    def _ready(self, work: _Resolving) -> bool:
        """A new list whose next hops are found; whether it can be probed now."""
        edition = work.edition
        if edition.is_resolved:
            return False
        now = self._monotonic()
        edition.wait_until = edition.wait_until or now + NEIGHBOURS_WITHIN
        if now < edition.wait_until and not self._paths.hops.usable[list(work.wanted)].all():
            self._resolving.append(work)
            return False
        edition.resolved = edition.count
        if not edition.spec.aligned:
            edition.slip(now)
        return True

    def _hops_in_use(self) -> U16:
        used: set[int] = set().union(*(one.hops for one in self._jobs.editions.values()))
        return np.array(sorted(used), np.uint16)

    # --- going on, and ending

    def tidy(self, now: int, held: Iterable[int]) -> bool:
        """End what is over; tell how the others are. Whether an edition is gone. Hand out first: of what is over
        nothing is handed out any more."""
        tell = now - self._told >= TOLD_EVERY
        if tell:
            self._told = now
        gone = False
        for job in self._jobs:
            if job.current is not None and job.current.schedule.is_over:
                self._jobs.stop(job)
            for edition in [edition for edition in job.ending if self._is_done(edition)]:
                self._forget(edition)
                gone = True
            if job.over and not job.ending:
                self._jobs.remove(job)
                self._desk.send(job.client, Ended(job.ident, job.past))
            elif tell:
                self._tell(job, held)
        return gone

    def _tell(self, job: Job, held: Iterable[int]) -> None:
        tally = tallies([job.past, *(self._tally(edition) for edition in job.all_editions)])
        state = State(job.ident, tally, job.paused, id(job.client) in held)
        if state != job.told:
            job.told = state
            self._desk.send(job.client, state)

    def _is_done(self, edition: Edition) -> bool:
        tally = self._tally(edition)
        return not tally.ahead and not tally.in_flight

    def _forget(self, edition: Edition) -> None:
        self._hearer.flush(edition)
        tally = self._tally(edition)
        self._table.forget(edition.row)
        self._targets.free(edition.base, edition.count)
        self._jobs.forget(edition)
        edition.job.past = tallies([edition.job.past, tally])
        self._past = tallies([self._past, tally])

    def _tally(self, edition: Edition) -> Tally:
        row, columns = edition.row, self._table.counts  # which grow with the rows that were probed
        counts = {
            name: int(column[row]) if row < len(column) else 0 for name, column in columns.items() if name != "ahead"
        }
        ahead = edition.scheduled - edition.skipped - counts["sent"] - counts["unsent"]
        return Tally(scheduled=edition.scheduled, skipped=edition.skipped, ahead=ahead, **counts)


def _covers(judged: List, probed: List) -> bool:
    """Whether all that is probed may still be, as far as this list says it."""
    if judged.addresses != probed.addresses:
        return True
    return not (probed.allowed & ~judged.allowed).any()
