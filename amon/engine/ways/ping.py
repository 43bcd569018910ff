"""ICMP sockets, which need no right at all where net.ipv4.ping_group_range has one's group: icmp(7).

The kernel sets the id (our ident: the socket is bound to it) and the checksum, and hands over only answers to it.
ICMP errors come through the socket's error queue (ip(7), IP_RECVERR) and are made again to what they were. Of IPv6
packets that found a full queue the kernel says nothing here; the interface counts them (tx_dropped, `tc -s qdisc`).
"""

import errno
import os
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from amon.engine.linux.mmsg import control_space
from amon.engine.linux.sendstamps import ORIGIN_TIMESTAMPING, SECOND, SO_TIMESTAMPING, SendStamps
from amon.engine.shapes import I64, U8, U32, Packets, WayRefused
from amon.engine.stamps import RealtimeToMonotonic
from amon.engine.ways.datagram import DatagramTransmitter
from amon.engine.ways.rebuilt import QUOTE, RECEIVE_TTL, Envelope, addresses, sender, write_header
from amon.engine.ways.received import clear_behind, gather
from amon.engine.ways.rights import refusal
from amon.engine.ways.taking import BUFFER, SO_TIMESTAMPNS, Batch, Intake, drops, widen

IP_RECVERR, IPV6_RECVERR = 11, 25
RANGE = Path("/proc/sys/net/ipv4/ping_group_range")
HEADER = {4: 20, 6: 40}
RECVERR = {4: (socket.IPPROTO_IP, IP_RECVERR), 6: (socket.IPPROTO_IPV6, IPV6_RECVERR)}
ORIGIN = {4: 2, 6: 3}
"""SO_EE_ORIGIN_ICMP, SO_EE_ORIGIN_ICMP6: other errors are of this host, and publish has told them."""
CONTROLS = control_space(16) + control_space(4) + control_space(48)
ERROR = 16
"""Bytes of `struct sock_extended_err`; behind it the address of who sent the error."""
TRIES = 3


def open_ping(
    family: int,
    ident: int,
    interface: str | None = None,
    frames: int = 2048,
    *,
    buffer: int = BUFFER,
    every: int = 4096,
) -> tuple["PingTransmitter", "PingReceiver"]:
    """Both ends of one socket. Raises WayRefused."""
    sock = _socket(family)
    try:
        sock.bind(("", ident))
        for level, option in (RECEIVE_TTL[family], RECVERR[family], (socket.SOL_SOCKET, SO_TIMESTAMPNS)):
            sock.setsockopt(level, option, 1)
    except OSError as error:
        sock.close()
        raise WayRefused(refusal(f"ICMP sockets, IPv{family}", error)) from error
    transmitter = PingTransmitter(family, sock, frames, interface, every)
    return transmitter, PingReceiver(family, sock, transmitter.stamps, buffer)


def check_id(ident: int) -> None:
    """Refuse an id that another program has. ICMP sockets may share one, of both families, unless one of them says no:
    then the answers would be the other's."""
    for family in (4, 6):
        try:
            sock = _socket(family)
        except WayRefused:
            continue  # it will be said where it is to be opened
        with sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
            try:
                sock.bind(("", ident))
            except OSError as error:
                raise WayRefused(f"ICMP sockets: the id {ident} is another program's: choose another") from error
            return


def _socket(family: int) -> socket.socket:
    protocol = socket.IPPROTO_ICMP if family == 4 else socket.IPPROTO_ICMPV6
    try:
        return socket.socket(socket.AF_INET if family == 4 else socket.AF_INET6, socket.SOCK_DGRAM, protocol)
    except OSError as error:
        if error.errno == errno.EACCES:
            raise WayRefused(_not_in_range()) from error
        raise WayRefused(refusal(f"ICMP sockets, IPv{family}", error)) from error


def _not_in_range() -> str:
    try:
        groups = " ".join(RANGE.read_text().split())
    except OSError:
        groups = "unknown"
    return (
        f"ICMP sockets: group {os.getegid()} is not in net.ipv4.ping_group_range ({groups}): "
        f"sysctl net.ipv4.ping_group_range='0 2147483647', or CAP_NET_RAW for better ways"
    )


