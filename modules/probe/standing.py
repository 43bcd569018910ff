"""How each target of a list is, in arrays: its last probes as bits, its round trip smoothed. Sources: RFC 6298, 2."""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from amon.engine.messages import STATES, Batch

HISTORY = 64
"""Probes of one target that its loss is told from, at most."""
_MASK = (1 << HISTORY) - 1
_SMOOTH = 0.125  # how much a new round trip counts


@dataclass(slots=True)
class Standing:
    """How each target of a list is: arrays, one place each.

    history: its last 64 probes, newest lowest, 1 for one that was not good. seen: how many of these there were.
    rtt: smoothed seconds (RFC 6298), 0: none yet. last: epoch seconds of the newest. state: place in `words`.
    """

    size: int
    history: "array[int]" = field(init=False)
    seen: "array[int]" = field(init=False)
    rtt: "array[float]" = field(init=False)
    last: "array[float]" = field(init=False)
    state: "array[int]" = field(init=False)
    words: list[str] = field(default_factory=lambda: ["unknown"])

    def __post_init__(self) -> None:
        self.history = array("Q", bytes(8 * self.size))
        self.seen = array("B", bytes(self.size))
        self.rtt = array("d", bytes(8 * self.size))
        self.last = array("d", bytes(8 * self.size))
        self.state = array("B", bytes(self.size))

    def word(self, text: str) -> int:
        if text not in self.words:
            self.words.append(text)
        return self.words.index(text)

    def note(self, place: int, good: bool, rtt: float | None, at: float, word: int) -> None:
        """One probe's end. rtt: seconds; None where nothing came."""
        self.history[place] = (self.history[place] << 1 | (not good)) & _MASK
        if self.seen[place] < HISTORY:
            self.seen[place] += 1
        if rtt is not None:
            before = self.rtt[place]
            self.rtt[place] = rtt if not before else before + _SMOOTH * (rtt - before)
        if at >= self.last[place]:
            self.last[place] = at
            self.state[place] = word

    def pass_over(self, place: int, at: float, word: int) -> None:
        """One that could not be made from here, which says nothing of the target."""
        if at >= self.last[place]:
            self.last[place] = at
            self.state[place] = word

    def count(self, *words: str) -> int:
        """Targets whose newest probe came to one of these."""
        states = self.state.tobytes()
        return sum(states.count(self.words.index(word)) for word in words if word in self.words)

    def amend(self, place: int, rtt: float) -> None:
        """A reply that came too late: it was told as lost, and stays so; its time is known."""
        before = self.rtt[place]
        self.rtt[place] = rtt if not before else before + _SMOOTH * (rtt - before)

    def loss(self, place: int, window: int) -> float | None:
        """Share of its last probes that were not good; None before there was any."""
        seen = min(window, self.seen[place])
        return (self.history[place] & ((1 << seen) - 1)).bit_count() / seen if seen else None

    def take_over(self, other: "Standing", moved: Mapping[int, int]) -> None:
        """What was known of targets that are still there. moved: their new place by the old one."""
        self.words = list(other.words)
        for old, new in moved.items():
            self.history[new], self.seen[new] = other.history[old], other.seen[old]
            self.rtt[new], self.last[new], self.state[new] = other.rtt[old], other.last[old], other.state[old]


class Counting:
    """Brings engine batches into a `Standing`. Of more rows a second than `most` only some batches, drawn by lot:
    targets have their place in time, and the same ones must not be passed over again and again."""

    def __init__(self, random: Random, most: int = 50_000) -> None:
        self._random = random
        self._most = most
        self._second = -1
        self._rows = self._rows_before = 0
        self.passed = self.counted = 0
        """Rows that were not looked at, and that were."""

    def take(self, batch: Batch, standing: Standing, now: float) -> "array[int] | None":
        """The places of the targets that have news; None if this batch was passed over. now: monotonic seconds."""
        if int(now) != self._second:
            self._second, self._rows_before, self._rows = int(now), self._rows, 0
        self._rows += batch.rows
        rate = max(self._rows_before, self._rows)
        if rate > self._most and self._random.random() > self._most / rate:
            self.passed += batch.rows
            return None
        self.counted += batch.rows
        return _brought(batch, standing)


def _brought(batch: Batch, standing: Standing) -> "array[int]":
    words = [standing.word(name) for name in STATES]
    rows = batch.rows
    late, unsent, answered = STATES.index("late"), STATES.index("unsent"), STATES.index("answered")
    news = array("I")
    for place, state, rtt, sent in zip(
        *(_whole(batch, name, rows) for name in ("target", "state", "rtt", "sent")), strict=True
    ):
        if place >= standing.size or state >= len(words):
            continue  # of a list that is gone
        if state == late:
            standing.amend(place, _seconds(rtt))
        elif state == unsent:  # ours, not the target's
            standing.pass_over(place, sent / 1e9, words[state])
            continue
        else:
            # How long an error took says nothing of the target: "host unreachable" comes after seconds.
            heard = _seconds(rtt) if state == answered else None
            standing.note(place, state == answered, heard, sent / 1e9, words[state])
        news.append(place)
    return news


def _seconds(rtt: int) -> float:
    """Raw, it may be below nothing where the way is shorter than the error of a stamp."""
    return max(0, rtt) / 1e9


def _whole(batch: Batch, name: str, rows: int) -> "Sequence[int]":
    if name not in batch.columns:
        return [0] * rows
    column = batch.column(name)
    return [column[0]] * rows if len(column) == 1 and rows > 1 else column[:rows]
