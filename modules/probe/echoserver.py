"""The other side of UDP echo: sends back what allowed peers send, and can be used against nobody.

Sources: RFC 862; ip(7) and RFC 3542, 6 (which of our addresses was asked); CERT CA-1996-01 (two echo servers that keep
each other busy), RFC 2827 on forged sources. Never more bytes than came, only to peers that are named, at a bounded
rate for each and for all, and not to the port of another service or of another echo server.
"""

import asyncio
import socket
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, fields

from amon.clock import Clock

from .names import sockaddr

DATAGRAM_MOST = 65_535
AT_ONCE = 64
"""Datagrams that are taken before others of the loop have their turn."""
PEERS_MOST = 4096
"""Peers whose rates are remembered; the one that was silent longest is forgotten first."""
LEAST_PORT = 1024
"""Below live services, and some of them answer everything."""
_IP_PKTINFO = 8  # ip(7); the standard library has no name for it yet
_ANCILLARY = socket.CMSG_SPACE(20)  # struct in6_pktinfo, the larger one


@dataclass(slots=True)
class Counts:
    answered: int = 0
    stranger: int = 0
    too_many: int = 0
    service_port: int = 0
    unsent: int = 0


class Bucket:
    """Tokens, `rate` more each second, at most `rate`."""

    __slots__ = ("_at", "_left", "_rate")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._left = rate
        self._at = now

    def take(self, now: float) -> bool:
        self._left = min(self._rate, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True


class EchoServer:
    """may: whether this address is a peer. each, all_: datagrams a second that are answered to one, and altogether."""

    def __init__(
        self, clock: Clock, may: Callable[[str], bool], *, each: float = 100.0, all_: float = 1000.0, port: int = 0
    ) -> None:
        self._clock = clock
        self._may = may
        self._each = each
        self._all = Bucket(all_, clock.monotonic())
        self._peers: OrderedDict[str, Bucket] = OrderedDict()
        self._port = port
        self._sockets: list[socket.socket] = []
        self._counts = Counts()

    async def start(self, addresses: tuple[str, ...] = ("0.0.0.0", "::")) -> None:
        """Listen on its port of each address. Raises OSError. Port 0: any, see `port`."""
        loop = asyncio.get_running_loop()
        try:
            for address in addresses:
                sock = _bound(address, self._port)
                self._sockets.append(sock)
                self._port = self._port or sock.getsockname()[1]
                loop.add_reader(sock.fileno(), self._drain, sock)
        except BaseException:
            self.close()
            raise

    @property
    def port(self) -> int:
        return self._port

    def close(self) -> None:
        for sock in self._sockets:
            asyncio.get_running_loop().remove_reader(sock.fileno())
            sock.close()
        self._sockets.clear()

    def statistics(self) -> dict[str, int]:
        """Datagrams that were answered, and those that were not and why."""
        return {one.name: getattr(self._counts, one.name) for one in fields(Counts)}

    def verdict(self, host: str, port: int) -> str:
        """`answered`, or why it is not. Takes from the peer's rate only if he is one."""
        if port < LEAST_PORT or port == self._port:
            return "service_port"
        if not self._may(host):
            return "stranger"
        now = self._clock.monotonic()
        bucket = self._peers.get(host)
        if bucket is None:
            bucket = self._peers[host] = Bucket(self._each, now)
            if len(self._peers) > PEERS_MOST:
                self._peers.popitem(last=False)
        self._peers.move_to_end(host)
        return "answered" if bucket.take(now) and self._all.take(now) else "too_many"

    def _drain(self, sock: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                data, ancillary, _, peer = sock.recvmsg(DATAGRAM_MOST, _ANCILLARY)
            except OSError:  # nothing more; or an ICMP error, which is of an earlier answer
                return
            verdict = self.verdict(str(peer[0]).partition("%")[0], peer[1])
            if verdict == "answered":
                try:
                    sock.sendmsg([data], _from_where_it_was_asked(ancillary), 0, peer)
                except OSError:
                    verdict = "unsent"
            setattr(self._counts, verdict, getattr(self._counts, verdict) + 1)


def _from_where_it_was_asked(ancillary: list[tuple[int, int, bytes]]) -> list[tuple[int, int, bytes]]:
    """A host has several addresses, and who asked one of them takes no answer from another. Of which interface, the
    routes say."""
    return [
        (level, kind, told[:16] + bytes(4) if level == socket.IPPROTO_IPV6 else bytes(4) + told[4:])
        for level, kind, told in ancillary
    ]


def _bound(address: str, port: int) -> socket.socket:
    sock = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        if sock.family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
        else:
            sock.setsockopt(socket.IPPROTO_IP, _IP_PKTINFO, 1)
        sock.bind(sockaddr(address, port))
    except BaseException:
        sock.close()
        raise
    return sock
