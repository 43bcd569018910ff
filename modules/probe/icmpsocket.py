"""A socket for ICMP echo, with whatever rights there are: a ping socket, else a raw one. Linux.

Sources: icmp(7), ip(7) IP_RECVERR and IP_MTU_DISCOVER, ipv6(7), Documentation/networking/timestamping. Errors of
routers come by the error queue of either kind, with the quoted message, the sender and the MTU.

icmplib is not used: its sockets give neither TTL nor duplicates nor the ICMP error to those without rights, cannot set
DF, and tell no MTU.
"""

import errno
import select
import socket
import struct
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from . import icmp
from .names import family_of, sockaddr
from .shape import Stop

# Not all in Python's socket. linux/in.h, linux/in6.h, asm-generic/socket.h, linux/errqueue.h, linux/icmp.h
IP_MTU_DISCOVER, IP_RECVERR, IP_RECVTTL = 10, 11, 12
IPV6_MTU_DISCOVER, IPV6_RECVERR, IPV6_DONTFRAG = 23, 25, 62
PMTUDISC_DONT, PMTUDISC_PROBE = 0, 3
SO_TIMESTAMPNS, SO_RXQ_OVFL = 35, 40
ICMP_FILTER, ICMP6_FILTER = 1, 1
SOL_RAW = 255
ORIGIN_LOCAL, ORIGIN_ICMP, ORIGIN_ICMP6 = 1, 2, 3
_EXTENDED = struct.Struct("=IBBBBII")  # errno, origin, type, code, pad, info, data
_STAMP = struct.Struct("=qq")
_TTLS = ((socket.IPPROTO_IP, socket.IP_TTL), (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT))
_ERRORS = ((socket.IPPROTO_IP, IP_RECVERR), (socket.IPPROTO_IPV6, IPV6_RECVERR))
DATA_MOST = 65_536
DRAIN_MOST = 256
"""Packets taken at one turn, so that a flood does not hold up the loop."""


@dataclass(frozen=True, slots=True)
class Heard:
    """Something that came. data: an ICMP message from its header on; of an error, what it quotes of ours.

    source: who sent it. to: of an error, whom our packet was for. error: type and code, None for a reply. stamp: when
    it came, epoch ns by the kernel's clock. hops: TTL that was left, 0 if not known.
    """

    data: bytes
    source: str
    stamp: int
    hops: int = 0
    error: tuple[int, int] | None = None
    mtu: int = 0
    to: str = ""


class Wire(Protocol):
    """What carries echo messages to one host. ident: the id that they must have."""

    name: str
    version: int
    ident: int
    local_mtu: int
    dropped: int
    """Packets that came and found its buffer full."""

    def send(self, message: bytes, ttl: int) -> None:
        """Raises OSError; EMSGSIZE where it does not fit the own link, then `local_mtu` tells what would, or 0."""

    def heard(self) -> Iterator[Heard]:
        """What has come, at most `DRAIN_MOST`."""

    def fileno(self) -> int:
        """Readable when something has come."""

    def close(self) -> None: ...


