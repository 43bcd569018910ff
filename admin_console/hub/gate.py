"""A job at the gate of its slots: a site is asked when it has one, and gives it back when its call has ended."""

import contextlib
from collections.abc import AsyncIterator, Collection, Iterable, Sequence

from admin_console.hub.slots_client import Slots
from amon.clock import Clock
from amon.errors import Failed, Refused
from amon.job import Row
from amon.runtime.fleet import Fleet
from amon.runtime.gather import Gathering
from amon.words import State

_PATIENCE = 30.0  # seconds without a hub after which no other site is begun


class SlotGate:
    """`Gathering.gate`: the names whose turn it is -> those that may begin now. `Failed`: no more may ever."""

    def __init__(self, slots: Slots, clock: Clock) -> None:
        self._slots = slots
        self._clock = clock
        self._trouble_since: float | None = None

    def __call__(self, names: Sequence[str]) -> Collection[str]:
        self._slots.want(names)
        self._judge()
        return frozenset(self._slots.held)

    def hold(self, names: Iterable[str]) -> None:
        """These are at work already: a console that is gone has begun them."""
        self._slots.hold(names)

    def ended(self, rows: Iterable[Row]) -> None:
        """Rows that have changed. One that is still at it at its deadline has its slot until it ends, or the job."""
        for row in rows:
            if row.outcome is not None and row.state is not State.running:
                self._slots.release(row.site)

    def _judge(self) -> None:
        now = self._clock.monotonic()
        if not self._slots.trouble or self._slots.held:
            self._trouble_since = None
        elif self._trouble_since is None:
            self._trouble_since = now
        if self._slots.refused:
            raise Failed(self._slots.refused)
        if self._trouble_since is not None and now - self._trouble_since >= _PATIENCE:
            raise Failed(self._slots.trouble)


@contextlib.asynccontextmanager
async def gated(
    job: Gathering, wanted: tuple[str, int] | None, fleet: Fleet, room: str, hub: str | None, clock: Clock
) -> AsyncIterator[SlotGate | None]:
    """While the block lasts the job's sites pass the gate, if it wants one: a name and how many there are of it."""
    if wanted is None:
        yield None
        return
    if hub is None:
        raise Refused(
            'slots are lent by the hub, and none is named here; next: hub = "hub@DOMAIN" in the configuration, '
            "or --batch for this job alone"
        )
    slots = Slots(fleet, room, hub, *wanted, clock)
    async with slots.lent():
        gate = SlotGate(slots, clock)
        slots.watch = job.look_again
        job.gate = gate
        yield gate
