"""A scene in user and network namespaces of its own, by a Python of its own: needs no right, and leaves nothing behind.

Sources: user_namespaces(7), network_namespaces(7). In there we are root, as far as networks go; BPF is not to be had.
"""

import ctypes
import functools
import os
import shutil
import socket
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from time import monotonic, sleep
from typing import Any

import numpy as np
import pytest

from amon.engine.packets.decode import Replies, decode
from amon.engine.shapes import LINK, NETWORK, U16, Packets, Published, Receiver, Transmitter
from amon.engine.ways.trial import Ways
from tests.engine import scalar
from tests.engine.netns import ip, peer

IDENT = 0xA403
NONCE = 0x1122334455667788
HERE: dict[int, scalar.Address] = {4: IPv4Address("192.0.2.1"), 6: IPv6Address("2001:db8::1")}
PEER: dict[int, scalar.Address] = {4: IPv4Address("192.0.2.2"), 6: IPv6Address("2001:db8::2")}
THERE: dict[int, scalar.Address] = {4: IPv4Address("198.51.100.7"), 6: IPv6Address("2001:db8:7::7")}
"""All of its network answers."""
BEYOND: dict[int, scalar.Address] = {4: IPv4Address("203.0.113.7"), 6: IPv6Address("2001:db8:f::7")}
"""Behind the peer, which forwards to it."""
FORBIDDEN = IPv6Address("2001:db8:e::7")
"""The peer is not allowed to forward to it."""
OWN: dict[int, scalar.Address] = {4: IPv4Address("127.0.0.1"), 6: IPv6Address("::1")}
MAC = {"near": "02:00:00:00:00:01", "far": "02:00:00:00:00:02"}
_ROOT = Path(__file__).parents[3]
_UNSHARE = (
    "unshare", "--user", "--map-root-user", "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc",
)  # fmt: skip
_PLAY = (
    "import sys; from importlib import import_module; "
    "getattr(import_module(sys.argv[1]), sys.argv[2]).scene(); print('played')"
)


@functools.cache
def _refused() -> str:
    lacking = [tool for tool in ("unshare", "nsenter", "ip", "tc", "sysctl") if shutil.which(tool) is None]
    if lacking:
        return f"not installed: {', '.join(lacking)}"
    tried = subprocess.run([*_UNSHARE, "true"], capture_output=True, text=True, timeout=10, check=False)
    return tried.stderr.strip() if tried.returncode else ""


def alone(scene: Callable[[], None]) -> Callable[[], None]:
    """The test that plays this scene; what it raises fails the test."""

    @functools.wraps(scene)
    def test() -> None:
        if _refused():
            pytest.skip(f"no user namespace: {_refused()}")
        argv = [*_UNSHARE, sys.executable, "-W", "error", "-c", _PLAY, scene.__module__, scene.__name__]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=50, check=False, cwd=_ROOT)
        assert done.returncode == 0, done.stderr
        assert done.stdout.endswith("played\n")

    test.scene = scene  # type: ignore[attr-defined]
    return test


def wait_until(condition: Callable[[], object], within: float = 10) -> None:
    end = monotonic() + within
    while not condition():
        assert monotonic() < end, "waited in vain"
        sleep(0.001)


def allow_ping(groups: str = "0 0") -> None:
    Path("/proc/sys/net/ipv4/ping_group_range").write_text(groups)


def drop_rights() -> None:
    """No capability from here on, and none by exec: capget(2), version 3."""
    libc = ctypes.CDLL(None, use_errno=True)
    head, none = struct.pack("=Ii", 0x20080522, 0), bytes(24)
    assert libc.capset(head, none) == 0, os.strerror(ctypes.get_errno())


@contextmanager
def cabled() -> Iterator[int]:
    """`near` here, `far` at the peer, whose kernel answers for the networks of THERE and forwards to those of BEYOND.
    Yields a process at the peer."""
    allow_ping()
    with peer() as other:
        settle(other)
        yield other


