"""Maintenance: somebody works on the site or on one instance, until a given time, for a reason. It ends by itself."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

SITE = "site"  # the scope that covers every instance


@dataclass(frozen=True, slots=True)
class Maintenance:
    """scope: an instance's name or `SITE`; until: seconds since the epoch; by: bare address of who began it."""

    scope: str
    until: float
    reason: str
    by: str

    def __str__(self) -> str:
        until = datetime.fromtimestamp(self.until, UTC)
        return f"{self.scope} until {until:%Y-%m-%d %H:%MZ} ({self.by}: {self.reason})"


class Maintenances:
    """Those under way. Holds no clock: `now` (seconds since the epoch) comes with each question."""

    def __init__(self, known: Iterable[Maintenance] = ()) -> None:
        self._by_scope = {one.scope: one for one in known}

    def begin(self, one: Maintenance) -> None:
        self._by_scope[one.scope] = one

    def end(self, scope: str) -> Maintenance | None:
        return self._by_scope.pop(scope, None)

    def running(self, now: float) -> Mapping[str, Maintenance]:
        return {scope: one for scope, one in self._by_scope.items() if one.until > now}

    def covering(self, instance: str, now: float) -> Maintenance | None:
        """The maintenance that covers this instance now; the whole site's first."""
        running = self.running(now)
        return running.get(SITE) or running.get(instance)

    def next_end(self, now: float) -> float | None:
        return min((one.until for one in self.running(now).values()), default=None)
