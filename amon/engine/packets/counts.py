"""What became of the probes of each job, as columns by row of the job; kept by the table."""

from typing import Final

import numpy as np

from amon.engine.shapes import I64, U8, U16, U64

COUNTS: Final = (
    "lost", "answered", "unreachable", "hops", "late", "unsent",
    "sent", "in_flight", "ahead", "duplicate", "forged", "wrong_source",
)  # fmt: skip
"""As in `messages.Tally`; the first six in the order of `messages.STATES`. ahead: has a slot, not sent nor unsent."""
LOST, ANSWERED, UNREACHABLE, HOP, LATE, UNSENT = range(6)


class Counts:
    """columns: by the names of `COUNTS`. They grow with the rows, so take them anew from here each time."""

    def __init__(self) -> None:
        self.columns: dict[str, U64] = {name: np.zeros(64, np.uint64) for name in COUNTS}
        self._since: I64 = np.full(64, -1)  # position of the job's first probe in the table

    def know(self, jobs: U16, position: int) -> None:
        """Probes of these jobs are at this position and behind it."""
        most = int(jobs.max())
        if most >= len(self._since):
            more = max(most + 1, 2 * len(self._since)) - len(self._since)
            self._since = np.append(self._since, np.full(more, -1))
            for name, column in self.columns.items():
                self.columns[name] = np.append(column, np.zeros(more, np.uint64))
        new = jobs[self._since[jobs] < 0]
        if len(new):
            self._since[new] = position

    def since(self, job: int) -> int | None:
        """Where its first probe is; None if there is none."""
        position = int(self._since[job]) if job < len(self._since) else -1
        return position if position >= 0 else None

    def add(self, jobs: U16, *names: str) -> None:
        counted = np.bincount(jobs).astype(np.uint64)
        for name in names:
            self.columns[name][: len(counted)] += counted

    def move(self, jobs: U16, source: str, *names: str) -> None:
        """From one count into others."""
        counted = np.bincount(jobs).astype(np.uint64)
        self.columns[source][: len(counted)] -= counted
        for name in names:
            self.columns[name][: len(counted)] += counted

    def end(self, jobs: U16, states: U8) -> None:
        """Probes under way have ended so; late ones were lost before."""
        by_state = np.bincount(jobs.astype(np.int64) * 8 + states, minlength=8 * (int(jobs.max(initial=0)) + 1))
        rows = by_state.astype(np.uint64).reshape(-1, 8)
        for state in range(LATE + 1):
            self.columns[COUNTS[state]][: len(rows)] += rows[:, state]
        self.columns["in_flight"][: len(rows)] -= rows[:, :LATE].sum(axis=1)
        self.columns["lost"][: len(rows)] -= rows[:, LATE]

    def forget(self, job: int) -> dict[str, int]:
        """The row is free. What had no end is lost, what was not sent is unsent; the last counts."""
        last = {name: int(column[job]) if job < len(column) else 0 for name, column in self.columns.items()}
        last["lost"] += last.pop("in_flight")
        last["unsent"] += last.pop("ahead")
        if job < len(self._since):
            self._since[job] = -1
            for column in self.columns.values():
                column[job] = 0
        return last | {"in_flight": 0, "ahead": 0}
