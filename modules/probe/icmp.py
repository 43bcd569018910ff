"""ICMP echo as bytes: messages of constant checksum per flow, what answers say, and the words for codes.

Sources: RFC 792, RFC 4443 (types and codes), RFC 1071 (checksum), RFC 8200, 8.1 (pseudo header); Augustin et al.,
"Avoiding traceroute anomalies with Paris traceroute", IMC 2006: load balancers hash checksum and id, so both stay.
"""

import struct
from dataclasses import dataclass

ECHO = {4: 8, 6: 128}
ECHO_REPLY = {4: 0, 6: 129}
UNREACHABLE = {4: 3, 6: 1}
TIME_EXCEEDED = {4: 11, 6: 3}
FRAGMENTATION_NEEDED = 4  # code of UNREACHABLE in IPv4
TOO_BIG = 2  # type in IPv6
HEADER = struct.Struct("!BBHHH")  # type, code, checksum, id, seq
TOKEN = struct.Struct("!IQHH")  # number, nonce, what makes the checksum the flow's, zero
OVERHEAD = {4: 28, 6: 48}
"""Bytes of the IP packet that are not the echo's payload."""

_V4 = {
    0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
    4: "fragmentation needed", 5: "source route failed", 6: "network unknown", 7: "host unknown", 8: "host isolated",
    9: "network prohibited", 10: "host prohibited", 11: "network unreachable for this TOS",
    12: "host unreachable for this TOS", 13: "administratively prohibited", 14: "precedence violated",
    15: "precedence cut off",
}  # fmt: skip
_V6 = {
    0: "no route", 1: "administratively prohibited", 2: "beyond scope of source", 3: "address unreachable",
    4: "port unreachable", 5: "source address failed policy", 6: "route rejected",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Echo:
    """An echo message taken apart. number and nonce are None where the message is too short for them."""

    ident: int
    seq: int
    number: int | None
    nonce: int | None
    size: int


def request(version: int, ident: int, seq: int, number: int, nonce: int, flow: int, fill: bytes) -> bytes:
    """An echo request whose 16-bit words always come to the same sum for one flow.

    version: 4 or 6. fill: what follows the 16 bytes of the token. In IPv6 the kernel writes the checksum, which then is
    constant, too: the pseudo header is.
    """
    wanted = flow_sum(flow)
    blank = HEADER.pack(ECHO[version], 0, 0, ident, seq) + TOKEN.pack(number, nonce, 0, 0) + fill
    pad = (wanted - total(blank)) % 0xFFFF
    checksum = 0xFFFF - wanted
    return HEADER.pack(ECHO[version], 0, checksum, ident, seq) + TOKEN.pack(number, nonce, pad, 0) + fill


def flow_sum(flow: int) -> int:
    """What the words of a flow's messages sum up to: never 0 or 0xffff, another for each of 256 flows.

    Whatever the id: a second socket goes on with the flows of the first.
    """
    return 1 + (0x616D + flow * 251) % 0xFFFD


def total(data: bytes) -> int:
    """Ones' complement sum of the 16-bit words, modulo 0xffff."""
    words = data + b"\0" if len(data) % 2 else data
    numbers: tuple[int, ...] = struct.unpack(f"!{len(words) // 2}H", words)
    return sum(numbers) % 0xFFFF


def fill_of(identity: str, size: int) -> bytes:
    """The rest of a payload of `size` bytes: who sends it, again and again."""
    room = max(0, size - TOKEN.size)
    text = identity.encode("ascii", "replace") + b" "
    return (text * (room // len(text) + 1))[:room]


def read_echo(version: int, data: bytes, *, reply: bool) -> Echo | None:
    """A reply, or what an error quotes of our request; None for what is neither."""
    if len(data) < HEADER.size:
        return None
    kind, _, _, ident, seq = HEADER.unpack_from(data)
    if kind != (ECHO_REPLY if reply else ECHO)[version]:
        return None
    number = nonce = None
    if len(data) >= HEADER.size + TOKEN.size:
        number, nonce, _, _ = TOKEN.unpack_from(data, HEADER.size)
    return Echo(ident, seq, number, nonce, len(data) - HEADER.size)


def without_header(data: bytes) -> bytes | None:
    """What an IPv4 packet carries (a raw socket gives the header, too); None for a broken one."""
    if len(data) < 20 or data[0] >> 4 != 4:
        return None
    length = (data[0] & 15) * 4
    return data[length:] if 20 <= length <= len(data) else None


def is_too_big(version: int, kind: int, code: int) -> bool:
    """Whether an error says that a packet does not fit the next link."""
    return kind == TOO_BIG if version == 6 else (kind, code) == (UNREACHABLE[4], FRAGMENTATION_NEEDED)


def text_of(version: int, kind: int, code: int) -> str:
    """An ICMP error in words."""
    if kind == TIME_EXCEEDED[version]:
        return "TTL exceeded" if code == 0 else "reassembly time exceeded"
    if is_too_big(version, kind, code):
        return "packet too big"
    if kind == UNREACHABLE[version]:
        return (_V6 if version == 6 else _V4).get(code, f"unreachable, code {code}")
    return f"ICMP type {kind}, code {code}"
