"""When which probe of a job is due: pure arithmetic on the number of an event, so that nothing has to be stored.

A round is one visit of every target. Its `n` targets, `k` probes each (TTLs times flows), are `n * k` events at equal
distances: for each TTL all targets (TTL-major: a router sees the probes of one target spread out), in the order of
`order`. Event `e` is at `start + e * interval / (n * k)`. The packets of a burst follow at `gap`.
"""

import numpy as np

from amon.engine.messages import Spec
from amon.engine.shapes import I64, U32, Bools
from amon.engine.turn.events import Events, Later, sorted_by_due

SECOND = 1_000_000_000
ROUND_MOST = 366 * 86400 * SECOND
"""ns that a round may take: with it every moment and every number of an event fits 64 bits."""
_EVENTS_MOST = 2**62


class Schedule:
    """order: rows of the targets in the order of probing, at least one. start: monotonic ns of the first round.

    first: number of that round. random: for jitter only.
    """

    def __init__(self, order: U32, spec: Spec, start: int, first: int, random: np.random.Generator) -> None:
        self.spec = spec
        self._order = order
        self._start = start
        self._first = first
        self._random = random
        self._ttls = _ttls(spec)
        self._events = len(order) * self._ttls * spec.flows  # of one round, in one lane
        self._interval = interval_of(spec, len(order))
        self._step = self._interval / self._events
        # The packets of a burst are lanes beside each other, so that a part of it may go where not all of it may.
        lanes = spec.burst
        self._offset = (np.arange(lanes) * round(spec.gap * SECOND)).astype(np.int64)
        self._last = None if spec.rounds is None else min(spec.rounds * self._events, _EVENTS_MOST)
        self._cursor = np.zeros(lanes, np.int64)
        self._jitter = round(2 * spec.jitter * self._interval)
        self._later = Later()
        self.reach = np.full(int(order.max()) + 1, 255, np.uint8)
        """By place in the list: the TTL at which the target itself answered; it is not probed beyond."""
        self._only: Bools | None = None
        self._share = 1.0

    @property
    def rate(self) -> float:
        """Packets per second it comes to."""
        return rate_of(self.spec, len(self._order)) * self._share

    @property
    def is_over(self) -> bool:
        return self._last is not None and bool((self._cursor >= self._last).all()) and not len(self._later)

    def next_due(self) -> int | None:
        """When the next packet is due, or at the latest will be known to be; None if none is left."""
        if self.is_over:
            return None
        open_lanes = self._cursor < self._last if self._last is not None else np.ones(len(self._cursor), bool)
        dues = self._due(self._cursor[open_lanes], self._offset[open_lanes])
        found = [int(dues.min())] if len(dues) else []
        if (later := self._later.next_due()) is not None:
            found.append(later)
        return min(found)

    def take(self, until: int, most: int) -> Events:
        """What is due before this moment and was not taken yet, by due time; at most so many packets."""
        if self._jitter:
            self._later.put(self._fresh(until, 1 << 20))
            return self._later.take(until, most)
        return self._fresh(until, most)

    def skip(self, before: int) -> int:
        """Pass over all that is due before this moment. Returns how many packets that were."""
        ends = np.maximum(self._ends(before), self._cursor)
        skipped = int((ends - self._cursor).sum())
        self._cursor = ends
        return skipped + self._later.drop(before)

    def slip(self, by: int) -> None:
        """All that is not taken yet is due so many ns later."""
        self._start += by
        self._later.slip(by)

    def keep(self, which: Bools, share: float) -> None:
        """Only these are probed from now on, each when it would have been. which: by place in the list; share: of all
        that this began with."""
        self._only, self._share = which, share
        self._later.keep(which)

    def realign(self, now: int, wall: int, until: int) -> int:
        """The wall clock was stepped, and shows this now: the rounds are where they would be by it; what is due before
        `until` is taken already. Returns how many packets were passed over: of each visit at most one, however far the
        step, as no such time has gone by."""
        before, number = self._cursor, self._first
        self._start, self._first = beginning(self.spec, len(self._order), now, wall)
        self._cursor = self._ends(until)
        passed = (self._first - number) * self._events + self._cursor - before
        return int(np.where(passed > 0, passed % self._events, 0).sum())

    def wait(self, by: int) -> None:
        """The wall clock was stepped by so many ns: all waits until the clock is there, nothing is passed over."""
        self.slip(-by % self._interval)

    def _fresh(self, until: int, most: int) -> Events:
        ends = self._ends(until)
        counts = np.maximum(ends - self._cursor, 0)
        whole = int(counts.sum())
        if not whole:
            return Events.none()
        if whole > most:
            counts = self._cut(counts, most)
        lanes = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(lanes)) - np.repeat(np.cumsum(counts) - counts, counts)
        events = self._cursor[lanes] + within
        self._cursor = self._cursor + counts
        return self._told(events, lanes)

    def _cut(self, counts: I64, most: int) -> I64:
        """So many of each lane that together they are the earliest `most`."""
        if len(counts) == 1:
            return np.minimum(counts, most)
        counts = np.minimum(counts, most)
        lanes = np.repeat(np.arange(len(counts)), counts)
        within = np.arange(len(lanes)) - np.repeat(np.cumsum(counts) - counts, counts)
        due = self._due(self._cursor[lanes] + within, self._offset[lanes])
        first = np.argsort(due, kind="stable")[:most]
        chosen: I64 = np.bincount(lanes[first], minlength=len(counts)).astype(np.int64)
        return chosen

    def _told(self, events: I64, lanes: I64) -> Events:
        rounds, place = divided(events, self._events)
        turn, rank = divided(place, len(self._order))
        past, flow = divided(turn, self.spec.flows)
        target, ttl = self._order[rank], (self.spec.ttl + past).astype(np.uint8)
        number = (((self._first + rounds) * self.spec.burst + lanes) & 0xFFFF_FFFF).astype(np.uint32)
        due = self._moment(rounds, place, self._offset[lanes])
        told = Events(target, number, ttl, flow.astype(np.uint8), due)
        if self._ttls > 1:
            told = told[ttl <= self.reach[target]]
        if self._only is not None:
            told = told[self._only[told.target]]
        if self._jitter:
            told.due = told.due + self._random.integers(0, self._jitter, len(told))
        return told if len(lanes) == 1 or len(self._offset) == 1 else sorted_by_due(told)

    def _due(self, events: I64, offset: I64) -> I64:
        return self._moment(*divided(events, self._events), offset)

    def _moment(self, rounds: I64, place: I64, offset: I64) -> I64:
        due: I64 = self._start + rounds * self._interval + (place * self._step).astype(np.int64) + offset
        return due

    def _ends(self, until: int) -> I64:
        """By lane: the number of the first event that is not due before this moment."""
        rounds, rest = np.divmod(until - self._start - self._offset, self._interval)
        # The product may be off by one beside `_due`; what is wanted is the first place whose due is not before.
        place = np.minimum((rest / self._step).astype(np.int64), self._events)
        place += (place * self._step).astype(np.int64) < rest
        place -= (place > 0) & (((place - 1) * self._step).astype(np.int64) >= rest)
        ends: I64 = np.maximum(rounds * self._events + np.minimum(place, self._events), 0)
        return ends if self._last is None else np.minimum(ends, self._last)


