"""Which MACs our next hops have: the kernel finds out and keeps watch, we make it do so and follow what it says.

Sources: RFC 826, RFC 4861 (7.3: reachability states), arp(7), net/core/neighbour.c. Packets that go around the kernel
(AF_XDP, AF_PACKET) do not keep its entry in use, so it would be forgotten. Therefore each next hop gets an empty UDP
datagram to the discard port (RFC 863) now and then: the kernel resolves it, or confirms it before it goes stale. Its
TTL is 1, and it is bound to the interface: it gets no further than the next hop.
"""

import socket
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from amon.engine.linux.rtnetlink import MAPPED_PREFIX, Neighbour

SECOND: Final = 1_000_000_000
KEEP: Final = 4 * SECOND
"""An entry used less than 5 s (delay_first_probe_time) before it would go stale is confirmed instead."""
RETRY_LEAST, RETRY_MOST = 1 * SECOND, 32 * SECOND
PER_SECOND: Final = 200
"""Datagrams, at most: each may cost the whole network a broadcast."""
DISCARD: Final = 9

Key = tuple[int, bytes]
"""Interface and address (16 bytes, IPv4 mapped)."""
Nudge = Callable[[str, int, bytes], None]
"""Sends one datagram out of the interface of that name and number to that neighbour. Raises OSError."""


@dataclass(slots=True)
class _Entry:
    state: int = 0
    mac: bytes = b""
    due: int = 0
    wait: int = RETRY_LEAST
    trouble: str = ""
    waiting: bool = False


class Neighbours:
    """Those that are wanted. name: of an interface by its number, None where it is gone."""

    def __init__(self, nudge: Nudge, name: Callable[[int], str | None]) -> None:
        self._nudge = nudge
        self._name = name
        self._entries: dict[Key, _Entry] = {}
        self._queue: deque[tuple[int, Key]] = deque()
        self._credit = 0.0
        self._at = 0

    def __len__(self) -> int:
        return len(self._entries)

    def want(self, key: Key, known: Neighbour | None) -> None:
        """From now on this one is kept resolved. known: what the kernel has of it already."""
        raise NotImplementedError


def send_datagram(interface: str, index: int, address: bytes) -> None:
    """An empty datagram to the discard port of a neighbour, and no further. Raises OSError."""
    fourth = address.startswith(MAPPED_PREFIX)
    family = socket.AF_INET if fourth else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        if fourth:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
            sender.sendto(b"", (socket.inet_ntop(family, address[12:]), DISCARD))
        else:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
            sender.sendto(b"", (socket.inet_ntop(family, address), DISCARD, 0, index))


def shown(address: bytes) -> str:
    """An address as people write it."""
    fourth = IPv6Address(address).ipv4_mapped
    return str(fourth or IPv6Address(address))
