"""What systemd knows of units, over D-Bus as long as there is one, else through systemctl; reconnects by itself."""

import logging
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from amon.clock import Clock
from amon.errors import Failed
from amon.module.base import Spawn

from .bus import Bus, NoBus
from .settings import Settings
from .systemctl import Programs, Systemctl

_FIRST_WAIT, _LONGEST_WAIT = 1.0, 60.0  # seconds before D-Bus is tried again; doubled each time
_UNSET = 2**64 - 1  # how systemd writes "no number" in a 64 bit field

Watcher = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as it is, whoever told it."""

    load: str
    active: str
    sub: str
    since: float | None
    result: str
    pid: int
    status: int
    code: int  # of waitid(2): 1 exited, 2 killed, 3 dumped
    restarts: int
    memory: int | None

    @classmethod
    def of(cls, found: Mapping[str, Any], clock: Clock) -> "Unit":
        changed = _number(found.get("StateChangeTimestampMonotonic"))
        memory = _number(found.get("MemoryCurrent"))
        return cls(
            load=str(found.get("LoadState", "")),
            active=str(found.get("ActiveState", "")),
            sub=str(found.get("SubState", "")),
            # Microseconds since boot: the wall clock may have been set since.
            since=clock.time() - (time.monotonic() - changed / 1e6) if changed else None,
            result=str(found.get("Result", "success")),
            pid=_number(found.get("MainPID")),
            status=_number(found.get("ExecMainStatus")),
            code=_number(found.get("ExecMainCode")),
            restarts=_number(found.get("NRestarts")),
            memory=memory if 0 < memory < _UNSET else None,
        )


class Units:
    """All units of one instance: one connection for all."""

    def __init__(self, settings: Settings, clock: Clock, spawn: Spawn, log: logging.Logger, programs: Programs) -> None:
        self._settings = settings
        self.clock = clock
        self._spawn = spawn
        self._log = log
        self._programs = Systemctl(programs, settings.bus, settings.manager)
        self._bus: Bus | None = None
        self._watchers: dict[str, list[Watcher]] = {}

    @property
    def connected(self) -> bool:
        return self._bus is not None

    def watch(self, unit: str, watcher: Watcher) -> None:
        self._watchers.setdefault(unit, []).append(watcher)

    async def open(self) -> None:
        """Try the bus once, so that the first look is a quick one; then keep the connection up."""
        trouble = await self._connect()
        if trouble:
            self._log.warning("%s; systemctl is used instead", trouble)
        self._spawn(self._keep(), name="systemd bus")

    def close(self) -> None:
        if self._bus is not None:
            self._bus.close()

    async def show(self, unit: str) -> Unit:
        """`Failed` when neither way answers."""
        found: Mapping[str, Any] | None = None
        if self._bus is not None:
            try:
                found = await self._bus.show(unit)
            except NoBus:
                self._drop()
        if found is None:
            found = await self._programs.show(unit)
        return Unit.of(found, self.clock)

    async def order(self, member: str, unit: str, timeout: float) -> None:
        """Do it and wait for its end; `Failed` with systemd's word for how it ended."""
        result = await self._order(member, unit, timeout)
        if result not in ("done", "skipped"):
            raise Failed(
                {"dependency": "a unit it needs failed", "canceled": "overtaken by another order"}.get(
                    result, f"the job {result}" if result == "failed" else f"the job ended with {result}"
                )
            )

    async def reset(self, unit: str) -> None:
        try:
            await (self._bus or self._programs).reset(unit)
        except (Failed, NoBus):
            pass  # what follows will say it better

    async def _order(self, member: str, unit: str, timeout: float) -> str:
        if self._bus is not None:
            try:
                return await self._bus.order(member, unit, timeout)
            except NoBus:
                # Whether it was heard is not known. To say start or stop again is harmless; a second restart is not.
                self._drop()
                if member == "RestartUnit":
                    raise Failed("the connection to systemd broke meanwhile; look at its status") from None
        return await self._programs.order(member, unit, timeout)

    async def last_lines(self, unit: str) -> tuple[str, ...]:
        return await self._programs.last_lines(unit)

    def follow(self, unit: str, lines: int) -> AsyncGenerator[str, None]:
        return self._programs.follow(unit, lines)

    def _drop(self) -> None:
        """Whatever is wrong with it: `_keep` notices that it is closed, and makes another."""
        self.close()
        self._bus = None

    async def _connect(self) -> str:
        try:
            self._bus = await Bus.connect(self._settings.bus, self._settings.manager, self._changed)
        except NoBus as trouble:
            return str(trouble)
        except Failed as refused:
            return f"systemd on D-Bus: {refused}"
        return ""

    async def _keep(self) -> None:
        wait = _FIRST_WAIT
        while True:
            if self._bus is None:
                await self.clock.sleep(wait)
                wait = min(_LONGEST_WAIT, wait * 2)
                await self._connect()
            bus = self._bus
            if bus is not None:
                wait = _FIRST_WAIT
                self._stir_all()
                await bus.wait_closed()
                self._bus = None
                self._stir_all()

    def _changed(self, unit: str) -> None:
        for watcher in self._watchers.get(unit, ()):
            watcher()

    def _stir_all(self) -> None:
        for unit in self._watchers:
            self._changed(unit)


def _number(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0
