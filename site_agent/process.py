"""The process around an agent: signals, readiness, watchdog, exit codes. Source: daemon(7), systemd.exec(5).

SIGTERM and SIGINT stop it in order; SIGHUP has it read its configuration again. One agent has a state directory to
itself: two would each keep the same services.
"""

import asyncio
import fcntl
import logging
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from amon.errors import Failed, Problem
from amon.notify import Notify
from amon.text import visible
from site_agent.configuration import Configuration, Loaded
from site_agent.reload import Changes


class Running(Protocol):
    """The agent, as the process sees it."""

    def running(self) -> AbstractAsyncContextManager[object]: ...

    async def reload(self, wanted: Configuration) -> Changes: ...

    def keep(self, why: str) -> None: ...


class Life:
    """One agent from its start to its end.

    status: how it is, for `systemctl status`. read: reads the configuration again. set_level: how much is logged.
    """

    def __init__(
        self,
        agent: Running,
        notify: Notify,
        read: Callable[[], Loaded],
        *,
        status: str = "",
        set_level: Callable[[str], None] = lambda level: None,
    ) -> None:
        self._agent, self._notify, self._read, self._set_level = agent, notify, read, set_level
        self._status = status
        self._stopping = asyncio.Event()
        self._stirred = asyncio.Event()
        self._hangups = 0
        self._up = False
        self._log = logging.getLogger("amon.process")

    async def run(self) -> None:
        """Until SIGTERM or SIGINT. What the agent raises passes through."""
        with self._signals():
            alive = asyncio.create_task(self._notify.keep_alive(), name="watchdog")
            life = asyncio.create_task(self._live(), name="agent")
            stopping = asyncio.create_task(self._stopping.wait(), name="stop signal")
            try:
                await asyncio.wait((life, stopping), return_when=asyncio.FIRST_COMPLETED)
                if not self._up:
                    life.cancel()  # asked to stop before it has started
                await life
            except asyncio.CancelledError:
                if not self._stopping.is_set():
                    raise
            finally:
                for task in (life, alive, stopping):
                    task.cancel()
                await asyncio.gather(life, alive, stopping, return_exceptions=True)

    async def _live(self) -> None:
        async with self._agent.running():
            self._up = True
            self._notify.ready(self._status)
            while not self._stopping.is_set():
                if self._hangups:
                    self._hangups = 0
                    await self._reload()
                    continue
                self._stirred.clear()
                await self._stirred.wait()
            self._log.info("stopping")
            self._notify.stopping()

    async def _reload(self) -> None:
        """All of the new configuration, or nothing of it."""
        self._notify.reloading()
        # In a thread: a module may take its time to be imported, and a file may lie on a disk that hangs.
        loaded = await asyncio.to_thread(self._read)
        wanted = loaded.configuration
        if wanted is None:
            for problem in loaded.problems:
                self._log.error("%s", problem)
            text = f"not reloaded: {_count(loaded.problems)} in the configuration; the old one stays"
            self._refuse(text, visible(str(loaded.problems[0])))
            return
        try:
            changes = await self._agent.reload(wanted)
        except Failed as fault:
            self._refuse("not reloaded; the old configuration stays", str(fault))
            return
        if changes.log:
            self._set_level(wanted.settings.log)
        self._log.info("reloaded: %s", changes)
        self._status = status_of(wanted)
        self._notify.ready(self._status)

    def _refuse(self, text: str, first: str) -> None:
        self._log.error("%s", text)
        self._agent.keep(text)
        self._notify.ready(f"{text}. First: {first[:200]}")

    @contextmanager
    def _signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self._stop)
        loop.add_signal_handler(signal.SIGINT, self._stop)
        loop.add_signal_handler(signal.SIGHUP, self._hang_up)
        try:
            yield
        finally:
            for each in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                loop.remove_signal_handler(each)

    def _stop(self) -> None:
        self._stopping.set()
        self._stirred.set()

    def _hang_up(self) -> None:
        self._hangups += 1
        self._stirred.set()


def _count(problems: Sequence[Problem]) -> str:
    return "1 problem" if len(problems) == 1 else f"{len(problems)} problems"


def status_of(configuration: Configuration) -> str:
    """One line: which accounts and instances there are."""
    accounts = ", ".join(plan.login.jid for plan in configuration.accounts)
    return f"{accounts}; instances: {', '.join(spec.name for spec in configuration.specs) or 'none'}"


@contextmanager
def alone(state: Path) -> Iterator[None]:
    """Holds the state directory; `Failed` if another agent has it. Ends with the process, however that ends."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.read(descriptor, 20).decode(errors="replace").strip()
            which = f"another agent (pid {pid or 'not known'})"
            raise Failed(f"{which} uses {state}; next: stop it, or give this one a `state` of its own") from None
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.close(descriptor)
