"""The table against a ledger that is kept one probe at a time, whatever happens in which order."""

from collections import Counter

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from amon.engine.packets.counts import COUNTS
from amon.engine.packets.replies import FULL, LOW, NAMED, Replies
from amon.engine.packets.table import Closed, Table
from amon.engine.packets.targets import Targets
from amon.engine.shapes import Probes
from tests.engine.ledger import ENDS, JOBS, Ledger, Probe

TARGETS = 3
Said = tuple[int, int, int, int, int, int]
"""Slot, how, nonce, target it is about, kind, rx."""


def targets() -> Targets:
    made = Targets(4)
    made.add(np.array([0, 0, 5], np.uint64), np.array([0xFFFF_C000_0201, 0xFFFF_C000_0202, 9], np.uint64))
    return made


def replies_of(said: list[Said], addresses: Targets) -> Replies:
    columns = list(zip(*said, strict=True)) or [()] * 6
    slot, how, nonce = np.array(columns[0], np.uint32), np.array(columns[1], np.uint8), np.array(columns[2], np.uint64)
    about, kind, rx = np.array(columns[3], np.int64), np.array(columns[4], np.uint8), np.array(columns[5], np.int64)
    high, low = addresses.high[about], addresses.low[about]
    none = np.zeros(len(said), np.uint8)
    return Replies(
        np.arange(len(said)), kind, kind, none, slot, how, nonce,
        high, low, high, low, none, np.zeros(len(said), np.uint16), rx,
    )  # fmt: skip


def rows_of(closed: Closed) -> list[tuple[int, ...]]:
    names = ("job", "target", "number", "ttl", "flow", "tx", "rtt", "state")
    return list(zip(*(getattr(closed, name).tolist() for name in names), strict=True))


class Books(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.targets = targets()
        self.now = 1_000_000
        self.number = 0
        self.waiting: list[Probe] = []
        self.old: list[Probe] = []

    @initialize(size=st.sampled_from([4, 16, 64]), first=st.sampled_from([0, 5, 2**32 - 20, 3 * 2**16 - 7]))
    def begin(self, size: int, first: int) -> None:
        self.table, self.ledger = Table(size, first), Ledger(size, first)

    @rule(
        jobs=st.lists(st.integers(0, JOBS - 1), max_size=20), timeout=st.sampled_from([10, 100, 5000]), data=st.data()
    )
    def take(self, jobs: list[int], timeout: int, data: st.DataObject) -> None:
        count = len(jobs)
        about = data.draw(st.lists(st.integers(0, TARGETS - 1), min_size=count, max_size=count))
        numbers = np.arange(self.number, self.number + count, dtype=np.uint32)
        small = (numbers % 200).astype(np.uint8)
        probes = Probes(
            np.array(jobs, np.uint16), np.array(about, np.uint32), numbers, small, small // 2, np.zeros(count, np.int64)
        )
        nonces = numbers.astype(np.uint64) + np.uint64(1 << 40)
        free = self.ledger.size - self.ledger.busy
        slots = self.table.take(probes, nonces, np.full(count, timeout)).tolist()
        assert len(slots) == min(count, free)
        for row, slot in enumerate(slots):
            number, few = int(numbers[row]), int(small[row])
            probe = Probe(jobs[row], about[row], number, few, few // 2, slot, int(nonces[row]), timeout)
            self.ledger.take(probe)
            self.waiting.append(probe)
            self.old.append(probe)
        self.number += len(slots)

    @rule(count=st.integers(0, 20), spread=st.sampled_from([0, 1, 40]), goes=st.booleans())
    def publish(self, count: int, spread: int, goes: bool) -> None:
        """The oldest frames go out, or never will; of forgotten jobs too."""
        out, self.waiting = self.waiting[:count], self.waiting[count:]
        slots = np.array([probe.slot for probe in out], np.uint32)
        stamps = self.now + spread * np.arange(len(out))
        if goes:
            self.table.sent(slots, stamps)
        else:
            self.table.unsent(slots)
        for probe, stamp in zip(out, stamps.tolist(), strict=True):
            if self.ledger.cells.get(probe.slot % self.ledger.size) is probe:
                self.ledger.sent(probe, stamp) if goes else self.ledger.unsent(probe)

    @rule(data=st.data())
    def hear(self, data: st.DataObject) -> None:
        """Replies in any order, some twice: right ones, late ones, forged ones, of other targets, half quoted."""
        said = [self._said(data) for _ in range(data.draw(st.integers(0, 12)))] if self.old else []
        said += [said[at] for at in data.draw(st.lists(st.integers(0, len(said) - 1), max_size=4))] if said else []
        self.table.match(replies_of(said, self.targets), self.targets)
        for slot, how, nonce, about, kind, rx in said:
            self.ledger.reply(slot, nonce if how == FULL else None, about, kind, rx, how == NAMED)

    def _said(self, data: st.DataObject) -> Said:
        probe = data.draw(st.sampled_from(self.old[-80:]))
        slot, nonce, about = probe.slot, probe.nonce, probe.target
        kind, rx = data.draw(st.integers(1, 3)), self.now + data.draw(st.sampled_from([-30, 0, 7, 90]))
        wrong = data.draw(st.sampled_from(["", "", "", "", "nonce", "target", "slot", "named", "id", "low"]))
        if wrong == "nonce":
            nonce += 1
        elif wrong == "target":
            about = (about + 1) % TARGETS
        elif wrong == "slot":
            slot = data.draw(st.integers(0, 2**32 - 1))
        elif wrong == "named":
            return slot, NAMED, 0, about, kind, rx
        elif wrong == "id":
            return slot ^ 0x50000, NAMED, 0, about, kind, rx
        elif wrong == "low":
            return slot & 0xFFFF, LOW, 0, about, kind, rx
        return slot, FULL, nonce, about, kind, rx

    @rule(later=st.sampled_from([0, 1, 50, 101, 6000]))
    def close(self, later: int) -> None:
        self.now += later
        rows = rows_of(self.table.close(self.now))
        assert Counter(rows) == self.ledger.close(self.now)
        for number in {row[2] for row in rows}:
            states = [row[-1] for row in rows if row[2] == number]
            assert states == [0, 4] or len(states) == 1, "lost comes before late"

    @rule(job=st.integers(0, JOBS + 200))
    def forget(self, job: int) -> None:
        last = self.table.forget(job)
        if job < JOBS:
            expected = self.ledger.forget(job)
            assert last == {name: expected[name] for name in COUNTS}
        else:
            assert not any(last.values())

    @invariant()
    def the_books_agree(self) -> None:
        for job, count in enumerate(self.ledger.counts):
            kept = {name: int(self.table.counts[name][job]) for name in COUNTS}
            assert kept == {name: count[name] for name in COUNTS}
            assert kept["sent"] == sum(kept[end] for end in ENDS) + kept["in_flight"]
        strays = {name: count for name, count in self.table.strays.items() if count}
        assert strays == {name: count for name, count in self.ledger.strays.items() if count}
        assert self.table.busy == self.ledger.busy


TestBooks = Books.TestCase
TestBooks.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
