"""Waiting until a service that was just started works, or until it is clear that it does not."""

import asyncio

from amon.errors import Failed

from .checks import Checker
from .counter import Count, Result
from .driver import Driver
from .settings import Service
from .states import Condition, Seen

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 0.5  # seconds between two looks


async def settle(service: Service, driver: Driver, checker: Checker | None) -> Count:
    """Return once it has lived for `settle` and its check passes; raise `Failed` when it ends or takes too long.

    This waits for the host, so it is real time, whatever the instance's clock says. That it must live a while even when
    its check passes is for the second server on one port: the first one answers while ours dies.
    """
    loop = asyncio.get_running_loop()
    began, pause, result = loop.time(), _FIRST_PAUSE, Result(checker is None, "")
    while True:
        seen = await driver.see()
        waited = loop.time() - began
        if _over(service, seen, waited):
            raise Failed(seen.text or f"it is {seen.condition}")
        if seen.condition is Condition.UP:
            if checker is not None and not result.good:
                result = await checker.ask()
            if result.good and waited >= service.settle:
                return Count().after(result) if checker is not None else Count()
        if waited >= service.start_timeout:
            raise Failed(f"{seen.condition} for {service.start_timeout:g} s, but {result.text or 'not yet started'}")
        await asyncio.sleep(pause)
        pause = min(_LONGEST_PAUSE, pause * 2)


def _over(service: Service, seen: Seen, waited: float) -> bool:
    if seen.condition is Condition.FAILED:
        return True
    # A daemon started by a script may take a moment until its status program finds it.
    return seen.condition is Condition.DOWN and (service.driver != "command" or waited >= service.settle)
