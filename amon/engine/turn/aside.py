"""A thread for what takes seconds, of which nobody waits for the end.

The executors of the standard library have their threads waited for when the interpreter ends, and to sort a list of
millions cannot be broken off: a stop would take as long. Ours is a daemon: it ends with the process, wherever it is.
"""

import threading
from collections.abc import Callable
from concurrent.futures import Executor, Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any


class Aside(Executor):
    """One thread, which begins with the first work and does one after the other."""

    def __init__(self, name: str = "lists") -> None:
        self._name = name
        self._waiting: SimpleQueue[tuple[Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None

    def submit(self, do: Callable[..., Any], /, *args: Any, **more: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self._waiting.put((future, lambda: do(*args, **more)))
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=self._name, daemon=True)
            self._thread.start()
        return future

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """What is being done is done to its end only if somebody waits, or the process lives on."""
        with suppress(Empty):
            while cancel_futures:
                if (work := self._waiting.get_nowait()) is not None:
                    work[0].cancel()
        self._waiting.put(None)
        if wait and self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        while (work := self._waiting.get()) is not None:
            future, do = work
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(do())
                except Exception as fault:  # who asks for the result is told
                    future.set_exception(fault)
            del work, future, do  # a list of millions does not stay until the next one comes
