"""This site's clock beside its server's (XEP-0202): signatures have times, and a wrong clock would judge them wrongly.

The server's word can only make a site refuse: one that lies about the time gets nothing done by it.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Protocol

from amon.clock import Clock
from amon.errors import Failed
from amon.health import Health
from amon.runtime.incoming import Door
from amon.units import age

APART = 60.0  # seconds that the two may differ
_EVERY = 3600.0  # seconds between two looks

_log = logging.getLogger("amon.clock")


class Server(Protocol):
    """The part of a connection that is needed."""

    def wait_online(self) -> Awaitable[None]: ...

    def server_time(self) -> Awaitable[float]: ...


async def watch_clock(door: Door, server: Server, clock: Clock, tell: Callable[[str, Health | None], None]) -> None:
    """Until cancelled: look once an hour, and put what is wrong into the door and into the site's health."""
    while True:
        await server.wait_online()
        try:
            said = await server.server_time()
        except Failed as fault:  # not every server tells the time
            _log.debug("the time at %s is not known: %s", door.account, fault)
        else:
            door.clock_fault = problem(clock.time() - said)
            tell(f"clock-{door.account}", Health.fair(door.clock_fault, state="wrong") if door.clock_fault else None)
        await clock.sleep(_EVERY)


def in_doubt(accounts: Iterable[tuple[Door, bool]]) -> bool:
    """Whether this clock may be wrong: a server tells another time, or none has been reached. Doors; who is online."""
    accounts = list(accounts)
    return any(door.clock_fault for door, _ in accounts) or not any(online for _, online in accounts)


def problem(ahead: float) -> str:
    """In words; empty if the two are near enough. ahead: seconds that ours is ahead of the server's."""
    if abs(ahead) <= APART:
        return ""
    where = "ahead of" if ahead > 0 else "behind"
    return f"this clock is {age(abs(ahead))} {where} the server's: nothing signed is taken; next: look at NTP"
