"""The states of a service, and what a driver sees of it."""

from dataclasses import dataclass
from enum import StrEnum


class Condition(StrEnum):
    """One word per state, as in `service:httpd=down`."""

    UP = "up"
    DOWN = "down"
    FAILED = "failed"
    STARTING = "starting"
    STOPPING = "stopping"
    UNHEALTHY = "unhealthy"
    GIVEN_UP = "given-up"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class Seen:
    """What the driver knows, without the check and without what people wish."""

    condition: Condition
    since: float | None = None  # UTC, seconds
    pids: tuple[int, ...] = ()
    restarts: int = 0  # by the init system itself
    memory: int | None = None  # bytes
    text: str = ""
    # Down because somebody told the init system so, not because it fell: never restarted automatically.
    on_purpose: bool = False


@dataclass(frozen=True, slots=True)
class Wish:
    """What people want, remembered over restarts of the agent."""

    up: bool = True
    by: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Operation:
    """What is being done right now: at most one per service."""

    verb: str  # start, stop, restart
    by: str
    since: float
