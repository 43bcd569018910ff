"""From what comes in to batches for whoever asked: drain, decode, match, close, seal."""

import numpy as np

from amon.engine.desk.server import Desk
from amon.engine.messages import STATES
from amon.engine.packets.decode import decode
from amon.engine.packets.table import Closed, Table
from amon.engine.packets.targets import Targets
from amon.engine.shapes import I64, Receiver
from amon.engine.turn.batches import ROWS_MOST, Rows, Waiting, seal
from amon.engine.turn.captures import Captures
from amon.engine.turn.jobs import Edition, Jobs
from amon.engine.turn.ports import Port, Ports

LOST, ANSWERED, UNSENT = STATES.index("lost"), STATES.index("answered"), STATES.index("unsent")
AT_ONCE = 4096
PIECES_MOST = 8
"""Packets taken from one receiver at a time, and how many times in one turn."""
SEALED_AFTER = 100_000_000
"""ns that a row waits for others to make a batch with; of jobs on demand none does."""
DRAIN_EVERY = 40_000_000
DRAIN_SOON = 10_000_000
"""ns between two looks at the receivers; the second where somebody waits for an answer. A packet ring takes another of
its blocks every few milliseconds, however little is in it: those that `ports.sizes` gives it must last as long."""


class Hearer:
    def __init__(
        self, jobs: Jobs, targets: Targets, table: Table, ports: Ports, desk: Desk, captures: Captures
    ) -> None:
        self._jobs, self._targets, self._table = jobs, targets, table
        self._ports, self._desk, self._captures = ports, desk, captures
        self._waiting: dict[int, Waiting] = {}

    @property
    def every(self) -> int:
        """ns between two drains."""
        return DRAIN_SOON if self._jobs.urgent else DRAIN_EVERY

    def drain(self) -> int:
        """Take in what has come. Returns how many packets that were."""
        receivers = [(port, receiver) for port in self._ports.ports for receiver in port.ways.receivers]
        return sum(self._drain(port, receiver) for port, receiver in receivers)

    def _drain(self, port: Port, receiver: Receiver) -> int:
        """Until nothing is left: what waits there would be called lost. A flood is left after some pieces."""
        whole = 0
        for _ in range(PIECES_MOST):
            packets = receiver.drain(AT_ONCE)
            if len(packets):
                replies = decode(packets, port.ident)
                self._table.match(replies, self._targets)
                self._captures.note_received(packets, replies, self._table)
                whole += len(packets)
            if len(packets) < AT_ONCE:
                break
        return whole

    def hand(self, now: int, apart: int) -> None:
        """Hand out what has ended. Drain first. apart: CLOCK_REALTIME minus CLOCK_MONOTONIC, ns."""
        closed = self._table.close(now)
        if len(closed):
            self._sort_out(closed, now, apart)
        for row, waiting in list(self._waiting.items()):
            edition = self._jobs.editions[row]
            old = edition.spec.priority == 0 or now - waiting.since >= SEALED_AFTER
            if old or waiting.count >= ROWS_MOST:
                self._seal(edition, waiting, whole=old)

    def flush(self, edition: Edition) -> None:
        """Seal all that is there of it."""
        waiting = self._waiting.get(edition.row)
        if waiting is not None:
            self._seal(edition, waiting, whole=True)

    def _seal(self, edition: Edition, waiting: Waiting, *, whole: bool) -> None:
        for rows in waiting.take(whole=whole):
            self._desk.send(edition.job.client, seal(edition.job, edition.number, rows))
        if not waiting.count:
            del self._waiting[edition.row]

    def _sort_out(self, closed: Closed, now: int, apart: int) -> None:
        """To each edition its rows."""
        first = int(closed.job[0])
        if (closed.job == first).all():
            self._add(self._jobs.editions[first], closed, slice(None), now, apart)
            return
        order = np.argsort(closed.job, kind="stable")
        ends = np.flatnonzero(np.diff(closed.job[order])) + 1
        for rows in np.split(order, ends):
            self._add(self._jobs.editions[int(closed.job[rows[0]])], closed, rows, now, apart)

    def _add(self, edition: Edition, closed: Closed, which: slice | I64, now: int, apart: int) -> None:
        rows = self._rows(edition, closed, which, apart)
        if edition.spec.last_ttl:
            reached = rows.is_self & (rows.state != LOST) & (rows.state != UNSENT)
            np.minimum.at(edition.schedule.reach, rows.target[reached], rows.ttl[reached])
        waiting = self._waiting.setdefault(edition.row, Waiting(now))
        waiting.add(rows)

    def _rows(self, edition: Edition, closed: Closed, which: slice | I64, apart: int) -> Rows:
        target, state = closed.target[which], closed.state[which]
        high, low = closed.source_high[which], closed.source_low[which]
        is_self = (state == LOST) | (state == UNSENT) | (state == ANSWERED)
        is_self |= (high == self._targets.high[target]) & (low == self._targets.low[target])
        sent = closed.tx[which]
        return Rows(
            np.where(state == UNSENT, 0, sent + apart), target - np.uint32(edition.base), closed.number[which],
            closed.rtt[which], state, closed.ttl[which], closed.flow[which], closed.hops[which], closed.type[which],
            closed.code[which], closed.mtu[which], high, low, is_self,
        )  # fmt: skip
