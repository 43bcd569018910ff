"""What nobody exceeds: packets and bytes per second, of all together and of each tenant.

Token buckets in whole numbers on absolute time, so that nothing adds up to more: of what is admitted in any interval of
`t` seconds there is at most `rate * t + burst`, however it is asked for. A bucket holds `burst` seconds of its rate, so
what a late wake-up has missed beyond that is missed. When all together are short, each tenant that asks has its part by
weight, and what it does not take goes to the others.

`Caps` is asked when packets are crafted, some time ahead, and so has a burst of as much as is crafted at a time. `Gate`
is asked when they are published, so that a late wake-up does not let go at once what was crafted meanwhile.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from amon.engine.messages import Limits
from amon.engine.rules.buckets import Bucket, SharedBucket
from amon.engine.shapes import STRIDE, U16

CRAFT_BURST: Final = 0.05
GATE_BURST: Final = 0.005
"""Seconds: of a tick of 1 ms that is late four times over nothing is lost."""


@dataclass(frozen=True, slots=True)
class TenantCap:
    """What one tenant may. weight: its part when all together want too much."""

    limits: Limits
    weight: float = 1.0


@dataclass(slots=True)
class _Own:
    """The buckets of one tenant, or of all."""

    packets: Bucket
    bytes: Bucket

    @classmethod
    def of(cls, limits: Limits, burst: float) -> "_Own":
        return cls(Bucket(limits.rate, burst, 1), Bucket(limits.bytes, burst, STRIDE))

    def room(self, packets: int, octets: int, now: int) -> bool:
        return packets <= self.packets.room(now) and octets <= self.bytes.room(now)

    def take(self, packets: int, octets: int) -> None:
        self.packets.take(packets)
        self.bytes.take(octets)

    def follow(self, other: "_Own") -> None:
        self.packets.follow(other.packets)
        self.bytes.follow(other.bytes)


class Caps:
    """burst: seconds of a rate that may be admitted at once.

    Times are monotonic ns; one that goes back is taken as no time. KeyError: no such tenant."""

    def __init__(self, limits: Limits, tenants: Mapping[str, TenantCap], burst: float = CRAFT_BURST) -> None:
        self._burst = burst
        self._make(limits, tenants)

    def _make(self, limits: Limits, tenants: Mapping[str, TenantCap]) -> None:
        self.limits = limits
        self._tenants = dict(tenants)
        burst = self._burst
        weights = {tenant: cap.weight for tenant, cap in tenants.items()}
        self._packets = SharedBucket(limits.rate, burst, 1, weights)
        self._bytes = SharedBucket(limits.bytes, burst, STRIDE, weights)
        self._own = {tenant: _Own.of(cap.limits, burst) for tenant, cap in tenants.items()}

    def admit(self, tenant: str, packets: int, size: int, now: int) -> int:
        """How many of that many packets may go now; they count as gone. size: bytes of a whole frame."""
        own = self._own[tenant]
        by_packets = min(own.packets.room(now), self._packets.room(tenant, now))
        by_bytes = min(own.bytes.room(now), self._bytes.room(tenant, now)) // size
        admitted = max(0, min(packets, by_packets, by_bytes))
        own.take(admitted, admitted * size)
        self._packets.take(tenant, admitted)
        self._bytes.take(tenant, admitted * size)
        return admitted

    def give_back(self, tenant: str, packets: int, size: int) -> None:
        """That many of those just admitted do not go. After an `admit` at a later time it is too late: what was not
        used then is lost, because two halves of a burst must not come together."""
        own = self._own[tenant]
        own.packets.give_back(packets)
        own.bytes.give_back(packets * size)
        self._packets.give_back(tenant, packets)
        self._bytes.give_back(tenant, packets * size)

    def in_flight(self, tenant: str | None = None) -> int:
        """How many may be under way: of a tenant, or of all together. Who sends counts them (`Table`)."""
        limits = self.limits if tenant is None else self._tenants[tenant].limits
        return min(limits.in_flight, self.limits.in_flight)

    def change(self, limits: Limits, tenants: Mapping[str, TenantCap]) -> None:
        """Other limits from now on; no bucket is fuller than it was. Times of a new tenant begin with it."""
        packets, octets, own = self._packets, self._bytes, self._own
        self._make(limits, tenants)
        self._packets.follow(packets)
        self._bytes.follow(octets)
        for tenant in own.keys() & self._own.keys():
            self._own[tenant].follow(own[tenant])


class Gate:
    """The same caps at the moment of publishing, for frames of several tenants in one order. Does not share: that is
    done when they are crafted."""

    def __init__(self, limits: Limits, tenants: Mapping[str, TenantCap], burst: float = GATE_BURST) -> None:
        self._burst = burst
        self._make(limits, tenants)

    def _make(self, limits: Limits, tenants: Mapping[str, TenantCap]) -> None:
        self._all = _Own.of(limits, self._burst)
        self._own = {tenant: _Own.of(cap.limits, self._burst) for tenant, cap in tenants.items()}

    def admit_first(self, tenants: Sequence[str], which: U16, lengths: U16, now: int) -> int:
        """How many frames from the first on may go now; they count as gone. which: row in `tenants` of each frame.
        lengths: bytes of each frame."""
        owned, count = self._owned(tenants, which, lengths), len(which)
        if not all(own.room(packets, octets, now) for own, packets, octets in owned):  # hardly ever
            count = self._count(tenants, which, lengths, now)
            owned = self._owned(tenants, which[:count], lengths[:count])
        for own, packets, octets in owned:
            own.take(packets, octets)
        return count

    def give_back(self, tenants: Sequence[str], which: U16, lengths: U16) -> None:
        """These of the frames just admitted were not taken by the system: it was full."""
        for own, packets, octets in self._owned(tenants, which, lengths):
            own.packets.give_back(packets)
            own.bytes.give_back(octets)

    def change(self, limits: Limits, tenants: Mapping[str, TenantCap]) -> None:
        """Other limits from now on; no bucket is fuller than it was."""
        before, own = self._all, self._own
        self._make(limits, tenants)
        self._all.follow(before)
        for tenant in own.keys() & self._own.keys():
            self._own[tenant].follow(own[tenant])

    def _owned(self, tenants: Sequence[str], which: U16, lengths: U16) -> list[tuple[_Own, int, int]]:
        """Whose buckets have to do with these frames: with how many, and how many bytes."""
        if not len(which):
            return []
        count, total, first = len(which), _total(lengths), int(which[0])
        every = (self._all, count, total)
        if len(tenants) == 1 or (which == first).all():
            return [every, (self._own[tenants[first]], count, total)]
        rows, counts = np.unique(which, return_counts=True)
        parts = zip(rows.tolist(), counts.tolist(), strict=True)
        return [every, *((self._own[tenants[row]], part, _total(lengths[which == row])) for row, part in parts)]

    def _count(self, tenants: Sequence[str], which: U16, lengths: U16, now: int) -> int:
        count = _first(self._all, lengths, now)
        for row in np.unique(which).tolist():
            rows = np.flatnonzero(which == row)
            fits = _first(self._own[tenants[row]], lengths[rows], now)
            if fits < len(rows):
                count = min(count, int(rows[fits]))
        return count


def _total(lengths: U16) -> int:
    return int(lengths.sum(dtype=np.int64))


def _first(own: _Own, lengths: U16, now: int) -> int:
    """How many from the first on these buckets have room for."""
    room = own.bytes.room(now)
    by_bytes = int(np.searchsorted(np.cumsum(lengths, dtype=np.int64), room, "right"))
    return min(len(lengths), own.packets.room(now), by_bytes)