def divided(numbers: I64, by: int) -> tuple[I64, I64]:
    """Quotients and remainders, as `np.divmod`, which takes twice the time."""
    quotients = numbers // by
    return quotients, numbers - quotients * by


def interval_of(spec: Spec, targets: int) -> int:
    """The time of one round, ns: the spec's, or longer where the job's own rate does not allow it. One that would be
    longer than `ROUND_MOST` is that and one more."""
    interval = max(1, round(spec.interval * SECOND))
    if spec.rate is None:
        return interval
    wanted = targets * _ttls(spec) * spec.flows * spec.burst / spec.rate * SECOND
    return max(interval, round(min(wanted, ROUND_MOST + 1)))


def rate_of(spec: Spec, targets: int) -> float:
    """Packets per second it comes to."""
    return targets * _ttls(spec) * spec.flows * spec.burst / interval_of(spec, targets) * SECOND


def beginning(spec: Spec, targets: int, monotonic: int, wall: int) -> tuple[int, int]:
    """When the first round begins (monotonic ns) and its number. wall: CLOCK_REALTIME, ns.

    An aligned job is in the middle of a round that began at a multiple of its interval: what of it was due before now
    has to be skipped.
    """
    if not spec.aligned:
        return monotonic, 0
    number, into = divmod(wall, interval_of(spec, targets))
    return monotonic - into, number


def _ttls(spec: Spec) -> int:
    return max(1, spec.last_ttl - spec.ttl + 1) if spec.last_ttl else 1
