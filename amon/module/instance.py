"""One named instance of a module, kept running: started, watched, restarted with back-off, and ended whole.

Whatever a module does wrong stays here. A crash costs its own instance a restart and shows in the site's health; it
never reaches the agent.
"""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from pathlib import Path
from typing import Any

from amon.clock import Clock
from amon.command import Command, commands_of
from amon.errors import Failed, Refused
from amon.health import Health
from amon.module.base import Env, Module
from amon.tasks import is_cancelled

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 300.0  # seconds before a crashed module starts again; doubled each time
_STABLE = 60.0  # seconds after which a crash counts as the first again
_STOP_WITHIN = 10.0  # seconds
_NOTICE_WITHIN = 1.0  # a stop() that is ended gets this long to take notice

Make = Callable[[Env[Any]], Module[Any]]


class Instance:
    """Runs one module under one name.

    make: the module's class (or a function that builds it). settings: its dataclass, already checked.
    on_change: called when the health may have changed.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        make: Make,
        settings: Any,
        *,
        commands_from: type[Module[Any]],
        clock: Clock,
        state: Path,
        on_change: Callable[[str], None],
        maintenance: Callable[[str], bool],
        stop_within: float = _STOP_WITHIN,
    ) -> None:
        self.name = name
        self.kind = kind
        self.settings = settings
        self.commands: Mapping[str, Command] = commands_of(commands_from)
        self.module: Module[Any] | None = None
        self.restarts = 0
        self.settled = asyncio.Event()  # the first start has succeeded or failed
        self._make = make
        self._clock = clock
        self._state = state
        self._on_change = on_change
        self._maintenance = maintenance
        self._stop_within = stop_within
        self._last_fault = ""
        self._trouble: Health | None = Health.unknown("starting", state="starting")
        self._log = logging.getLogger(f"amon.instance.{name}")

    def health(self) -> Health:
        if self._trouble is not None or self.module is None:
            return self._trouble or Health.unknown("not running")
        try:
            return _checked(self.module.health())
        except Exception as broken:  # a module's fault is told, not passed on
            if repr(broken) != self._last_fault:  # health is asked for often, the log needs it once
                self._last_fault = repr(broken)
                self._log.exception("health() of %s", self.name)
            return Health.unknown(f"health is broken: {type(broken).__name__}")

    def get(self) -> Module[Any]:
        """The running module; `Failed` while it is not."""
        if self.module is None:
            raise Failed(f"{self.name} is not running: {self.health().text}")
        return self.module

    async def run(self) -> None:
        """For ever: start, run, and after a crash wait and start again. Ends only by cancellation."""
        wait = _FIRST_WAIT
        while True:
            began = self._clock.monotonic()
            try:
                await self._once()
            except Exception as crash:
                first = _first(crash)
                self._log.error("%s crashed", self.name, exc_info=first)
                if is_cancelled():
                    raise asyncio.CancelledError from crash
                if self._clock.monotonic() - began > _STABLE:
                    wait = _FIRST_WAIT
                self.restarts += 1
                self.settled.set()
                said = str(first) if isinstance(first, Failed | Refused) else f"{type(first).__name__}: {first}"
                self._set_trouble(Health.bad(f"crashed ({said[:120]}), starts again in {wait:g} s", state="crashed"))
            await self._clock.sleep(wait)
            wait = min(_LONGEST_WAIT, wait * 2)

    async def _once(self) -> None:
        """One life of the module. The group holds its tasks: a crash of one ends the others and this life."""
        made: list[Module[Any]] = []
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._begin(tasks, made), name=f"{self.name}: start")
                # A module whose run() returned goes on answering until it is told to go.
                await asyncio.get_running_loop().create_future()
        finally:
            self.module = None
            for module in made:
                await self._stop(module)

    async def _begin(self, tasks: asyncio.TaskGroup, made: list[Module[Any]]) -> None:
        """In a task of its own: Python 3.11 leaves a count of cancellations in a task whose inner group failed.

        Whoever reads that count in the task of the instance would take it for somebody's wish to end it.
        """
        module = self._make(self._env(tasks))
        made.append(module)
        await _contained(module.start())
        self.module = module
        self._set_trouble(None)
        self.settled.set()
        self._spawn(tasks, module.run(), "run")

    async def _stop(self, module: Module[Any]) -> None:
        """Seconds of the machine, not of the clock: one that stands still must not keep an agent from ending."""
        stopping = asyncio.create_task(_contained(module.stop()), name=f"{self.name}: stop")
        try:
            await asyncio.wait([stopping], timeout=self._stop_within)
            if not stopping.done():
                self._log.error("%s did not stop within %g s", self.name, self._stop_within)
                stopping.cancel()
                await asyncio.wait([stopping], timeout=_NOTICE_WITHIN)
            elif (fault := stopping.exception()) is not None:
                self._log.error("stopping %s", self.name, exc_info=fault)
        finally:
            stopping.cancel()

    def _env(self, tasks: asyncio.TaskGroup) -> Env[Any]:
        self._state.mkdir(parents=True, exist_ok=True)
        self._state.chmod(0o700)  # mkdir's mode passes through the umask, and not over what is there

        return Env(
            name=self.name,
            settings=self.settings,
            clock=self._clock,
            log=self._log,
            state=self._state,
            spawn=lambda body, *, name: self._spawn(tasks, body, name),
            changed=lambda: self._on_change(self.name),
            maintenance=lambda: self._maintenance(self.name),
        )

    def _spawn(self, tasks: asyncio.TaskGroup, body: Coroutine[Any, Any, None], name: str) -> "asyncio.Task[None]":
        whole = _contained(body)
        try:
            task = tasks.create_task(whole, name=f"{self.name}: {name}")
        except RuntimeError:  # too late: this life of the module is ending
            whole.close()
            body.close()
            raise
        task.add_done_callback(lambda _: body.close())  # one that is ended before its first step never begins
        return task

    def _set_trouble(self, trouble: Health | None) -> None:
        self._trouble = trouble
        self._on_change(self.name)


def _first(crash: BaseException) -> BaseException:
    """The innermost first exception: what really happened."""
    found: BaseException = crash
    while isinstance(found, BaseExceptionGroup):
        found = found.exceptions[0]
    return found


async def _contained(body: Coroutine[Any, Any, None]) -> None:
    """Makes a crash of what would pass a task group by: a wish to end the program, a cancellation nobody asked for."""
    try:
        await body
    except SystemExit as leaving:
        raise RuntimeError(f"wanted to end the whole program (exit {leaving.code})") from leaving
    except asyncio.CancelledError as stray:
        if is_cancelled():
            raise
        raise RuntimeError("was ended by a cancellation that nobody asked for") from stray


def _checked(said: object) -> Health:
    if not isinstance(said, Health):
        raise TypeError(f"health() gave {type(said).__name__}, not Health")
    return said
