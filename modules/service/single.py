"""Calls that block and may hang: name look-ups, and file systems whose server is gone.

Each is made in a thread of its own, one at a time: while one hangs nobody starts another, so that nothing piles up. Not
in the loop's threads: those are few, others need them, and a program that ends waits for them.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar, cast

T = TypeVar("T")


class Single:
    """Awaiting it again while a call hangs waits for that call, whatever was asked."""

    def __init__(self) -> None:
        self._running: asyncio.Future[Any] | None = None

    async def call(self, function: Callable[..., T], *args: Any) -> T:
        """`function(*args)`, its result or its exception. To be cancelled does not end it."""
        if self._running is None:
            self._running = self._start(function, args)
        running = self._running
        result = await asyncio.shield(running)
        return cast(T, result)

    def _start(self, function: Callable[..., T], args: tuple[Any, ...]) -> "asyncio.Future[Any]":
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def work() -> None:
            result: Any = None
            trouble: BaseException | None = None
            try:
                result = function(*args)
            except Exception as error:
                trouble = error
            try:
                loop.call_soon_threadsafe(self._done, future, result, trouble)
            except RuntimeError:  # the loop is closed: nobody waits any more
                pass

        threading.Thread(target=work, name=f"blocking {function.__name__}", daemon=True).start()
        return future

    def _done(self, future: "asyncio.Future[Any]", result: Any, trouble: BaseException | None) -> None:
        self._running = None
        if trouble is None:
            future.set_result(result)
        else:
            future.set_exception(trouble)
            future.exception()  # seen, also if whoever asked has gone
