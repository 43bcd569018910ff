"""What a keeper does when much happens at once; the driver is a puppet."""

import asyncio
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from amon.errors import Failed, Refused
from amon.health import Level
from amon.module import Env
from amon.testing import FakeClock
from modules.service import Restart, Service, Settings
from modules.service.driver import Verb
from modules.service.keeper import Keeper
from modules.service.memory import Memory
from modules.service.states import Condition, Seen

SERVICE = Service(driver="process", argv=("/bin/true",), settle=0, restart=Restart(automatic=True, wait=5))


class Puppet:
    """A driver that does what the test says, and notes what it is told."""

    def __init__(self, begins: bool = False) -> None:
        self.seen = Seen(Condition.UP, 1.0, (1,))
        self.told: list[str] = []
        self.hold = asyncio.Event()
        self.hold.set()
        self.trouble: Exception | None = None
        self.log_trouble: Exception | None = None
        self.begins = begins

    async def open(self) -> bool:
        return self.begins

    async def see(self) -> Seen:
        return self.seen

    async def start(self) -> None:
        await self._do("start", Condition.UP)

    async def stop(self) -> None:
        await self._do("stop", Condition.DOWN)

    async def restart(self) -> None:
        await self._do("restart", Condition.UP)

    async def _do(self, verb: str, condition: Condition) -> None:
        self.told.append(verb)
        await self.hold.wait()
        if self.trouble is not None:
            raise self.trouble
        self.seen = Seen(condition, 1.0, (len(self.told) + 1,))

    async def last_lines(self) -> tuple[str, ...]:
        if self.log_trouble is not None:
            raise self.log_trouble
        return ("no licence",)

    async def follow(self, lines: int) -> AsyncGenerator[str, None]:
        for line in await self.last_lines():
            yield line

    def says(self, verb: Verb) -> tuple[str, ...]:
        return (verb,)


class Scene:
    def __init__(self, keeper: Keeper, puppet: Puppet, clock: FakeClock, stirred: asyncio.Event) -> None:
        self.keeper, self.puppet, self.clock, self.stirred = keeper, puppet, clock, stirred
        self.maintained = False

    async def becomes(self, seen: Seen) -> None:
        self.puppet.seen = seen
        self.stirred.set()
        while self.keeper.seen is not seen:  # noqa: ASYNC110 - two turns of the loop away
            await asyncio.sleep(0)
        await self.clock.turn(0.01)

    async def told(self, count: int) -> None:
        while len(self.puppet.told) < count:  # noqa: ASYNC110 - a few turns of the loop away
            await asyncio.sleep(0)


@asynccontextmanager
async def scene(room: Path, clock: FakeClock, puppet: Puppet, service: Service = SERVICE) -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as tasks:
        stirred = asyncio.Event()
        env = Env(
            "service", Settings(), clock, logging.getLogger("test"), room,
            lambda body, name: tasks.create_task(body), lambda: None, lambda: made.maintained,
        )  # fmt: skip
        made = Scene(Keeper("ce", service, puppet, room, env, stirred), puppet, clock, stirred)
        await made.keeper.open()
        running = tasks.create_task(made.keeper.run())
        await clock.turn(0.01)
        yield made
        running.cancel()


async def test_a_bug_in_a_driver_reaches_who_asked_and_frees_the_service(tmp_path: Path, clock: FakeClock) -> None:
    async with scene(tmp_path, clock, Puppet()) as on:
        on.puppet.trouble = ZeroDivisionError("bug")
        with pytest.raises(ZeroDivisionError):
            await on.keeper.do("restart", "alice")
        on.puppet.trouble = None
        await on.keeper.do("restart", "alice")
        assert on.keeper.health().level is Level.ok


async def test_a_person_is_refused_while_the_agent_restarts(tmp_path: Path, clock: FakeClock) -> None:
    async with scene(tmp_path, clock, Puppet()) as on:
        on.puppet.hold.clear()
        await on.becomes(Seen(Condition.FAILED, 2.0))
        clock.advance(5)
        await on.told(1)
        clock.advance(3)
        with pytest.raises(Refused, match="ce is being restarted by the agent since 3 s; ask again when that is done"):
            await on.keeper.do("stop", "alice")
        on.puppet.hold.set()


