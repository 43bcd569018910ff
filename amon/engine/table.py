"""Every probe from its slot to its end: under way, answered, lost, late; and what came in beside that.

A slot is a number that grows with each probe and is written into the packet; its cell is the slot modulo the table's
size. A cell is used again when its last probe has ended, the longest unused first; until then a reply that comes too
late still finds its probe. At each moment, for each job,

    sent = answered + unreachable + hops + lost + late + in_flight

RTTs are reckoned when rows are handed out, because replies come before the call that sends them has returned.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.columns import joined, picked
from amon.engine.decode import FULL, NAMED, Replies
from amon.engine.shapes import I64, U8, U16, U32, U64, Bools, Probes
from amon.engine.targets import Targets

COUNTS: Final = (
    "sent", "unsent", "answered", "unreachable", "hops", "lost", "late", "in_flight", "ahead",
    "duplicate", "forged", "wrong_source",
)  # fmt: skip
"""What is counted for each job, as in `messages.Tally`. ahead: has a slot and is neither sent nor unsent."""
STRAYS: Final = ("foreign", "truncated", "bad_checksum", "odd", "forged", "stale")
"""What is counted for nobody. forged: no such slot. stale: the slot's cell is another probe's by now."""
_LOST, _ANSWERED, _UNREACHABLE, _HOP, _LATE, _UNSENT = range(6)  # as in messages.STATES
_BY_STATE: Final = ("lost", "answered", "unreachable", "hops", "late", "unsent")

# What a cell holds. The first three may be used again.
_FREE, _GONE, _DONE, _TAKEN, _OPEN, _EARLY, _REPLIED, _OVERDUE, _GIVEN_UP = range(9)
# A reply makes of it; 0: it is a duplicate. _GONE was handed out as lost. _EARLY: replied, but not yet told as sent.
_REPLY_MAKES = np.array([0, _OVERDUE, 0, _EARLY, _REPLIED, 0, 0, 0, 0], np.uint8)
_CHUNK = 1024
_WHOLE = 0xFFFF_FFFF
_NEVER = np.iinfo(np.int64).max


@dataclass(slots=True)
class Closed:
    """Probes whose end is known. Of a lost or unsent one the last columns are 0. tx, rtt: ns; tx of CLOCK_MONOTONIC.

    state: place in `messages.STATES`. A late row follows the lost one that it amends. type, code: of the ICMP answer.
    hops: TTL left in it. source: who sent it.
    """

    job: U16
    target: U32
    number: U32
    ttl: U8
    flow: U8
    tx: I64
    rtt: I64
    state: U8
    hops: U8
    type: U8
    code: U8
    mtu: U16
    source_high: U64
    source_low: U64

    def __len__(self) -> int:
        return len(self.job)


@dataclass(slots=True)
class _Answers:
    """Replies that are the first to their probe and not handed out yet."""

    cell: I64
    kind: U8
    type: U8
    code: U8
    hops: U8
    mtu: U16
    source_high: U64
    source_low: U64
    rx: I64


class Table:
    """size: cells, a power of two, at least 1024: how many probes may be under way, and better twice as many, so that
    late replies find their probe. About 41 bytes each, taken from the system as they are used."""

    def __init__(self, size: int) -> None:
        if size < _CHUNK or size & (size - 1):
            raise ValueError(f"a table has a power of two of cells, at least {_CHUNK}, not {size}")
        self.size = size
        self._state: U8 = np.zeros(size, np.uint8)
        self._slot: U32 = np.zeros(size, np.uint32)
        self._nonce: U64 = np.zeros(size, np.uint64)
        self._job: U16 = np.zeros(size, np.uint16)
        self._target: U32 = np.zeros(size, np.uint32)
        self._number: U32 = np.zeros(size, np.uint32)
        self._ttl: U8 = np.zeros(size, np.uint8)
        self._flow: U8 = np.zeros(size, np.uint8)
        self._tx: I64 = np.zeros(size, np.int64)
        self._deadline: I64 = np.zeros(size, np.int64)  # until it is sent: the timeout
        self._earliest: I64 = np.full(size // _CHUNK, _NEVER)  # no open cell of the chunk is due before
        self._position = size  # of the next cell to look at; grows for ever
        self._busy = 0
        self._answers: list[_Answers] = []
        self._given_up: list[I64] = []
        self._since: I64 = np.full(64, -1, np.int64)  # per job: position of its first probe
        self.counts: dict[str, U64] = {name: np.zeros(64, np.uint64) for name in COUNTS}
        """By the names of `COUNTS`, by row of the job. They grow, so take them anew from here each time."""
        self.strays: dict[str, int] = dict.fromkeys(STRAYS, 0)
        """By the names of `STRAYS`, since the start."""

    @property
    def busy(self) -> int:
        """Cells that cannot be taken: crafted, under way, or not handed out yet."""
        return self._busy

    def take(self, probes: Probes, nonces: U64, timeouts: I64) -> U32:
        """A slot for each of the probes, as far as there are any: fewer than asked if the table is full. Ascending,
        but with gaps where a cell is not free. timeouts: ns."""
        positions = self._find(len(probes))
        count = len(positions)
        if not count:
            return np.empty(0, np.uint32)
        cells, slots = positions & (self.size - 1), positions.astype(np.uint32)
        jobs = probes.job[:count]
        self._know(jobs, int(positions[0]))
        self._state[cells] = _TAKEN
        self._slot[cells] = slots
        self._nonce[cells] = nonces[:count]
        self._job[cells] = jobs
        self._target[cells], self._number[cells] = probes.target[:count], probes.number[:count]
        self._ttl[cells], self._flow[cells] = probes.ttl[:count], probes.flow[:count]
        self._deadline[cells] = timeouts[:count]
        self._busy += count
        self._add("ahead", jobs)
        return slots

    def sent(self, slots: U32, stamps: I64) -> None:
        """These went out at these moments. Of what was forgotten nothing is done."""
        cells, mine = self._taken(slots)
        if not mine.all():
            cells, stamps = cells[mine], stamps[mine]
        state = self._state[cells]
        self._state[cells] = np.where(state == _EARLY, np.uint8(_REPLIED), np.uint8(_OPEN))
        self._tx[cells] = stamps
        deadlines = self._deadline[cells] + stamps
        self._deadline[cells] = deadlines
        if len(cells):
            chunks = cells // _CHUNK
            self._earliest[chunks] = np.minimum(self._earliest[chunks], deadlines.min())
        jobs = self._job[cells]
        self._add("sent", jobs)
        self._add("in_flight", jobs)
        self._take_off("ahead", jobs)

    def unsent(self, slots: U32) -> None:
        """These never went out; they come out of the next `close`."""
        cells, mine = self._taken(slots)
        cells = cells[mine]
        self._state[cells] = _GIVEN_UP
        self._given_up.append(cells)
        self._add("unsent", self._job[cells])
        self._take_off("ahead", self._job[cells])

    def match(self, replies: Replies, targets: Targets) -> None:
        """Finds the probe of each reply. The first reply that bears the nonce (or, where only the beginning of the
        probe is quoted, its slot) and is about its target is its answer; the others are counted."""
        for name in ("foreign", "truncated", "bad_checksum", "odd"):
            self.strays[name] += getattr(replies, name)
        if not len(replies):
            return None
        cells = (replies.slot & np.uint32(self.size - 1)).astype(np.int64)
        known = (self._slot[cells] == replies.slot) & (self._state[cells] != _FREE)
        short = replies.how != FULL
        if short.any():
            self._search(replies, targets, short, cells, known)
        self._count_strays(replies, short, known)
        ours = short | (self._nonce[cells] == replies.nonce)
        place = self._target[cells]
        right = (targets.high[place] == replies.quoted_high) & (targets.low[place] == replies.quoted_low)
        good = known & ours & right
        if good.all():
            return self._accept(replies, cells)
        self._add("forged", self._job[cells[known & ~ours]])
        self._add("wrong_source", self._job[cells[known & ours & ~right]])
        rows = np.flatnonzero(good)
        return self._accept(picked(replies, rows), cells[rows])

    def jobs_of(self, slots: U32) -> U16:
        """The rows of the jobs that have, or had last, the cells of these slots."""
        return self._job[slots & np.uint32(self.size - 1)]

    def close(self, now: int) -> Closed:
        """What has ended by now, once. Drain first: what is not matched by now and due is called lost."""
        parts = [self._close_lost(now)]
        if self._given_up:
            cells = np.concatenate(self._given_up)
            self._given_up = []
            cells = cells[self._state[cells] == _GIVEN_UP]
            parts.append(self._closed(cells, _UNSENT))
            self._release(cells, _FREE)
        parts += self._close_answered()
        return joined(parts)

    def forget(self, job: int) -> dict[str, int]:
        """The row is free for another job. What of it was not handed out counts as lost, what is not sent as unsent.
        Returns the counts at its end, by name."""
        if job >= len(self._since):
            return dict.fromkeys(COUNTS, 0)
        cells = self._cells_of(job)
        self._answers = [picked(one, self._job[one.cell] != job) for one in self._answers]
        self._given_up = [one[self._job[one] != job] for one in self._given_up]
        self._busy -= int((self._state[cells] > _DONE).sum())
        self._state[cells] = _FREE
        self._since[job] = -1
        last = {name: int(column[job]) for name, column in self.counts.items()}
        last["lost"] += last["in_flight"]
        last["unsent"] += last["ahead"]
        last["in_flight"] = last["ahead"] = 0
        for column in self.counts.values():
            column[job] = 0
        return last

    # --- cells

    def _find(self, most: int) -> I64:
        """Positions of so many cells that may be used again, at most; moves on behind them."""
        wanted = min(most, self.size - self._busy)
        found: list[I64] = []
        while wanted:
            cell = self._position & (self.size - 1)
            window = self._state[cell : cell + max(wanted, _CHUNK)]
            free = np.flatnonzero(window <= _DONE)[:wanted]
            found.append(free + self._position)
            wanted -= len(free)
            self._position += len(window) if wanted else int(free[-1]) + 1
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def _taken(self, slots: U32) -> tuple[I64, Bools]:
        cells = (slots & np.uint32(self.size - 1)).astype(np.int64)
        state = self._state[cells]
        return cells, ((state == _TAKEN) | (state == _EARLY)) & (self._slot[cells] == slots)

    def _cells_of(self, job: int) -> I64:
        since = int(self._since[job])
        if since < 0:
            return np.empty(0, np.int64)
        if self._position - since >= self.size:
            since = self._position - self.size
        cells: I64 = np.arange(since, self._position) & (self.size - 1)
        mine: I64 = cells[(self._job[cells] == job) & (self._state[cells] != _FREE)]
        return mine

    def _release(self, cells: I64, state: int) -> None:
        self._state[cells] = state
        self._busy -= len(cells)

    # --- replies

    def _search(self, replies: Replies, targets: Targets, short: Bools, cells: I64, known: Bools) -> None:
        """Puts in the cells of the replies that have no nonce: by slot and target; or, where the IPv4 id says nothing,
        the youngest probe to this target that has this half of a slot, before all one that is under way."""
        place = self._target[cells]
        fits = (targets.high[place] == replies.quoted_high) & (targets.low[place] == replies.quoted_low)
        rows = np.flatnonzero(short & ~((replies.how == NAMED) & known & fits))
        low = replies.slot[rows] & np.uint32(0xFFFF)
        several = (low & np.uint32(self.size - 1)).astype(np.int64)[:, None] + np.arange(0, self.size, 0x10000)
        place, slots, state = self._target[several], self._slot[several], self._state[several]
        fits = (targets.high[place] == replies.quoted_high[rows, None]) & (slots & np.uint32(0xFFFF) == low[:, None])
        fits &= (targets.low[place] == replies.quoted_low[rows, None]) & (state != _FREE)
        age = (np.uint32(self._position & _WHOLE) - slots).astype(np.int64) + np.where(state < _TAKEN, _WHOLE, 0)
        best = np.where(fits, age, _NEVER).argmin(axis=1)
        each = np.arange(len(rows))
        cells[rows] = several[each, best]
        known[rows] = fits[each, best]

    def _count_strays(self, replies: Replies, short: Bools, known: Bools) -> None:
        """Of those without a probe. What has a slot that we gave once is old, the rest was made up."""
        if known.all():
            return
        lost = ~known & ~short
        ago = np.uint32(self._position & _WHOLE) - replies.slot[lost]
        stale = int(((ago > 0) & (ago <= min(self._position - self.size, 2**31))).sum())
        self.strays["stale"] += stale
        self.strays["forged"] += int((~known).sum()) - stale

    def _accept(self, replies: Replies, cells: I64) -> None:
        makes = _REPLY_MAKES[self._state[cells]]
        fresh = makes > 0
        ordered = np.sort(cells)
        if (ordered[1:] == ordered[:-1]).any():
            first = np.zeros(len(cells), np.bool_)
            first[np.unique(cells, return_index=True)[1]] = True
            fresh &= first
        if not fresh.all():
            self._add("duplicate", self._job[cells[~fresh]])
            rows = np.flatnonzero(fresh)
            replies, cells, makes = picked(replies, rows), cells[rows], makes[rows]
        self._state[cells] = makes
        self._answers.append(
            _Answers(
                cells, replies.kind, replies.type, replies.code, replies.hops, replies.mtu,
                replies.source_high, replies.source_low, replies.stamp,
            )
        )  # fmt: skip

    # --- ends

    def _close_answered(self) -> list[Closed]:
        if not self._answers:
            return []
        answers = joined(self._answers)
        state = self._state[answers.cell]
        early, ready = state == _EARLY, (state == _REPLIED) | (state == _OVERDUE)
        self._answers = []
        if not ready.all():
            self._answers = [picked(answers, early)]
            # What the system says it did not send was answered all the same.
            self._add("duplicate", self._job[answers.cell[~early & ~ready]])
            answers, state = picked(answers, ready), state[ready]
        cells = answers.cell
        late = (state == _REPLIED) & (answers.rx > self._deadline[cells])
        before = self._closed(cells[late], _LOST)
        self._end(before)
        late |= state == _OVERDUE
        ends = np.where(late, np.uint8(_LATE), answers.kind)
        closed = self._closed(cells, ends)
        closed.rtt = answers.rx - closed.tx
        closed.type, closed.code, closed.hops, closed.mtu = answers.type, answers.code, answers.hops, answers.mtu
        closed.source_high, closed.source_low = answers.source_high, answers.source_low
        self._end(closed)
        self._release(cells, _DONE)
        return [before, closed]

    def _close_lost(self, now: int) -> Closed:
        lost = []
        due = np.flatnonzero(self._earliest < now)
        for start in range(0, len(due), 256):  # in pieces: after a long sleep the whole table is due
            chunks = due[start : start + 256]
            open_ = self._state.reshape(-1, _CHUNK)[chunks] == _OPEN
            deadlines = self._deadline.reshape(-1, _CHUNK)[chunks]
            over = open_ & (deadlines < now)
            self._earliest[chunks] = np.where(open_ & ~over, deadlines, _NEVER).min(axis=1)
            at, cell = np.nonzero(over)
            lost.append(chunks[at] * _CHUNK + cell)
        cells = np.concatenate(lost) if lost else np.empty(0, np.int64)
        closed = self._closed(cells, _LOST)
        self._end(closed)
        self._release(cells, _GONE)
        return closed

    def _closed(self, cells: I64, state: U8 | int) -> Closed:
        count = len(cells)
        none8, none16, none64 = np.zeros(count, np.uint8), np.zeros(count, np.uint16), np.zeros(count, np.uint64)
        states = np.full(count, state, np.uint8) if isinstance(state, int) else state
        return Closed(
            self._job[cells], self._target[cells], self._number[cells], self._ttl[cells], self._flow[cells],
            self._tx[cells], np.zeros(count, np.int64), states, none8, none8, none8, none16, none64, none64,
        )  # fmt: skip

    def _end(self, closed: Closed) -> None:
        """Moves them from those under way to the count of their end; late ones from those that were lost."""
        for state in range(_LATE + 1):
            jobs = closed.job[closed.state == state]
            if len(jobs):
                self._add(_BY_STATE[state], jobs)
                self._take_off("lost" if state == _LATE else "in_flight", jobs)

    # --- counts

    def _know(self, jobs: U16, position: int) -> None:
        most = int(jobs.max())
        if most >= len(self._since):
            more = max(most + 1, 2 * len(self._since)) - len(self._since)
            self._since = np.append(self._since, np.full(more, -1, np.int64))
            for name, column in self.counts.items():
                self.counts[name] = np.append(column, np.zeros(more, np.uint64))
        new = jobs[self._since[jobs] < 0]
        self._since[new] = position

    def _add(self, name: str, jobs: U16) -> None:
        counted = np.bincount(jobs).astype(np.uint64)
        self.counts[name][: len(counted)] += counted

    def _take_off(self, name: str, jobs: U16) -> None:
        counted = np.bincount(jobs).astype(np.uint64)
        self.counts[name][: len(counted)] -= counted
