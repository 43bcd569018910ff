"""One instance kept running: what its module does wrong costs itself a restart, shows, and harms nobody else."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from amon.command import Call, command
from amon.errors import Failed
from amon.health import Health, Level
from amon.module import Env, Instance, Module
from amon.testing import FakeClock

Body = Callable[["Odd"], Coroutine[Any, Any, None]]


async def nothing(module: "Odd") -> None:
    pass


async def for_ever(module: "Odd") -> None:
    await asyncio.Event().wait()


async def crash(module: "Odd") -> None:
    raise ZeroDivisionError("on purpose")


class Odd(Module[None]):
    """Does in start, run and stop what the test says."""

    def __init__(self, env: Env[None], log: list[str], start: Body, run: Body, stop: Body) -> None:
        super().__init__(env)
        self.log = log
        self.bodies = start, run, stop
        self.said: Any = Health.good("fine")

    async def start(self) -> None:
        self.log.append("start")
        await self.bodies[0](self)

    async def run(self) -> None:
        self.log.append("run")
        await self.bodies[1](self)

    async def stop(self) -> None:
        self.log.append("stop")
        await self.bodies[2](self)

    def health(self) -> Health:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said  # type: ignore[no-any-return]

    @command()
    async def odd(self, call: Call) -> None:
        """Odd."""


class Scene:
    """The instance, its clock, what it did, and how often it said that its health changed."""

    def __init__(self, state: Path, bodies: tuple[Body, Body, Body]) -> None:
        self.clock = FakeClock()
        self.log: list[str] = []
        self.changes = 0
        self.maintenance = False
        self._changed = asyncio.Event()
        self.instance = Instance(
            "it",
            "odd",
            lambda env: Odd(env, self.log, *bodies),
            None,
            commands_from=Odd,
            clock=self.clock,
            state=state,
            on_change=self._on_change,
            maintenance=lambda name: self.maintenance and name == "it",
            stop_within=0.02,
        )
        self.task = asyncio.create_task(self.instance.run())

    def _on_change(self, name: str) -> None:
        assert name == "it"
        self.changes += 1
        self._changed.set()

    async def wait_state(self, state: str) -> Health:
        """Until the health has this state word."""
        async with asyncio.timeout(5):
            while self.instance.health().state != state:
                self._changed.clear()
                await self._changed.wait()
        return self.instance.health()

    async def wait_asleep(self) -> None:
        """Until the instance sleeps between two lives."""
        async with asyncio.timeout(5):
            await self.clock.wait_sleepers(1)

    async def next_life(self, wait: float) -> None:
        await self.wait_asleep()
        self.clock.advance(wait - 0.01)
        assert self.clock.sleepers() == 1, "it came back too soon"
        self.clock.advance(0.02)

    @property
    def module(self) -> Odd:
        module = self.instance.get()
        assert isinstance(module, Odd)
        return module


Play = Callable[..., contextlib.AbstractAsyncContextManager[Scene]]


@pytest.fixture
def play(tmp_path: Path) -> Play:
    @asynccontextmanager
    async def played(start: Body = nothing, run: Body = nothing, stop: Body = nothing) -> AsyncIterator[Scene]:
        scene = Scene(tmp_path / "state" / "it", (start, run, stop))
        try:
            yield scene
        finally:
            scene.task.cancel()
            async with asyncio.timeout(5):
                await asyncio.wait([scene.task])
            assert scene.task.cancelled()

    return played


async def test_it_starts_runs_answers_and_stops(play: Play) -> None:
    async with play() as scene:
        assert scene.instance.health() == Health.unknown("starting", state="starting")
        with pytest.raises(Failed, match="it is not running: starting"):
            scene.instance.get()
        assert (await scene.wait_state("up")).text == "fine"
        assert list(scene.instance.commands) == ["odd"]
        await asyncio.sleep(0)
    assert scene.log == ["start", "run", "stop"]
    with pytest.raises(Failed):
        scene.instance.get()


async def test_its_directory_is_there_and_private(play: Play) -> None:
    async with play() as scene:
        await scene.wait_state("up")
        state = scene.module.env.state
        assert state.stat().st_mode & 0o777 == 0o700


async def test_a_directory_that_was_open_to_others_is_closed(play: Play, tmp_path: Path) -> None:
    (tmp_path / "state" / "it").mkdir(parents=True, mode=0o755)
    async with play() as scene:
        await scene.wait_state("up")
        assert scene.module.env.state.stat().st_mode & 0o777 == 0o700


async def test_a_module_that_returns_from_run_goes_on_answering(play: Play) -> None:
    async with play() as scene:
        await scene.wait_state("up")
        for _ in range(10):
            await asyncio.sleep(0)
        assert scene.instance.get() is scene.module
        assert "stop" not in scene.log


async def spawn_a_crash(module: Odd) -> None:
    module.env.spawn(crash(module), name="side")


async def crash_among_others(module: Odd) -> None:
    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(crash(module))


@pytest.mark.parametrize(
    ("start", "run"),
    [
        (crash, nothing),
        (nothing, crash),
        (spawn_a_crash, for_ever),
        (nothing, spawn_a_crash),
        (crash_among_others, nothing),
        (nothing, crash_among_others),
    ],
)
async def test_a_crash_anywhere_is_told_stopped_and_restarted(play: Play, start: Body, run: Body) -> None:
    async with play(start, run) as scene:
        health = await scene.wait_state("crashed")
        assert health.level is Level.critical
        assert health.text == "crashed (ZeroDivisionError: on purpose), starts again in 1 s"
        assert scene.log[-1] == "stop"
        assert scene.instance.settled.is_set()
        await scene.next_life(1)
        await scene.wait_asleep()
        assert (scene.log.count("start"), scene.instance.restarts) == (2, 2)


async def test_each_crash_waits_twice_as_long_up_to_five_minutes(play: Play) -> None:
    async with play(run=crash) as scene:
        for wait in (1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300):
            await scene.next_life(wait)
    assert scene.log.count("start") >= 11


async def test_after_a_minute_of_life_a_crash_counts_as_the_first_again(play: Play) -> None:
    async def live_a_while(module: Odd) -> None:
        if module.log.count("start") > 3:
            await module.env.clock.sleep(61)
        raise ZeroDivisionError

    async with play(run=live_a_while) as scene:
        for wait in (1, 2, 4):
            await scene.next_life(wait)
        await scene.wait_state("up")
        await scene.wait_asleep()
        scene.clock.advance(61)
        assert "starts again in 1 s" in (await scene.wait_state("crashed")).text


async def test_what_failed_is_told_in_its_own_words(play: Play) -> None:
    async def no_bus(module: Odd) -> None:
        raise Failed("no system bus here")

    async with play(start=no_bus) as scene:
        assert (await scene.wait_state("crashed")).text == "crashed (no system bus here), starts again in 1 s"


async def test_a_module_that_cannot_be_made_is_a_crash_too(tmp_path: Path) -> None:
    def broken(env: Env[None]) -> Module[None]:
        raise OSError("no world")

    told = asyncio.Event()
    instance = Instance(
        "it", "odd", broken, None, commands_from=Odd, clock=FakeClock(), state=tmp_path, maintenance=lambda name: False,
        on_change=lambda name: told.set(),
    )  # fmt: skip
    task = asyncio.create_task(instance.run())
    async with asyncio.timeout(5):
        await told.wait()
    assert "OSError: no world" in instance.health().text
    task.cancel()
    await asyncio.wait([task])


async def leave(module: Odd) -> None:
    raise SystemExit(2)


async def stray_cancellation(module: Odd) -> None:
    lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    lost.cancel()
    await lost


@pytest.mark.parametrize(
    ("body", "says"), [(leave, "wanted to end the whole program"), (stray_cancellation, "cancellation that nobody")]
)
async def test_neither_exit_nor_a_stray_cancellation_passes_by_the_supervision(
    play: Play, body: Body, says: str
) -> None:
    async with play(start=body) as scene:
        assert says in (await scene.wait_state("crashed")).text
    async with play(run=body) as scene:
        assert says in (await scene.wait_state("crashed")).text


async def test_spawned_tasks_end_with_the_instance(play: Play) -> None:
    spawned: list[asyncio.Task[None]] = []

    async def spawn(module: Odd) -> None:
        spawned.append(module.env.spawn(for_ever(module), name="side"))

    async with play(start=spawn, run=for_ever) as scene:
        await scene.wait_state("up")
        assert not spawned[0].done()
        assert spawned[0].get_name() == "it: side"
    assert spawned[0].cancelled()


async def test_a_task_that_the_module_ends_itself_is_no_crash(play: Play) -> None:
    async def spawn_and_cancel(module: Odd) -> None:
        task = module.env.spawn(for_ever(module), name="side")
        await asyncio.sleep(0)
        task.cancel()

    async with play(run=spawn_and_cancel) as scene:
        await scene.wait_state("up")
        for _ in range(10):
            await asyncio.sleep(0)
        assert scene.instance.restarts == 0


async def test_it_is_too_late_to_spawn_when_it_has_stopped(play: Play) -> None:
    async def spawn(module: Odd) -> None:
        module.env.spawn(nothing(module), name="late")

    async with play(stop=spawn) as scene:
        await scene.wait_state("up")
    assert scene.log == ["start", "run", "stop"] or scene.log == ["start", "stop"]


@pytest.mark.parametrize("stop", [for_ever, crash, leave, stray_cancellation])
async def test_a_stop_that_hangs_or_breaks_does_not_keep_the_instance(play: Play, stop: Body) -> None:
    async with play(stop=stop) as scene:
        await scene.wait_state("up")
    assert scene.log[-1] == "stop"
    assert scene.task.cancelled()


async def test_a_stop_that_hangs_does_not_keep_a_crashed_module_from_coming_back(play: Play) -> None:
    async with play(run=crash, stop=for_ever) as scene:
        await scene.wait_state("crashed")
        await scene.next_life(1)
        await scene.wait_asleep()
        assert scene.log.count("start") == 2


@pytest.mark.parametrize("moments", range(12))
async def test_a_cancellation_is_never_swallowed_whenever_it_comes(tmp_path: Path, moments: int) -> None:
    async def crash_soon(module: Odd) -> None:
        await asyncio.sleep(0)
        raise ZeroDivisionError

    async def end_slowly(module: Odd) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            for _ in range(4):
                await asyncio.sleep(0)

    async def both(module: Odd) -> None:
        module.env.spawn(end_slowly(module), name="slow")
        module.env.spawn(crash_soon(module), name="crash")

    scene = Scene(tmp_path, (both, for_ever, end_in_time))
    for _ in range(moments):
        await asyncio.sleep(0)
    scene.task.cancel()
    async with asyncio.timeout(5):
        await asyncio.wait([scene.task])
    assert scene.task.cancelled()


async def end_in_time(module: Odd) -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def test_a_cancellation_between_two_lives_ends_it_at_once(play: Play) -> None:
    async with play(run=crash) as scene:
        await scene.wait_asleep()
    assert scene.log == ["start", "run", "stop"]


async def test_a_health_that_raises_is_told_and_logged_once(play: Play, caplog: pytest.LogCaptureFixture) -> None:
    async with play() as scene:
        await scene.wait_state("up")
        scene.module.said = KeyError("x")
        with caplog.at_level(logging.ERROR):
            for _ in range(5):
                assert scene.instance.health() == Health.unknown("health is broken: KeyError")
        assert len(caplog.records) == 1
        scene.module.said = None
        assert scene.instance.health() == Health.unknown("health is broken: TypeError")


async def test_a_module_says_that_its_health_changed_and_knows_of_maintenance(play: Play) -> None:
    async with play() as scene:
        await scene.wait_state("up")
        before = scene.changes
        scene.module.env.changed()
        assert scene.changes == before + 1
        assert not scene.module.env.maintenance()
        scene.maintenance = True
        assert scene.module.env.maintenance()
