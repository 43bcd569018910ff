"""From rows whose end is known to sealed batches: numbered within the job, columns that hold one value sent once."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from amon.engine.messages import COLUMNS, SELF, Batch
from amon.engine.packets.columns import joined, picked
from amon.engine.shapes import I64, U8, U16, U32, U64, Bools
from amon.engine.turn.jobs import Job

ROWS_MOST = 4096
_ROWS_MOST_WITH_SOURCES = 2048  # the sources, 16 bytes each, go with the batch
_TYPES = {"q": "<i8", "I": "<u4", "H": "<u2", "B": "u1"}


@dataclass(slots=True)
class Rows:
    """Ended probes of one edition; columns as in `messages.COLUMNS`, target: place in the list, sent: epoch ns.

    source_high, source_low: who answered; the same as the target's address where that is the target itself.
    """

    sent: I64
    target: U32
    number: U32
    rtt: I64
    state: U8
    ttl: U8
    flow: U8
    hops: U8
    type: U8
    code: U8
    mtu: U16
    source_high: U64
    source_low: U64
    is_self: Bools

    def __len__(self) -> int:
        return len(self.sent)

    def __getitem__(self, which: slice) -> "Rows":
        return picked(self, which)


class Waiting:
    """Rows of one edition that are not sealed yet."""

    __slots__ = ("count", "pieces", "since")

    def __init__(self, since: int) -> None:
        self.pieces: list[Rows] = []
        self.count = 0
        self.since = since

    def add(self, rows: Rows) -> None:
        self.pieces.append(rows)
        self.count += len(rows)

    def take(self, *, whole: bool) -> list[Rows]:
        """Pieces of the size of a batch; with the rest that does not fill one if `whole`."""
        rows = joined(self.pieces)
        most = ROWS_MOST if bool(rows.is_self.all()) else _ROWS_MOST_WITH_SOURCES
        end = len(rows) if whole else len(rows) - len(rows) % most
        pieces = [rows[first : min(first + most, end)] for first in range(0, end, most)]
        self.pieces = [rows[end:]] if end < len(rows) else []
        self.count = len(rows) - end
        return pieces


def seal(job: Job, edition: int, rows: Rows) -> Batch:
    """At most `ROWS_MOST` rows. The job counts its batches."""
    source, addresses = _sources(rows)
    columns = {
        name: _packed(source if name == "source" else getattr(rows, name), _TYPES[kind])
        for name, kind in COLUMNS.items()
    }
    batch = Batch(job.ident, job.batches, len(rows), columns, addresses, edition)
    job.batches += 1
    return batch


def _sources(rows: Rows) -> tuple[U32, bytes]:
    source = np.full(len(rows), SELF, np.uint32)
    others = np.flatnonzero(~rows.is_self)
    if not len(others):
        return source[:1], b""
    pairs = np.stack((rows.source_high[others], rows.source_low[others]), axis=1)
    distinct, place = np.unique(pairs, axis=0, return_inverse=True)
    source[others] = place.reshape(-1)
    return source, distinct.astype(">u8").tobytes()


def _packed(column: NDArray[np.generic], kind: str) -> bytes:
    if len(column) > 1 and column[0] == column[-1] and (column == column[0]).all():
        column = column[:1]
    return column.astype(kind, copy=False).tobytes()
