"""Captures: which packets are in them, and what ends them."""

import asyncio
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.engine.capture.capture import NO_JOB, concerns
from amon.engine.capture.pcap import records
from amon.engine.messages import Capture as Order
from amon.engine.messages import Captured
from amon.engine.shapes import SNAP
from tests.engine.capturing import ECHO, ECHO6, EPOCH, REPLY, SECOND, Running, open_new, packet, read, received, sixteen
from tests.waiting import until


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "amon.pcap"


@pytest.fixture
def begin(path: Path) -> Callable[..., Running]:
    def running(queue: int = 1 << 20, **more: object) -> Running:
        return Running(open_new(path), Order(1, **more), queue=queue)  # type: ignore[arg-type]

    return running


# --- what is in it


async def test_what_was_sent_and_received_is_there_byte_for_byte(begin: Callable[..., Running], path: Path) -> None:
    running = begin()
    running.send(ECHO, ECHO6)
    running.hear(REPLY, stamps=[123_456_789])
    done = await running.stopped()
    assert list(read(path)) == [
        (EPOCH, len(ECHO), ECHO),
        (EPOCH + 1, len(ECHO6), ECHO6),
        (EPOCH + 123_456_789, len(REPLY), REPLY),
    ]
    assert done == Captured(1, 3, path.stat().st_size)


async def test_of_a_long_packet_the_beginning_is_kept_and_its_length_said(
    begin: Callable[..., Running], path: Path
) -> None:
    running = begin()
    running.hear(packet("198.51.100.7", "192.0.2.1", 0, bytes(1000)))
    running.send(packet("192.0.2.1", "198.51.100.7", 8, bytes(1972)))
    await running.stopped()
    assert [(length, len(data)) for _, length, data in read(path)] == [(1028, SNAP), (2000, 2000)]


async def test_only_packets_of_the_jobs_it_is_about_are_taken(begin: Callable[..., Running], path: Path) -> None:
    running = begin()
    running.capture.jobs = np.array([5, 9], np.uint16)
    running.send(ECHO, ECHO, ECHO, jobs=[5, 6, 9])
    running.hear(REPLY, REPLY, jobs=[NO_JOB, 9])
    assert (await running.stopped()).packets == 3


async def test_without_jobs_nothing_is_taken(begin: Callable[..., Running]) -> None:
    running = begin()
    running.capture.jobs = np.zeros(0, np.uint16)
    running.send(ECHO)
    assert await running.stopped() == Captured(1, 0, 24)


@pytest.mark.parametrize(("only", "count"), [({"sent": False}, 1), ({"received": False}, 2), ({}, 3)])
async def test_a_direction_can_be_left_out(begin: Callable[..., Running], only: dict[str, bool], count: int) -> None:
    running = begin(**only)
    running.send(ECHO, ECHO)
    running.hear(REPLY)
    assert (await running.stopped()).packets == count


async def test_an_address_is_looked_for_in_both_directions_and_in_quotes(
    begin: Callable[..., Running], path: Path
) -> None:
    hop = packet("203.0.113.1", "192.0.2.1", 11, ECHO)
    others = (packet("203.0.113.1", "192.0.2.1", 0, ECHO), packet("203.0.113.1", "192.0.2.1", 11, REPLY[:28]), ECHO6)
    running = begin(address=sixteen("198.51.100.7"))
    running.send(ECHO, packet("192.0.2.1", "198.51.100.8"))
    running.hear(REPLY, hop, *others)
    await running.stopped()
    assert [data for _, _, data in read(path)] == [ECHO, REPLY, hop]


