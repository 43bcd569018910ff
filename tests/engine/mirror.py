"""A network in memory for the engine's loop: what is sent comes back as its answer, unless a script says otherwise."""

import os
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address

import numpy as np

from amon.engine.paths.hops import Hops
from amon.engine.shapes import I64, MAPPED, NETWORK, SNAP, STRIDE, U8, U16, U64, Packets, Published, Span
from amon.engine.ways.trial import Ways

Answer = Callable[[bytes], list[tuple[int, bytes]]]
"""What a probe's IP packet is answered with: packets, and after how many ns each."""


def echo(packet: bytes) -> list[tuple[int, bytes]]:
    return [(1_000_000, reply(packet))]


def nothing(packet: bytes) -> list[tuple[int, bytes]]:
    return []


def reply(packet: bytes) -> bytes:
    """The echo reply to an echo request; checksums are as they were (the mirror's packets count as verified)."""
    body = bytearray(packet)
    if packet[0] >> 4 == 4:
        body[12:16], body[16:20] = packet[16:20], packet[12:16]
        body[20] = 0
    else:
        body[8:24], body[24:40] = packet[24:40], packet[8:24]
        body[40] = 129
    return bytes(body)


def exceeded(packet: bytes, router: str) -> bytes:
    """Time exceeded from that router about this probe."""
    source = ip_address(router).packed
    if packet[0] >> 4 == 4:
        quoted = packet[:28]
        header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 28 + len(quoted), 0, 0, 60, 1, 0, source, packet[12:16])
        return header + struct.pack(">BBHI", 11, 0, 0, 0) + quoted
    quoted = packet[:64]
    header = struct.pack(">IHBB16s16s", 6 << 28, 8 + len(quoted), 58, 60, source, packet[8:24])
    return header + struct.pack(">BBHI", 3, 0, 0, 0) + quoted


@dataclass(slots=True)
class Network:
    """clock: monotonic ns. answer: may be changed while it runs. takes: frames at a time. down: it fails all."""

    clock: Callable[[], int]
    answer: Answer = echo
    takes: int = 1 << 30
    down: bool = False
    sent: list[tuple[int, bytes]] = field(default_factory=list)
    """Every IP packet that went out, and when."""
    arriving: list[tuple[int, bytes]] = field(default_factory=list)
    opened: int = 0

    def open(self, wanted: object, ident: int) -> Ways:
        self.opened += 1
        sender = MirrorSender(self)
        return Ways("mirror", {4: sender, 6: sender}, (MirrorReceiver(self),))


class MirrorSender:
    name, family, link = "mirror", 0, False

    def __init__(self, network: Network, rows: int = 2048) -> None:
        self._network = network
        self.memory: U8 = np.zeros((rows, STRIDE), np.uint8)
        self._next = self._sent = 0
        self._none = np.empty(0, np.int64)

    def rows(self, most: int) -> I64:
        count = min(most, len(self.memory) - (self._next - self._sent))
        taken = np.arange(self._next, self._next + count) % len(self.memory)
        self._next += count
        return taken

    def rewind(self, count: int) -> None:
        self._next -= count

    def publish(self, lengths: U16) -> Published:
        network = self._network
        now = network.clock()
        if network.down:
            self._sent += len(lengths)
            return Published((), len(lengths), "the network is down")
        for length in lengths[: network.takes].tolist():
            packet = self.memory[self._sent % len(self.memory), NETWORK : NETWORK + length].tobytes()
            self._sent += 1
            network.sent.append((now, packet))
            network.arriving += [(now + after, each) for after, each in network.answer(packet)]
        return Published((Span(min(len(lengths), network.takes), now, now),))

    def errors(self) -> I64:
        return self._none

    def counters(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None: ...


class MirrorReceiver:
    name, descriptor = "mirror", -1

    def __init__(self, network: Network) -> None:
        self._network = network

    def drain(self, most: int) -> Packets:
        now = self._network.clock()
        come = sorted(one for one in self._network.arriving if one[0] <= now)[:most]
        for one in come:
            self._network.arriving.remove(one)
        data = np.zeros((len(come), SNAP), np.uint8)
        for row, (_, packet) in zip(data, come, strict=True):
            row[: min(SNAP, len(packet))] = np.frombuffer(packet[:SNAP], np.uint8)
        lengths = np.array([len(packet) for _, packet in come], np.uint32)
        return Packets(data, lengths, np.array([when for when, _ in come], np.int64), verified=True)

    def counters(self) -> Mapping[str, int]:
        return {}

    def close(self) -> None: ...


class Ground:
    """Paths to everywhere, by one hop for each family, that may be changed. Row 0 is IPv4's, row 1 IPv6's."""

    def __init__(self) -> None:
        self.hops = Hops()
        self._reading, self._writing = os.pipe()
        for row, source in enumerate(("192.0.2.1", "2001:db8::1")):
            number = int(ip_address(source))
            high, low = (0, MAPPED | number) if row == 0 else (number >> 64, number & (1 << 64) - 1)
            self.hops.source_high[row], self.hops.source_low[row], self.hops.usable[row] = high, low, True
        self.hops.version = 1
        self.changed = False
        self.own: tuple[str, ...] = ()
        """Broadcast addresses of our own networks."""

    def fileno(self) -> int:
        return self._reading

    def resolve(self, high: U64, low: U64) -> U16:
        return np.where((high == 0) & (low >> np.uint64(32) == MAPPED >> 32), 0, 1).astype(np.uint16)

    def refresh(self, now: int) -> bool:
        changed, self.changed = self.changed, False
        return changed

    def keep(self, rows: U16) -> None: ...

    def broadcasts(self) -> tuple[U64, U64]:
        low = np.array([MAPPED | int(ip_address(one)) for one in self.own], np.uint64)
        return np.zeros(len(low), np.uint64), low

    def notes(self) -> tuple[str, ...]:
        return ()

    def close(self) -> None:
        os.close(self._reading)
        os.close(self._writing)
