"""What may be probed from here on demand, and how much at once: networks that are allowed and denied, and rates.

A site that probes whatever it is told is somebody else's scanner. So what is this host's own, its links', or nobody's
(metadata services of clouds among them) is denied unless its network is named in `allow`; the rest is, if there is an
`allow`. Names are judged by what they resolve to, redirections too: all go through the resolver. Sources: RFC 6890.
"""

import ipaddress
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager

from amon.errors import Refused

from .shape import Family, Resolver, Stop

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
NETWORKS_MOST = 1000
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")

NEVER = tuple(map(ipaddress.ip_network, ("0.0.0.0/8", "224.0.0.0/4", "240.0.0.0/4", "::/128", "ff00::/8")))
"""Nobody's, many's and those of tomorrow: not even `allow` opens them."""
OWN = tuple(
    map(
        ipaddress.ip_network, ("127.0.0.0/8", "169.254.0.0/16", "192.0.0.0/24", "::1/128", "fe80::/10", "fd00:ec2::/32")
    )
)
"""This host's own, its links', and where clouds keep what is secret: only if `allow` names them."""


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """ValueError with what is wrong, for one that is none."""
    return tuple(ipaddress.ip_network(text, strict=False) for text in texts)


class Fence:
    """allow: if there is one, nothing else may be probed. deny: goes before it."""

    def __init__(self, allow: Sequence[Network] = (), deny: Sequence[Network] = ()) -> None:
        self._allow = tuple(allow)
        self._deny = tuple(deny)

    def problem(self, address: str) -> str:
        """Why this address is not probed; empty if it may be."""
        found = ipaddress.ip_address(address.partition("%")[0])
        inner = _carried(found)
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            return self._problem(found.ipv4_mapped)
        return self._problem(found) or ("" if inner is None or self._allows(found) else self._problem(inner))

    def _allows(self, found: Address) -> bool:
        """Whether `allow` names it itself."""
        return _within(found, self._allow) is not None

    def _problem(self, found: Address) -> str:
        if _within(found, NEVER):
            return f"{found} is no address of one host"
        if network := _within(found, self._deny):
            return f"{network} is in `deny` of this instance"
        if self._allow:
            return "" if _within(found, self._allow) else f"{found} is not in `allow` of this instance"
        if network := _within(found, OWN):
            return f"{network} is this host's own or its link's; `allow` of this instance may name it"
        return ""


def _carried(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address that an IPv6 one leads to: by 6to4 (RFC 3056) or NAT64 (RFC 6052)."""
    if not isinstance(address, ipaddress.IPv6Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.sixtofour


def _within(address: Address, among: Iterable[Network]) -> Network | None:
    return next((network for network in among if address.version == network.version and address in network), None)


class FencedResolver:
    """A resolver that gives only what may be probed."""

    def __init__(self, inner: Resolver, fence: Fence) -> None:
        self._inner = inner
        self._fence = fence

    async def addresses(self, name: str, family: Family) -> Sequence[str]:
        found = await self._inner.addresses(name, family)
        allowed = [address for address in found if not self._fence.problem(address)]
        if not allowed:
            raise Stop("unmeasured", f"not probed from here: {self._fence.problem(found[0])}")
        return allowed


class Caps:
    """What is under way on demand, of everybody. rate: packets or questions per second. at_once: calls."""

    def __init__(self, rate: float, at_once: int, longest: float) -> None:
        self._rate = rate
        self._at_once = at_once
        self._longest = longest
        self._taken = 0.0
        self.under_way = 0

    def abreast(self, rate: float, wanted: int) -> int:
        """How many of `wanted`, each of so many a second, have room now; at least one, which `hold` may refuse."""
        free = self._rate * 1.000001 - self._taken
        return max(1, min(wanted, int(free / rate)))

    @contextmanager
    def hold(self, rate: float, lasts: float) -> Iterator[None]:
        """Room for one more, of so many a second, for so many seconds; `Refused` where there is none."""
        if rate > self._rate:
            said = f"that is {rate:g} packets a second; on demand at most {self._rate:g} are sent here"
            raise Refused(f"{said}; ask for less often (-i), of a trace for fewer hops (-m)")
        if lasts > self._longest:
            said = f"that takes {lasts:g} s; on demand at most {self._longest:g} s are taken"
            raise Refused(f"{said}; ask for less, or for fewer targets")
        if self.under_way >= self._at_once or self._taken + rate > self._rate * 1.000001:
            raise Refused(f"{self.under_way} probes are under way, {self._taken:g} packets a second; ask again later")
        self.under_way += 1
        self._taken += rate
        try:
            yield
        finally:
            self.under_way -= 1
            self._taken = max(0.0, self._taken - rate) if self.under_way else 0.0
