"""Classic BPF socket filters that let through what may answer us, so that other people's packets cost nothing.

Source: Documentation/networking/filter.rst. A load behind the packet's end drops it, so no length is checked here.
"""

import ctypes
import socket
import struct
from collections.abc import Iterable, Sequence

from amon.engine.shapes import SNAP

SO_ATTACH_FILTER = 26

# One line of a program: what, its value, and for jumps where to if true (else the next line). A lone word is a label.
Line = str | tuple[str, int] | tuple[str, int, str]

CODES = {
    "ld": 0x20, "ldh": 0x28, "ldb": 0x30, "ldh[x]": 0x48, "ldb[x]": 0x50, "ldx": 0x01, "ldx4*ihl": 0xB1,
    "load": 0x60, "store": 0x02, "add": 0x04, "addx": 0x0C, "and": 0x54, "shl": 0x64, "tax": 0x07, "txa": 0x87,
    "jump": 0x05, "equal": 0x15, "any": 0x45, "return": 0x06,
}  # fmt: skip

# What the kernel knows beside the packet (SKF_AD_OFF + ...).
PROTOCOL, FACING, TAG = 0xFFFF_F000, 0xFFFF_F004, 0xFFFF_F02C

WHOLE = 0xFFFF_FFFF
"""A filter that returns less has the packet cut, and its length with it; only a ring still tells what it was."""
ICMP, ICMPV6, FRAGMENT = 1, 58, 44
QUOTING = {4: (3, 4, 11, 12), 6: (1, 2, 3, 4)}
"""ICMP types that quote the packet they are about (RFC 792, RFC 4443)."""
EXTENSIONS = (0, 43, 60)
"""IPv6 headers of the shape next, length (RFC 8200, 4): hop by hop, routing, destination."""


def assemble(lines: Iterable[Line]) -> bytes:
    """Instructions (`struct sock_filter`) of a program; labels become distances forward."""
    places: dict[str, int] = {}
    program: list[tuple[str, int] | tuple[str, int, str]] = []
    for line in lines:
        if isinstance(line, str):
            places[line] = len(program)
        else:
            program.append(line)
    return b"".join(_instruction(line, at, places) for at, line in enumerate(program))


def _instruction(line: tuple[str, int] | tuple[str, int, str], at: int, places: dict[str, int]) -> bytes:
    code, value = CODES[line[0]], line[1]
    if len(line) == 2:
        return struct.pack("=HBBI", code, 0, 0, value)
    ahead = places[line[2]] - at - 1
    if line[0] == "jump":
        return struct.pack("=HBBI", code, 0, 0, ahead)
    return struct.pack("=HBBI", code, ahead, 0, value)


def attach(sock: socket.socket, program: bytes) -> None:
    """setsockopt(SO_ATTACH_FILTER): from now on the socket gets only what the program lets through."""
    code = ctypes.create_string_buffer(program, len(program))
    fprog = struct.pack("@HP", len(program) // 8, ctypes.addressof(code))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, fprog)


def from_link(ident: int) -> bytes:
    """For a packet socket whose data begins at the IP header: untagged packets to this host, of both families."""
    return assemble(
        [
            ("ldb", FACING), ("equal", 0, "to us"), ("return", 0), "to us",
            ("ldh", TAG), ("any", 0x0FFF, "drop"),  # another VLAN's; 0 is a priority only (802.1Q)
            ("ldh", PROTOCOL), ("equal", 0x0800, "v4"), ("equal", 0x86DD, "v6"), ("return", 0),
            *_ipv4(), *_ipv6(), *_ident(ident, SNAP),
        ]
    )  # fmt: skip


def from_ipv4(ident: int) -> bytes:
    """For a raw IPv4 socket: its data begins at the IP header."""
    return assemble([*_ipv4(), *_ident(ident, WHOLE)])


def from_icmpv6(ident: int) -> bytes:
    """For a raw ICMPv6 socket: its data begins at the ICMPv6 header."""
    return assemble([("ldx", 0), *_icmpv6(), *_ident(ident, WHOLE)])


def _ipv4() -> Sequence[Line]:
    return [
        "v4",
        ("ldb", 9), ("equal", ICMP, "v4 icmp"), ("return", 0), "v4 icmp",
        ("ldh", 6), ("any", 0x1FFF, "drop"),  # the first fragment has the ICMP header
        ("ldx4*ihl", 0),
        ("ldb[x]", 0), ("equal", 0, "ident"),
        *(("equal", kind, "v4 quote") for kind in QUOTING[4]), ("return", 0),
        "v4 quote",
        ("txa", 0), ("add", 8), ("tax", 0),
        ("ldb[x]", 9), ("equal", ICMP, "v4 quoted"), ("return", 0), "v4 quoted",
        ("ldb[x]", 0), ("and", 0x0F), ("shl", 2), ("addx", 0), ("tax", 0),
        ("ldb[x]", 0), ("equal", 8, "ident"), ("return", 0),
    ]  # fmt: skip


def _ipv6() -> Sequence[Line]:
    return ["v6", ("ldx", 40), ("ldb", 6), *_past("outer 1"), *_past("outer 2"), *_at_icmpv6("outer"), *_icmpv6()]


def _icmpv6() -> Sequence[Line]:
    """X is where the ICMPv6 header begins."""
    return [
        ("ldb[x]", 0), ("equal", 129, "ident"), *(("equal", kind, "v6 quote") for kind in QUOTING[6]), ("return", 0),
        "v6 quote",
        ("ldb[x]", 8 + 6), ("store", 1), ("txa", 0), ("add", 8 + 40), ("tax", 0), ("load", 1),
        *_past("inner"), *_at_icmpv6("inner"),
        ("ldb[x]", 0), ("equal", 128, "ident"), ("return", 0),
    ]  # fmt: skip


def _past(name: str) -> Sequence[Line]:
    """Over one extension header, if there is one. A: its number, X: where it begins; after it those of the next."""
    return [
        ("equal", ICMPV6, f"{name} over"),
        ("equal", FRAGMENT, f"{name} fragment"),
        *(("equal", kind, f"{name} long") for kind in EXTENSIONS), ("return", 0),
        f"{name} fragment",
        ("ldh[x]", 2), ("any", 0xFFF8, "drop near " + name),
        ("ldb[x]", 0), ("store", 1), ("txa", 0), ("add", 8), ("tax", 0), ("load", 1), ("jump", 0, f"{name} over"),
        "drop near " + name, ("return", 0),
        f"{name} long",
        ("ldb[x]", 1), ("add", 1), ("shl", 3), ("store", 0), ("ldb[x]", 0), ("store", 1),
        ("load", 0), ("addx", 0), ("tax", 0), ("load", 1),
        f"{name} over",
    ]  # fmt: skip


def _at_icmpv6(name: str) -> Sequence[Line]:
    return [("equal", ICMPV6, f"{name} icmp"), ("return", 0), f"{name} icmp"]


def _ident(ident: int, keep: int) -> Sequence[Line]:
    """X is where our echo request or reply begins."""
    return [
        "ident",
        ("ldh[x]", 4), ("equal", ident, "ours"),
        "drop", ("return", 0),
        "ours", ("return", keep),
    ]  # fmt: skip