class PingTransmitter(DatagramTransmitter):
    """Sends from the ICMP header on; its id and checksum are the kernel's."""

    def __init__(self, family: int, sock: socket.socket, frames: int, interface: str | None, every: int) -> None:
        super().__init__("ICMP socket", family, sock, frames, interface, every)
        self._stamps = SendStamps(sock, every, shared=True)  # the receiver reads the error queue

    def keep_id(self) -> None:
        """From now on nobody else gets it. Only when the sockets of both families are bound: they share it."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)

    @property
    def stamps(self) -> SendStamps:
        return self._stamps

    def _again(self, error: int, tries: int) -> bool:
        """An ICMP error that came for an earlier packet ends the next call (ip(7)): it says nothing of this one."""
        return tries <= TRIES or super()._again(error, tries)

    def errors(self) -> I64:
        return self._stamps.errors()


class PingReceiver:
    name = "ICMP socket"

    def __init__(self, family: int, sock: socket.socket, stamps: SendStamps, buffer: int = BUFFER) -> None:
        self.family = family
        self.descriptor = sock.fileno()
        self.buffer = widen(sock, buffer)
        self._socket, self._stamps = sock, stamps
        header = HEADER[family]
        name = 16 if family == 4 else 28
        self._answers = Intake(offset=header, name=name, control=CONTROLS)
        self._errors = Intake(
            offset=2 * header + QUOTE, name=name, control=CONTROLS + control_space(ERROR + 28),
            flags=socket.MSG_ERRQUEUE, batch=256,
        )  # fmt: skip
        self._clock = RealtimeToMonotonic()

    def drain(self, most: int) -> Packets:
        rows: list[U8] = []
        lengths: list[U32] = []
        stamps: list[I64] = []
        left = most
        # Errors first: they are few, and they share the buffer with the answers.
        for intake, unpack in ((self._errors, self._error), (self._answers, self._answer)):
            for batch in _batches(intake, self.descriptor, left):
                piece = unpack(batch)
                rows.append(piece.data)
                lengths.append(piece.length)
                stamps.append(piece.stamp)
                left -= len(batch)
        packets = gather(rows, lengths, stamps, self._clock, emptied=left > 0, verified=True)
        return _in_order(packets) if len(rows) > 1 else packets

    def _answer(self, batch: Batch) -> Packets:
        header = HEADER[self.family]
        lengths = batch.lengths + np.uint32(header)
        write_header(self.family, batch.data, 0, lengths, sender(self.family, batch))
        clear_behind(batch.data, lengths)
        return Packets(batch.data.copy(), lengths, batch.stamps())

    def _error(self, batch: Batch) -> Packets:
        """The ICMP error as it came, but for what the kernel does not tell: its checksum, most of the quoted header."""
        data, header = batch.data, HEADER[self.family]
        said = batch.bytes_of(*RECVERR[self.family], ERROR + (16 if self.family == 4 else 28))
        self._note_stamps(batch, said)
        envelope = sender(self.family, batch)
        envelope.source = said[:, 20:24] if self.family == 4 else said[:, 24:40]
        inner = batch.lengths + np.uint32(header)
        lengths = inner + np.uint32(header + QUOTE)
        write_header(self.family, data, 0, lengths, envelope)
        data[:, header : header + QUOTE] = 0
        data[:, header : header + 2] = said[:, 5:7]
        # The MTU of the next link (RFC 1191, RFC 4443, 3.2), lowest byte last; IPv4 has two bytes of it.
        width = 2 if self.family == 4 else 4
        data[:, header + QUOTE - width : header + QUOTE] = said[:, 8 : 8 + width][:, ::-1]
        write_header(self.family, data, header + QUOTE, inner, Envelope(0, 0, addresses(self.family, batch)))
        clear_behind(data, lengths)
        ours = said[:, 4] == ORIGIN[self.family]
        return Packets(data[ours], lengths[ours], batch.stamps()[ours])

    def _note_stamps(self, batch: Batch, said: U8) -> None:
        """Kernel stamps of what was sent come through the same queue."""
        rows = np.flatnonzero(said[:, 4] == ORIGIN_TIMESTAMPING)
        if not len(rows):
            return
        moments = batch.bytes_of(socket.SOL_SOCKET, SO_TIMESTAMPING, 16)
        for row in rows:
            seconds, nanoseconds = moments[row].copy().view(np.int64)
            self._stamps.came(int(said[row, 12:16].copy().view(np.uint32)[0]), int(seconds) * SECOND + int(nanoseconds))

    def counters(self) -> Mapping[str, int]:
        """drops: answers the receive buffer had no room for. The kernel does not count ICMP errors it had none for."""
        return {"drops": drops(self._socket)}

    def close(self) -> None:
        self._socket.close()


def _batches(intake: Intake, descriptor: int, most: int) -> Iterator[Batch]:
    """All there is, at most so many. A pending error ends one call (ip(7)) and is asked past."""
    tries = TRIES
    while most > 0:
        batch = intake.read(descriptor, most)
        if batch.error and batch.error != errno.EAGAIN and tries:
            tries -= 1
            continue
        if not len(batch):
            return
        yield batch
        most -= len(batch)


def _in_order(packets: Packets) -> Packets:
    order = np.argsort(packets.stamp, kind="stable")
    return Packets(packets.data[order], packets.length[order], packets.stamp[order], packets.verified)
