"""What is sealed can be read again as it was, fits a message, and says nothing twice."""

import socket
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.desk.connection import Client, peer_of
from amon.engine.messages import COLUMNS, MESSAGE_MOST, SELF, Batch, Spec, encode, read_report
from amon.engine.shapes import U64, Bools
from amon.engine.turn.batches import ROWS_MOST, Rows, Waiting, seal
from amon.engine.turn.jobs import Job

SOURCES = st.tuples(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
ONE = st.tuples(
    st.integers(0, 2**62), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1), st.integers(-(10**6), 10**11),
    st.integers(0, 5), st.integers(1, 255), st.integers(0, 255), st.integers(0, 255), st.integers(0, 255),
    st.integers(0, 255), st.integers(0, 65535), st.one_of(st.none(), SOURCES),
)  # fmt: skip
KINDS = ("<i8", "<u4", "<u4", "<i8", "u1", "u1", "u1", "u1", "u1", "u1", "<u2")
Given = list[tuple[int, int, int, int, int, int, int, int, int, int, int, tuple[int, int] | None]]


def job() -> Job:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        return Job(Client(ours, peer_of(ours), 0), 7, Spec())


JOB = job()


def made(columns: list[Any], high: U64, low: U64, is_self: Bools) -> Rows:
    every: list[Any] = [*columns, high, low, is_self]
    return Rows(*every)


def rows_of(given_rows: Given) -> Rows:
    columns = [np.array([row[place] for row in given_rows], kind) for place, kind in enumerate(KINDS)]
    high = np.array([(row[11] or (0, 0))[0] for row in given_rows], np.uint64)
    low = np.array([(row[11] or (0, 0))[1] for row in given_rows], np.uint64)
    return made(columns, high, low, np.array([row[11] is None for row in given_rows]))


def read(batch: Batch) -> Given:
    columns = {name: batch.column(name).tolist() for name in COLUMNS}
    columns = {name: column * batch.rows if len(column) == 1 else column for name, column in columns.items()}
    found: Given = []
    for row in zip(*columns.values(), strict=True):
        *others, source = row
        address = None
        if source != SELF:
            piece = batch.sources[16 * source : 16 * source + 16]
            address = (int.from_bytes(piece[:8], "big"), int.from_bytes(piece[8:], "big"))
        found.append((*others, address))
    return found


@given(st.lists(ONE, min_size=1, max_size=30), st.booleans())
def test_what_is_sealed_is_read_again_as_it_was(rows: Given, same: bool) -> None:
    rows = rows[:1] * len(rows) if same else rows
    batch = read_report(encode(seal(JOB, 3, rows_of(rows))))
    assert isinstance(batch, Batch)
    assert read(batch) == rows
    assert (batch.job, batch.edition, batch.rows) == (7, 3, len(rows))
    if same:
        assert {len(batch.column(name)) for name in COLUMNS if name != "source"} == {1}


def many(count: int, source: bool) -> Rows:
    random = np.random.default_rng(1)
    top = {"<i8": 2**62, "<u4": 2**32, "u1": 2**8, "<u2": 2**16}
    columns = [random.integers(0, top[kind], count).astype(kind) for kind in KINDS]
    halves = random.integers(0, 2**63, (2, count)).astype(np.uint64)
    return made(columns, halves[0], halves[1], np.full(count, not source))


def test_a_batch_fits_a_message_whatever_is_in_it() -> None:
    for source in (False, True):
        waiting = Waiting(0)
        waiting.add(many(3 * ROWS_MOST + 5, source))
        batches = [seal(JOB, 0, piece) for piece in waiting.take(whole=True)]
        assert max(len(encode(batch)) for batch in batches) <= MESSAGE_MOST
        assert sum(batch.rows for batch in batches) == 3 * ROWS_MOST + 5
        assert waiting.count == 0


def test_what_does_not_fill_a_batch_waits_in_order() -> None:
    rows, waiting = many(ROWS_MOST + 10, False), Waiting(0)
    for first in range(0, len(rows), 100):
        waiting.add(rows[first : first + 100])
    (piece,) = waiting.take(whole=False)
    (rest,) = waiting.take(whole=True)
    assert (len(piece), len(rest)) == (ROWS_MOST, 10)
    assert (np.concatenate((piece.number, rest.number)) == rows.number).all()


def test_batches_of_a_job_are_numbered_through() -> None:
    one = job()
    assert [seal(one, 0, many(5, False)).seq for _ in range(4)] == [0, 1, 2, 3]
