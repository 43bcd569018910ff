"""What nobody exceeds: packets and bytes per second, of all together and of each tenant.

Token buckets in whole numbers on absolute time, so that nothing adds up to more: of what is admitted in any interval of
`t` seconds there is at most `rate * t + burst`, however it is asked for. A bucket holds `burst` seconds of its rate, so
what a late wake-up has missed beyond that is missed. When all together are short, each tenant that asks has its part by
weight, and what it does not take goes to the others.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from amon.engine.messages import Limits
from amon.engine.shapes import U16


@dataclass(frozen=True, slots=True)
class TenantCap:
    """What one tenant may. weight: its part when all together want too much."""

    limits: Limits
    weight: float = 1.0


class Caps:
    """burst: seconds of a rate that may go at once. Whoever asks when it crafts, some time ahead, needs as much burst
    as it crafts at a time; whoever asks when it publishes needs little. Both may be wanted: two `Caps`.

    Times are monotonic ns and do not go back. KeyError: no such tenant."""

    def __init__(self, limits: Limits, tenants: Mapping[str, TenantCap], burst: float = 0.05) -> None:
        self.limits = limits
        self._tenants = dict(tenants)
        self._burst = burst

    def admit(self, tenant: str, packets: int, size: int, now: int) -> int:
        """How many of that many packets may go now; they count as gone. size: bytes of a whole frame."""
        return packets

    def give_back(self, tenant: str, packets: int, size: int) -> None:
        """That many of those just admitted do not go. Later than the next `admit` at another time it is too late: what
        was not used then is lost, because two halves of a burst are not to come together."""

    def admit_first(self, tenants: tuple[str, ...], which: U16, lengths: U16, now: int) -> int:
        """How many frames from the first on may go now; they count as gone. which: row in `tenants` of each frame.
        lengths: bytes of each frame. For whoever publishes frames of several tenants in one order."""
        return len(which)

    def in_flight(self, tenant: str | None = None) -> int:
        """How many may be under way: of a tenant, or of all together. Who sends counts them (`Table`)."""
        limits = self.limits if tenant is None else self._tenants[tenant].limits
        return min(limits.in_flight, self.limits.in_flight)

    def change(self, limits: Limits, tenants: Mapping[str, TenantCap]) -> None:
        """Other limits from now on; no bucket is fuller than before."""
        self.limits, self._tenants = limits, dict(tenants)