async def test_the_restart_is_written_down_before_it_is_done(tmp_path: Path, clock: FakeClock) -> None:
    async with scene(tmp_path, clock, Puppet()) as on:
        on.puppet.hold.clear()
        await on.becomes(Seen(Condition.FAILED, 2.0))
        clock.advance(5)
        await on.told(1)
        assert len(Memory.read(tmp_path / "wish.json").history.restarts) == 1
        on.puppet.hold.set()


async def test_a_wish_is_written_down_before_it_is_done(tmp_path: Path, clock: FakeClock) -> None:
    async with scene(tmp_path, clock, Puppet()) as on:
        on.puppet.hold.clear()
        asked = asyncio.create_task(on.keeper.do("stop", "alice"))
        await on.told(1)
        assert not Memory.read(tmp_path / "wish.json").wish.up
        on.puppet.hold.set()
        await asked


async def test_a_failed_stop_is_told_and_stays_a_wish(tmp_path: Path, clock: FakeClock) -> None:
    async with scene(tmp_path, clock, Puppet()) as on:
        on.puppet.trouble = Failed("it hangs")
        with pytest.raises(Failed, match="ce did not stop: it hangs\nlast lines of its log:\n  no licence"):
            await on.keeper.do("stop", "alice")
        await on.becomes(Seen(Condition.FAILED, 2.0))
        await clock.turn(100)
        assert on.puppet.told == ["stop"]


async def test_a_log_that_cannot_be_read_is_not_called_empty(tmp_path: Path, clock: FakeClock) -> None:
    async with scene(tmp_path, clock, Puppet()) as on:
        on.puppet.trouble, on.puppet.log_trouble = Failed("it hangs"), Failed("it is locked away")
        with pytest.raises(Failed, match=r"^ce did not stop: it hangs\nits log cannot be shown: it is locked away$"):
            await on.keeper.do("stop", "alice")


async def test_an_agent_that_stops_in_the_middle_tells_who_asked(tmp_path: Path, clock: FakeClock) -> None:
    async with asyncio.TaskGroup() as tasks:
        spawned = []

        def spawn(body: Coroutine[Any, Any, None], *, name: str) -> "asyncio.Task[None]":
            spawned.append(tasks.create_task(body))
            return spawned[-1]

        log = logging.getLogger("test")
        env = Env("service", Settings(), clock, log, tmp_path, spawn, lambda: None, lambda: False)
        puppet = Puppet()
        puppet.hold.clear()
        keeper = Keeper("ce", SERVICE, puppet, tmp_path, env, asyncio.Event())
        await keeper.open()
        asked = asyncio.create_task(keeper.do("stop", "alice"))
        while not puppet.told:  # noqa: ASYNC110 - a few turns of the loop away
            await asyncio.sleep(0)
        spawned[0].cancel()
        with pytest.raises(Failed, match="ce: interrupted, the agent stops"):
            await asked
        assert not Memory.read(tmp_path / "wish.json").wish.up


async def test_many_wishes_at_once_leave_a_whole_record(tmp_path: Path, clock: FakeClock) -> None:
    async with scene(tmp_path, clock, Puppet()) as on:
        for _ in range(20):
            await asyncio.gather(
                on.keeper.do("stop", "alice"), on.keeper._remember(Memory()), on.keeper._remember(Memory())
            )
            assert Memory.read(tmp_path / "wish.json") == on.keeper._memory


async def test_begin_is_held_back_by_maintenance(tmp_path: Path, clock: FakeClock) -> None:
    puppet = Puppet(begins=True)
    puppet.seen = Seen(Condition.DOWN)
    async with asyncio.TaskGroup() as tasks:
        held = [True]
        stirred = asyncio.Event()
        env = Env(
            "service", Settings(), clock, logging.getLogger("test"), tmp_path,
            lambda body, name: tasks.create_task(body), lambda: None, lambda: held[0],
        )  # fmt: skip
        keeper = Keeper("ce", Service(driver="process", argv=("/bin/true",), settle=0), puppet, tmp_path, env, stirred)
        await keeper.open()
        running = tasks.create_task(keeper.run())
        await clock.turn(30)
        assert puppet.told == []
        held[0] = False
        await clock.turn(6)
        assert puppet.told == ["start"]
        running.cancel()


async def test_a_person_s_start_in_maintenance_is_done(tmp_path: Path, clock: FakeClock) -> None:
    async with scene(tmp_path, clock, Puppet()) as on:
        on.maintained = True
        await on.becomes(Seen(Condition.FAILED, 2.0))
        await on.keeper.do("start", "alice")
        assert on.keeper.health().level is Level.ok
