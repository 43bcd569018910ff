"""From what is seen, checked, wished and under way to one word and a level. Pure.

The order is the meaning: what is under way explains everything else; giving up outweighs being down; a service that
runs is only `up` once its check has passed. Texts hold no ages, `since` does: a text that changes by itself would be
sent again and again.
"""

from dataclasses import dataclass, field

from amon.health import Health, Level
from amon.units import age

from .counter import Count
from .limiter import History
from .settings import Service
from .states import Condition, Operation, Seen, Wish

_DOING = {"start": "started", "stop": "stopped", "restart": "restarted"}


@dataclass(frozen=True, slots=True)
class Facts:
    """All that decides; `waiting` is set while an automatic restart waits for its time."""

    seen: Seen
    wish: Wish = field(default_factory=Wish)
    count: Count = field(default_factory=Count)
    history: History = field(default_factory=History)
    operation: Operation | None = None
    waiting: bool = False


def judge(service: Service, facts: Facts) -> Health:
    """Level, text and the state word."""
    if facts.operation is not None:
        word = Condition.STOPPING if facts.operation.verb == "stop" else Condition.STARTING
        return Health(Level.warning, under_way(facts.operation), str(word), facts.operation.since)
    condition = facts.seen.condition
    if condition is Condition.UP:
        return _running(service, facts)
    if condition in (Condition.DOWN, Condition.FAILED):
        return _not_running(service, facts)
    level = Level.unknown if condition is Condition.UNKNOWN else Level.warning
    return Health(level, _said(condition, facts.seen.text), str(condition), facts.seen.since)


def needs_restart(service: Service, facts: Facts) -> bool:
    """Whether an automatic restart would help: nobody wished it down, and it fell or its check says so."""
    if not service.restart.automatic or not facts.wish.up or facts.operation is not None or facts.seen.on_purpose:
        return False
    if facts.seen.condition in (Condition.DOWN, Condition.FAILED):
        return True
    check = service.check
    return check is not None and facts.seen.condition is Condition.UP and facts.count.failing(check.failures)


def under_way(operation: Operation, now: float | None = None) -> str:
    """`being restarted by alice since 3 s`: said in health (without the time) and in refusals."""
    text = f"being {_DOING[operation.verb]} by {operation.by}"
    return text if now is None else f"{text} since {age(now - operation.since)}"


def _running(service: Service, facts: Facts) -> Health:
    check, count, since = service.check, facts.count, facts.seen.since
    if check is not None and count.failing(check.failures):
        if facts.history.given_up:
            return _given_up(service, f"it runs, but {count.text}", since)
        text = _said(Condition.UNHEALTHY, count.text) + _hope(facts)
        return Health(Level.critical, text, str(Condition.UNHEALTHY), since)
    if check is not None and not count.passed:
        text = "waits for its first good check" + (f": {count.text}" if count.text else "")
        return Health(Level.warning, text, str(Condition.STARTING), since)
    if facts.history.given_up:
        text = "up again, but without automatic restart until a person says start or restart"
        return Health(Level.warning, text, str(Condition.UP), since)
    text = f"check failed {count.failures} of {check.failures}: {count.text}" if check and count.failures else ""
    return Health(Level.ok, text or facts.seen.text, str(Condition.UP), since)


def _not_running(service: Service, facts: Facts) -> Health:
    seen, wish = facts.seen, facts.wish
    if not wish.up:
        return Health(Level.warning, f"stopped by {wish.by}", str(Condition.DOWN), wish.at or None)
    if facts.history.given_up:
        return _given_up(service, _said(seen.condition, seen.text), seen.since)
    return Health(Level.critical, _said(seen.condition, seen.text) + _hope(facts), str(seen.condition), seen.since)


def _given_up(service: Service, last: str, since: float | None) -> Health:
    text = f"given up after {service.restart.limit} restarts, needs start or restart: {last}"
    return Health(Level.critical, text, str(Condition.GIVEN_UP), since)


def _said(condition: Condition, text: str) -> str:
    return f"{condition}: {text}" if text else str(condition)


def _hope(facts: Facts) -> str:
    return "; will be restarted" if facts.waiting else ""
