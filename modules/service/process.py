"""Driver `process`: the agent runs a program in the foreground, and the program outlives the agent.

Theory. The child has its own session, /dev/null as input and a file as output, so nothing ties it to us. What we know
of it stands in a record that is synced before and after the start: first a token alone, which the child gets in its
environment, then pid and start time. The next agent therefore knows in every case: a record with a pid is looked up by
pid and start time; a record with only a token (we died in between) by the token. It never starts a second one.
Sources: setsid(2), pidfd_open(2), killpg(3), proc_pid_stat(5).
"""

import asyncio
import os
import secrets
import signal
from collections.abc import AsyncGenerator
from dataclasses import asdict, replace
from pathlib import Path

from amon.errors import Failed

from . import logfile, proc, record
from .child import Launch, OpenPid, describe, launch, reap, touch, wait_end
from .driver import Verb, World
from .runs import Run, digest, end_strays, left, send
from .settings import Service
from .single import Single
from .states import Condition, Seen

_DYING = 5.0  # seconds between SIGKILL and "it hangs in the kernel"
_AT_ONCE = 5.0  # a program that ends well this soon and leaves others went into the background
_LOOK_AGAIN = 0.05  # seconds


class ProcessDriver:
    """Runs `service.argv`; `room` is the directory of this service, which survives the agent."""

    def __init__(self, service: Service, room: Path, world: World, open_pid: OpenPid = os.pidfd_open) -> None:
        self._service = service
        self._room = room
        self._world = world
        self._open_pid = open_pid
        self._log = room / "log"
        self._run: Run | None = None
        self._gone = asyncio.Event()  # set while no main process lives
        self._asked = False
        self._log_from = 0  # where in the log this run began
        self._saving = asyncio.Lock()
        self._reach = Single()

    async def open(self) -> bool:
        self._gone.set()
        self._world.spawn(logfile.tend(self._log, self._service.log_limit, self._world.clock), name="log size")
        boot = proc.boot_id()
        run = Run.read(record.read(self._room / "process.json"))
        if run is None and self._log.exists():
            # The record is lost (a disk that was repaired), but not who writes to the log.
            run = Run("", boot, "", self._world.clock.time())
        if run is not None and run.boot == boot:
            await self._adopt(run)
        return self._run is None and self._service.begin

    async def see(self) -> Seen:
        run = self._run
        if run is None:
            return Seen(Condition.DOWN, text="not started yet")
        if run.living:
            old = run.digest != digest(self._service)
            text = "runs as configured before; restart to apply the change" if old else ""
            return Seen(Condition.UP, run.at, (run.pid,), memory=proc.memory(run.pid), text=text)
        if run.ended is None:
            return Seen(Condition.STARTING, run.at)
        return Seen(Condition.DOWN if run.good else Condition.FAILED, run.ended, text=run.text)

    async def start(self) -> None:
        if self._run is not None and self._run.living:
            return
        await self._end_group()
        now = self._world.clock.time()
        run = Run(secrets.token_hex(16), proc.boot_id(), digest(self._service), now)
        await self._save(run)
        try:
            pid = await self._launch(run.token)
        except Failed as failed:
            await self._note(replace(run, ended=now, good=False, text=str(failed)))
            raise
        found = proc.look(pid)
        await self._take(replace(run, pid=pid, ticks=found.ticks if found else 0))

    async def stop(self) -> None:
        run = self._run
        if run is not None and run.living:
            self._asked = True
            send(run, signal.SIGTERM, signal.SIGCONT)  # a process that is halted would not see the first
            if not await self._wait_gone(self._service.stop_timeout):
                self._world.log.warning("pid %d ignores SIGTERM: killed", run.pid)
                send(run, signal.SIGKILL)
                if not await self._wait_gone(_DYING):
                    raise Failed(f"pid {run.pid} does not end even by SIGKILL: it hangs in the kernel; see its disks")
            await self._note(self._run)
        await self._end_group()

    async def restart(self) -> None:
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
        living = self._run is not None and self._run.living
        said = []
        if self._run is not None and living and verb != "start":
            said.append(f"SIGTERM to process group {self._run.pid}, SIGKILL after {self._service.stop_timeout:g} s")
        if verb == "restart" or (verb == "start" and not living):
            said.append("run " + " ".join(self._service.argv))
        return tuple(said)

    async def _adopt(self, run: Run) -> None:
        """Take over from the agent before us, which may have died at any line of `start`."""
        found = proc.look(run.pid) if run.pid else proc.find_leader(run.token, self._log)
        if run.ended is not None:
            self._run = run
        elif found is not None and found.alive and (not run.pid or found.ticks == run.ticks):
            self._world.log.info("adopts pid %d", found.pid)
            await self._take(replace(run, pid=found.pid, ticks=found.ticks))
        elif run.pid:
            reap(run.pid)  # our own child, if only the instance was started anew
            now = self._world.clock.time()
            await self._note(replace(run, ended=now, good=False, text="ended while no agent was there"))

    async def _launch(self, token: str) -> int:
        await self._reach.call(touch, self._service.argv[0], self._service.directory)
        self._log_from = logfile.size(self._log)
        output = logfile.open_append(self._log)
        try:
            marked = {**self._service.environment, proc.VARIABLE: token}
            what = Launch(self._service.argv, output, self._service.directory, marked)
            return launch(what)
        finally:
            os.close(output)

    async def _take(self, run: Run) -> None:
        self._run = run
        self._asked = False
        self._gone.clear()
        self._world.spawn(self._watch(run), name=f"pid {run.pid}")
        await self._note(run)

    async def _watch(self, run: Run) -> None:
        await wait_end(run.pid, run.ticks, self._open_pid)
        status = reap(run.pid)
        ended = self._run = self._ended(run, status)
        self._gone.set()
        self._world.stir()
        await self._note(ended)

    def _ended(self, run: Run, status: int | None) -> Run:
        now = self._world.clock.time()
        if self._asked:
            return replace(run, ended=now)
        if status == 0 and now - run.at < _AT_ONCE and (pid := end_strays(run)) is not None:
            text = f"went into the background (pid {pid}, ended): add its foreground option or take driver command"
            return replace(run, ended=now, good=False, text=text)
        text = describe(status) if status else "ended by itself, exit status 0" if status == 0 else describe(None)
        return replace(run, ended=now, good=status == 0, text=text)

    async def _wait_gone(self, timeout: float) -> bool:
        try:
            async with asyncio.timeout(timeout):
                await self._gone.wait()
        except TimeoutError:
            return False
        return True

    async def _end_group(self) -> None:
        """End what the main process left in its group: workers that would hold its port against the next."""
        run = self._run
        if run is None or not left(run):
            return
        send(run, signal.SIGTERM)
        try:
            async with asyncio.timeout(self._service.stop_timeout):
                while left(run):  # noqa: ASYNC110 - not our children: nothing tells of their end
                    await asyncio.sleep(_LOOK_AGAIN)
        except TimeoutError:
            send(run, signal.SIGKILL)

    async def _save(self, run: Run) -> None:
        """What must be on the disk before a program is started; `Failed`, and as before, if it cannot be."""
        before, self._run = self._run, run
        try:
            await self._sync()
        except Failed:
            self._run = before
            raise

    async def _note(self, run: Run | None) -> None:
        """What is good to have there: without it the next agent looks by the token whether there is a process."""
        self._run = run
        try:
            await self._sync()
        except Failed as fault:
            self._world.log.warning("%s", fault)

    async def _sync(self) -> None:
        """Write down what is known last: a program may end while its start is still being written."""
        async with self._saving:
            if self._run is not None:
                await record.save(self._room / "process.json", asdict(self._run))
