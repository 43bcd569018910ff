"""The engine's packets, slowly: one at a time, with struct, as the RFCs say. What columns are checked against.

It shares no code with the engine. Sources: RFC 1071, 1 (checksum); RFC 791, RFC 792, RFC 8200, RFC 4443.
"""

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

SNAP = 160
_CHAINED = (0, 43, 44, 51, 60, 135)
Address = IPv4Address | IPv6Address


def checksum(data: bytes) -> int:
    """RFC 1071: the complement of the sum with the carries added in again, word by word."""
    total = 0
    for (word,) in struct.iter_unpack(">H", data + bytes(len(data) % 2)):
        total += word
        if total > 0xFFFF:
            total -= 0xFFFF
    return 0xFFFF - total


def halves(address: Address) -> tuple[int, int]:
    """As the engine keeps it: two numbers of 64 bits, IPv4 mapped."""
    if isinstance(address, IPv4Address):
        return 0, 0xFFFF00000000 | int(address)
    return int(address) >> 64, int(address) & (1 << 64) - 1


def ipv4(
    source: Address, target: Address, body: bytes, ttl: int = 64, tos: int = 0, ident: int = 0, fragment: int = 0,
    protocol: int = 1, options: bytes = b"",
) -> bytes:  # fmt: skip
    """fragment: flags and offset as they stand in the header."""
    length = 20 + len(options)

    def header(total: int) -> bytes:
        return struct.pack(
            ">BBHHHBBH4s4s", 0x40 | length // 4, tos, length + len(body), ident, fragment, ttl, protocol, total,
            source.packed, target.packed,
        ) + options  # fmt: skip

    return header(checksum(header(0))) + body


def ipv6(
    source: Address, target: Address, body: bytes, hops: int = 64, tos: int = 0, label: int = 0, following: int = 58
) -> bytes:
    """body: with extension headers, of which the first is `following`."""
    first = 6 << 28 | tos << 20 | label
    return struct.pack(">IHBB", first, len(body), following, hops) + source.packed + target.packed + body


def icmp(kind: int, code: int, body: bytes, ends: tuple[Address, Address] | None = None) -> bytes:
    """ends: source and target of an ICMPv6 message, which its checksum is over too."""
    pseudo = b""
    if ends is not None:
        pseudo = ends[0].packed + ends[1].packed + struct.pack(">II", 4 + len(body), 58)
    total = checksum(pseudo + struct.pack(">BBH", kind, code, 0) + body)
    return struct.pack(">BBH", kind, code, total) + body


@dataclass(frozen=True)
class Request:
    """An echo request of ours, and what comes of it."""

    source: Address
    target: Address
    ident: int
    slot: int
    nonce: int
    size: int = 56
    ttl: int = 64
    tos: int = 0
    df: bool = False
    wanted: int = 1
    identity: bytes = b"who we are; " * 200

    @property
    def v6(self) -> bool:
        return self.target.version == 6

    def payload(self) -> bytes:
        head = struct.pack("<IQ", self.slot, self.nonce)
        text = self.identity[: self.size - 16].ljust(self.size - 16, b"\0")
        # The pad that makes the checksum `wanted`: what the sum of all else lacks (RFC 1071, 2.A: in any order).
        (had,) = struct.unpack_from(">H", self._icmp(head + bytes(4) + text), 2)
        return head + struct.pack(">HH", (had - self.wanted) % 0xFFFF, 0) + text

    def _icmp(self, payload: bytes) -> bytes:
        body = struct.pack(">HH", self.ident, self.slot & 0xFFFF) + payload
        return icmp(128, 0, body, (self.source, self.target)) if self.v6 else icmp(8, 0, body)

    def packet(self) -> bytes:
        body = self._icmp(self.payload())
        if self.v6:
            return ipv6(self.source, self.target, body, self.ttl, self.tos, self.wanted)
        return ipv4(self.source, self.target, body, self.ttl, self.tos, self.slot >> 16, 0x4000 * self.df)

    def reply(self, source: Address | None = None, payload: bytes | None = None, ttl: int = 60) -> bytes:
        """As a host answers: the same back to us."""
        source = self.target if source is None else source
        payload = self.payload() if payload is None else payload
        body = struct.pack(">HH", self.ident, self.slot & 0xFFFF) + payload
        if self.v6:
            return ipv6(source, self.source, icmp(129, 0, body, (source, self.source)), ttl)
        return ipv4(source, self.source, icmp(0, 0, body), ttl)

    def error(
        self, kind: int, code: int, source: Address, quoted: int = 576, rest: int = 0, quote: bytes | None = None
    ) -> bytes:
        """As a router tells of it. quoted: bytes behind the quoted IP header. rest: the second word of the message."""
        header = 40 if self.v6 else 20
        quote = self.packet()[: header + quoted] if quote is None else quote
        body = struct.pack(">I", rest) + quote
        if self.v6:
            return ipv6(source, self.source, icmp(kind, code, body, (source, self.source)), 250)
        return ipv4(source, self.source, icmp(kind, code, body), 250)


@dataclass(frozen=True)
class Read:
    """What a packet says, or in `verdict` why it is nothing to us."""

    verdict: str = "fine"
    kind: int = 0
    type: int = 0
    code: int = 0
    slot: int = 0
    how: int = 0
    nonce: int = 0
    source: Address | None = None
    quoted: Address | None = None
    hops: int = 0
    mtu: int = 0


class _No(Exception):
    """It is no reply: the verdict."""


