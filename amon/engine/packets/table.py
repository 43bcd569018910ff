"""Every probe from its slot to its end: under way, answered, lost, late; and what came in beside that.

A slot is a number that grows with each probe and is written into the packet. A cell is used again when its probe has
ended, the longest unused first; until then a reply that comes too late still finds its probe. At each moment, for each
job, sent = answered + unreachable + hops + lost + late + in_flight. RTTs are reckoned when rows are handed out, because
replies come before the call that sends them has returned.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.packets.cells import (
    DONE,
    EARLY,
    FREE,
    GIVEN_UP,
    GONE,
    NEVER,
    OVERDUE,
    REPLIED,
    REPLY_MAKES,
    TAKEN,
    WHOLE,
    Cells,
)  # fmt: skip
from amon.engine.packets.columns import joined, picked
from amon.engine.packets.counts import LATE, LOST, UNSENT, Counts
from amon.engine.packets.replies import FULL, NAMED, Replies
from amon.engine.packets.targets import Targets
from amon.engine.shapes import I64, U8, U16, U32, U64, Bools, Probes

STRAYS: Final = ("foreign", "truncated", "bad_checksum", "odd", "forged", "stale")
"""What is counted for nobody. forged: no such slot. stale: the slot's cell is another probe's by now."""
_MAKES = np.array(REPLY_MAKES, np.uint8)


@dataclass(slots=True)
class Closed:
    """Probes whose end is known. Of a lost or unsent one the last columns are 0.

    tx: ns of CLOCK_MONOTONIC; of an unsent one when this was handed out. rtt: ns as measured, also below 0.

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
    """size: cells, a power of two: how many probes may be under way, and better twice as many, so that late replies
    find their probe. first: the slot to begin with."""

    def __init__(self, size: int, first: int = 0) -> None:
        self.size = size
        self._cells = Cells(size, first)
        self._counts = Counts()
        self._answers: list[_Answers] = []
        self._given_up: list[I64] = []
        self.strays: dict[str, int] = dict.fromkeys(STRAYS, 0)
        """By the names of `STRAYS`, since the start."""

    @property
    def counts(self) -> dict[str, U64]:
        """By the names of `counts.COUNTS`, by row of the job. They grow, so take them anew from here each time."""
        return self._counts.columns

    @property
    def busy(self) -> int:
        """Cells that cannot be taken: crafted, under way, or not handed out yet."""
        return self._cells.busy

    def take(self, probes: Probes, nonces: U64, timeouts: I64) -> U32:
        """A slot for each of the probes, as far as there are any: fewer than asked if the table is full. In order, but
        with gaps where a cell is not free. timeouts: ns, each above 0."""
        positions = self._cells.find(len(probes))
        if not len(positions):
            return np.empty(0, np.uint32)
        probes = probes if len(positions) == len(probes) else probes[: len(positions)]
        self._counts.know(probes.job, int(positions[0]))
        self._counts.add(probes.job, "ahead")
        return self._cells.put(positions, probes, nonces, timeouts)

    def sent(self, slots: U32, stamps: I64) -> None:
        """These went out at these moments. Of what was forgotten meanwhile nothing is known any more."""
        jobs = self._cells.open(slots, stamps)
        if len(jobs):
            self._counts.move(jobs, "ahead", "sent", "in_flight")

    def unsent(self, slots: U32) -> None:
        """These never went out; they come out of the next `close`."""
        cells = self._cells.taken(slots)
        early = cells[self._cells.state[cells] == EARLY]
        if len(early):
            # The system said it did not send them, and they were answered all the same.
            self._answers = [picked(one, ~np.isin(one.cell, early)) for one in self._answers]
            self._counts.add(self._cells.job[early], "duplicate")
        self._cells.state[cells] = GIVEN_UP
        self._given_up.append(cells)
        self._counts.move(self._cells.job[cells], "ahead", "unsent")

    def match(self, replies: Replies, targets: Targets) -> None:
        """Finds the probe of each reply. The first reply that bears the nonce (or, where only the beginning of the
        probe is quoted, its slot) and is about its target is its answer; the others are counted."""
        for name in ("foreign", "truncated", "bad_checksum", "odd"):
            self.strays[name] += getattr(replies, name)
        if not len(replies):
            return None
        every = self._cells
        cells = every.of(replies.slot)
        known = (every.slot[cells] == replies.slot) & (every.state[cells] != FREE)
        short = replies.how != FULL
        if short.any():
            self._search(replies, targets, short, cells, known)
        ours = short | (every.nonce[cells] == replies.nonce)
        good = known & ours & self._about(cells, replies, targets)
        if good.all():
            return self._accept(replies, cells)
        self._count_strays(replies, short, known)
        self._counts.add(every.job[cells[known & ~ours]], "forged")
        self._counts.add(every.job[cells[known & ours & ~good]], "wrong_source")
        rows = np.flatnonzero(good)
        return self._accept(picked(replies, rows), cells[rows])

    def jobs_of(self, slots: U32) -> U16:
        """The rows of the jobs that have, or had last, the cells of these slots."""
        jobs: U16 = self._cells.job[self._cells.of(slots)]
        return jobs

    def close(self, now: int) -> Closed:
        """What has ended by now, once. Drain first: what is not matched by now and due is called lost."""
        parts = self._close_lost(now) + self._close_unsent(now) + self._close_answered()
        return joined(parts) if parts else self._rows(np.empty(0, np.int64), LOST)

    def forget(self, job: int) -> dict[str, int]:
        """The row is free for another job. What of it was not handed out counts as lost, what is not sent as unsent.
        Returns the counts at its end, by name."""
        since = self._counts.since(job)
        if since is not None:
            every = self._cells
            self._answers = [picked(one, every.job[one.cell] != job) for one in self._answers]
            self._given_up = [one[every.job[one] != job] for one in self._given_up]
            cells = every.since(since, job)
            every.busy -= int((every.state[cells] > DONE).sum())
            every.state[cells] = FREE
        return self._counts.forget(job)

    # --- replies

    def _about(self, cells: I64, replies: Replies, targets: Targets) -> Bools:
        """Whether the reply is about the target of the probe in this cell."""
        place = self._cells.target[cells]
        same: Bools = (targets.low[place] == replies.quoted_low) & (targets.high[place] == replies.quoted_high)
        return same

    def _search(self, replies: Replies, targets: Targets, short: Bools, cells: I64, known: Bools) -> None:
        """Puts in the cells of the replies that have no nonce: by slot and target; or, where the IPv4 id says nothing,
        the youngest probe to this target that has this half of a slot, before all one that is under way."""
        every = self._cells
        rows = np.flatnonzero(short & ~((replies.how == NAMED) & known & self._about(cells, replies, targets)))
        if not len(rows):
            return
        low = replies.slot[rows] & np.uint32(0xFFFF)
        several = every.of(low)[:, None] + np.arange(0, self.size, 0x10000)
        place, slots, state = every.target[several], every.slot[several], every.state[several]
        fits = (targets.high[place] == replies.quoted_high[rows, None]) & (slots & np.uint32(0xFFFF) == low[:, None])
        fits &= (targets.low[place] == replies.quoted_low[rows, None]) & (state != FREE)
        age = (np.uint32(every.position & WHOLE) - slots).astype(np.int64) + np.where(state < TAKEN, WHOLE, 0)
        best = np.where(fits, age, NEVER).argmin(axis=1)
        each = np.arange(len(rows))
        cells[rows] = several[each, best]
        known[rows] = fits[each, best]

    def _count_strays(self, replies: Replies, short: Bools, known: Bools) -> None:
        """Of those without a probe. What has a slot that we gave once is old, the rest was made up."""
        lost = ~known & ~short
        ago = np.uint32(self._cells.position & WHOLE) - replies.slot[lost]
        given = min(self._cells.position - self._cells.first, 2**31)
        stale = int(((ago > 0) & (ago <= given)).sum())
        self.strays["stale"] += stale
        self.strays["forged"] += int((~known).sum()) - stale

    def _accept(self, replies: Replies, cells: I64) -> None:
        """What is proven: the first for its probe is the answer, also among these."""
        makes = _MAKES[self._cells.state[cells]]
        fresh = makes > 0
        ordered = np.sort(cells)
        if (ordered[1:] == ordered[:-1]).any():
            first = np.zeros(len(cells), np.bool_)
            first[np.unique(cells, return_index=True)[1]] = True
            fresh &= first
        if not fresh.all():
            self._counts.add(self._cells.job[cells[~fresh]], "duplicate")
            rows = np.flatnonzero(fresh)
            replies, cells, makes = picked(replies, rows), cells[rows], makes[rows]
        self._cells.state[cells] = makes
        self._cells.busy += int((makes == OVERDUE).sum())
        self._answers.append(
            _Answers(
                cells, replies.kind, replies.type, replies.code, replies.hops, replies.mtu,
                replies.source_high, replies.source_low, replies.stamp,
            )
        )  # fmt: skip

    # --- ends

    def _close_lost(self, now: int) -> list[Closed]:
        cells = self._cells.due(now)
        if not len(cells):
            return []
        self._cells.release(cells, GONE)
        return [self._ended(cells, LOST)]

    def _close_unsent(self, now: int) -> list[Closed]:
        if not self._given_up:
            return []
        cells = np.concatenate(self._given_up)
        self._given_up = []
        closed = self._rows(cells, UNSENT)
        closed.tx[:] = now
        self._cells.release(cells, FREE)
        return [closed]

    def _close_answered(self) -> list[Closed]:
        if not self._answers:
            return []
        every, answers = self._cells, joined(self._answers)
        state = every.state[answers.cell]
        early = state == EARLY
        self._answers = []
        if early.any():
            self._answers = [picked(answers, early)]
            answers, state = picked(answers, ~early), state[~early]
        cells = answers.cell
        late = (state == REPLIED) & (answers.rx > every.deadline[cells])
        parts = [self._ended(cells[late], LOST)] if late.any() else []
        late |= state == OVERDUE
        closed = self._ended(cells, np.where(late, np.uint8(LATE), answers.kind))
        closed.rtt = answers.rx - closed.tx
        closed.type, closed.code, closed.hops, closed.mtu = answers.type, answers.code, answers.hops, answers.mtu
        closed.source_high, closed.source_low = answers.source_high, answers.source_low
        every.release(cells, DONE)
        return [*parts, closed]

    def _ended(self, cells: I64, state: U8 | int) -> Closed:
        closed = self._rows(cells, state)
        self._counts.end(closed.job, closed.state)
        return closed

    def _rows(self, cells: I64, state: U8 | int) -> Closed:
        every, count = self._cells, len(cells)
        none8, none16, none64 = np.zeros(count, np.uint8), np.zeros(count, np.uint16), np.zeros(count, np.uint64)
        states = np.full(count, state, np.uint8) if isinstance(state, int) else state
        return Closed(
            every.job[cells], every.target[cells], every.number[cells], every.ttl[cells], every.flow[cells],
            every.tx[cells], np.zeros(count, np.int64), states, none8, none8, none8, none16, none64, none64,
        )  # fmt: skip
