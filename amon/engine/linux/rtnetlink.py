"""What the kernel knows of links, addresses, neighbours and routes: rtnetlink(7) read into small records.

Sources: linux/rtnetlink.h, linux/if_link.h, linux/if_addr.h, linux/neighbour.h. An address is 16 bytes, IPv4 mapped
(RFC 4291, 2.5.5.2), so that one record serves both families.
"""

import struct
from dataclasses import dataclass
from socket import AF_INET, AF_INET6
from typing import Final

from amon.engine.linux.nlwire import Message, Odd, attributes

NEWLINK, DELLINK, GETLINK = 16, 17, 18
NEWADDR, DELADDR, GETADDR = 20, 21, 22
NEWROUTE, DELROUTE, GETROUTE = 24, 25, 26
NEWNEIGH, DELNEIGH, GETNEIGH = 28, 29, 30
NEWRULE, DELRULE = 32, 33

GROUPS: Final = (1, 3, 5, 7, 8, 9, 11, 19)
"""RTNLGRP_ LINK, NEIGH, IPV4_IFADDR, IPV4_ROUTE, IPV4_RULE, IPV6_IFADDR, IPV6_ROUTE, IPV6_RULE."""

IFF_UP, IFF_LOOPBACK, IFF_NOARP, IFF_LOWER_UP = 0x1, 0x8, 0x80, 0x10000
ARPHRD_ETHER = 1

INCOMPLETE, REACHABLE, STALE, DELAY, PROBE, FAILED, NOARP, PERMANENT = 1, 2, 4, 8, 16, 32, 64, 128  # NUD_*
HAS_MAC: Final = REACHABLE | STALE | DELAY | PROBE | NOARP | PERMANENT

MAPPED_PREFIX: Final = bytes(10) + b"\xff\xff"

_LINK = struct.Struct("=BxHiII")  # family, ARPHRD, index, flags, change
_ADDRESS = struct.Struct("=BBBBI")  # family, prefix length, flags, scope, index
_NEIGHBOUR = struct.Struct("=BxxxiHBB")  # family, index, state, flags, type
_ROUTE = struct.Struct("=BBBBBBBBI")  # family, dst length, src length, tos, table, protocol, scope, type, flags
_CLONED = 0x200  # RTM_F_CLONED: an entry of a route cache


@dataclass(frozen=True, slots=True)
class Link:
    """An interface. hardware: ARPHRD_*."""

    index: int
    name: str
    hardware: int
    flags: int
    mtu: int
    mac: bytes

    @property
    def up(self) -> bool:
        return self.flags & IFF_UP != 0 and self.flags & IFF_LOWER_UP != 0

    @property
    def ethernet(self) -> bool:
        """Whether frames with a MAC go through it: not through lo, tun, ppp, nor where nothing is resolved."""
        return self.hardware == ARPHRD_ETHER and not self.flags & (IFF_LOOPBACK | IFF_NOARP) and len(self.mac) == 6


@dataclass(frozen=True, slots=True)
class Address:
    """An address of this machine. broadcast: of IPv4, where one is set."""

    index: int
    address: bytes
    prefix: int
    broadcast: bytes | None = None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A neighbour as the kernel sees it. state: NUD_*; 0: it was forgotten."""

    index: int
    address: bytes
    state: int
    mac: bytes = b""


@dataclass(frozen=True, slots=True)
class RouteChanged:
    """Some route or rule is other than before; which does not matter."""


@dataclass(frozen=True, slots=True)
class Gone:
    """What was there before is not any more."""

    what: Link | Address


Change = Link | Address | Neighbour | RouteChanged | Gone


def read(message: Message) -> Change | None:
    """What a message of a dump or a notification says; None if it is of no matter here. Raises `Odd`."""
    try:
        if message.kind in (NEWLINK, DELLINK):
            link = _link(message.body)
            return link if message.kind == NEWLINK or link is None else Gone(link)
        if message.kind in (NEWADDR, DELADDR):
            address = _address(message.body)
            return address if message.kind == NEWADDR or address is None else Gone(address)
        if message.kind in (NEWNEIGH, DELNEIGH):
            return _neighbour(message.body, forgotten=message.kind == DELNEIGH)
        if message.kind in (NEWROUTE, DELROUTE):
            return None if _ROUTE.unpack_from(message.body)[8] & _CLONED else RouteChanged()
        return RouteChanged() if message.kind in (NEWRULE, DELRULE) else None
    except struct.error as error:
        raise Odd(f"a message of kind {message.kind} with {len(message.body)} bytes") from error


def mapped(family: int, value: bytes) -> bytes | None:
    """An address attribute as 16 bytes; None for another family or length."""
    if family == AF_INET and len(value) == 4:
        return MAPPED_PREFIX + value
    return value if family == AF_INET6 and len(value) == 16 else None


def _link(body: memoryview) -> Link | None:
    family, hardware, index, flags, _change = _LINK.unpack_from(body)
    if family:  # AF_BRIDGE tells its ports again
        return None
    found = attributes(body[_LINK.size :])
    name = bytes(found.get(3, b"")).rstrip(b"\0").decode(errors="replace")  # IFLA_IFNAME
    (mtu,) = struct.unpack("=I", found[4]) if 4 in found else (0,)  # IFLA_MTU
    return Link(index, name, hardware, flags, mtu, bytes(found.get(1, b"")))  # IFLA_ADDRESS


def _address(body: memoryview) -> Address | None:
    family, prefix, _flags, _scope, index = _ADDRESS.unpack_from(body)
    found = attributes(body[_ADDRESS.size :])
    # On a point-to-point link IFA_ADDRESS is the peer and IFA_LOCAL is ours; elsewhere they are the same.
    own = mapped(family, bytes(found.get(2, found.get(1, b""))))
    return Address(index, own, prefix, mapped(family, bytes(found.get(4, b"")))) if own else None


def _neighbour(body: memoryview, *, forgotten: bool) -> Neighbour | None:
    family, index, state, _flags, _type = _NEIGHBOUR.unpack_from(body)
    found = attributes(body[_NEIGHBOUR.size :])
    address = mapped(family, bytes(found.get(1, b"")))  # NDA_DST
    if address is None:
        return None
    return Neighbour(index, address, 0) if forgotten else Neighbour(index, address, state, bytes(found.get(2, b"")))


def dump_request(kind: int) -> bytes:
    """The body of a request for all of GETLINK, GETADDR or GETNEIGH, both families."""
    return {GETLINK: _LINK, GETADDR: _ADDRESS, GETNEIGH: _NEIGHBOUR}[kind].pack(*_NOTHING[kind])


_NOTHING: Final = {GETLINK: (0, 0, 0, 0, 0), GETADDR: (0, 0, 0, 0, 0), GETNEIGH: (0, 0, 0, 0, 0)}