def read(packet: bytes, ident: int, verified: bool = False) -> Read:
    """packet: all of it; of a long one only the first `SNAP` bytes are looked at, as the engine does."""
    try:
        return _read(packet, ident, verified)
    except _No as no:
        return Read(str(no))


def _read(packet: bytes, ident: int, verified: bool) -> Read:
    version = packet[0] >> 4 if packet else 0
    if version not in (4, 6):
        raise _No("odd")
    begin, end, whole = _header(packet[:SNAP], 0, version, len(packet))
    data = packet[:end][:SNAP]
    if len(data) < begin + 8:
        raise _No("truncated")
    source, target = _ends(data, version)
    kind, code = data[begin], data[begin + 1]
    v6 = version == 6
    if kind == (129 if v6 else 0):
        if _u16(data, begin + 4) != ident:
            raise _No("foreign")
        if len(data) < begin + 24:
            raise _No("truncated")
        slot, nonce = struct.unpack_from("<IQ", data, begin + 8)
        made = Read("fine", 1, kind, code, slot, 0, nonce, source, source, _hops(data, v6))
    elif kind in ((1, 2, 3, 4) if v6 else (3, 11, 12)):
        made = _quote(data, begin, version, ident, source)
    else:
        raise _No("foreign")
    if not verified:
        _check(packet[:end], begin, version, whole and end <= SNAP, (source, target))
    return made


def _quote(data: bytes, begin: int, version: int, ident: int, source: Address) -> Read:
    v6 = version == 6
    quote = begin + 8
    inner, _, _ = _header(data, quote, version, None)
    if len(data) < inner + 8:
        raise _No("truncated")
    if data[inner] != (128 if v6 else 8) or _u16(data, inner + 4) != ident:
        raise _No("foreign")
    _, target = _ends(data[quote:], version)
    slot, nonce, how = _u16(data, inner + 6), 0, 2
    if not v6:
        slot, how = slot | _u16(data, quote + 4) << 16, 1
    if len(data) >= inner + 20 and any(data[inner + 12 : inner + 20]):
        slot, nonce = struct.unpack_from("<IQ", data, inner + 8)
        how = 0
    kind, code = data[begin], data[begin + 1]
    mtu = 0
    if v6 and kind == 2:
        mtu = min(struct.unpack_from(">I", data, begin + 4)[0], 0xFFFF)
    if not v6 and (kind, code) == (3, 4):
        mtu = _u16(data, begin + 6)
    exceeded = (kind, code) == ((3, 0) if v6 else (11, 0))
    return Read("fine", 3 if exceeded else 2, kind, code, slot, how, nonce, source, target, _hops(data, v6), mtu)


def _header(data: bytes, at: int, version: int, length: int | None) -> tuple[int, int, bool]:
    """Where ICMP begins, where the packet ends, whether it is no fragment. length: of what came; None in a quote."""
    if version == 4:
        return _header_v4(data, at, length)
    return _header_v6(data, at, length)


def _header_v4(data: bytes, at: int, length: int | None) -> tuple[int, int, bool]:
    if len(data) < at + 20:
        raise _No("truncated")
    if data[at] >> 4 != 4 or data[at] & 15 < 5:
        raise _No("odd")
    size = (data[at] & 15) * 4
    if len(data) < at + size:
        raise _No("truncated")
    fragment = _u16(data, at + 6)
    if data[at + 9] != 1 or fragment & 0x1FFF:
        raise _No("foreign")
    total = _u16(data, at + 2)
    if length is not None and (total > length or total < size + 8):
        raise _No("truncated")
    return at + size, total if length is not None else len(data), not fragment & 0x2000


def _header_v6(data: bytes, at: int, length: int | None) -> tuple[int, int, bool]:
    if len(data) < at + 40:
        raise _No("truncated")
    if data[at] >> 4 != 6:
        raise _No("odd")
    total = len(data)
    if length is not None:
        total = 40 + _u16(data, at + 4)
        if total > length:
            raise _No("truncated")
    place, following, whole = _chain(data[:total], at)
    if following != 58:
        raise _No("odd" if following in _CHAINED else "foreign")
    if place > len(data[:total]):
        raise _No("truncated")
    return place, total, whole


def _chain(data: bytes, at: int) -> tuple[int, int, bool]:
    """RFC 8200, 4: over extension headers, at most eight."""
    place, following, whole = at + 40, data[at + 6], True
    for _ in range(8):
        if following not in _CHAINED:
            break
        if place + 8 > len(data):
            raise _No("truncated")
        if following == 44:
            whole = False
            if _u16(data, place + 2) & 0xFFF8:
                raise _No("foreign")
            size = 8
        else:
            size = (data[place + 1] + 2) * 4 if following == 51 else (data[place + 1] + 1) * 8
        following, place = data[place], place + size
    return place, following, whole


def _check(packet: bytes, begin: int, version: int, whole: bool, ends: tuple[Address, Address]) -> None:
    if version == 4 and checksum(packet[:begin]) != 0:
        raise _No("bad_checksum")
    body = packet[begin:]
    if version == 6:
        body = ends[0].packed + ends[1].packed + struct.pack(">II", len(packet) - begin, 58) + body
    if whole and checksum(body) != 0:
        raise _No("bad_checksum")


def _ends(data: bytes, version: int) -> tuple[Address, Address]:
    if version == 4:
        return IPv4Address(data[12:16]), IPv4Address(data[16:20])
    return IPv6Address(data[8:24]), IPv6Address(data[24:40])


def _hops(data: bytes, v6: bool) -> int:
    return data[7] if v6 else data[8]


def _u16(data: bytes, at: int) -> int:
    return int(struct.unpack_from(">H", data, at)[0])
