"""Token buckets in whole numbers: one owner's, and one that tenants share by weight.

A level counts millionth parts of a millionth of an item, so that a rate of 0.001 per second adds a whole number each
nanosecond and nothing is ever rounded up. Sources: RFC 2697 (token bucket); the shares are those of weighted max-min
fairness, filled anew at each refill.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

ITEM: Final = 10**12
ACTIVE: Final = 1_000_000_000
"""ns: who has asked within them has a share."""


def _per_ns(rate: float) -> int:
    return int(rate * (ITEM // 10**9))


def _most(rate: float, burst: float, least: int) -> int:
    return max(least * ITEM, int(rate * burst) * ITEM)


class Bucket:
    """rate: items per second. burst: seconds of it that it holds, but `least` items in any case."""

    def __init__(self, rate: float, burst: float, least: int) -> None:
        self.per_ns = _per_ns(rate)
        self.most = _most(rate, burst, least)
        self.level = self.most
        self._at: int | None = None
        self._taken = 0

    def room(self, now: int) -> int:
        """Whole items that may be taken at this moment. A moment that is earlier than the last one is taken as that."""
        if self._at is None or now > self._at:
            if self._at is not None:
                self.level = min(self.most, self.level + (now - self._at) * self.per_ns)
            self._at = now
            self._taken = 0
        return self.level // ITEM

    def take(self, items: int) -> None:
        self.level -= items * ITEM
        self._taken += items

    def give_back(self, items: int) -> None:
        """What was taken at this moment; what was taken before is not taken back."""
        items = min(items, self._taken)
        self._taken -= items
        self.level += items * ITEM

    def follow(self, other: "Bucket") -> None:
        """Go on where another one was, no fuller than it."""
        self.level, self._at = min(self.most, other.level), other._at


@dataclass(slots=True)
class _Account:
    weight: int
    level: int = 0
    asked: int = 0
    taken: int = 0


class SharedBucket:
    """A bucket of which each tenant that asks has an account, filled by weight; what is in no account is anybody's.

    `most` is at least twice `least` items for each tenant, so that an account holds what is to go and the part of the
    next that has gathered beside it."""

    def __init__(self, rate: float, burst: float, least: int, weights: Mapping[str, float]) -> None:
        self.per_ns = _per_ns(rate)
        self._least = 2 * least * ITEM
        self.most = _most(rate, burst, 2 * least * max(1, len(weights)))
        self._spare = self.most
        self._accounts = {tenant: _Account(max(1, int(weight * 2**20))) for tenant, weight in weights.items()}
        self._active: dict[str, _Account] = {}
        self._at: int | None = None

    def room(self, tenant: str, now: int) -> int:
        """Whole items that this tenant may take at this moment."""
        if self._at is None or now > self._at:
            self._refill(now)
        account = self._accounts[tenant]
        self._active[tenant] = account
        account.asked = now
        return (account.level + self._spare) // ITEM

    def take(self, tenant: str, items: int) -> None:
        account = self._accounts[tenant]
        account.taken += items
        from_account = min(account.level, items * ITEM)
        account.level -= from_account
        self._spare -= items * ITEM - from_account

    def give_back(self, tenant: str, items: int) -> None:
        """What was taken at this moment; what was taken before is not taken back."""
        account = self._accounts[tenant]
        items = min(items, account.taken)
        account.taken -= items
        account.level += items * ITEM

    def follow(self, other: "SharedBucket") -> None:
        """Go on where another one was, no fuller than it."""
        level = other._spare + sum(account.level for account in other._accounts.values())
        self._spare, self._at = min(self.most, level), other._at

    def _refill(self, now: int) -> None:
        before = now if self._at is None else self._at
        self._at = now
        for tenant, account in list(self._active.items()):
            account.taken = 0
            if now - account.asked > ACTIVE:
                self._spare += account.level
                account.level = 0
                del self._active[tenant]
        held = sum(account.level for account in self._active.values())
        self._spare = min(self.most - held, self._spare + (now - before) * self.per_ns)
        if self._active:
            self._fill(self._active)

    def _fill(self, active: Mapping[str, _Account]) -> None:
        """The spare into the accounts by weight; what one has no room for goes to the others."""
        weights = sum(account.weight for account in active.values())
        free = self.most - self._least * len(active)
        hungry = []
        for account in active.values():
            limit = self._least + free * account.weight // weights
            if account.level > limit:
                self._spare += account.level - limit
                account.level = limit
            hungry.append((account, limit))
        while hungry and self._spare > 0:
            spare, weights = self._spare, sum(account.weight for account, _ in hungry)
            for account, limit in hungry:
                given = min(limit - account.level, spare * account.weight // weights)
                account.level += given
                self._spare -= given
            still = [(account, limit) for account, limit in hungry if account.level < limit]
            if len(still) == len(hungry):
                return
            hungry = still
