"""Named services and the commands people have for them. The work is done by a `Keeper` each."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import aclosing
from pathlib import Path
from typing import Annotated

from amon.command import Call, command
from amon.errors import Problem, Refused
from amon.fields import Field
from amon.files import below
from amon.health import Health
from amon.module import Env, Module
from amon.text import did_you_mean

from .driver import Driver, Verb, World
from .keeper import Keeper
from .leftover import UNCONFIGURED, Leftover
from .problems import problems
from .process import ProcessDriver
from .results import Brief, Plan, Row
from .script import CommandDriver
from .settings import NAME, Service, Settings
from .systemctl import Programs
from .systemd import SystemdDriver
from .units import Units

Name = Annotated[str, Field("name of a service", pattern=NAME, longest=64, complete="names")]
Lines = Annotated[int, Field("lines of before, first", least=0, most=1000)]
# Longer than any start_timeout and stop_timeout may be; the call goes on telling that it runs.
_LONGEST = 1800.0  # seconds
_FOLLOWED = 8 * 3600.0  # seconds: a working day


class ServiceModule(Module[Settings]):
    """programs: how systemctl and journalctl are called."""

    def __init__(self, env: Env[Settings], programs: Programs | None = None) -> None:
        super().__init__(env)
        self._keepers: dict[str, Keeper] = {}
        self._units: Units | None = None
        self._programs = programs or Programs()

    @classmethod
    def problems(cls, settings: Settings) -> Iterable[Problem]:
        return problems(settings)

    async def start(self) -> None:
        for name, service in self.env.settings.services.items():
            self._keepers[name] = self._keeper(name, service)
        for path in self.env.state.glob("*/process.json"):
            if path.parent.name not in self._keepers:
                self._keepers[path.parent.name] = self._keeper(path.parent.name, UNCONFIGURED, Leftover)
        if self._units is not None:
            await self._units.open()
        async with asyncio.TaskGroup() as tasks:
            for keeper in self._keepers.values():
                tasks.create_task(keeper.open())

    async def run(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            for keeper in self._keepers.values():
                tasks.create_task(keeper.run())

    async def stop(self) -> None:
        """Lets go; the services stay as they are."""
        if self._units is not None:
            self._units.close()

    def health(self) -> Health:
        return Health.of({keeper.name: keeper.health() for keeper in self._present()})

    def names(self) -> list[str]:
        return sorted(keeper.name for keeper in self._present())

    @command(role="observer")
    async def list_(self, call: Call) -> list[Brief]:
        """The services and their states."""
        return [self._brief(keeper) for keeper in self._present()]

    @command(role="observer")
    async def status(self, call: Call, name: Name | None = None) -> list[Row]:
        """All that is known of one service, or of each."""
        keepers = [self._find(name)] if name else self._present()
        for keeper in keepers:
            await keeper.look()
        return [self._row(keeper) for keeper in keepers]

    @command(role="operator", effect="change", timeout=_LONGEST)
    async def start_(self, call: Call, name: Name) -> Row:
        """Start a service, and begin the count of its automatic restarts anew.

        Returns when it has lived for its `settle` time and its check passes, and fails with the end of its log if not.
        """
        return await self._do("start", call, name)

    @start_.plan
    async def _(self, call: Call, name: Name) -> Plan:
        return self._plan("start", name)

    @command(role="operator", effect="change", timeout=_LONGEST)
    async def stop_(self, call: Call, name: Name) -> Row:
        """Stop a service. It stays stopped, over restarts of the agent too, until somebody starts it."""
        return await self._do("stop", call, name)

    @stop_.plan
    async def _(self, call: Call, name: Name) -> Plan:
        return self._plan("stop", name)

    @command(role="operator", effect="change", timeout=_LONGEST)
    async def restart(self, call: Call, name: Name) -> Row:
        """Restart a service (start it, if it is down), and begin the count of its automatic restarts anew."""
        return await self._do("restart", call, name)

    @restart.plan
    async def _(self, call: Call, name: Name) -> Plan:
        return self._plan("restart", name)

    @command(role="operator", timeout=_FOLLOWED)
    async def follow(self, call: Call, name: Name, lines: Lines = 10) -> AsyncIterator[str]:
        """The log of a service as it grows: its own, its file's, or its unit's from the journal (times in UTC)."""
        async with aclosing(self._find(name).driver.follow(lines)) as log:
            async for line in log:
                yield line

    async def _do(self, verb: Verb, call: Call, name: str) -> Row:
        keeper = self._find(name)
        call.note(f"{name}: {verb}")
        await keeper.do(verb, call.asker.jid)
        return self._row(keeper)

    def _plan(self, verb: Verb, name: str) -> Plan:
        keeper = self._find(name)
        keeper.refuse_if_busy()
        return Plan(name, keeper.health().state, keeper.service.driver, keeper.driver.says(verb))

    def _find(self, name: str) -> Keeper:
        keeper = self._keepers.get(name)
        if keeper is None or keeper not in self._present():
            hint = did_you_mean(name, self.names()) or f"; known: {', '.join(self.names()) or 'none'}"
            raise Refused(f"no service named {name!r}{hint}")
        return keeper

    def _present(self) -> list[Keeper]:
        """All but leftovers that are gone."""
        return [keeper for keeper in self._keepers.values() if not (isinstance(keeper, Leftover) and keeper.gone)]

    def _keeper(self, name: str, service: Service, kind: type[Keeper] = Keeper) -> Keeper:
        room = below(self.env.state, name)
        room.mkdir(mode=0o700, exist_ok=True)
        stirred = asyncio.Event()
        world = World(self.env.clock, self.env.spawn, stirred.set, self.env.log.getChild(name))
        return kind(name, service, self._driver(service, room, world), room, self.env, stirred)

    def _driver(self, service: Service, room: Path, world: World) -> Driver:
        if service.driver == "process":
            return ProcessDriver(service, room, world)
        if service.driver == "command":
            return CommandDriver(service, room, world)
        if self._units is None:
            self._units = Units(self.env.settings, self.env.clock, self.env.spawn, self.env.log, self._programs)
        self._units.watch(service.unit, world.stir)
        return SystemdDriver(service, self._units)

    def _brief(self, keeper: Keeper) -> Brief:
        health = keeper.health()
        return Brief(keeper.name, health.state, keeper.service.driver, self._age(health))

    def _row(self, keeper: Keeper) -> Row:
        health, seen = keeper.health(), keeper.seen
        return Row(
            name=keeper.name,
            state=health.state,
            driver=keeper.service.driver,
            age=self._age(health),
            restarts=keeper.restarts(),
            pids=seen.pids,
            memory=seen.memory,
            check=keeper.count.text,
            text=health.text if health.text != keeper.count.text else "",
        )

    def _age(self, health: Health) -> float | None:
        return None if health.since is None else max(0.0, round(self.env.clock.time() - health.since))
