"""IP headers made again of what a socket says beside the data, so that one decoder reads the packets of every way."""

import socket
from dataclasses import dataclass

import numpy as np

from amon.engine.shapes import U8, U32
from amon.engine.ways.taking import Batch

IPV4, IPV6 = 20, 40
QUOTE = 8
"""Bytes of an ICMP error before the packet it quotes."""


TTL = {4: (socket.IPPROTO_IP, socket.IP_TTL), 6: (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT)}
"""The control message that has the TTL of what came."""
RECEIVE_TTL = {4: (socket.IPPROTO_IP, 12), 6: (socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT)}
"""The option that asks for it: IP_RECVTTL, IPV6_RECVHOPLIMIT."""


@dataclass(slots=True)
class Envelope:
    """ttl: (n,) U8, or one for all. source, destination: (n, 4) or (n, 16) U8; a destination of 0 is not known.

    The socket would tell destination and TOS too, but each of them costs a twentieth of a packet, and nobody asks.
    """

    ttl: U8 | int
    source: U8 | int
    destination: U8 | int = 0


def sender(family: int, batch: Batch) -> Envelope:
    """What the socket says beside data whose IP header it kept to itself: who sent it, and the TTL that was left."""
    level, kind = TTL[family]
    return Envelope(batch.bytes_of(level, kind, 4)[:, 0], addresses(family, batch))


def addresses(family: int, batch: Batch) -> U8:
    """Of `struct sockaddr_in` and `sockaddr_in6`."""
    return batch.names[:, 4:8] if family == 4 else batch.names[:, 8:24]


def write_header(family: int, rows: U8, at: int, lengths: U32, envelope: Envelope) -> None:
    """An IP header at that byte of each row. lengths: of whole IP packets."""
    if family == 4:
        _write_ipv4(rows[:, at : at + IPV4], lengths, envelope)
    else:
        _write_ipv6(rows[:, at : at + IPV6], lengths, envelope)


def _write_ipv4(header: U8, lengths: U32, envelope: Envelope) -> None:
    words = header.view(np.uint32)
    length = lengths.astype(np.uint16).byteswap().astype(np.uint32)
    source, destination = _word(envelope.source), _word(envelope.destination)
    third = envelope.ttl | np.uint32(1 << 8)  # the protocol behind the TTL
    # RFC 1071, 2 (B): the sum is the same in either byte order. Of eight words it carries twice at most.
    total = np.uint32(0x45) + length + third + (source & 0xFFFF) + (source >> 16)
    total += (destination & 0xFFFF) + (destination >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    words[:, 0] = length << 16 | 0x45
    words[:, 1] = 0
    words[:, 2] = third | ~total << 16
    words[:, 3] = source
    words[:, 4] = destination


def _word(address: U8 | int) -> U32:
    """IPv4 addresses, (n, 4) or one 0 for all, as they lie in memory."""
    if isinstance(address, int):
        return np.zeros(1, np.uint32)
    return np.ascontiguousarray(address).view(np.uint32)[:, 0]


def _write_ipv6(header: U8, lengths: U32, envelope: Envelope) -> None:
    behind = lengths - np.uint32(IPV6)
    header[:, 0] = 0x60
    header[:, 1:4] = 0
    header[:, 4] = behind >> 8
    header[:, 5] = behind & 0xFF
    header[:, 6] = 58
    header[:, 7] = envelope.ttl
    header[:, 8:24] = envelope.source
    header[:, 24:40] = envelope.destination
