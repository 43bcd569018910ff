"""What the table must do, one probe at a time, in dictionaries: the model that it is tested against."""

from collections import Counter
from dataclasses import dataclass, field

JOBS = 4
ENDS = ("lost", "answered", "unreachable", "hops", "late")


@dataclass
class Probe:
    """One that has a slot. stage: ahead, open, unsent, ended. answer: kind and rx of the first reply."""

    job: int
    target: int
    number: int
    ttl: int
    flow: int
    slot: int
    nonce: int
    timeout: int
    stage: str = "ahead"
    tx: int = 0
    answer: tuple[int, int] | None = None
    told: bool = False
    """Its answer was handed out, or it never will be."""

    @property
    def busy(self) -> bool:
        return self.stage in ("ahead", "open", "unsent") or (self.answer is not None and not self.told)


@dataclass
class Ledger:
    """size: cells. Rows are tuples of job, target, number, ttl, flow, tx, rtt, state by its number."""

    size: int
    position: int
    first: int = field(init=False)
    cells: dict[int, Probe] = field(default_factory=dict)
    counts: list[Counter[str]] = field(default_factory=lambda: [Counter() for _ in range(JOBS)])
    strays: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.first = self.position

    @property
    def busy(self) -> int:
        return sum(probe.busy for probe in self.cells.values())

    def take(self, probe: Probe) -> None:
        """Into the next cell that is free, whose slot it must have been given."""
        while (old := self.cells.get(self.position % self.size)) is not None and old.busy:
            self.position += 1
        assert probe.slot == self.position % 2**32
        self.cells[self.position % self.size] = probe
        self.position += 1
        self.counts[probe.job]["ahead"] += 1

    def sent(self, probe: Probe, stamp: int) -> None:
        probe.stage, probe.tx = "open", stamp
        self.counts[probe.job] += Counter(sent=1, in_flight=1)
        self.counts[probe.job]["ahead"] -= 1

    def unsent(self, probe: Probe) -> None:
        probe.stage = "unsent"
        count = self.counts[probe.job]
        count["duplicate"] += probe.answer is not None
        count["unsent"] += 1
        count["ahead"] -= 1
        probe.answer, probe.told = None, True

    def reply(self, slot: int, nonce: int | None, about: int, kind: int, rx: int, named: bool) -> None:
        """nonce: None where only a part of the slot is known, all of it if `named`. about: the target it is about."""
        probe = self._found(slot, nonce, about, named)
        if probe is None:
            return
        count = self.counts[probe.job]
        if nonce is not None and nonce != probe.nonce:
            count["forged"] += 1
        elif about != probe.target:
            count["wrong_source"] += 1
        elif probe.answer is not None or probe.stage == "unsent":
            count["duplicate"] += 1
        else:
            probe.answer, probe.told = (kind, rx), False

    def _found(self, slot: int, nonce: int | None, about: int, named: bool) -> Probe | None:
        probe = self.cells.get(slot % self.size)
        if nonce is None:
            fits = probe is not None and probe.target == about and slot % 2**16 == probe.slot % 2**16
            if not fits:
                self.strays["forged"] += 1
            return probe if fits else None
        if probe is not None and probe.slot == slot:
            return probe
        ago = (self.position - slot) % 2**32
        self.strays["stale" if 0 < ago <= min(self.position - self.first, 2**31) else "forged"] += 1
        return None

    def close(self, now: int) -> Counter[tuple[int, ...]]:
        rows: Counter[tuple[int, ...]] = Counter()
        for cell, probe in list(self.cells.items()):
            if probe.stage == "unsent":
                rows[self._row(probe, now, 0, 5)] += 1
                del self.cells[cell]
            elif probe.stage == "open":
                self._end(probe, now, rows)
            elif probe.stage == "ended" and probe.answer is not None and not probe.told:
                self._late(probe, rows)
        return rows

    def _end(self, probe: Probe, now: int, rows: Counter[tuple[int, ...]]) -> None:
        deadline = probe.tx + probe.timeout
        if probe.answer is not None and probe.answer[1] <= deadline:
            kind, rx = probe.answer
            self._ended(probe, kind)
            probe.told = True
            rows[self._row(probe, probe.tx, rx - probe.tx, kind)] += 1
        elif probe.answer is not None or deadline < now:
            self._ended(probe, 0)
            rows[self._row(probe, probe.tx, 0, 0)] += 1
            if probe.answer is not None:
                self._late(probe, rows)

    def _ended(self, probe: Probe, state: int) -> None:
        probe.stage = "ended"
        self.counts[probe.job]["in_flight"] -= 1
        self.counts[probe.job][ENDS[state]] += 1

    def _late(self, probe: Probe, rows: Counter[tuple[int, ...]]) -> None:
        assert probe.answer is not None
        probe.told = True
        self.counts[probe.job]["lost"] -= 1
        self.counts[probe.job]["late"] += 1
        rows[self._row(probe, probe.tx, probe.answer[1] - probe.tx, 4)] += 1

    def forget(self, job: int) -> Counter[str]:
        self.cells = {cell: probe for cell, probe in self.cells.items() if probe.job != job}
        last, self.counts[job] = self.counts[job], Counter()
        last["lost"] += last.pop("in_flight", 0)
        last["unsent"] += last.pop("ahead", 0)
        return last

    @staticmethod
    def _row(probe: Probe, tx: int, rtt: int, state: int) -> tuple[int, ...]:
        return probe.job, probe.target, probe.number, probe.ttl, probe.flow, tx, rtt, state
