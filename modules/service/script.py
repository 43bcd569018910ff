"""Driver `command`: the service has its own start, stop and status programs. Exit statuses as in LSB init scripts.

Source: LSB 5.0, "Init Script Actions": status 0 running, 1 dead with pid file, 2 dead with lock file, 3 not running.
What start and stop say goes into a file, never into a pipe: a daemon that keeps its standard output open must neither
hold us nor die with us.
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from amon.errors import Failed

from . import logfile
from .child import Launch, describe, launch, touch
from .driver import Verb, World
from .run import finish, run
from .settings import Service
from .single import Single
from .states import Condition, Seen

_STATUS_TIMEOUT = 10.0  # seconds
_LSB = {0: Condition.UP, 1: Condition.FAILED, 2: Condition.FAILED, 3: Condition.DOWN}
_LSB_TEXT = {1: "dead, its pid file is left", 2: "dead, its lock file is left"}


class CommandDriver:
    """Runs the service's own programs; `room` is the directory of this service, which survives the agent."""

    def __init__(self, service: Service, room: Path, world: World) -> None:
        self._service = service
        self._world = world
        self._log = room / "log"
        self._last = Seen(Condition.UNKNOWN)
        self._reach = Single()
        self._log_from = 0  # where in the log the last order began

    async def open(self) -> bool:
        self._world.spawn(logfile.tend(self._log, self._service.log_limit, self._world.clock), name="log size")
        return False

    async def see(self) -> Seen:
        seen = await self._ask()
        # A script tells no times: a state is as old as we have seen it.
        same = seen.condition is self._last.condition and self._last.since is not None
        since = self._last.since if same else self._world.clock.time()
        self._last = Seen(seen.condition, since, text=seen.text)
        return self._last

    async def start(self) -> None:
        await self._do("start", self._service.start_argv, self._service.start_timeout)

    async def stop(self) -> None:
        await self._do("stop", self._service.stop_argv, self._service.stop_timeout)

    async def restart(self) -> None:
        if self._service.restart_argv:
            both = self._service.stop_timeout + self._service.start_timeout
            await self._do("restart", self._service.restart_argv, both)
            return
        # Many a stop program fails where nothing runs, and would keep what fell from ever being started.
        if (await self.see()).condition not in (Condition.DOWN, Condition.FAILED):
            await self.stop()
        await self.start()

    async def last_lines(self) -> tuple[str, ...]:
        if self._service.log_file:
            return await asyncio.to_thread(logfile.last_lines, Path(self._service.log_file))
        return await asyncio.to_thread(logfile.last_lines, self._log, self._log_from)

    def follow(self, lines: int) -> AsyncGenerator[str, None]:
        from . import tail

        path = Path(self._service.log_file) if self._service.log_file else self._log
        return tail.follow(path, lines, self._world.clock)

    def says(self, verb: Verb) -> tuple[str, ...]:
        own = self._service
        programs: dict[Verb, tuple[tuple[str, ...], ...]] = {
            "start": (own.start_argv,),
            "stop": (own.stop_argv,),
            "restart": (own.stop_argv, own.start_argv),
        }
        if verb == "restart" and own.restart_argv:
            programs["restart"] = (own.restart_argv,)
        elif verb == "restart" and self._last.condition in (Condition.DOWN, Condition.FAILED):
            programs["restart"] = (own.start_argv,)
        return tuple("run " + " ".join(argv) for argv in programs[verb])

    async def _ask(self) -> Seen:
        own = self._service
        try:
            ran = await run(
                own.status_argv,
                _STATUS_TIMEOUT,
                directory=own.directory,
                environment=own.environment,
                reach=self._reach,
            )
        except Failed as failed:
            return Seen(Condition.UNKNOWN, text=str(failed))
        if ran.status is None:
            return Seen(Condition.UNKNOWN, text=f"its status program does not end in {_STATUS_TIMEOUT:g} s")
        condition = _LSB.get(ran.status, Condition.UNKNOWN)
        text = _LSB_TEXT.get(ran.status, "")
        if condition is Condition.UNKNOWN:
            text = " ".join((f"status program: {describe(ran.status)}", *logfile.clean(ran.output)[-1:]))
        return Seen(condition, text=text)

    async def _do(self, verb: Verb, argv: tuple[str, ...], timeout: float) -> None:
        await self._reach.call(touch, argv[0], self._service.directory)
        self._log_from = logfile.size(self._log)
        output = logfile.open_append(self._log)
        try:
            pid = launch(Launch(argv, output, self._service.directory, self._service.environment))
        finally:
            os.close(output)
        # Left alone when the agent goes: a start that is half done helps nobody.
        ran = await finish(pid, timeout, leave=True)
        if ran.status is None:
            raise Failed(f"its {verb} program did not end in {timeout:g} s and was killed")
        if ran.status != 0:
            raise Failed(f"its {verb} program: {describe(ran.status)}")
