"""Results as columns, from a schedule to whoever keeps them: one port, `Sink`, and what this process keeps in memory.

Nothing here is an object per row: a batch of the packet engine passes as the bytes it came in. `Window` keeps the
newest batches up to a limit and counts what it lets go.
"""

import sys
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from amon.engine.messages import COLUMNS, SELF, STATES, Batch

from . import shape
from .targets import Targets, unpacked

WINDOW_BYTES = 16 * 2**20
"""Of results in memory."""
PACKETS = "packets"


@dataclass(frozen=True, slots=True)
class Column:
    """type: of `array`, little-endian, or "text". One that holds a single item is the same in all rows."""

    type: str
    data: "bytes | tuple[str, ...]"
    unit: str = ""

    def values(self) -> "Sequence[Any]":
        if isinstance(self.data, tuple):
            return self.data
        values = array(self.type)
        values.frombytes(self.data)
        if sys.byteorder == "big":
            values.byteswap()
        return values

    @property
    def size(self) -> int:
        return sum(map(len, self.data)) if isinstance(self.data, tuple) else len(self.data)


@dataclass(frozen=True, slots=True)
class Results:
    """A sealed batch: never changed, never said again.

    instance, kind: who measured what; `PACKETS` where each row is a packet of the engine. revision: of the list that
    column `target` is a place in. seq: counts the batches of this life of the instance. columns: of packets those of
    `amon.engine.messages`, with `sources` (16 bytes each) beside; of other kinds `target` (I), `at` (d, epoch seconds)
    and the plain columns of the measurement.
    """

    instance: str
    kind: str
    revision: int
    seq: int
    rows: int
    columns: Mapping[str, Column]
    sources: bytes = b""

    @property
    def size(self) -> int:
        return sum(column.size for column in self.columns.values()) + len(self.sources) + 200


class Sink(Protocol):
    """Where results go. Called from the event loop: must not wait, nor fail where it has no room, but count."""

    def listed(self, instance: str, targets: Targets) -> None:
        """From now on `target` means a place in this list. Before the first results of it."""
        ...

    def take(self, results: Results) -> None: ...

    def gap(self, gap: "Gap") -> None:
        """Who sees no rows of this time must not take it for loss."""
        ...


@dataclass(frozen=True, slots=True)
class Gap:
    """Nothing was measured between these moments (epoch seconds), for reasons of ours."""

    instance: str
    begin: float
    end: float
    why: str


_SIZES = {code: array(code).itemsize for code in set(COLUMNS.values())}
_UNITS = {"sent": "ns", "rtt": "ns", "mtu": "B"}


def of_engine(batch: Batch, instance: str, revision: int, seq: int) -> Results:
    """No row is looked at. ValueError for columns that cannot be of so many rows."""
    known = ((name, data) for name, data in batch.columns.items() if name in COLUMNS)
    columns = {name: Column(COLUMNS[name], data, _UNITS.get(name, "")) for name, data in known}
    if batch.rows < 1 or not {"target", "state"} <= columns.keys() or len(batch.sources) % 16:
        raise ValueError(f"{batch.rows} rows of {', '.join(columns) or 'nothing'}")
    for name, column in columns.items():
        if len(column.data) not in (_SIZES[column.type], _SIZES[column.type] * batch.rows):
            raise ValueError(f"column {name} has {len(column.data)} B for {batch.rows} rows")
    return Results(instance, PACKETS, revision, seq, batch.rows, columns, batch.sources)


_TYPES = {bool: "B", int: "q", float: "d"}


def of_measured(
    rows: Sequence[tuple[int, shape.Measurement]], instance: str, kind: str, revision: int, seq: int
) -> Results:
    """Measurements of one kind, each with the place of its target."""
    columns = {"target": Column("I", array("I", (row for row, _ in rows)).tobytes())}
    for column in shape.columns_of(type(rows[0][1])):
        if column.name == "target":
            continue
        values = [getattr(one, column.name) for _, one in rows]
        code = _TYPES.get(column.type)
        if code is None:
            columns[column.name] = Column("text", tuple("" if one is None else str(one) for one in values))
        else:
            columns[column.name] = Column(code, array(code, map(_number(code), values)).tobytes(), column.unit)
    return Results(instance, kind, revision, seq, len(rows), columns)


def _number(code: str) -> Any:
    """None is no number: NaN, or the least that fits."""
    if code == "d":
        return lambda value: float("nan") if value is None else float(value)
    if code == "B":
        return lambda value: int(bool(value))
    return lambda value: -(2**63) if value is None else min(2**63 - 1, max(-(2**63) + 1, int(value)))


class Window:
    """The newest results. What is let go to make room is counted, as whole batches and as rows."""

    def __init__(self, most: int = WINDOW_BYTES) -> None:
        self._most = most
        self._held: deque[Results] = deque()
        self.size = self.rows = self.taken = self.let_go = 0
        self.targets = Targets()
        self.gaps: deque[Gap] = deque(maxlen=100)

    def gap(self, gap: Gap) -> None:
        self.gaps.append(gap)

    def listed(self, instance: str, targets: Targets) -> None:
        self.targets = targets

    def take(self, results: Results) -> None:
        self._held.append(results)
        self.size += results.size
        self.rows += results.rows
        self.taken += results.rows
        while self.size > self._most and len(self._held) > 1:
            old = self._held.popleft()
            self.size -= old.size
            self.rows -= old.rows
            self.let_go += old.rows

    def newest(self) -> Iterator[tuple[Results, int]]:
        """Rows, the newest first, as (batch, row)."""
        for results in reversed(self._held):
            for row in range(results.rows - 1, -1, -1):
                yield results, row

    def of_target(self, place: int, most: int) -> list[tuple[Results, int]]:
        """The newest rows of one target of the present list."""
        found: list[tuple[Results, int]] = []
        for results in reversed(self._held):
            if len(found) >= most or results.revision != self.targets.revision:
                break
            column = results.columns["target"].values()
            if place in column:
                hits = range(results.rows) if len(column) == 1 else (n for n, one in enumerate(column) if one == place)
                found += [(results, row) for row in reversed(list(hits))]
        return found[:most]


def row_of(results: Results, row: int, targets: Targets) -> dict[str, Any]:
    """One row by the names of its columns, for people: the target as it is called, the source as an address."""
    made: dict[str, Any] = {}
    for name, column in results.columns.items():
        values = column.values()
        made[name] = values[row if len(values) > 1 else 0]
    place = made.get("target", 0)
    made["target"] = targets.called(place) if place < len(targets) else ""
    if "source" in made:
        source = made["source"]
        address = results.sources[16 * source : 16 * source + 16]
        made["source"] = made["target"] if source == SELF else unpacked(address) if len(address) == 16 else ""
    if results.kind == PACKETS:
        state = made.get("state", len(STATES))
        made["state"] = STATES[state] if state < len(STATES) else ""
    return made
