"""A running node: its instances, their health, maintenance, the journal and the one dispatch. Knows no XMPP.

The owner opens the task group; the node starts and stops instances in it. What wants to hear that the site's health may
have changed (the accounts' presence) listens.
"""

import asyncio
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from amon.access import AuditRecord
from amon.clock import Clock
from amon.command import Grammar
from amon.command.declare import Command
from amon.command.grammar import AGENT
from amon.errors import Failed
from amon.files import below
from amon.health import Board, Health, Maintenance, Maintenances, Picture
from amon.module import Instance, Module
from amon.module.instance import Make
from amon.runtime.auditing import AuditModule
from amon.runtime.dispatch import Dispatch
from amon.runtime.own import AgentModule
from amon.runtime.upkeep import MaintenanceModule
from amon.store import Journal, Record
from amon.wire import Ended, encode
from amon.words import State

_REMEMBER = 7 * 86_400.0  # seconds an outcome is kept
_TIDY_EVERY = 3600.0  # seconds; also from the start to the first time
_LOOK_AGAIN = 60.0  # seconds between looks at a journal that is broken
_OWN = (AGENT, "audit", "maintenance")


@dataclass(frozen=True, slots=True)
class Spec:
    """An instance as it is wanted: its name, the module's name, the class, checked settings.

    reason: why there is no class; such an instance shows in health and answers nothing. make: builds the module,
    the class itself if None.
    """

    name: str
    kind: str
    cls: type[Module[Any]] | None
    settings: Any = None
    reason: str = ""
    make: Make | None = None


