"""Arrays of messages that the kernel writes and reads, over a pair of unix sockets and UDP on loopback."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from amon.engine.linux.mmsg import Messages, control_space, write_control
from amon.engine.shapes import SNAP
from amon.engine.ways.received import clear_behind, within_link
from amon.engine.ways.rows import Rows
from amon.engine.ways.taking import SO_TIMESTAMPNS, STAMP, Batch, Intake, drops, widen
from tests.engine import scalar
from tests.engine.packets import HERE, ROUTER
from tests.engine.ways.alone import wait_until


@contextmanager
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with near, far:
        yield near, far


@contextmanager
def udp(*options: int) -> Iterator[tuple[socket.socket, socket.socket]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as near,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as far,
    ):
        far.bind(("127.0.0.1", 0))
        near.connect(far.getsockname())
        for option in options:
            far.setsockopt(socket.SOL_SOCKET, option, 1)
        yield near, far


def test_rows_are_sent_as_they_lie_with_their_lengths() -> None:
    with pair() as (near, far):
        memory = np.arange(4 * 64, dtype=np.uint8).reshape(4, 64)
        messages = Messages(4)
        messages.point(memory, 3)
        messages.vectors["len"][:, 0] = (5, 6, 7, 8)
        assert messages.send(near.fileno(), 1, 3) == 3
        assert [far.recv(100) for _ in range(3)] == [memory[row, 3 : 8 + row].tobytes() for row in (1, 2, 3)]


def test_a_full_socket_takes_some_and_then_says_why_not() -> None:
    with pair() as (near, _):
        messages = Messages(1000)
        messages.point(np.zeros((1000, 64), np.uint8), 0)
        taken = messages.send(near.fileno(), 0, 1000)
        assert 0 < taken < 1000
        assert messages.send(near.fileno(), taken, 1000 - taken) == -errno.EAGAIN


def test_nothing_there_is_no_error_worth_raising() -> None:
    with pair() as (_, far):
        batch = Intake(offset=0, name=0, control=0).read(far.fileno(), 10)
        assert (len(batch), batch.error) == (0, errno.EAGAIN)


def test_lengths_the_kernel_has_written_over_are_set_again() -> None:
    """recvmmsg(2) leaves in msg_controllen what it used: without a new value the next stamps would be cut off."""
    with udp(SO_TIMESTAMPNS) as (near, far):
        intake = Intake(offset=0, name=16, control=control_space(16))
        for _ in range(3):
            near.send(b"bare")
            batches: list[Batch] = []
            wait_until(lambda batches=batches: batches.append(intake.read(far.fileno(), 10)) or len(batches[-1]))  # type: ignore[misc]
            batch = batches[-1]
            assert batch.stamps()[0] > 0
            assert batch.names[0, 2:4].tobytes() == near.getsockname()[1].to_bytes(2, "big")


def test_messages_whose_controls_lie_otherwise_are_read_too() -> None:
    with udp() as (near, far):
        near.send(b"none")
        far.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        near.send(b"some")
        far.setsockopt(socket.IPPROTO_IP, 12, 1)  # IP_RECVTTL
        near.send(b"more")
        batch = Intake(offset=0, name=0, control=200).read(far.fileno(), 10)
        assert len(batch) == 3  # what is told is decided when it is read, so all three say the same
        assert len(batch.layouts) == 1
        assert batch.bytes_of(socket.IPPROTO_IP, socket.IP_TTL, 4)[:, 0].tolist() == [64] * 3


def test_control_messages_are_found_in_any_order_and_where_they_lack() -> None:
    messages = Messages(4, control=80)
    for rows, first, second in (((0, 2), STAMP, (0, 2)), ((1,), (0, 2), STAMP)):
        for row in rows:
            one = messages.controls[row : row + 1]
            size = {STAMP: 16, (0, 2): 4}
            write_control(one, 0, *first, size[first])
            write_control(one, control_space(size[first]), *second, size[second])
            at = 16 if first == STAMP else control_space(4) + 16
            one[:, at : at + 16].view(np.int64)[:] = (row + 1, 5)
            messages.headers["controllen"][row] = control_space(16) + control_space(4)
    messages.headers["controllen"][3] = 0
    groups = {tuple(rows.tolist()): layout for rows, layout in messages.layouts(4)}
    assert set(groups) == {(0, 2), (1,), (3,)}
    assert groups[0, 2] == {STAMP: 16, (0, 2): 48}
    assert groups[(1,)] == {(0, 2): 16, STAMP: 40}
    assert groups[(3,)] == {}


@pytest.mark.parametrize("length", [0, 3, 15, 2**63])
def test_a_control_message_that_lies_about_its_length_ends_the_walk(length: int) -> None:
    messages = Messages(1, control=64)
    write_control(messages.controls, 0, 1, 35, 16)
    messages.controls[:, :8].view(np.uint64)[:] = length
    messages.headers["controllen"][0] = 64
    assert [layout for _, layout in messages.layouts(1)] == [{}]


def test_what_is_longer_than_a_row_is_cut_but_its_length_is_told() -> None:
    with pair() as (near, far):
        intake = Intake(offset=20, name=0, control=0)
        near.send(bytes(range(200)) * 5)
        near.send(b"short")
        batch = intake.read(far.fileno(), 10)
        assert batch.lengths.tolist() == [1000, 5]
        assert batch.data[0, 20:].tobytes() == (bytes(range(200)) * 5)[: SNAP - 20]
        assert batch.data[1, 20:25].tobytes() == b"short"


def test_a_buffer_is_as_large_as_the_system_gives_and_its_drops_are_counted() -> None:
    with udp() as (near, far):
        assert widen(far, 8192) >= 4096
        for _ in range(200):
            near.send(bytes(100))
        came = len(Intake(offset=0, name=0, control=0).read(far.fileno(), 500))
        assert 0 < came < 200
        assert came + drops(far) == 200


def test_bytes_behind_a_packet_are_zero() -> None:
    wide = (([50, 50, 50], SNAP), ([0, SNAP, 7], SNAP), ([500, 10, 160], SNAP))
    for lengths, width in (*wide, ([60, 64, 7], 64), ([64, 64, 64], 64)):
        data = np.full((3, width), 9, np.uint8)
        clear_behind(data, np.array(lengths, np.uint32))
        for row, length in zip(data, lengths, strict=True):
            kept = min(length, width)
            assert (row[:kept] == 9).all()
            assert not row[kept:].any()


def test_what_ethernet_pads_with_is_not_the_packet() -> None:
    short = scalar.ipv4(ROUTER[4], HERE[4], bytes(10)), scalar.ipv6(ROUTER[6], HERE[6], bytes(10))
    data = np.zeros((4, SNAP), np.uint8)
    for row, packet in enumerate(short):
        data[row, : len(packet)] = np.frombuffer(packet, np.uint8)
        data[row + 2] = data[row]
    # The first two came with padding; of the others less came than they say.
    assert within_link(data, np.array([46, 60, 25, 45], np.uint32)).tolist() == [30, 50, 25, 45]


def test_rows_go_round_in_order() -> None:
    rows = Rows(4)
    assert rows.take(3).tolist() == [0, 1, 2]
    rows.done(2)
    assert rows.take(9).tolist() == [3, 0, 1]
    assert rows.take(1).tolist() == []
    assert rows.oldest(4) == [slice(2, 4), slice(0, 2)]
    rows.give_back(1)
    assert rows.oldest(3) == [slice(2, 4), slice(0, 1)]
    rows.done(3)
    assert rows.take(2).tolist() == [1, 2]


def test_more_rows_than_were_taken_are_an_error() -> None:
    rows = Rows(4)
    rows.take(2)
    with pytest.raises(ValueError, match="3 rows given back of 2 taken"):
        rows.give_back(3)
    with pytest.raises(ValueError, match="3 frames to send of 2 taken"):
        rows.oldest(3)