def settle(other: int) -> None:
    """Addresses, neighbours and routes of both ends."""
    for name, pid, own, theirs in (("near", None, HERE, PEER), ("far", other, PEER, HERE)):
        ip(f"link set {name} address {MAC[name]}", pid)
        ip(f"addr add {own[4]}/24 dev {name}", pid)
        ip(f"addr add {own[6]}/64 dev {name} nodad", pid)
        for address in theirs.values():
            ip(f"neigh replace {address} lladdr {MAC['far' if name == 'near' else 'near']} dev {name}", pid)
    for network, family in (("198.51.100.0/24", 4), ("2001:db8:7::/64", 6)):
        ip(f"route add {network} via {PEER[family]}")
        ip(f"route replace local {network} dev lo", other)
    ip(f"route add 2001:db8:e::/64 via {PEER[6]}")
    ip("route replace prohibit 2001:db8:e::/64", other)
    for network, family in (("203.0.113.0/24", 4), ("2001:db8:f::/64", 6)):
        ip(f"route add {network} via {PEER[family]}")
        ip(f"route add {network} dev far mtu lock 1280", other)
    for name in (
        "net.ipv4.ip_forward=1",
        "net.ipv6.conf.all.forwarding=1",
        "net.ipv4.icmp_ratelimit=0",
        "net.ipv6.icmp.ratelimit=0",
    ):
        subprocess.run(["nsenter", "-t", str(other), "-n", "sysctl", "-qw", name], check=True, timeout=10)


@contextmanager
def at(pid: int) -> Iterator[None]:
    """Sockets opened here are of that process's network namespace (setns(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/proc/self/ns/net").open("rb") as ours, Path(f"/proc/{pid}/ns/net").open("rb") as theirs:
        assert libc.setns(theirs.fileno(), 0) == 0, os.strerror(ctypes.get_errno())
        try:
            yield
        finally:
            assert libc.setns(ours.fileno(), 0) == 0


@contextmanager
def opened(ways: Ways) -> Iterator[Ways]:
    try:
        yield ways
    finally:
        ways.close()


def request(family: int, slot: int, *, target: scalar.Address | None = None, **more: Any) -> scalar.Request:
    target = THERE[family] if target is None else target
    source = OWN[family] if target == OWN[family] else HERE[family]
    return scalar.Request(source, target, IDENT, slot, NONCE + slot, **more)


def load(transmitter: Transmitter, requests: Sequence[scalar.Request]) -> U16:
    """Put frames into the transmitter's next rows; returns what to publish."""
    rows = transmitter.rows(len(requests))
    assert len(rows) == len(requests)
    link = bytes.fromhex((MAC["far"] + MAC["near"]).replace(":", ""))
    lengths = []
    for row, one in zip(rows, requests, strict=True):
        packet = one.packet()
        frame = link + (b"\x86\xdd" if one.v6 else b"\x08\x00") + packet
        transmitter.memory[row, LINK : NETWORK + len(packet)] = np.frombuffer(frame, np.uint8)
        lengths.append(len(packet))
    return np.array(lengths, np.uint16)


def send(transmitter: Transmitter, requests: Sequence[scalar.Request]) -> Published:
    return transmitter.publish(load(transmitter, requests))


class Taken:
    """All that the receivers got, read."""

    def __init__(self, receivers: Sequence[Receiver]) -> None:
        self._receivers = receivers
        self.packets: list[Packets] = []
        self.replies: list[Replies] = []

    def __len__(self) -> int:
        return sum(map(len, self.replies))

    def take(self, most: int = 4096) -> int:
        """How many there are, with those that have come now."""
        for receiver in self._receivers:
            packets = receiver.drain(most)
            if len(packets):
                self.packets.append(packets)
                self.replies.append(decode(packets, IDENT))
        return len(self)

    def take_all(self, count: int) -> None:
        wait_until(lambda: self.take() >= count)
        assert len(self) == count

    def column(self, name: str) -> list[int]:
        return [int(value) for replies in self.replies for value in getattr(replies, name)]

    def drops(self) -> int:
        names = ("drops", "tp_drops")
        return sum(count for one in self._receivers for name, count in one.counters().items() if name in names)


def captured(pid: int, interface: str = "far") -> socket.socket:
    """What comes in at the peer, from the IP header on."""
    with at(pid):
        sock = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, 0)
        sock.bind((interface, 3))
    sock.settimeout(10)
    return sock