class Node:
    """tasks: the owner's group; state: a private directory that outlives the agent.

    clock_in_doubt: whether the time of day may be wrong; nothing is forgotten by its age then.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        journal: Journal,
        clock: Clock,
        state: Path,
        clock_in_doubt: Callable[[], bool] = lambda: False,
    ) -> None:
        self.clock = clock
        self.journal = journal
        self.dispatch = Dispatch(
            lambda: Grammar(self.offered()), self.find, journal, clock, self._asked_for, state / "outputs"
        )
        self._tasks = tasks
        self._state = state
        self._clock_in_doubt = clock_in_doubt
        self._board = Board()
        self._maintenances = Maintenances()
        self._running: dict[str, tuple[Instance, asyncio.Task[None]]] = {}
        self._missing: dict[str, Spec] = {}
        self._house: asyncio.Task[None] | None = None
        self._mending: asyncio.Task[None] | None = None
        self._listeners: list[Callable[[], None]] = []
        self._heralds: list[Callable[[], None]] = []
        self._troubles: dict[str, Health] = {}
        self._interrupted: list[tuple[Record, Ended]] = []
        self._log = logging.getLogger("amon.node")

    async def start(self, specs: Iterable[Spec]) -> None:
        self.journal.watch(self._journal_changed)
        self._maintenances = Maintenances(await self.journal.maintenances())
        self.dispatch.seals.born = await self.journal.born(self.clock.time())
        await self._close_interrupted()
        self._start(Spec(AGENT, AGENT, AgentModule, make=lambda env: AgentModule(env, self)))
        self._start(
            Spec("maintenance", "maintenance", MaintenanceModule, make=lambda env: MaintenanceModule(env, self))
        )
        self._start(Spec("audit", "audit", AuditModule, make=lambda env: AuditModule(env, self.journal)))
        for spec in specs:
            self._start(spec)
        self._house = self._tasks.create_task(self._keep_house(), name="housekeeping")

    async def _close_interrupted(self) -> None:
        """What the last agent began and never ended has an outcome now; its asker is told and can fetch it."""
        from amon.runtime.lost import words_of

        for record in await self.journal.interrupted():
            outcome = Ended(record.id, State.lost, words_of(record))
            ended = replace(record, state=outcome.state, outcome=encode(outcome), ended=self.clock.time())
            told = (self.clock.time(), record.account, record.asker, None, record.id, record.line, True, "")
            audit = AuditRecord(*told, "interrupted", effect=record.effect)
            try:
                await self.journal.end(ended, audit)
            except Failed as fault:  # a site whose disk is full can still be looked at
                self._log.error("%s", fault)
            self._interrupted.append((ended, outcome))

    async def change(self, stop: Iterable[str], start: Iterable[Spec]) -> None:
        """Stop the instances of these names and start these; all others go on undisturbed."""
        await self._stop(stop)
        for spec in start:
            self._start(spec)

    def _start(self, spec: Spec) -> None:
        if spec.cls is None:
            self._missing[spec.name] = spec
            self._log.error("%s: %s", spec.name, spec.reason)
        else:
            instance = Instance(
                spec.name,
                spec.kind,
                spec.make or spec.cls,
                spec.settings,
                commands_from=spec.cls,
                clock=self.clock,
                state=below(self._state / "instances", spec.name),
                on_change=self._changed,
                maintenance=lambda name: self._maintenances.covering(name, self.clock.time()) is not None,
            )
            task = self._tasks.create_task(instance.run(), name=f"instance {spec.name}")
            self._running[spec.name] = (instance, task)
        self._changed(spec.name)

    async def _stop(self, names: Iterable[str]) -> None:
        """Together, not one after the other: each may take its time."""
        names = list(names)
        self.dispatch.end_sessions(names)
        tasks = [self._running.pop(name)[1] for name in names if name in self._running]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        for name in names:
            self._missing.pop(name, None)
            self._board.drop(name)
        self._tell()

    async def stop(self) -> None:
        """Stop every instance and the housekeeping; supervised services and the journal stay."""
        await self._stop(list(self._running))
        self.journal.watch(lambda: None)
        for keeper in (self._house, self._mending):
            if keeper is not None:
                keeper.cancel()

    async def wait_settled(self) -> None:
        """Until every instance has started or has failed to."""
        for instance, _ in list(self._running.values()):
            await instance.settled.wait()

    def find(self, name: str) -> Module[Any]:
        if name not in self._running:
            raise Failed(f"{name} is not running here")
        return self._running[name][0].get()

    def instances(self) -> list[Instance]:
        return [instance for name, (instance, _) in self._running.items() if name not in _OWN]

    def missing(self) -> Mapping[str, str]:
        """Instances that could not be loaded, with the reason."""
        return {name: spec.reason for name, spec in self._missing.items()}

    def kinds(self) -> tuple[str, ...]:
        """The modules that are loaded, each once, for `module:` targets."""
        return tuple(sorted({instance.kind for instance in self.instances()}))

    def kind_of(self, instance: str) -> str:
        """The module that an instance is of, loaded or not; the agent's own for what it says of itself."""
        if instance in self._running:
            return self._running[instance][0].kind
        return self._missing[instance].kind if instance in self._missing else instance

    def take_interrupted(self, account: str) -> list[tuple[Record, Ended]]:
        """Calls of this account that an earlier agent died in; told once, when the account is online."""
        taken = [pair for pair in self._interrupted if pair[0].account == account]
        self._interrupted = [pair for pair in self._interrupted if pair[0].account != account]
        return taken

    def offered(self) -> dict[str, Mapping[str, Command]]:
        return {name: instance.commands for name, (instance, _) in self._running.items()}

    def candidates(self, instance: str, method: str) -> list[str]:
        """What an instance knows as values of a parameter; for completion, so a fault is silence."""
        try:
            return [str(word) for word in getattr(self.find(instance), method)()]
        except Exception as fault:
            self._log.debug("no candidates from %s.%s: %s", instance, method, fault)
            return []

    # Health and maintenance

    def listen(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever the picture may have changed; returns what ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    def listen_changes(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Call `listener` whenever something was changed here because somebody asked for it; returns what ends that."""
        self._heralds.append(listener)
        return lambda: self._heralds.remove(listener)

    def healths(self) -> dict[str, Health]:
        found = {instance.name: instance.health() for instance in self.instances()}
        found.update({name: Health.bad(spec.reason, state="not-loaded") for name, spec in self._missing.items()})
        own = dict(self._troubles)
        if self.journal.fault:
            own["journal"] = Health.bad(f"{self.journal.fault}: nothing can be changed here", state="broken")
        if own:
            found[AGENT] = Health.of(own)
        return found

    def trouble(self, name: str, health: Health | None) -> None:
        """Something of the agent itself that is not well, or is well again (None); shown as `agent/NAME`."""
        if health is None:
            self._troubles.pop(name, None)
        else:
            self._troubles[name] = health
        self._tell()

    def picture(self, revealed: frozenset[str] | None = None) -> Picture:
        healths = self.healths()
        for name, health in healths.items():
            self._board.put(name, health)
        if AGENT not in healths:
            self._board.drop(AGENT)
        return self._board.picture(self.clock.time(), self._maintenances, revealed)

    def maintenances(self) -> Mapping[str, Maintenance]:
        return self._maintenances.running(self.clock.time())

    async def begin_maintenance(self, one: Maintenance) -> None:
        await self.journal.begin_maintenance(one)
        self._maintenances.begin(one)
        self._tell()

    async def end_maintenance(self, scope: str) -> None:
        await self.journal.end_maintenance(scope)
        self._maintenances.end(scope)
        self._tell()

    def next_maintenance_end(self) -> float | None:
        """Epoch seconds; presence changes then without anybody doing anything."""
        return self._maintenances.next_end(self.clock.time())

    def _journal_changed(self) -> None:
        if self.journal.fault:
            self._log.error("the journal cannot be written, nothing can be changed here: %s", self.journal.fault)
            self._mending = self._tasks.create_task(self._wait_mended(), name="journal watch")
        else:
            self._log.info("the journal can be written again")
        self._tell()

    def _changed(self, name: str) -> None:
        self._tell()

    def _asked_for(self) -> None:
        for listener in list(self._heralds):
            listener()

    def _tell(self) -> None:
        for listener in list(self._listeners):
            listener()

    async def _wait_mended(self) -> None:
        """Somebody makes room on the disk some day; nobody has to restart the agent for it."""
        while self.journal.fault:
            await self.clock.sleep(_LOOK_AGAIN)
            try:
                await self.journal.probe(self.clock.time())
            except Failed as fault:
                self._log.debug("%s", fault)

    async def _keep_house(self) -> None:
        """Not at once: a clock that is ahead at boot would make it forget what it did, and a repeat would run again."""
        while True:
            await self.clock.sleep(_TIDY_EVERY)
            if self._clock_in_doubt():
                self._log.info("nothing is forgotten this hour: no server has said that this clock is right")
                continue
            try:
                now = self.clock.time()
                await self.journal.forget(now - _REMEMBER, now=now)
                await self._forget_outputs(now - _REMEMBER)
            except Failed as fault:
                self._log.error("%s", fault)

    async def _forget_outputs(self, before: float) -> None:
        """With the records of their calls."""
        folder = self._state / "outputs"
        if folder.is_dir():
            from amon.runtime.outputs import forget

            await asyncio.to_thread(forget, folder, before)