@pytest.mark.parametrize(
    ("data", "address", "meant"),
    [
        (ECHO6, "2001:db8:f::7", True),
        (ECHO6, "2001:db8::1", True),
        (ECHO6, "2001:db8::2", False),
        (packet("2001:db8:a::1", "2001:db8::1", 3, ECHO6), "2001:db8:f::7", True),
        (packet("2001:db8:a::1", "2001:db8::1", 129, ECHO6), "2001:db8:f::7", False),
        (packet("2001:db8:a::1", "2001:db8::1", 3, ECHO6[:38]), "2001:db8:f::7", False),
        (packet("203.0.113.1", "192.0.2.1", 3, ECHO, options=bytes(40)), "198.51.100.7", True),
        (ECHO, "2001:db8::1", False),
        (ECHO[:19], "198.51.100.7", False),
        (ECHO[:18], "192.0.2.1", True),
        (b"", "192.0.2.1", False),
        (b"\x4f" * 24, "192.0.2.1", False),
    ],
)
def test_whom_a_packet_concerns(data: bytes, address: str, meant: bool) -> None:
    packets = received(data)
    assert concerns(packets.data, packets.length, sixteen(address)).tolist() == [meant]


@given(st.lists(st.binary(max_size=SNAP), min_size=1, max_size=8), st.sampled_from(["192.0.2.1", "2001:db8::1"]))
def test_no_packet_of_any_bytes_breaks_the_filter(packets: list[bytes], address: str) -> None:
    noted = received(*packets)
    assert len(concerns(noted.data, noted.length, sixteen(address))) == len(packets)


@given(st.lists(st.binary(min_size=1, max_size=90), max_size=8))
def test_records_are_those_of_a_slow_reference(packets: list[bytes]) -> None:
    noted = received(*packets, stamps=[number * 700_000_000 for number in range(len(packets))])
    made = records(noted.data[:, :60], noted.length, noted.stamp)
    expected = [
        struct.pack("<IIII", stamp // SECOND, stamp % SECOND, min(len(one), 60), len(one)) + one[:60]
        for one, stamp in zip(packets, noted.stamp.tolist(), strict=True)
    ]
    assert made.data == b"".join(expected)
    assert made.ends.tolist() == [sum(map(len, expected[: row + 1])) for row in range(len(expected))]


# --- what ends it


async def test_it_ends_with_its_packets(begin: Callable[..., Running], path: Path) -> None:
    running = begin(packets=3)
    running.send(*[ECHO] * 10)
    running.hear(REPLY)
    done = await running.over()
    assert (done.packets, done.text, done.left_out) == (3, "its 3 packets are there", 0)
    assert len(list(read(path))) == 3


async def test_it_ends_with_its_bytes_and_the_file_is_never_larger(begin: Callable[..., Running], path: Path) -> None:
    running = begin(bytes=1024)
    running.send(*[ECHO] * 5)
    running.send(*[ECHO] * 50)
    done = await running.over()
    size = 24 + (1000 // (16 + len(ECHO))) * (16 + len(ECHO))
    assert (done.bytes, path.stat().st_size, done.text) == (size, size, "its 1,024 bytes are full")


async def test_it_ends_with_its_time(begin: Callable[..., Running], path: Path) -> None:
    running = begin(seconds=10.0)
    running.hear(REPLY, REPLY, stamps=[10 * SECOND - 1, 10 * SECOND])
    assert running.capture.check(10 * SECOND - 1) is None
    done = await running.over(10 * SECOND)
    assert (done.packets, done.text) == (1, "its 10 s are over")


async def test_what_comes_after_its_end_is_not_taken(begin: Callable[..., Running]) -> None:
    running = begin()
    running.capture.stop("who asked for it has gone")
    running.send(ECHO)
    running.hear(REPLY)
    assert await running.over() == Captured(1, 0, 24, 0, "who asked for it has gone")


async def test_a_full_disk_ends_it_and_every_packet_is_counted() -> None:
    running = Running(os.open("/dev/full", os.O_WRONLY), Order(1))
    await until(lambda: running.capture.check(SECOND) is not None)
    running.send(ECHO)
    assert running.capture.check(SECOND) == Captured(1, 0, 0, 0, "the disk is full")


def test_a_file_that_may_not_grow_ends_with_a_whole_record(path: Path) -> None:
    """RLIMIT_FSIZE is of the process, so the capture is in one of its own; a write beyond it is cut, then EFBIG."""
    lines = (
        "import asyncio, os, resource, signal, sys",
        "from tests.engine.capturing import ECHO, Order, Running",
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)",
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))",
        "running = Running(os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT), Order(1))",
        "running.send(*[ECHO] * 100)",
        "print(asyncio.run(running.stopped()))",
    )
    argv = [sys.executable, "-c", "\n".join(lines), str(path)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True)
    whole = 976 // (16 + len(ECHO))
    size = 24 + whole * (16 + len(ECHO))
    assert done.stdout.strip() == repr(Captured(1, whole, size, 100 - whole, "the file may not become larger"))
    assert [data for _, _, data in read(path)] == [ECHO] * whole


