"""Rates of the interfaces from two looks at their counters."""

from collections.abc import Mapping

from .world import Traffic

_LEAST = 1.0  # seconds; over less a rate says nothing


class Rates:
    """Remembers the two last looks. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._older: tuple[float, Mapping[str, Traffic]] | None = None
        self._newer: tuple[float, Mapping[str, Traffic]] | None = None

    def note(self, now: float, counters: Mapping[str, Traffic]) -> None:
        if self._newer is None or now - self._newer[0] >= _LEAST:
            self._older, self._newer = self._newer, (now, counters)

    def since_last(self, now: float, counters: Mapping[str, Traffic]) -> Mapping[str, tuple[float, float]]:
        """Interface to bits per second received and sent; only those that were there and did not begin anew."""
        for look in (self._newer, self._older):
            if look is not None and now - look[0] >= _LEAST:
                return _between(look[1], counters, now - look[0])
        return {}


def _between(
    old: Mapping[str, Traffic], new: Mapping[str, Traffic], seconds: float
) -> Mapping[str, tuple[float, float]]:
    rates = {}
    for name, now in new.items():
        before = old.get(name)
        if before is not None and now.rx >= before.rx and now.tx >= before.tx:
            rates[name] = 8 * (now.rx - before.rx) / seconds, 8 * (now.tx - before.tx) / seconds
    return rates
