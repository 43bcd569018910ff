"""A path of scripted routers behind a TUN interface, in a network namespace of the test's own thread. Needs root.

Sources: namespaces(7) (unshare is per thread), Documentation/networking/tuntap.rst, RFC 792, RFC 4443.
"""

import asyncio
import ctypes
import fcntl
import os
import socket
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import pytest

R = TypeVar("R")

_CLONE_NEWNET = 0x40000000
_TUNSETIFF, _IFF_TUN, _IFF_NO_PI = 0x400454CA, 0x0001, 0x1000
_NAME = "amon-probes-0"

needs_network = pytest.mark.skipif(
    os.geteuid() != 0 or not Path("/dev/net/tun").exists(),
    reason="makes a network namespace and a TUN, so it needs root",
)


@dataclass
class Probe:
    """An echo request that left the host."""

    version: int
    packet: bytes
    ttl: int
    tos: int
    df: bool
    source: bytes
    target: bytes
    message: bytes

    @property
    def checksum(self) -> int:
        return int.from_bytes(self.message[2:4], "big")


@dataclass
class Routers:
    """What is on the way. hops: addresses of each; several share flows by checksum. silent: hops that say nothing.

    mtu: of the link behind a hop (0: behind the host itself). mute: routers tell no MTU. answers: what the
    target does. at: what is done at a place of the way, None for the usual.
    """

    hops: list[list[str]] = field(default_factory=list)
    silent: set[int] = field(default_factory=set)
    mtu: dict[int, int] = field(default_factory=dict)
    mute: bool = False
    answers: Callable[["Routers", Probe], Iterator[bytes]] | None = None
    at: Callable[["Routers", Probe, int], Iterator[bytes] | None] | None = None
    seen: list[Probe] = field(default_factory=list)

    def reply(self, packet: bytes) -> Iterator[bytes]:
        probe = read(packet)
        if probe is None:
            return
        self.seen.append(probe)
        for place in range(len(self.hops) + 1):
            said = self.at(self, probe, place) if self.at is not None else None
            if said is not None:
                yield from said
                return
            if 0 < place == probe.ttl:
                if place not in self.silent:
                    yield self.error(probe, place, (11, 0) if probe.version == 4 else (3, 0))
                return
            if probe.df and len(packet) > self.mtu.get(place, 1 << 16):
                if not self.mute:
                    yield self.error(probe, place, (3, 4) if probe.version == 4 else (2, 0), self.mtu[place])
                return
        yield from self.answers(self, probe) if self.answers is not None else [echo(probe)]

    def router(self, probe: Probe, place: int) -> str:
        row = self.hops[max(0, place - 1)]
        return row[zlib.crc32(probe.message[2:4]) % len(row)]

    def error(self, probe: Probe, place: int, kind: tuple[int, int], mtu: int = 0, quoted: int = 2**16) -> bytes:
        """quoted: bytes of ours behind the IP header that it quotes."""
        header = 20 if probe.version == 4 else 40
        quote = probe.packet[: header + quoted]
        body = struct.pack(
            "!BBHHH" if probe.version == 4 else "!BBHI", *kind, 0, *((0, mtu) if probe.version == 4 else (mtu,))
        )
        return packed(
            probe.version, socket.inet_pton(_family(probe), self.router(probe, place)), probe.source, body + quote
        )


def echo(probe: Probe, *, source: bytes | None = None, change: Callable[[bytes], bytes] | None = None) -> bytes:
    """The reply to it. change: made with the message behind type, code and checksum."""
    rest = probe.message[4:]
    rest = change(rest) if change is not None else rest
    head = bytes([0 if probe.version == 4 else 129, 0, 0, 0])
    return packed(probe.version, source or probe.target, probe.source, head + rest)


def _family(probe: Probe) -> socket.AddressFamily:
    return socket.AF_INET if probe.version == 4 else socket.AF_INET6


def read(packet: bytes) -> Probe | None:
    version = packet[0] >> 4
    if version == 4 and packet[9] == 1 and packet[20] == 8:
        df = bool(packet[6] & 0x40)
        return Probe(4, packet, packet[8], packet[1], df, packet[12:16], packet[16:20], packet[20:])
    if version == 6 and packet[6] == 58 and packet[40] == 128:
        tos = (packet[0] & 15) << 4 | packet[1] >> 4
        return Probe(6, packet, packet[7], tos, True, packet[8:24], packet[24:40], packet[40:])
    return None


def packed(version: int, source: bytes, target: bytes, message: bytes) -> bytes:
    """An IP packet around an ICMP message, whose checksum is made."""
    if version == 4:
        message = message[:2] + _sum(message) + message[4:]
        head = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(message), 1, 0, 55, 1, 0, source, target)
        return head[:10] + _sum(head) + head[12:] + message
    pseudo = source + target + struct.pack("!II", len(message), 58)
    message = message[:2] + _sum(pseudo + message) + message[4:]
    return struct.pack("!IHBB", 6 << 28, len(message), 58, 55) + source + target + message


def _sum(data: bytes) -> bytes:
    data += b"\0" * (len(data) % 2)
    words = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while words >> 16:
        words = (words & 0xFFFF) + (words >> 16)
    return struct.pack("!H", words ^ 0xFFFF)


def travel(routers: Routers, body: Callable[[], Coroutine[Any, Any, R]], *, unprivileged: bool = False) -> R:
    """Run `body` in a network of its own whose only way out leads over these routers.

    unprivileged: ping sockets are allowed there, and are taken; else raw ones are.
    """
    told: list[R] = []
    faults: list[BaseException] = []

    def inside() -> None:
        try:
            told.append(_inside(routers, body, unprivileged))
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=inside, name="amon-probes-network")
    thread.start()
    thread.join(50)
    assert not thread.is_alive(), "the probe did not end"
    if faults:
        raise faults[0]
    return told[0]


def _inside(routers: Routers, body: Callable[[], Coroutine[Any, Any, R]], unprivileged: bool) -> R:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(_CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    try:
        fcntl.ioctl(tun, _TUNSETIFF, struct.pack("16sH22x", _NAME.encode(), _IFF_TUN | _IFF_NO_PI))
        Path("/proc/thread-self/net").exists()
        for argv in (
            ["link", "set", "lo", "up"],
            ["link", "set", _NAME, "mtu", "9000", "up"],
            ["addr", "add", "10.99.0.1/24", "dev", _NAME],
            ["-6", "addr", "add", "fd99::1/64", "dev", _NAME, "nodad"],
            ["route", "add", "default", "dev", _NAME],
            ["-6", "route", "add", "default", "dev", _NAME],
        ):
            subprocess.run(["ip", *argv], check=True, timeout=10)
        allowed = "0 0" if unprivileged else "1 0"
        argv = ["sysctl", "-q", "-w", f"net.ipv4.ping_group_range={allowed}"]
        subprocess.run(argv, check=True, timeout=10)
        return asyncio.run(_served(tun, routers, body))
    finally:
        os.close(tun)


async def _served(tun: int, routers: Routers, body: Callable[[], Coroutine[Any, Any, R]]) -> R:
    def forward() -> None:
        while True:
            try:
                packet = os.read(tun, 65536)
            except BlockingIOError:
                return
            for reply in routers.reply(packet):
                os.write(tun, reply)

    loop = asyncio.get_running_loop()
    loop.add_reader(tun, forward)
    try:
        return await body()
    finally:
        loop.remove_reader(tun)
