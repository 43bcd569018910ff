"""Sending without an IP header of our own: the kernel writes it, and is told by the row's what to write.

Sources: ip(7), ipv6(7), RFC 3542 (6.3, 6.5: hop limit and traffic class of one packet). What is the same for all
packets of a batch is set once in the socket; what differs goes as control messages with each. DF is of the socket only.
"""

import errno
import itertools
import socket
import struct
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from amon.engine.linux.mmsg import control_space, write_control
from amon.engine.shapes import NETWORK, U8, U16, Published, Span
from amon.engine.ways.sending import SocketTransmitter

IP_MTU_DISCOVER, IP_UNICAST_IF, IPV6_MTU_DISCOVER, IPV6_DONTFRAG, IPV6_UNICAST_IF = 10, 50, 23, 62, 76
IPV6_FLOWINFO_SEND = 33
PROBE, OMIT = 3, 5
"""IP_PMTUDISC_PROBE: DF set, whatever is known of the path. IP_PMTUDISC_OMIT: DF clear, and likewise."""
NUMBER = control_space(4)
HEADERS = {4: 20, 6: 40}
LOST = (errno.ENODEV, errno.ENXIO, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.EADDRNOTAVAIL)


class RoutedTransmitter(SocketTransmitter):
    """Sends by the kernel's routes; through one interface if it is given. Destinations are those of the IP headers."""

    def __init__(
        self, name: str, family: int, sock: socket.socket, frames: int, interface: str | None, *,
        begin: int, control: int = 0, every: int = 4096,
    ) -> None:  # fmt: skip
        address = 16 if family == 4 else 28
        super().__init__(name, family, sock, frames, begin=begin, address=address, control=control, every=every)
        self._interface, self._index = interface, 0
        self._messages.names[:, :2].view(np.uint16)[:] = socket.AF_INET if family == 4 else socket.AF_INET6
        if family == 6:
            sock.setsockopt(socket.IPPROTO_IPV6, IPV6_FLOWINFO_SEND, 1)
        self._find_interface()

    def _find_interface(self) -> bool:
        """Whether the interface is another one now: then packets go through that."""
        if self._interface is None:
            return False
        index = _index(self._interface)
        if not index or index == self._index:
            return False
        self._index = index
        if self.family == 4:
            self._socket.setsockopt(socket.IPPROTO_IP, IP_UNICAST_IF, struct.pack("!I", index))
        else:
            self._socket.setsockopt(socket.IPPROTO_IPV6, IPV6_UNICAST_IF, struct.pack("!I", index))
            self._messages.names[:, 24:28].view(np.uint32)[:] = index
        return True

    def _address(self, piece: slice) -> None:
        rows, names = self.memory[piece], self._messages.names[piece]
        if self.family == 4:
            names[:, 4:8] = rows[:, NETWORK + 16 : NETWORK + 20]
        else:
            names[:, 5] = rows[:, NETWORK + 1] & 0x0F  # RFC 3493, 3.3: the flow label, without the traffic class
            names[:, 6:8] = rows[:, NETWORK + 2 : NETWORK + 4]
            names[:, 8:24] = rows[:, NETWORK + 24 : NETWORK + 40]

    def _again(self, error: int, tries: int) -> bool:
        return error in LOST and self._find_interface()

    def _ended(self, spans: list[Span], error: int, left: int) -> Published:
        if error in LOST and self._interface is not None and not _index(self._interface):
            error = errno.ENODEV
        return super()._ended(spans, error, left)


class DatagramTransmitter(RoutedTransmitter):
    """Sends from the ICMP header on; TTL, TOS and DF are those of the row's IP header. IPv6: never fragmented."""

    def __init__(
        self, name: str, family: int, sock: socket.socket, frames: int, interface: str | None, every: int = 4096
    ) -> None:
        begin = NETWORK + HEADERS[family]
        super().__init__(name, family, sock, frames, interface, begin=begin, control=2 * NUMBER, every=every)
        self._in_force: dict[int, int] = {}
        self._level = socket.IPPROTO_IP if family == 4 else socket.IPPROTO_IPV6
        if family == 4:
            self._ttl, self._set_ttl, self._tos = socket.IP_TTL, socket.IP_TTL, socket.IP_TOS
        else:
            self._ttl, self._set_ttl, self._tos = socket.IPV6_HOPLIMIT, socket.IPV6_UNICAST_HOPS, socket.IPV6_TCLASS
            self._set(IPV6_MTU_DISCOVER, PROBE)
            self._set(IPV6_DONTFRAG, 1)
        write_control(self._messages.controls, 0, self._level, self._ttl, 4)
        write_control(self._messages.controls, NUMBER, self._level, self._tos, 4)

    def _set(self, option: int, value: int) -> None:
        if self._in_force.get(option) != value:
            self._socket.setsockopt(self._level, option, value)
            self._in_force[option] = value

    def _prepare(self, piece: slice, lengths: U16) -> Iterator[slice]:
        self._messages.vectors["len"][piece, 0] = lengths - np.uint16(HEADERS[self.family])
        self._address(piece)
        rows = self.memory[piece]
        for start, stop in self._runs(rows):
            self._headers(rows[start:stop], piece.start + start)
            yield slice(piece.start + start, piece.start + stop)

    def _runs(self, rows: U8) -> list[tuple[int, int]]:
        """Rows one behind the other with the same DF; it is in force for each while that is sent."""
        if self.family == 6:
            return [(0, len(rows))]
        df = rows[:, NETWORK + 6] & 0x40
        edges = [0, *(np.flatnonzero(df[1:] != df[:-1]) + 1).tolist(), len(rows)]
        return list(itertools.pairwise(edges))

    def _headers(self, rows: U8, first: int) -> None:
        if self.family == 4:
            self._set(IP_MTU_DISCOVER, PROBE if rows[0, NETWORK + 6] & 0x40 else OMIT)
        ttl, tos = _ttl(rows, self.family), _tos(rows, self.family)
        self._controlled = bool((ttl != ttl[0]).any() or (tos != tos[0]).any())
        if self._controlled:
            controls = self._messages.controls[first : first + len(rows)]
            controls[:, 16] = ttl
            controls[:, NUMBER + 16] = tos
        else:
            self._set(self._set_ttl, int(ttl[0]))
            self._set(self._tos, int(tos[0]))
        self._messages.control(first, len(rows), 0, 2 * NUMBER if self._controlled else 0)


def _ttl(rows: U8, family: int) -> NDArray[np.uint8]:
    return rows[:, NETWORK + (8 if family == 4 else 7)]


def _tos(rows: U8, family: int) -> NDArray[np.uint8]:
    if family == 4:
        return rows[:, NETWORK + 1]
    return (rows[:, NETWORK] << np.uint8(4)) | (rows[:, NETWORK + 1] >> np.uint8(4))


def _index(interface: str) -> int:
    """Its number, 0 where there is none of that name."""
    try:
        return socket.if_nametoindex(interface)
    except OSError:
        return 0
