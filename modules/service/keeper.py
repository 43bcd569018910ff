"""Keeps one service: looks, checks, restarts what fell, does what people ask, one thing at a time.

Theory. One task looks whenever the driver stirs or its time has come; another performs the check. What people want and
how often it was restarted is written down before anything is done, so that the next agent knows it. What a person asks
for is a task of its own: his patience may end before it does, and a restart must not stay half done.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

from amon.errors import Failed, Refused
from amon.health import Health, Level
from amon.module import Env
from amon.tasks import wait_event

from . import limiter
from .checks import Checker
from .counter import Count
from .driver import Driver, Verb
from .judge import Facts, judge, needs_restart, under_way
from .memory import Memory
from .settings import Service, Settings
from .settle import settle
from .states import Condition, Operation, Seen, Wish

AGENT = "the agent"
HOST = "the host"
_HELD = 5.0  # seconds between looks while maintenance holds a restart back
_FALLEN = (Condition.DOWN, Condition.FAILED)


class Keeper:
    """`driver` does, this decides. `room` is the directory of the service; the driver sets `stirred`."""

    def __init__(
        self, name: str, service: Service, driver: Driver, room: Path, env: Env[Settings], stirred: asyncio.Event
    ) -> None:
        self.name = name
        self.service = service
        self.driver = driver
        self.seen = Seen(Condition.UNKNOWN, text="not looked at yet")
        self.count = Count()
        self._env = env
        self._path = room / "wish.json"
        self._memory = Memory.read(self._path)
        self._stirred = stirred
        self._recheck = asyncio.Event()
        self._checker = Checker(service.check, service.environment) if service.check else None
        self._operation: Operation | None = None
        self._looking = asyncio.Lock()
        self._saving = asyncio.Lock()
        self._begin = False
        self._due: float | None = None  # when a waiting automatic restart is done; this and the next are monotonic
        self._well_since: float | None = None
        self._told: Health | None = None

    async def open(self) -> None:
        """Find the service as it is, so that the first health is a true one."""
        self._begin = await self.driver.open() and self._memory.wish.up
        await self.look()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._watch(), name=f"watch {self.name}")
            if self._checker is not None:
                tasks.create_task(self._check(self._checker), name=f"check {self.name}")

    def facts(self) -> Facts:
        memory = self._memory
        return Facts(self.seen, memory.wish, self.count, memory.history, self._operation, self._due is not None)

    def health(self) -> Health:
        return judge(self.service, self.facts())

    def restarts(self) -> int:
        """Automatic restarts that still count, and those of the init system."""
        now = self._env.clock.time()
        return len(limiter.recent(self._memory.history, self.service.restart, now)) + self.seen.restarts

    def refuse_if_busy(self) -> None:
        if self._operation is not None:
            doing = under_way(self._operation, self._env.clock.time())
            raise Refused(f"{self.name} is {doing}; ask again when that is done")

    async def do(self, verb: Verb, by: str) -> None:
        """What a person asks for. Goes on when the one who waits for it is cancelled."""
        self.refuse_if_busy()
        self._operation = Operation(verb, by, self._env.clock.time())
        self._due = None
        done: asyncio.Future[Exception | None] = asyncio.get_running_loop().create_future()
        self._env.spawn(self._as_asked(verb, by, done), name=f"{verb} {self.name}")
        trouble = await asyncio.shield(done)
        if trouble is not None:
            raise trouble

    async def _as_asked(self, verb: Verb, by: str, done: "asyncio.Future[Exception | None]") -> None:
        trouble: Exception | None = Failed(f"{self.name}: interrupted, the agent stops")
        try:
            self._begin = False
            # A person's word also ends having given up, and the count begins anew.
            await self._remember(Memory(Wish(verb != "stop", by, self._env.clock.time())))
            await self._perform(verb)
            trouble = None
        except Exception as error:  # whoever asked gets it, whatever it is
            trouble = error
        finally:
            self._operation = None
            self._stirred.set()
            done.set_result(trouble)

    async def _perform(self, verb: Verb) -> None:
        """The operation itself; `self._operation` is set already. `Failed` carries the end of the log."""
        self._due = None
        self._tell()
        settled, trouble = Count(), None
        try:
            await {"start": self.driver.start, "stop": self.driver.stop, "restart": self.driver.restart}[verb]()
            if verb != "stop":
                settled = await settle(self.service, self.driver, self._checker)
        except Failed as failed:
            if self.service.check is not None:  # it had its time: waiting for more failures would only be later
                settled = Count(failures=self.service.check.failures, text=str(failed))
            trouble = Failed("\n".join((f"{self.name} did not {verb}: {failed}", *await self._log_lines())))
        self._operation = None
        await self.look()
        self.count = settled if self.seen.condition is Condition.UP else Count()
        self._tell()
        self._stirred.set()
        if trouble is not None:
            raise trouble

    async def _log_lines(self) -> tuple[str, ...]:
        try:
            lines = await self.driver.last_lines()
        except Failed as failed:
            return (f"its log cannot be shown: {failed}",)
        return ("last lines of its log:", *(f"  {line}" for line in lines)) if lines else ("its log is empty",)

    async def look(self) -> None:
        """See how it is, and tell if that changed anything."""
        async with self._looking:
            before, self.seen = self.seen, await self.driver.see()
        up = self.seen.condition is Condition.UP
        if not up or before.condition is not Condition.UP or before.pids != self.seen.pids:
            self.count = Count()
            self._recheck.set()
        if up and before.condition in _FALLEN and not self._memory.wish.up and self._operation is None:
            await self._remember(replace(self._memory, wish=Wish(True, HOST, self._env.clock.time())))
        self._tell()

    async def _watch(self) -> None:
        while True:
            self._stirred.clear()
            await self.look()
            await self._note_well()
            if self._operation is None:
                await self._mend()
            await wait_event(self._stirred, self._env.clock, self._next_look())

    async def _check(self, checker: Checker) -> None:
        """The check, again and again while it is up. A result that an operation overtook says nothing about now."""
        every = self.service.check.every if self.service.check else 0.0
        while True:
            self._recheck.clear()
            if self.seen.condition is Condition.UP and self._operation is None:
                before = self.health()
                result = await checker.ask()
                if not self._recheck.is_set() and self._operation is None:
                    self.count = self.count.after(result)
                    if self.health() != before:
                        self._stirred.set()
            await wait_event(self._recheck, self._env.clock, every)

    async def _mend(self) -> None:
        """Restart it if that is wished, allowed and due."""
        rule, now, history = self.service.restart, self._env.clock.monotonic(), self._memory.history
        wanted = self._begin or needs_restart(self.service, self.facts())
        if not wanted or self._env.maintenance():
            self._due = None
        elif self._begin and not history.given_up:
            self._begin = False
            await self._by_itself("start")
        elif limiter.exhausted(history, rule, self._env.clock.time()):
            await self._give_up()
        elif self._due is None:
            self._due = now + limiter.delay(history, rule)
            self._tell()
        elif now >= self._due:
            history = limiter.after_restart(history, rule, self._env.clock.time())
            await self._remember(replace(self._memory, history=history))
            await self._by_itself("restart")

    async def _by_itself(self, verb: Verb) -> None:
        if self._operation is not None:  # a person was quicker
            return
        self._operation = Operation(verb, AGENT, self._env.clock.time())
        try:
            await self._perform(verb)
            self._env.log.info("%s: %s by the agent", self.name, verb)
        except Failed as failed:
            self._env.log.warning("%s", str(failed).partition("\n")[0])
        finally:
            self._operation = None

    async def _give_up(self) -> None:
        if not self._memory.history.given_up:
            self._env.log.error("%s: given up after %d restarts", self.name, self.service.restart.limit)
            await self._remember(replace(self._memory, history=limiter.given_up(self._memory.history)))
        self._due = None
        self._tell()

    async def _note_well(self) -> None:
        """A run that was well for long enough makes the next wait short again."""
        now = self._env.clock.monotonic()
        if self.health().level is not Level.ok:
            self._well_since = None
        elif self._well_since is None:
            self._well_since = now
        elif self._memory.history.streak and now - self._well_since >= self.service.restart.stable:
            await self._remember(replace(self._memory, history=limiter.after_stable(self._memory.history)))

    def _next_look(self) -> float:
        now, times = self._env.clock.monotonic(), [self.service.poll]
        if self._due is not None:
            times.append(self._due - now)
        if self._env.maintenance() and (self._begin or self.service.restart.automatic):
            times.append(_HELD)
        if self._memory.history.streak and self._well_since is not None:
            times.append(self._well_since + self.service.restart.stable - now)
        return max(0.0, min(times))

    async def _remember(self, memory: Memory) -> None:
        self._memory = memory
        async with self._saving:  # a person and the watch may both have something to remember
            await self._memory.write(self._path)

    def _tell(self) -> None:
        if (health := self.health()) != self._told:
            self._told = health
            self._env.changed()