class IcmpSocket:
    """A `Wire` to `address`. Raises `Stop` where nothing of the kind is allowed."""

    def __init__(self, address: str, ident: int, *, source: str | None = None, tos: int = 0, df: bool = False) -> None:
        if not sys.platform.startswith("linux"):
            raise Stop("unmeasured", "ICMP without the packet engine is there on Linux only")
        self._to = sockaddr(address)
        self.version = 6 if family_of(address) == socket.AF_INET6 else 4
        self.local_mtu = self.dropped = 0
        self._ttl = 0
        self._socket, self.name = _open(self.version)
        try:
            self._prepare(source, tos, df)
            self.ident = self._socket.getsockname()[1] if self.name == "ping" else ident
            # Errors wake a poll, but not a read: libuv gives up such a socket, an epoll around it does not.
            self._poll = select.epoll(1)
            self._poll.register(self._socket.fileno(), select.EPOLLIN | select.EPOLLERR)
        except BaseException:
            self._socket.close()
            raise

    def fileno(self) -> int:
        return self._poll.fileno()

    def close(self) -> None:
        self._poll.close()
        self._socket.close()

    def send(self, message: bytes, ttl: int) -> None:
        if ttl != self._ttl:
            six = self.version == 6
            level, name = (socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS) if six else (socket.IPPROTO_IP, socket.IP_TTL)
            self._socket.setsockopt(level, name, ttl)
            self._ttl = ttl
        for last in (False, True):
            try:
                self._socket.sendto(message, self._to)
            except OSError as fault:
                # An earlier packet's error waits here as well as in the queue: it is not about this one.
                if last or fault.errno not in (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.ECONNREFUSED, errno.EPROTO):
                    raise
            else:
                return

    def heard(self) -> Iterator[Heard]:
        for _ in range(DRAIN_MOST):
            one, more = self._take(socket.MSG_ERRQUEUE)
            if not more:
                one, more = self._take(0)
            if one is not None:
                yield one
            if not more:
                return

    def _take(self, flags: int) -> tuple[Heard | None, bool]:
        """The next one, if it is something, and whether there was any."""
        try:
            data, extra, _, name = self._socket.recvmsg(DATA_MOST, 512, flags | socket.MSG_DONTWAIT)
        except (BlockingIOError, InterruptedError):
            return None, False
        except OSError as fault:
            return None, fault.errno not in (errno.EBADF, errno.ENOMEM)  # a pending error, which was the queue's
        stamp, hops, error = self._ancillary(extra)
        if flags & socket.MSG_ERRQUEUE:
            return self._error(data, error, name[0] if name else "", stamp, hops), True
        if self.name == "raw" and self.version == 4:
            hops = data[8] if len(data) > 8 else 0
            data = icmp.without_header(data) or b""
        return Heard(data, name[0].partition("%")[0] if name else "", stamp, hops), True

    def _ancillary(self, extra: list[tuple[int, int, bytes]]) -> tuple[int, int, bytes]:
        """Time of arrival, TTL and the extended error of a message."""
        stamp, hops, error = 0, 0, b""
        for level, kind, data in extra:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPNS) and len(data) >= _STAMP.size:
                seconds, rest = _STAMP.unpack_from(data)
                stamp = seconds * 1_000_000_000 + rest
            elif (level, kind) == (socket.SOL_SOCKET, SO_RXQ_OVFL):
                self.dropped = struct.unpack_from("=I", data)[0]
            elif (level, kind) in _TTLS:
                hops = struct.unpack_from("=i", data)[0]
            elif (level, kind) in _ERRORS:
                error = data
        return stamp or time.time_ns(), hops, error

    def _error(self, data: bytes, error: bytes, to: str, stamp: int, hops: int) -> Heard | None:
        if len(error) < _EXTENDED.size:
            return None
        number, origin, kind, code, _, info, _ = _EXTENDED.unpack_from(error)
        if origin == ORIGIN_LOCAL:
            self.local_mtu = info if number == errno.EMSGSIZE else self.local_mtu
            return None
        if origin not in (ORIGIN_ICMP, ORIGIN_ICMP6):
            return None
        mtu = info if icmp.is_too_big(self.version, kind, code) else 0
        return Heard(data, _offender(error[_EXTENDED.size :]), stamp, hops, (kind, code), mtu, to.partition("%")[0])

    def _prepare(self, source: str | None, tos: int, df: bool) -> None:
        sock, four = self._socket, self.version == 4
        level = socket.IPPROTO_IP if four else socket.IPPROTO_IPV6
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        sock.setsockopt(level, IP_RECVERR if four else IPV6_RECVERR, 1)
        sock.setsockopt(level, IP_RECVTTL if four else socket.IPV6_RECVHOPLIMIT, 1)
        sock.setsockopt(level, socket.IP_TOS if four else socket.IPV6_TCLASS, tos)
        sock.setsockopt(level, IP_MTU_DISCOVER if four else IPV6_MTU_DISCOVER, PMTUDISC_PROBE if df else PMTUDISC_DONT)
        if df and not four:
            sock.setsockopt(level, IPV6_DONTFRAG, 1)
        if self.name == "raw" and four:
            sock.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << icmp.ECHO_REPLY[4])))
        elif self.name == "raw":
            words = [0xFFFFFFFF] * 8
            words[icmp.ECHO_REPLY[6] >> 5] &= ~(1 << (icmp.ECHO_REPLY[6] & 31))
            sock.setsockopt(socket.IPPROTO_ICMPV6, ICMP6_FILTER, struct.pack("=8I", *words))
        sock.bind(sockaddr(source) if source else ("::" if self.version == 6 else "0.0.0.0", 0))


def _open(version: int) -> tuple[socket.socket, str]:
    """The least rights that do. A ping socket gets only what is its own, so it comes first."""
    family, protocol = (
        (socket.AF_INET, socket.IPPROTO_ICMP) if version == 4 else (socket.AF_INET6, socket.IPPROTO_ICMPV6)
    )
    for kind, name in ((socket.SOCK_DGRAM, "ping"), (socket.SOCK_RAW, "raw")):
        try:
            return socket.socket(family, kind, protocol), name
        except OSError as fault:
            if fault.errno not in (errno.EPERM, errno.EACCES, errno.EPROTONOSUPPORT):
                raise
    raise Stop(
        "unmeasured",
        "no ICMP socket is allowed here: let the group of the agent in by net.ipv4.ping_group_range, or install the "
        "packet engine",
    )


def _offender(data: bytes) -> str:
    """The address of sockaddr_in or sockaddr_in6."""
    family = struct.unpack_from("=H", data)[0] if len(data) >= 2 else 0
    if family == socket.AF_INET and len(data) >= 8:
        return socket.inet_ntop(socket.AF_INET, data[4:8])
    if family == socket.AF_INET6 and len(data) >= 24:
        return socket.inet_ntop(socket.AF_INET6, data[8:24])
    return ""
