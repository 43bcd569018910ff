"""Two programs that answer each other: noticed by the same words said again and again, and ended by silence."""

import hashlib
from collections.abc import Callable

from amon.access import Quota
from amon.clock import Clock

SAME = 30  # times the same answer to one person within the period: no person asks like that
_PERIOD = 600.0  # seconds
_MUTE = 600.0  # seconds
_MOST_MUTED = 1000


class Loops:
    """alarm: told in words, once for each time somebody is muted. most: times that the same may be said."""

    def __init__(self, clock: Clock, alarm: Callable[[str], None], most: int = SAME) -> None:
        self._clock, self._alarm = clock, alarm
        self._same = Quota(most, _PERIOD)
        self._muted: dict[str, float] = {}

    def muted(self, jid: str) -> bool:
        """Whether nothing is done of what this address says."""
        until = self._muted.get(jid)
        if until is not None and until <= self._clock.monotonic():
            del self._muted[jid]
        return jid in self._muted

    def one_too_many(self, jid: str, answer: str) -> bool:
        """Whether this answer was given too often; from then on its asker is muted."""
        now = self._clock.monotonic()
        said = hashlib.sha256(answer.encode(errors="replace")).hexdigest()
        if self._same.take(f"{jid} {said}", now):
            return False
        if len(self._muted) < _MOST_MUTED:
            self._muted[jid] = now + _MUTE
        often, within = self._same.most, _PERIOD / 60
        self._alarm(f"{jid} got one answer {often} times in {within:g} min; muted for {_MUTE / 60:g} min")
        return True
