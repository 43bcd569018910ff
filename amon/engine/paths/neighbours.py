"""Which MACs our next hops have: the kernel finds out and keeps watch, we make it do so and follow what it says.

Sources: RFC 826, RFC 4861 (7.3: reachability), arp(7), net/core/neighbour.c. Packets that go around the kernel (AF_XDP,
AF_PACKET) do not keep its entries in use, so they would go stale and be forgotten. Therefore each next hop gets an
empty UDP datagram to the discard port (RFC 863) now and then: the kernel resolves it, or confirms it. It has a TTL
of 1 and is bound to the interface, so it gets no further than the next hop.
"""

import heapq
import socket
from collections.abc import Callable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final

from amon.engine.linux.rtnetlink import FAILED, HAS_MAC, MAPPED_PREFIX, NOARP, PERMANENT, STALE, Neighbour

SECOND: Final = 1_000_000_000
KEEP: Final = 4 * SECOND
"""An entry that was used less than 5 s (delay_first_probe_time) before it would go stale is confirmed instead."""
RETRY_LEAST, RETRY_MOST = 1 * SECOND, 8 * SECOND
PER_SECOND: Final = 200
"""Datagrams at most: each may cost the whole network a broadcast."""
_AT_ONCE: Final = 50
_DISCARD: Final = 9

Key = tuple[int, bytes]
"""Interface and address (16 bytes, IPv4 mapped)."""
Nudge = Callable[[str, int, bytes], None]
"""Sends one datagram through the interface of that name and number to that neighbour. Raises OSError."""


@dataclass(slots=True)
class _Entry:
    """wait: before it is asked for again in vain. due, last: of a datagram, monotonic ns; due None: none is planned."""

    mac: bytes = b""
    text: str = ""
    wait: int = RETRY_LEAST
    due: int | None = None
    last: int = -RETRY_MOST


class Neighbours:
    """The neighbours that are wanted. name: of an interface by its number, None where it is gone."""

    def __init__(self, nudge: Nudge, name: Callable[[int], str | None]) -> None:
        self._nudge, self._name = nudge, name
        self._entries: dict[Key, _Entry] = {}
        self._heap: list[tuple[int, Key]] = []
        self._credit = float(_AT_ONCE)
        self._at = 0

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: Key) -> bool:
        return key in self._entries

    def mac(self, key: Key) -> bytes:
        """Six bytes; empty where it is not known."""
        return self._entries[key].mac

    def text(self, key: Key) -> str:
        """Why there is no MAC; empty if there is one."""
        return self._entries[key].text

    def want(self, key: Key, known: Neighbour | None, now: int) -> None:
        """From now on this one is kept resolved. known: what the kernel has of it already."""
        if key in self._entries:
            return
        entry = self._entries[key] = _Entry(text=f"{self._who(key)} is being looked for")
        self._plan(key, entry, now)
        if known is not None:
            self.note(known, now)

    def drop(self, key: Key) -> None:
        self._entries.pop(key, None)

    def hurry(self, index: int, now: int) -> None:
        """The interface is up again: nobody on it is to wait for the next try."""
        for key, entry in self._entries.items():
            if key[0] == index:
                entry.wait = RETRY_LEAST
                self._plan(key, entry, now)

    def note(self, seen: Neighbour, now: int) -> bool:
        """What the kernel says of a neighbour. True: its MAC or its text is another one."""
        key = (seen.index, seen.address)
        entry = self._entries.get(key)
        if entry is None:
            return False
        before = (entry.mac, entry.text)
        if seen.state & HAS_MAC and len(seen.mac) == 6:
            entry.mac, entry.text, entry.wait = seen.mac, "", RETRY_LEAST
            if seen.state & (PERMANENT | NOARP):
                entry.due = None  # somebody has written it down: it does not age
            elif seen.state & STALE:
                # It still has its MAC; the datagram makes the kernel ask whether it is there.
                self._plan(key, entry, max(now, entry.last + RETRY_LEAST))
            else:
                self._plan(key, entry, entry.last + self._keep())
        else:
            entry.mac = b""
            if seen.state & FAILED:
                entry.text = f"{self._who(key)} does not answer (ARP or neighbour discovery)"
            elif not entry.text:
                entry.text = f"{self._who(key)} is being looked for"
            self._plan(key, entry, max(now, entry.last + entry.wait))
        return before != (entry.mac, entry.text)

    def turn(self, now: int) -> list[Key]:
        """Send the datagrams that are due, as many as may go. Returns those of whom there is something new to say."""
        if not self._heap or self._heap[0][0] > now:
            return []
        self._credit = min(_AT_ONCE, self._credit + (now - self._at) * PER_SECOND / SECOND)
        self._at = now
        changed = []
        while self._heap and self._heap[0][0] <= now and self._credit >= 1:
            due, key = heapq.heappop(self._heap)
            entry = self._entries.get(key)
            if entry is None or entry.due != due:
                continue
            self._credit -= 1
            if self._send(key, entry, now):
                changed.append(key)
        return changed

    def _send(self, key: Key, entry: _Entry, now: int) -> bool:
        before = entry.text
        name = self._name(key[0])
        entry.last = now
        try:
            if name is not None:
                self._nudge(name, *key)
        except OSError as error:
            if not entry.mac:
                entry.text = f"{self._who(key)} cannot be asked for: {error.strerror}"
        wait = self._keep()
        if not entry.mac:
            wait, entry.wait = entry.wait, min(2 * entry.wait, RETRY_MOST)
        self._plan(key, entry, now + wait)
        return entry.text != before

    def _keep(self) -> int:
        return max(KEEP, 2 * len(self._entries) * SECOND // PER_SECOND)

    def _plan(self, key: Key, entry: _Entry, due: int) -> None:
        if entry.due != due:
            entry.due = due
            heapq.heappush(self._heap, (due, key))
            # What was planned otherwise since lies about in the heap; it must not outgrow what is of use in it.
            if len(self._heap) > 64 + 8 * len(self._entries):
                self._heap = [(one.due, which) for which, one in self._entries.items() if one.due is not None]
                heapq.heapify(self._heap)

    def _who(self, key: Key) -> str:
        return f"the neighbour {shown(key[1])} on {self._name(key[0]) or f'interface {key[0]}'}"


def send_datagram(interface: str, index: int, address: bytes) -> None:
    """An empty datagram to the discard port of a neighbour, and no further. Raises OSError."""
    fourth = address.startswith(MAPPED_PREFIX)
    family = socket.AF_INET if fourth else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as sender:
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode() + b"\0")
        if fourth:
            sender.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, 1)
            sender.sendto(b"", (socket.inet_ntop(family, address[12:]), _DISCARD))
        else:
            sender.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, 1)
            sender.sendto(b"", (socket.inet_ntop(family, address), _DISCARD, 0, index))


def shown(address: bytes) -> str:
    """An address of 16 bytes as people write it."""
    sixth = IPv6Address(address)
    return str(sixth.ipv4_mapped or sixth)
