"""Driver `systemd`: a unit. systemd does the work and tells of changes; we order, wait for the job, and name the state.

Source: systemd(1), "Units": the meaning of ActiveState; systemd.exec(5), "Process Exit Codes".
"""

import asyncio
import os
from collections.abc import AsyncGenerator
from pathlib import Path

from amon.errors import Failed

from . import logfile
from .bus import Denied
from .child import describe
from .driver import Verb
from .settings import Service
from .states import Condition, Seen
from .units import Unit, Units

_ACTIVE = {
    "active": Condition.UP,
    "reloading": Condition.UP,
    "refreshing": Condition.UP,
    "inactive": Condition.DOWN,
    "failed": Condition.FAILED,
    "activating": Condition.STARTING,
    "deactivating": Condition.STOPPING,
}
_MEMBERS = {"start": "StartUnit", "stop": "StopUnit", "restart": "RestartUnit"}


class SystemdDriver:
    """One unit; `units` is shared with the other services of the instance."""

    def __init__(self, service: Service, units: Units) -> None:
        self._service = service
        self._units = units

    async def open(self) -> bool:
        return False

    async def see(self) -> Seen:
        try:
            unit = await self._units.show(self._service.unit)
        except Failed as failed:
            return Seen(Condition.UNKNOWN, text=f"systemd: {failed}")
        return seen_of(self._service.unit, unit)

    async def start(self) -> None:
        await self._order("start")

    async def stop(self) -> None:
        await self._order("stop")

    async def restart(self) -> None:
        await self._order("restart")

    async def last_lines(self) -> tuple[str, ...]:
        if self._service.log_file:
            return await asyncio.to_thread(logfile.last_lines, Path(self._service.log_file))
        return await self._units.last_lines(self._service.unit)

    def follow(self, lines: int) -> AsyncGenerator[str, None]:
        if self._service.log_file:
            from . import tail

            return tail.follow(Path(self._service.log_file), lines, self._units.clock)
        return self._units.follow(self._service.unit, lines)

    def says(self, verb: Verb) -> tuple[str, ...]:
        way = "over D-Bus" if self._units.connected else "through systemctl"
        return (f"systemd {_MEMBERS[verb]} {self._service.unit} {way}",)

    async def _order(self, verb: Verb) -> None:
        unit = self._service.unit
        if verb != "stop" and (await self._units.show(unit)).active == "failed":
            # Its own limit of starts is for its own restarts; a person, and our limit, begin a new count.
            await self._units.reset(unit)
        # A restart is a stop and a start, and systemd waits for both.
        timeout = self._service.start_timeout + (self._service.stop_timeout if verb == "restart" else 0)
        try:
            await self._units.order(_MEMBERS[verb], unit, timeout)
        except Denied as denied:
            raise Failed(f"systemd does not allow it: {denied} {_next_step(unit)}") from None


def seen_of(name: str, unit: Unit) -> Seen:
    """A unit in our words. Pure."""
    if unit.load in ("not-found", "masked", "error", "bad-setting"):
        why = {"not-found": f"there is no unit {name}", "masked": f"{name} is masked; systemctl unmask it"}
        return Seen(Condition.UNKNOWN, text=why.get(unit.load, f"{name} cannot be loaded; see systemctl status {name}"))
    condition = _ACTIVE.get(unit.active, Condition.UNKNOWN)
    return Seen(
        condition,
        since=unit.since,
        pids=(unit.pid,) if unit.pid else (),
        restarts=unit.restarts,
        memory=unit.memory if condition is Condition.UP else None,
        text=_text(condition, unit),
        # Inactive and without fault: it ended well or was stopped at the host. Both are systemd's to undo, not ours.
        on_purpose=unit.active == "inactive" and unit.result == "success",
    )


def _text(condition: Condition, unit: Unit) -> str:
    if condition is Condition.FAILED:
        if unit.result in ("exit-code", "signal", "core-dump"):
            return describe(unit.status if unit.code == os.CLD_EXITED else -unit.status)
        return unit.result
    if condition is Condition.STARTING and unit.sub == "auto-restart":
        return "systemd restarts it"
    return unit.active if condition is Condition.UNKNOWN else ""


def _next_step(unit: str) -> str:
    user = logfile.own_user()
    return (
        f"- a polkit rule is needed that lets user {user} do org.freedesktop.systemd1.manage-units for {unit}: "
        f"put what `amon-agent polkit {unit}` prints into /etc/polkit-1/rules.d"
    )
