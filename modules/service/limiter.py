"""How often a service may be restarted automatically: N within T, longer waits each time, then only a person. Pure.

Times are of the wall clock, because the count has to survive a restart of the agent, and of the machine, which no
monotonic clock does. A clock that was set back leaves times in the future: they count as now, so that they age out.
"""

from dataclasses import dataclass, replace

from .settings import Restart


@dataclass(frozen=True, slots=True)
class History:
    """What has to be remembered: when it was restarted, how many since the last stable run, whether given up."""

    restarts: tuple[float, ...] = ()
    streak: int = 0
    given_up: bool = False


def recent(history: History, rule: Restart, now: float) -> tuple[float, ...]:
    """The automatic restarts that still count."""
    return tuple(min(at, now) for at in history.restarts if min(at, now) > now - rule.within)


def exhausted(history: History, rule: Restart, now: float) -> bool:
    """No automatic restart is left; the caller then gives up."""
    return history.given_up or len(recent(history, rule, now)) >= rule.limit


def delay(history: History, rule: Restart) -> float:
    """Seconds to wait before the next automatic restart."""
    # The exponent is bounded because 2.0 ** 1024 is an error, and a limit of 1000 is allowed.
    return float(min(rule.longest_wait, rule.wait * 2.0 ** min(history.streak, 64)))


def after_restart(history: History, rule: Restart, now: float) -> History:
    """The history once an automatic restart has been decided (written down before it is done)."""
    return replace(history, restarts=(*recent(history, rule, now), now), streak=history.streak + 1)


def after_stable(history: History) -> History:
    """The service ran for `stable`: the next wait is short again. The count stays: it ages by itself."""
    return replace(history, streak=0)


def given_up(history: History) -> History:
    """Only a person helps now."""
    return replace(history, given_up=True)
