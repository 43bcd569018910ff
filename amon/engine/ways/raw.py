"""Raw sockets: IPv4 with the header of the row (IP_HDRINCL), IPv6 with one the kernel writes; answers likewise.

Sources: raw(7), RFC 3542. Needs CAP_NET_RAW, and works on every interface, also on those that know no MAC. The kernel
writes an IPv4 id of its own where the row's is 0 (raw(7)), so the numbers of probes should not have an upper half of 0.
"""

import socket
import struct
from collections.abc import Iterator, Mapping

import numpy as np

from amon.engine.linux import classic
from amon.engine.linux.mmsg import control_space
from amon.engine.shapes import NETWORK, U8, U16, Packets, WayRefused
from amon.engine.stamps import RealtimeToMonotonic
from amon.engine.ways.datagram import DatagramTransmitter, RoutedTransmitter
from amon.engine.ways.rebuilt import IPV6, RECEIVE_TTL, sender, write_header
from amon.engine.ways.received import clear_behind, gather
from amon.engine.ways.rights import refusal
from amon.engine.ways.taking import BUFFER, SO_TIMESTAMPNS, Batch, Intake, drops, widen

SOL_RAW, ICMP_FILTER = 255, 1
SOL_ICMPV6, ICMP6_FILTER = 58, 1
IP_RECVERR = 11
PASSES = {4: (0, *classic.QUOTING[4]), 6: (129, *classic.QUOTING[6])}
STAMP_SPACE = control_space(16)


def raw_transmitter(
    family: int, interface: str | None = None, frames: int = 2048, *, every: int = 4096
) -> RoutedTransmitter:
    """Through that interface, or wherever the system's routes lead. Raises WayRefused."""
    return RawTransmitter(interface, frames, every=every) if family == 4 else _ipv6(interface, frames, every)


class RawTransmitter(RoutedTransmitter):
    """IPv4. The kernel fills in a source of 0 and the header's checksum; everything else is the row's."""

    def __init__(self, interface: str | None = None, frames: int = 2048, *, every: int = 4096) -> None:
        sock = _socket(4, socket.IPPROTO_RAW)  # which implies IP_HDRINCL and receives nothing
        # Without it the kernel hides from raw sockets that a queue was full (ENOBUFS).
        sock.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
        super().__init__("raw", 4, sock, frames, interface, begin=NETWORK, every=every)

    def _prepare(self, piece: slice, lengths: U16) -> Iterator[slice]:
        self._messages.vectors["len"][piece, 0] = lengths
        self._address(piece)
        yield piece


def _ipv6(interface: str | None, frames: int, every: int) -> DatagramTransmitter:
    """IPv6: the kernel writes the header and both checksums."""
    sock = _socket(6, socket.IPPROTO_ICMPV6)
    sock.setsockopt(SOL_ICMPV6, ICMP6_FILTER, b"\xff" * 32)  # receives nothing
    return DatagramTransmitter("raw", 6, sock, frames, interface, every)


class RawReceiver:
    """buffer: bytes of it; the system may give less (see `buffer` afterwards)."""

    name = "raw"

    def __init__(self, family: int, ident: int, buffer: int = BUFFER) -> None:
        self.family = family
        self._socket = _socket(family, socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6)
        self.descriptor = self._socket.fileno()
        self.buffer = widen(self._socket, buffer)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        if family == 4:
            self._socket.setsockopt(SOL_RAW, ICMP_FILTER, struct.pack("I", _all_but(PASSES[4], 32)))
            classic.attach(self._socket, classic.from_ipv4(ident))
            self._intake = Intake(offset=0, name=0, control=STAMP_SPACE)
        else:
            self._set_up_ipv6(ident)
        while self._intake.read(self.descriptor, 512):
            pass  # what came before the filter was there
        self._clock = RealtimeToMonotonic()

    def _set_up_ipv6(self, ident: int) -> None:
        blocked = _all_but(PASSES[6], 256).to_bytes(32, "little")
        self._socket.setsockopt(SOL_ICMPV6, ICMP6_FILTER, blocked)
        classic.attach(self._socket, classic.from_icmpv6(ident))
        self._socket.setsockopt(*RECEIVE_TTL[6], 1)
        self._intake = Intake(offset=IPV6, name=28, control=STAMP_SPACE + control_space(4))

    def drain(self, most: int) -> Packets:
        rows, lengths, stamps = [], [], []
        while most > 0 and len(batch := self._intake.read(self.descriptor, most)):
            rows.append(self._packets(batch))
            lengths.append(batch.lengths)
            stamps.append(batch.stamps())
            most -= len(batch)
        return gather(rows, lengths, stamps, self._clock, emptied=most > 0, verified=self.family == 6)

    def _packets(self, batch: Batch) -> U8:
        if self.family == 6:
            batch.lengths += np.uint32(IPV6)
            write_header(6, batch.data, 0, batch.lengths, sender(6, batch))
        clear_behind(batch.data, batch.lengths)
        return batch.data.copy()

    def counters(self) -> Mapping[str, int]:
        """drops: answers the receive buffer had no room for; IPv6: also those whose checksum was wrong."""
        return {"drops": drops(self._socket)}

    def close(self) -> None:
        self._socket.close()


def _all_but(kinds: tuple[int, ...], size: int) -> int:
    """A set of so many ICMP types as bits, those left out that may pass."""
    return (1 << size) - 1 - sum(1 << kind for kind in kinds)


def _socket(family: int, protocol: int) -> socket.socket:
    try:
        return socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_RAW, protocol)
    except OSError as error:
        raise WayRefused(refusal(f"raw IPv{family} sockets", error, "CAP_NET_RAW")) from error
