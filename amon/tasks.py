"""What a task of asyncio does not say by itself."""

import asyncio

from amon.clock import Clock


async def wait_event(event: asyncio.Event, clock: Clock, seconds: float) -> None:
    """Return when the event is set, or when that much time has passed on the clock."""
    both = (asyncio.ensure_future(event.wait()), asyncio.ensure_future(clock.sleep(seconds)))
    try:
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in both:
            one.cancel()


def is_cancelled() -> bool:
    """Whether somebody wants the running task to end.

    Who catches a failure and goes on has to ask: Python 3.11's TaskGroup loses a cancellation that comes while it ends
    its tasks, and tells only of the failure. The other way round it may count a cancellation of its own in the task
    whose group it is: work with groups inside is given a task to itself (see `amon.module.instance`).
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
