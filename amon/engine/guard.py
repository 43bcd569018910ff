"""Which addresses a tenant may have probed. In this order, and the first that says no is told:

1. Never: what is no host's unicast address (`NEVER`), and the broadcast addresses of our own networks.
2. Never, unless the tenant's allow list names it: loopback and link-local IPv4. Named means a network that lies within
   it; 0.0.0.0/0 does not name it.
3. A deny always wins, however long the prefix that allows: first the engine's list, then the tenant's.
4. What the tenant's allow list does not have is denied; an empty list allows nothing.

A denied IPv4 network is also denied behind the IPv6 prefixes that translate to it (`TRANSLATED`).
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from amon.engine.caps import Caps, TenantCap
from amon.engine.shapes import U8, U64

__all__ = ["Caps", "Guard", "Lists", "TenantCap"]


@dataclass(frozen=True, slots=True)
class Lists:
    """Networks as text, `192.0.2.0/24` or `2001:db8::/32` or a single address."""

    allow: Sequence[str] = ()
    deny: Sequence[str] = ()


class Guard:
    """Judges addresses. Never changed: when lists or own networks change there is a new one.

    texts: what the verdicts mean, by number; 0 is yes. Raises Invalid for a text that is no network."""

    def __init__(
        self, tenants: Mapping[str, Lists], deny: Iterable[str] = (), broadcasts: tuple[U64, U64] | None = None
    ) -> None:
        self.texts: tuple[str, ...] = ("",)

    def judge(self, tenant: str, high: U64, low: U64) -> U8:
        """A verdict per address: 0 may be probed, else the row of `texts` that says why not. KeyError: no such
        tenant."""
        return np.zeros(len(low), np.uint8)

    def with_broadcasts(self, broadcasts: tuple[U64, U64]) -> "Guard":
        """The same with these broadcast addresses of our own networks."""
        return self
