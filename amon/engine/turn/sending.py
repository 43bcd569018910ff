"""From what is due to frames on their way: schedules, caps, slots of the table, crafting, publishing at the moment.

Frames are crafted some tens of milliseconds ahead, many at once, because that is what makes them cheap; each tick then
only publishes its share. What could not be sent in time (a cap, a pause, a suspended process) is not sent in a burst
later: a job without an end passes over it and counts it, one with an end slips.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from amon.engine.packets.columns import joined
from amon.engine.packets.nonces import Nonces
from amon.engine.packets.table import Table
from amon.engine.packets.targets import Targets
from amon.engine.paths.paths import Paths
from amon.engine.rules.caps import Caps, Gate
from amon.engine.shapes import I64, U16, U32, Probes
from amon.engine.turn.jobs import Edition, Jobs
from amon.engine.turn.outbox import Out, Outbox
from amon.engine.turn.ports import Ports
from amon.engine.turn.spacing import Spacing

AHEAD = 80_000_000
"""ns: what is due within them is crafted; again when half of them are over."""
AT_ONCE = 4096
"""Frames crafted in one turn, at most; and at most half of a way's."""
SLACK = 250_000_000
"""ns: what is later than that is not sent any more, or its job slips."""


class Sender:
    """spacing: of tenants that send side by side. is_held: whether who has begun this job does not take its results
    now."""

    def __init__(
        self,
        jobs: Jobs,
        targets: Targets,
        table: Table,
        paths: Paths,
        ports: Ports,
        caps: Caps,
        gate: Gate,
        spacing: Spacing,
        is_held: Callable[[Edition], bool],
    ) -> None:
        self._jobs, self._targets, self._table = jobs, targets, table
        self._paths, self._ports, self._caps, self._gate = paths, ports, caps, gate
        self._spacing, self._is_held = spacing, is_held
        self._nonces = Nonces()
        self._waiting = no_probes()  # for a row or a slot
        self._spaced = no_probes()  # for a moment at which their tenant's cap lets them go
        self._until = 0
        self._turn = 0
        self._packets: U32 = np.zeros(256, np.uint32)  # by row of an edition: its packet, as crafters count them
        self._timeouts: I64 = np.zeros(256, np.int64)
        self._sizes: U16 = np.zeros(256, np.uint16)
        self._tenants: list[str] = []
        self._tenant_of: U16 = np.zeros(256, np.uint16)  # row in the list above

    @property
    def ahead(self) -> int:
        """Probes taken from their schedules and not sent."""
        return len(self._waiting) + len(self._spaced) + sum(box.waiting for box in self._ports.outboxes)

    def begins(self, edition: Edition) -> None:
        """To be called before an edition is probed."""
        row = edition.row
        if row >= len(self._packets):
            self._packets = np.resize(self._packets, 2 * row)
            self._timeouts = np.resize(self._timeouts, 2 * row)
            self._sizes = np.resize(self._sizes, 2 * row)
            self._tenant_of = np.resize(self._tenant_of, 2 * row)
        if edition.tenant not in self._tenants:
            self._tenants.append(edition.tenant)
        self._packets[row], self._timeouts[row] = edition.packet, edition.timeout
        self._tenant_of[row], self._sizes[row] = self._tenants.index(edition.tenant), edition.size
        self._until = 0

    def stir(self) -> None:
        """Something is due earlier than it was."""
        self._until = 0

    def next_due(self) -> int | None:
        """When there is something to do: a frame to publish, or the next ones to craft."""
        moments = [due for box in self._ports.outboxes if (due := box.next_due) is not None]
        starts = [edition.next_due for edition in self._jobs.probed if not self._rests(edition)]
        if starts:
            moments.append(max(min(starts), self._until) - AHEAD // 2)
        if len(self._spaced):
            moments.append(self._until - AHEAD // 2)
        return min(moments, default=None)

    def fill(self, now: int) -> None:
        """Craft what is due soon."""
        if now < self._until - AHEAD // 2 and not len(self._waiting):
            return
        pieces = [piece for piece in (self._waiting, self._spaced) if len(piece)]
        room = min([AT_ONCE, *(len(box.memory) // 2 for box in self._ports.outboxes)]) - len(self._waiting)
        for edition in self._in_turn(now + AHEAD):
            if room <= 0:
                break
            taken = self._take(edition, now, min(room, self._room(edition.tenant) - sum(len(one) for one in pieces)))
            if len(taken):
                pieces.append(taken)
                room -= len(taken)
        # Where there was room, all that is due until then has been taken.
        self._until = now + AHEAD if room > 0 else 0
        if pieces:
            self._waiting = self._craft(self._space(joined(pieces), now))

    def publish(self, now: int, each: Callable[[Out], None]) -> int:
        """Send the frames whose moment has come. each: told of every run of them."""
        gate = _GateNow(self._gate, self._tenants, self._tenant_of, now)
        return sum(box.publish(now, gate, each) for box in self._ports.outboxes if box.waiting)

    def _rests(self, edition: Edition) -> bool:
        return edition.job.paused or not edition.is_resolved or self._is_held(edition)

    def _in_turn(self, until: int) -> list[Edition]:
        """Those with something due, the most urgent first; among equals another one first each time."""
        found = [one for one in self._jobs.probed if one.next_due < until and not self._rests(one)]
        if len(found) < 2:
            return found
        self._turn += 1
        start = self._turn % len(found)
        return sorted((*found[start:], *found[:start]), key=lambda edition: edition.spec.priority)

    def _take(self, edition: Edition, now: int, most: int) -> Probes:
        """What of it is due, as far as the caps allow."""
        if edition.next_due < now - SLACK:
            if edition.spec.rounds is None:
                edition.skip(now - SLACK)
            else:
                edition.slip(now)
        granted = self._caps.admit(edition.tenant, most, edition.size, now) if most > 0 else 0
        events = edition.take(now + AHEAD, granted)
        self._caps.give_back(edition.tenant, granted - len(events), edition.size)
        job = np.full(len(events), edition.row, np.uint16)
        target = events.target + np.uint32(edition.base)
        return Probes(job, target, events.number, events.ttl, events.flow, events.due)

    def _room(self, tenant: str) -> int:
        """How many more packets of it may be under way."""
        rows, counts = self._jobs.rows_of(tenant), self._table.counts
        rows = rows[rows < len(counts["in_flight"])]
        mine = int(counts["in_flight"][rows].sum()) + int(counts["ahead"][rows].sum())
        return min(self._caps.in_flight(tenant) - mine, self._caps.in_flight() - self._table.busy)

    def _space(self, probes: Probes, now: int) -> Probes:
        """Those that go until `now + AHEAD`, in order; the others are kept."""
        if len(self._jobs.editions) > 1:
            probes = probes[np.argsort(probes.due, kind="stable")]
        if len(self._tenants) == 1:
            return probes
        tenants, due = self._tenant_of[probes.job], probes.due.copy()
        goes = np.zeros(len(probes), np.bool_)
        for number in np.unique(tenants).tolist():
            rows = np.flatnonzero(tenants == number)
            sizes = self._sizes[probes.job[rows]]
            moments = self._spacing.space(self._tenants[number], due[rows], sizes, now, now + AHEAD)
            rows = rows[: len(moments)]
            goes[rows], due[rows] = True, moments
        self._spaced, probes = probes[~goes], probes[goes]
        probes.due = due[goes]
        return probes[np.argsort(probes.due, kind="stable")]

    def _craft(self, probes: Probes) -> Probes:
        """Returns those for which there was no row or no slot."""
        if not len(probes):
            return probes
        boxes = self._ports.outbox_of[self._targets.hop[probes.target]]
        if (boxes == boxes[0]).all():
            return self._into(self._box(int(boxes[0])), probes)
        left = [self._into(self._box(number), probes[boxes == number]) for number in np.unique(boxes).tolist()]
        return joined([piece for piece in left if len(piece)] or [no_probes()])

    def _box(self, number: int) -> Outbox | None:
        return self._ports.outboxes[number] if number >= 0 else None

    def _into(self, box: Outbox | None, probes: Probes) -> Probes:
        """Into this box, or nowhere: the interface is gone, or there is no way there. Returns what had no place."""
        rows = box.transmitter.rows(len(probes)) if box is not None else np.arange(len(probes))
        taken = probes[: len(rows)]
        nonces = self._nonces.take(len(taken))
        slots = self._table.take(taken, nonces, self._timeouts[taken.job])
        count = len(slots)
        if box is None:
            self._table.unsent(slots)
        else:
            box.transmitter.rewind(len(rows) - count)
            if count:
                taken = taken[:count]
                packets = self._packets[taken.job]
                box.craft(rows[:count], taken, packets, slots, nonces[:count], self._targets, self._paths.hops)
        return probes[count:]


@dataclass(frozen=True, slots=True)
class _GateNow:
    """The gate of this moment, by jobs. tenant_of: row in `tenants`, by row of the job."""

    gate: Gate
    tenants: list[str]
    tenant_of: U16
    now: int

    def admit(self, jobs: U16, sizes: U16) -> int:
        return self.gate.admit_first(self.tenants, self.tenant_of[jobs], sizes, self.now)

    def give_back(self, jobs: U16, sizes: U16) -> None:
        if len(jobs):
            self.gate.give_back(self.tenants, self.tenant_of[jobs], sizes)


def no_probes() -> Probes:
    none = np.empty(0, np.uint32)
    return Probes(
        none.astype(np.uint16), none, none, none.astype(np.uint8), none.astype(np.uint8), none.astype(np.int64)
    )
