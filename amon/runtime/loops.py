"""Two programs that answer each other: noticed by the same words said again and again, and ended by silence."""

from collections.abc import Callable
from typing import Any

from amon.clock import Clock

SAME = 30  # times the same answer to one person within the period: no person asks like that
_PERIOD = 600.0  # seconds
_MUTE = 600.0  # seconds
_PEOPLE = 1000  # whose last answers are remembered
_ANSWERS = 8  # different ones of each


class Loops:
    """alarm: told in words, once for each time somebody is muted. most: times that the same may be said."""

    def __init__(self, clock: Clock, alarm: Callable[[str], None], most: int = SAME) -> None:
        self._clock, self._alarm, self._most = clock, alarm, most
        self._said: dict[str, dict[int, tuple[float, int]]] = {}
        self._muted: dict[str, float] = {}

    def muted(self, jid: str) -> bool:
        """Whether nothing is done of what this address says."""
        until = self._muted.get(jid)
        if until is not None and until <= self._clock.monotonic():
            del self._muted[jid]
        return jid in self._muted

    def said(self, jid: str, answer: str) -> None:
        """Count an answer. It is given in any case; whoever got it too often is not listened to for a while."""
        now, known = self._clock.monotonic(), self._said.setdefault(jid, {})
        since, times = known.pop(hash(answer), (now, 0))
        since, times = (since, times + 1) if now - since < _PERIOD else (now, 1)
        known[hash(answer)] = since, times
        _forget(known, _ANSWERS)
        _forget(self._said, _PEOPLE)
        if times > self._most and jid not in self._muted:
            self._muted[jid] = now + _MUTE
            _forget(self._muted, _PEOPLE)
            often, within = self._most, _PERIOD / 60
            self._alarm(f"{jid} got one answer {often} times in {within:g} min; muted for {_MUTE / 60:g} min")


def _forget(table: dict[Any, Any], most: int) -> None:
    """The oldest, if there are too many."""
    while len(table) > most:
        del table[next(iter(table))]
