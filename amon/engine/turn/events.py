"""Events of a schedule as columns, and those that wait because jitter moved them."""

from dataclasses import dataclass

import numpy as np

from amon.engine.packets.columns import joined
from amon.engine.shapes import I64, U8, U32, Bools

NEAR = 1_000_000_000
"""ns: what is due within them is kept in order."""


@dataclass(slots=True)
class Events:
    """Columns of one length, by due time. target: place in the job's list; number: see `messages.COLUMNS`."""

    target: U32
    number: U32
    ttl: U8
    flow: U8
    due: I64

    def __len__(self) -> int:
        return len(self.due)

    def __getitem__(self, which: slice | I64 | Bools) -> "Events":
        return Events(self.target[which], self.number[which], self.ttl[which], self.flow[which], self.due[which])

    @staticmethod
    def none() -> "Events":
        return _NONE

    def joined(self, others: "Events") -> "Events":
        if not len(self) or not len(others):
            return self if len(self) else others
        return joined([self, others])


_NONE = Events(
    np.empty(0, np.uint32), np.empty(0, np.uint32), np.empty(0, np.uint8), np.empty(0, np.uint8), np.empty(0, np.int64)
)


class Later:
    """Events that are due at some later moment. Only the next of them are in order, so that very many cost little."""

    def __init__(self) -> None:
        self._near = _NONE
        self._far: list[Events] = []
        self._until = 0
        """What is due before is near."""

    def __len__(self) -> int:
        return len(self._near) + sum(map(len, self._far))

    def put(self, events: Events) -> None:
        is_near = events.due < self._until
        if is_near.any():
            self._near = sorted_by_due(self._near.joined(events[is_near]))
        if not is_near.all():
            self._far.append(events[~is_near])

    def next_due(self) -> int | None:
        """When the next is due, or when it will be known."""
        if len(self._near):
            return int(self._near.due[0])
        return max(self._until, min(int(one.due.min()) for one in self._far)) if self._far else None

    def take(self, until: int, most: int) -> Events:
        """What is due before this moment, the earliest first, at most so many."""
        self._reach(until)
        count = min(most, int(np.searchsorted(self._near.due, until)))
        taken, self._near = self._near[:count], self._near[count:]
        return taken

    def drop(self, before: int) -> int:
        """Forget what is due before this moment. Returns how many these were."""
        self._reach(before)
        count = int(np.searchsorted(self._near.due, before))
        self._near = self._near[count:]
        return count

    def keep(self, which: Bools) -> None:
        """Forget those of other targets. which: by place in the list."""
        self._near = self._near[which[self._near.target]]
        self._far = [left for one in self._far if len(left := one[which[one.target]])]

    def slip(self, by: int) -> None:
        """All of them are due so much later."""
        self._until += by
        for one in (self._near, *self._far):
            if len(one):
                one.due = one.due + by

    def _reach(self, until: int) -> None:
        """What is due before this moment has to be near."""
        if until <= self._until:
            return
        self._until = until + NEAR
        far, self._far = self._far, []
        if far:
            self.put(joined(far))


def sorted_by_due(events: Events) -> Events:
    return events[np.argsort(events.due, kind="stable")]
