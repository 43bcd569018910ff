"""The cells of the table: one per probe under way, as columns; which are free, and which state each is in."""

from typing import Final

import numpy as np

from amon.engine.shapes import I64, U8, U16, U32, U64, Bools, Probes

FREE, GONE, DONE, TAKEN, OPEN, EARLY, REPLIED, OVERDUE, GIVEN_UP = range(9)
"""What a cell holds. The first three may be used again; GONE was handed out as lost, DONE with its answer. TAKEN has a
slot, OPEN is sent. EARLY has a reply and is not yet told as sent, REPLIED both; OVERDUE was lost and has a reply now.
GIVEN_UP will not be sent."""
REPLY_MAKES: Final = (0, OVERDUE, 0, EARLY, REPLIED, 0, 0, 0, 0)
"""The next state after a reply; 0: it is a duplicate."""
WHOLE: Final = 0xFFFF_FFFF
NEVER: Final = np.iinfo(np.int64).max
CHUNK: Final = 1024
"""Cells that have their earliest deadline noted together."""


class Cells:
    """size: a power of two. first: the position to begin at. About 41 bytes a cell, taken from the system as used.

    A position counts cells for ever; the slot is its lower 32 bits, the cell its remainder by the size.
    """

    def __init__(self, size: int, first: int = 0) -> None:
        if size < 1 or size & (size - 1) or size > 1 << 30:
            raise ValueError(f"a table has a power of two of cells, not {size}")
        self.size, self.mask = size, size - 1
        self.state: U8 = np.zeros(size, np.uint8)
        self.slot: U32 = np.zeros(size, np.uint32)
        self.nonce: U64 = np.zeros(size, np.uint64)
        self.job: U16 = np.zeros(size, np.uint16)
        self.target: U32 = np.zeros(size, np.uint32)
        self.number: U32 = np.zeros(size, np.uint32)
        self.ttl: U8 = np.zeros(size, np.uint8)
        self.flow: U8 = np.zeros(size, np.uint8)
        self.tx: I64 = np.zeros(size, np.int64)
        self.deadline: I64 = np.zeros(size, np.int64)  # until it is sent: the timeout
        self._chunk = min(size, CHUNK)
        self._shift = self._chunk.bit_length() - 1
        self._earliest: I64 = np.full(size // self._chunk, NEVER)  # no open cell of the chunk is due before
        self.first = self.position = first
        self.busy = 0

    def of(self, slots: U32) -> I64:
        return (slots & np.uint32(self.mask)).astype(np.int64)

    def find(self, most: int) -> I64:
        """Positions of so many cells that may be used again, at most; moves on behind them."""
        wanted = min(most, self.size - self.busy)
        width = max(wanted, CHUNK)
        found: list[I64] = []
        while wanted:
            cell = self.position & self.mask
            window = self.state[cell : cell + width]
            width *= 2  # through what is busy in large strides
            free = np.flatnonzero(window <= DONE)[:wanted]
            found.append(free + self.position)
            wanted -= len(free)
            self.position += len(window) if wanted else int(free[-1]) + 1
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if found else np.empty(0, np.int64)

    def put(self, positions: I64, probes: Probes, nonces: U64, timeouts: I64) -> U32:
        """These probes into these cells, as many as there are; their slots."""
        count, slots = len(positions), positions.astype(np.uint32)
        where = run(positions & self.mask)
        self.state[where], self.slot[where], self.nonce[where] = TAKEN, slots, nonces[:count]
        self.job[where], self.target[where], self.number[where] = probes.job, probes.target, probes.number
        self.ttl[where], self.flow[where], self.deadline[where] = probes.ttl, probes.flow, timeouts[:count]
        self.busy += count
        return slots

    def taken(self, slots: U32) -> I64:
        """The cells of those of these slots that were not forgotten meanwhile; with a reply or without."""
        cells = self.of(slots)
        mine = self._are_taken(slots, cells)
        return cells if mine.all() else cells[mine]

    def open(self, slots: U32, stamps: I64) -> U16:
        """These were sent at these moments. Returns whose they are; of what was forgotten nothing is done."""
        cells = self.of(slots)
        mine = self._are_taken(slots, cells)
        if not mine.all():
            cells, stamps = cells[mine], stamps[mine]
        if not len(cells):
            return np.empty(0, np.uint16)
        where = run(cells)
        state = self.state[where]
        self.state[where] = OPEN if (state == TAKEN).all() else np.where(state == EARLY, REPLIED, OPEN)
        self.tx[where] = stamps
        deadlines = self.deadline[where] + stamps
        self.deadline[where] = deadlines
        chunks = cells >> self._shift
        # Those of one call share a moment, so it does for all chunks; a look too early costs little.
        self._earliest[chunks] = np.minimum(self._earliest[chunks], deadlines.min())
        return self.job[where]

    def _are_taken(self, slots: U32, cells: I64) -> Bools:
        where = run(cells)
        state = self.state[where]
        mine: Bools = ((state == TAKEN) | (state == EARLY)) & (self.slot[where] == slots)
        return mine

    def due(self, now: int) -> I64:
        """Open cells whose deadline was before now."""
        late = []
        due = np.flatnonzero(self._earliest < now)
        for start in range(0, len(due), 256):  # in pieces: after a long sleep the whole table is due
            chunks = due[start : start + 256]
            is_open = self.state.reshape(-1, self._chunk)[chunks] == OPEN
            deadlines = self.deadline.reshape(-1, self._chunk)[chunks]
            over = is_open & (deadlines < now)
            self._earliest[chunks] = np.where(is_open & ~over, deadlines, NEVER).min(axis=1)
            chunk, place = np.nonzero(over)
            late.append((chunks[chunk] << self._shift) + place)
        return np.concatenate(late) if late else np.empty(0, np.int64)

    def release(self, cells: I64, state: int) -> None:
        """They may be used again."""
        self.state[cells] = state
        self.busy -= len(cells)

    def since(self, position: int, job: int) -> I64:
        """Cells of a job whose first probe was put at this position or behind it."""
        start = max(position, self.position - self.size)
        first, count = start & self.mask, self.position - start
        pieces = (first, min(first + count, self.size)), (0, max(0, first + count - self.size))
        mine = [
            begin + np.flatnonzero((self.job[begin:end] == job) & (self.state[begin:end] != FREE))
            for begin, end in pieces
        ]
        return np.concatenate(mine)


def run(cells: I64) -> slice | I64:
    """The same as a slice, which numpy goes through faster, if they are next to each other."""
    if not len(cells):
        return cells
    first = int(cells[0])
    if int(cells[-1]) - first == len(cells) - 1 and np.array_equal(cells, np.arange(first, first + len(cells))):
        return slice(first, first + len(cells))
    return cells
