"""Which addresses a tenant may have probed. Of these the first that says no is told:

1. Nobody probes what is no host's unicast address (`NEVER`), nor a broadcast address of our own networks.
2. Nobody probes `NAMED` (loopback, IPv4 link-local) unless the tenant's allow list names it. Named is what a network of
   the list says that lies within it; 0.0.0.0/0 does not name 127.0.0.1.
3. A deny always wins, however long the prefix that allows: the engine's list, then the tenant's.
4. What is not in the tenant's allow list is denied; an empty list allows nothing.

What is denied in IPv4 is denied behind the IPv6 prefixes that lead there as well (`networks.translations`). Private and
documentation networks are like any other: sites use the first, labs the second.

Sources: the IANA special-purpose address registries (RFC 6890, RFC 8190) and what they cite.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.rules.caps import Caps, TenantCap
from amon.engine.rules.networks import EVERYTHING, Range, RangeMap, networks, translations
from amon.engine.shapes import U8, U64

__all__ = ["NAMED", "NEVER", "Caps", "Guard", "Lists", "TenantCap"]

NEVER: Final = (
    # The later covers the earlier: the most special of them is told.
    ("0.0.0.0/8", "is 'this network', nobody's address (RFC 791, 3.2; RFC 1122, 3.2.1.3)"),
    ("224.0.0.0/4", "is multicast (RFC 5771)"),
    ("240.0.0.0/4", "is reserved (RFC 1112, 4)"),
    ("255.255.255.255/32", "is the limited broadcast (RFC 919, 7)"),
    ("::/96", "is an IPv4-compatible address, which nobody uses any more (RFC 4291, 2.5.5.1)"),
    ("::/128", "is the unspecified address (RFC 4291, 2.5.2)"),
    ("ff00::/8", "is multicast (RFC 4291, 2.7)"),
    ("fe80::/10", "is link-local, and without an interface that says nothing (RFC 4007, 6)"),
)
NAMED: Final = (
    ("127.0.0.0/8", "is loopback, which only an allow list that names it opens (RFC 1122, 3.2.1.3)"),
    ("::1/128", "is loopback, which only an allow list that names it opens (RFC 4291, 2.5.3)"),
    ("169.254.0.0/16", "is link-local, which only an allow list that names it opens (RFC 3927, 2.7)"),
)
_BROADCAST = "is a broadcast address of a network of this host (RFC 919; RFC 1122, 3.2.1.3)"
_TRANSLATED = "leads a translator to an IPv4 address that is never probed (RFC 6052, 3.1; RFC 3056, 9)"
_ENGINE = "is on the deny list of the engine"
_TENANT = "is on the deny list of the tenant"
_UNLISTED = "is not on the allow list of the tenant"
_TEXTS: Final = ("", *(text for _, text in (*NEVER, *NAMED)), _BROADCAST, _TRANSLATED, _ENGINE, _TENANT, _UNLISTED)
_VERDICT: Final = {text: number for number, text in enumerate(_TEXTS)}


@dataclass(frozen=True, slots=True)
class Lists:
    """Networks as text, `192.0.2.0/24` or `2001:db8::/32`, or single addresses."""

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()


class Guard:
    """Judges addresses. It never changes: for other lists or other networks of our own there is another one.

    deny: the engine's list. broadcasts: of our own networks, high and low halves (`Paths.broadcasts`). texts: what a
    verdict means, by its number, to be read after the address; 0 is yes. Raises Invalid for a text that is no network.
    """

    texts: Final = _TEXTS

    def __init__(
        self, tenants: Mapping[str, Lists], deny: Sequence[str] = (), broadcasts: tuple[U64, U64] | None = None
    ) -> None:
        self._tenants, self._deny = dict(tenants), tuple(deny)
        own = _single(broadcasts) if broadcasts is not None else []
        denied = networks(deny, "the engine's deny list")
        self._maps = {name: RangeMap(_layers(name, lists, denied, own)) for name, lists in tenants.items()}

    def judge(self, tenant: str, high: U64, low: U64) -> U8:
        """A verdict per address: 0 may be probed, else the row of `texts` that says why not. About 0.3 s for a million.
        KeyError: no such tenant."""
        return self._maps[tenant][high, low]

    def with_broadcasts(self, broadcasts: tuple[U64, U64]) -> "Guard":
        """The same lists, where these are the broadcast addresses of our own networks."""
        return Guard(self._tenants, self._deny, broadcasts)


def _layers(
    tenant: str, lists: Lists, denied: Sequence[Range], own: Sequence[Range]
) -> list[tuple[Sequence[Range], int]]:
    """What is said of all addresses, the most important last."""
    allowed = networks(lists.allow, f"the allow list of {tenant}")
    of_tenant = networks(lists.deny, f"the deny list of {tenant}")
    special = [(networks([network], "")[0], _VERDICT[text]) for network, text in NAMED]
    never = [(networks([network], "")[0], _VERDICT[text]) for network, text in NEVER]
    return [
        ([EVERYTHING], _VERDICT[_UNLISTED]),
        (allowed, 0),
        *(([block], verdict) for block, verdict in special),
        ([one for one in allowed if any(_within(one, block) for block, _ in special)], 0),
        ([*of_tenant, *translations(of_tenant)], _VERDICT[_TENANT]),
        ([*denied, *translations(denied)], _VERDICT[_ENGINE]),
        (translations(block for block, _ in (*special, *never)), _VERDICT[_TRANSLATED]),
        (own, _VERDICT[_BROADCAST]),
        # ::1 lies in ::/96 and may have been named.
        *((_without_loopback(block), verdict) for block, verdict in never),
    ]


def _within(inner: Range, outer: Range) -> bool:
    return outer[0] <= inner[0] and inner[1] <= outer[1]


def _without_loopback(block: Range) -> list[Range]:
    return [(0, 0), (2, block[1])] if block[0] == 0 and block[1] > 1 else [block]


def _single(addresses: tuple[U64, U64]) -> list[Range]:
    numbers = (int(high) << 64 | int(low) for high, low in zip(*(np.asarray(half) for half in addresses), strict=True))
    return [(number, number) for number in numbers]
