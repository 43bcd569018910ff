"""Questions that may never be answered, such as how full a dead NFS mount is, each in a thread of its own.

The threads are daemons, not those of an executor: an executor waits for its threads when the program ends, and these
may never end. While one is stuck no second is started for the same thing.
"""

import asyncio
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")


class Blocking:
    """Belongs to one event loop."""

    def __init__(self) -> None:
        self._under: dict[str, asyncio.Future[Any]] = {}

    async def ask(self, what: str, question: Callable[[], T], within: float) -> T:
        """The answer to the question under way about `what`, else to this one. TimeoutError when it takes too long.

        Real seconds: the world outside goes by no other clock.
        """
        answer = self._under.get(what) or self._begin(what, question)
        await asyncio.wait([answer], timeout=within)
        if not answer.done():
            raise TimeoutError(f"{what} does not answer")
        return answer.result()  # type: ignore[no-any-return]

    def stuck(self) -> int:
        """How many questions are under way."""
        return len(self._under)

    def _begin(self, what: str, question: Callable[[], T]) -> "asyncio.Future[T]":
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        # An answer that nobody waits for any more must not be reported as an exception never retrieved.
        answer.add_done_callback(lambda done: done.cancelled() or done.exception())
        self._under[what] = answer

        def settle(result: T | None, fault: Exception | None) -> None:
            del self._under[what]
            if fault is not None:
                answer.set_exception(fault)
            else:
                answer.set_result(result)  # type: ignore[arg-type]

        def work() -> None:
            result, fault = None, None
            try:
                result = question()
            except Exception as raised:
                fault = raised
            try:
                loop.call_soon_threadsafe(settle, result, fault)
            except RuntimeError:  # the loop has ended meanwhile; nobody wants to know any more
                pass

        threading.Thread(target=work, name=f"ask {what}", daemon=True).start()
        return answer