async def test_what_was_in_a_file_before_stays_there(path: Path) -> None:
    path.write_bytes(b"before")
    running = Running(os.open(path, os.O_WRONLY | os.O_APPEND), Order(1))
    running.send(ECHO)
    done = await running.stopped()
    assert path.read_bytes().startswith(b"before" + bytes.fromhex("4d3cb2a1"))
    assert path.stat().st_size == 6 + done.bytes


async def test_a_reader_that_goes_ends_it() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    running = Running(writer, Order(1))
    running.send(ECHO, ECHO)
    done = await running.over()
    assert (done.packets, done.bytes, done.text) == (0, 0, "who read it has gone")
    assert done.left_out == 2


async def test_a_reader_that_takes_nothing_holds_up_nobody_and_costs_bounded_memory() -> None:
    reader, writer = os.pipe()
    running = Running(writer, Order(1), queue=100_000)
    for _ in range(200):
        running.send(*[ECHO] * 100)
    running.capture.stop()
    assert running.capture.check(SECOND) is None
    done = await running.over(4 * SECOND)
    assert done.text == "its reader takes nothing"
    assert done.packets + done.left_out == 20_000
    assert 0 < done.packets < 20_000
    os.close(reader)


async def test_a_pipe_gets_all_if_somebody_reads(tmp_path: Path) -> None:
    reader, writer = os.pipe()
    target = tmp_path / "copy.pcap"
    with target.open("wb") as file:
        copy = await asyncio.create_subprocess_exec("cat", stdin=reader, stdout=file)
    os.close(reader)
    running = Running(writer, Order(1))
    running.send(*[ECHO] * 5000)
    done = await running.stopped()
    assert await copy.wait() == 0
    assert (done.packets, done.left_out, done.bytes) == (5000, 0, target.stat().st_size)
    assert len(list(read(target))) == 5000


@pytest.mark.parametrize(
    ("descriptor", "text"),
    [
        (lambda path: os.open(path, os.O_RDONLY | os.O_CREAT), "it is not open for writing"),
        (lambda path: os.open(path.parent, os.O_RDONLY), "a capture goes into a file or a pipe"),
        (lambda path: os.eventfd(0), "a capture goes into a file or a pipe"),
    ],
)
async def test_what_cannot_be_written_to_is_said(path: Path, descriptor: Callable[[Path], int], text: str) -> None:
    running = Running(descriptor(path), Order(7))
    done = await running.over()
    assert (done.capture, done.packets, done.bytes, done.text) == (7, 0, 0, text)


async def test_a_terminal_that_nobody_reads_holds_up_nobody() -> None:
    ours, theirs = os.openpty()
    running = Running(theirs, Order(1))
    running.send(*[ECHO] * 5000)
    done = await running.over()
    assert (done.packets, done.left_out, done.text) == (0, 5000, "a capture goes into a file or a pipe")
    os.close(ours)


async def test_the_end_of_the_engine_waits_for_what_was_taken(begin: Callable[..., Running], path: Path) -> None:
    running = begin()
    running.send(*[ECHO] * 1000)
    running.capture.stop("the engine ends")
    done = running.capture.wait(20)
    assert done is not None
    assert (done.packets, done.text) == (1000, "the engine ends")
    assert len(list(read(path))) == 1000
