"""A capture, what to put into it, and a reader of our own for what came of it."""

import os
import struct
from collections.abc import Iterator
from ipaddress import ip_address
from pathlib import Path

import numpy as np

from amon.engine.capture.capture import Capture
from amon.engine.messages import Capture as Order
from amon.engine.messages import Captured
from amon.engine.shapes import NETWORK, SNAP, STRIDE, U8, U16, U32, Packets
from tests.waiting import until

SECOND = 1_000_000_000
EPOCH = 1_700_000_000 * SECOND


def sixteen(text: str) -> bytes:
    address = ip_address(text)
    return address.packed if address.version == 6 else bytes(10) + b"\xff\xff" + address.packed


def checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def packet(source: str, target: str, kind: int = 8, inner: bytes = bytes(16), options: bytes = b"") -> bytes:
    """ICMP or ICMPv6, with what is behind the first 8 bytes."""
    sender, receiver = ip_address(source).packed, ip_address(target).packed
    if len(sender) == 16:
        pseudo = sender + receiver + struct.pack("!II", 8 + len(inner), 58)
        total = checksum(pseudo + struct.pack("!BBHI", kind, 0, 0, 1) + inner)
        icmp = struct.pack("!BBHI", kind, 0, total, 1) + inner
        return struct.pack("!IHBB", 6 << 28, len(icmp), 58, 64) + sender + receiver + icmp
    total = checksum(struct.pack("!BBHI", kind, 0, 0, 1) + inner)
    icmp = struct.pack("!BBHI", kind, 0, total, 1) + inner
    size = 20 + len(options)
    head = struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, size + len(icmp), 7, 0, 64, 1, 0) + sender + receiver + options
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + icmp


ECHO = packet("192.0.2.1", "198.51.100.7")
ECHO6 = packet("2001:db8::1", "2001:db8:f::7", kind=128)
REPLY = packet("198.51.100.7", "192.0.2.1", kind=0)


def received(*packets: bytes, stamps: list[int] | None = None) -> Packets:
    data: U8 = np.zeros((len(packets), SNAP), np.uint8)
    for row, one in enumerate(packets):
        data[row, : min(len(one), SNAP)] = np.frombuffer(one[:SNAP], np.uint8)
    lengths: U32 = np.array([len(one) for one in packets], np.uint32)
    return Packets(data, lengths, np.array(stamps or range(len(packets)), np.int64))


def sent(*packets: bytes) -> tuple[U8, U16]:
    """Frames in a transmitter's memory, one after the other, and their lengths."""
    memory: U8 = np.full((len(packets) + 3, STRIDE), 0xEE, np.uint8)
    for row, one in enumerate(packets):
        memory[row + 3, NETWORK : NETWORK + len(one)] = np.frombuffer(one, np.uint8)
    return memory, np.array([len(one) for one in packets], np.uint16)


class Running:
    """A capture into a file; all packets are of job 5 unless said."""

    def __init__(self, descriptor: int, order: Order, **more: int) -> None:
        self.capture = Capture(descriptor, order, 0, lambda: EPOCH, **more)
        self.capture.jobs = np.array([5], np.uint16)

    def hear(self, *packets: bytes, jobs: list[int] | None = None, stamps: list[int] | None = None) -> None:
        which = np.array(jobs or [5] * len(packets), np.uint16)
        self.capture.note_received(received(*packets, stamps=stamps), which)

    def send(self, *packets: bytes, jobs: list[int] | None = None) -> None:
        memory, lengths = sent(*packets)
        rows = np.arange(3, 3 + len(packets))
        which = np.array(jobs or [5] * len(packets), np.uint16)
        self.capture.note_sent(memory, rows, lengths, np.arange(len(packets), dtype=np.int64), which)

    async def over(self, now: int = SECOND) -> Captured:
        await until(lambda: self.capture.check(now) is not None)
        done = self.capture.check(now)
        assert done is not None
        return done

    async def stopped(self) -> Captured:
        self.capture.stop()
        return await self.over()


def read(path: Path) -> Iterator[tuple[int, int, bytes]]:
    """Stamp, length, bytes of each record; a reader of our own, so that nothing has to be installed."""
    data = path.read_bytes()
    magic, major, minor, _zone, _sigfigs, _snap, link = struct.unpack("<IHHiIII", data[:24])
    assert (magic, major, minor, link) == (0xA1B23C4D, 2, 4, 101)
    at = 24
    while at < len(data):
        seconds, nanoseconds, kept, length = struct.unpack("<IIII", data[at : at + 16])
        yield seconds * SECOND + nanoseconds, length, data[at + 16 : at + 16 + kept]
        at += 16 + kept
    assert at == len(data)


def open_new(path: Path) -> int:
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
