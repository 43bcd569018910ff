"""Networks as ranges of 128-bit numbers, IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2), and a map of them all.

In a `RangeMap` every address has one number; what is painted later covers what was painted before.
"""

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

import numpy as np

from amon.engine.shapes import U8, U64
from amon.errors import Invalid

Range = tuple[int, int]
"""First and last address."""
EVERYTHING: Final[Range] = (0, 2**128 - 1)
MAPPED_FIRST: Final = 0xFFFF << 32
MAPPED_LAST: Final = MAPPED_FIRST + 2**32 - 1
NETWORKS_MOST: Final = 1_000_000
"""Networks in one list."""

NAT64: Final = 0x0064_FF9B << 96  # 64:ff9b::/96: RFC 6052, 2.1
SIX_TO_FOUR: Final = 0x2002 << 112  # 2002::/16: RFC 3056, 2
TRANSLATED_OLD: Final = 0xFFFF << 48  # ::ffff:0:0:0/96: RFC 2765, 2.1, still known to some translators


def networks(texts: Sequence[str], what: str) -> list[Range]:
    """Ranges of `192.0.2.0/24`, `2001:db8::/32` or a single address. what: the list's name. Raises Invalid, naming the
    place of the text in its list."""
    if len(texts) > NETWORKS_MOST:
        raise Invalid(f"{what} has more than {NETWORKS_MOST:,} networks; write larger ones")
    ranges: list[Range] = []
    for place, text in enumerate(texts, start=1):
        ranges += ranges_of(_network(text, f"{what}, entry {place}"))
    return ranges


def ranges_of(network: IPv4Network | IPv6Network) -> list[Range]:
    """IPv6 that is wider than the mapped block does not mean the IPv4 in it: ::/0 is all IPv6."""
    first, last = int(network.network_address), int(network.broadcast_address)
    if isinstance(network, IPv4Network):
        return [(MAPPED_FIRST + first, MAPPED_FIRST + last)]
    if first < MAPPED_FIRST and last > MAPPED_LAST:
        return [(first, MAPPED_FIRST - 1), (MAPPED_LAST + 1, last)]
    # ::/80 ends with the mapped block's last address.
    return [(first, MAPPED_FIRST - 1)] if first < MAPPED_FIRST <= last else [(first, last)]


def translations(ranges: Iterable[Range]) -> list[Range]:
    """The IPv6 addresses behind which a translator finds IPv4 addresses of these ranges."""
    found: list[Range] = []
    for first, last in ranges:
        if first >= MAPPED_FIRST and last <= MAPPED_LAST:
            low, high = first - MAPPED_FIRST, last - MAPPED_FIRST
            found += [(NAT64 + low, NAT64 + high), (TRANSLATED_OLD + low, TRANSLATED_OLD + high)]
            found.append((SIX_TO_FOUR + (low << 80), SIX_TO_FOUR + ((high + 1) << 80) - 1))
    return found


class RangeMap:
    """layers: ranges and the number painted over them, the last on top; where nothing is painted it is 0."""

    def __init__(self, layers: Sequence[tuple[Sequence[Range], int]]) -> None:
        merged = [(_merged(ranges), number) for ranges, number in layers]
        edges = {0} | {edge for ranges, _ in merged for first, last in ranges for edge in (first, last + 1)}
        starts = sorted(edges - {2**128})
        self._numbers: U8 = np.zeros(len(starts), np.uint8)
        for ranges, number in merged:
            for first, last in ranges:
                self._numbers[bisect_left(starts, first) : bisect_left(starts, last + 1)] = number
        # As strings of 16 bytes, network order, they sort like the numbers they are.
        self._starts = np.frombuffer(b"".join(start.to_bytes(16) for start in starts), "S16")

    def __getitem__(self, address: tuple[U64, U64]) -> U8:
        """The numbers of addresses, given as high and low halves."""
        high, low = address
        halves = np.empty((len(low), 2), ">u8")
        halves[:, 0], halves[:, 1] = high, low
        found: U8 = self._numbers[np.searchsorted(self._starts, halves.view("S16")[:, 0], "right") - 1]
        return found


def _network(text: str, what: str) -> IPv4Network | IPv6Network:
    try:
        return ip_network(text.strip())
    except ValueError:
        pass
    try:
        meant = ip_network(text.strip(), strict=False)
    except ValueError:
        raise Invalid(f"{what}: {text!r} is no network; write 192.0.2.0/24 or 2001:db8::/32") from None
    raise Invalid(f"{what}: {text!r} is an address in a network; write {meant} or the address alone")


def _merged(ranges: Sequence[Range]) -> list[Range]:
    found: list[Range] = []
    for first, last in sorted(ranges):
        if found and first <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(last, found[-1][1]))
        else:
            found.append((first, last))
    return found
