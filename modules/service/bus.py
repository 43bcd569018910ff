"""systemd over D-Bus: ask for properties, order a job and hear how it ended, hear of changes at once.

Sources: org.freedesktop.systemd1(5) (StartUnit, JobRemoved, Subscribe), D-Bus specification, "Match Rules". Spoken with
plain messages: a proxy made from introspection reads hundreds of members of which five are used.
"""

import asyncio
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from amon.errors import Failed

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

SYSTEMD = "org.freedesktop.systemd1"
_DBUS = "org.freedesktop.DBus"
_MANAGER_PATH = "/org/freedesktop/systemd1"
_MANAGER = SYSTEMD + ".Manager"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_ANSWER = 10.0  # seconds for anything that is not a job
_RULES = (
    f"type='signal',sender='{SYSTEMD}',interface='{_MANAGER}',member='JobRemoved'",
    f"type='signal',sender='{SYSTEMD}',interface='{_PROPERTIES}',member='PropertiesChanged'",
    # systemd itself started anew: who was subscribed no longer is.
    "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus',member='NameOwnerChanged',"
    f"arg0='{SYSTEMD}'",
)


class NoBus(Exception):
    """D-Bus cannot be used: no library, no bus, nobody on it, or it went away in the middle."""


class Denied(Failed):
    """systemd, or polkit for it, does not allow it."""


class Bus:
    """One connection. It is thrown away when it breaks; `closed` tells."""

    def __init__(self, bus: "MessageBus", changed: Callable[[str], None]) -> None:
        self._bus = bus
        self._changed = changed
        self._owner = ""  # systemd's own name on the bus, by which its signals are known
        self._jobs: dict[str, str] = {}
        self._ordering = 0
        self._removed = asyncio.Event()
        self._paths: dict[str, str] = {}

    @classmethod
    async def connect(cls, address: str, manager: str, changed: Callable[[str], None]) -> "Bus":
        """`changed(unit)` is called whenever a unit that was asked for before has changed. Raises `NoBus`."""
        try:
            from dbus_fast import BusType
            from dbus_fast.aio import MessageBus
            from dbus_fast.errors import DBusFastError
        except ImportError:
            raise NoBus("dbus-fast is not installed (pip install 'amon[systemd]')") from None
        try:
            kind = BusType.SESSION if manager == "user" else BusType.SYSTEM
            async with asyncio.timeout(_ANSWER):
                bus = await MessageBus(bus_address=address or None, bus_type=kind).connect()
        except (OSError, EOFError, DBusFastError) as error:
            raise NoBus(f"no D-Bus: {error}") from None
        made = cls(bus, changed)
        bus.add_message_handler(made._heard)
        try:
            for rule in _RULES:
                await made._call(_DBUS, "/org/freedesktop/DBus", "AddMatch", "s", [rule])
            await made._manager("Subscribe")
            (made._owner,) = await made._call(_DBUS, "/org/freedesktop/DBus", "GetNameOwner", "s", [SYSTEMD])
        except BaseException:
            made.close()
            raise
        return made

    def close(self) -> None:
        if self._bus.connected:
            self._bus.disconnect()

    async def wait_closed(self) -> None:
        from dbus_fast.errors import DBusFastError

        try:
            await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        except (OSError, EOFError, DBusFastError):
            pass

    async def show(self, unit: str) -> Mapping[str, Any]:
        """The properties of a unit; of a service also those."""
        path = await self._path(unit)
        shown: dict[str, Any] = {}
        for kind in ("Unit", "Service") if unit.endswith(".service") else ("Unit",):
            found = await self._call(SYSTEMD, path, "GetAll", "s", [f"{SYSTEMD}.{kind}"], _PROPERTIES)
            shown.update({key: variant.value for key, variant in found[0].items()})
        return shown

    async def order(self, member: str, unit: str, timeout: float) -> str:
        """`StartUnit` and so on; how the job ended: done, failed, canceled, timeout, dependency, skipped."""
        self._ordering += 1  # from here on ends of jobs are noted: ours may end before we know its name
        try:
            (job,) = await self._manager(member, "ss", [unit, "replace"])
            async with asyncio.timeout(timeout):
                while job not in self._jobs:
                    self._removed.clear()
                    await self._removed.wait()
                    self._check_open()
            return self._jobs[job]
        except TimeoutError:
            raise Failed(f"systemd has not done it after {timeout:g} s and goes on trying") from None
        finally:
            self._ordering -= 1
            if not self._ordering:
                self._jobs.clear()

    async def reset(self, unit: str) -> None:
        """Forget that it failed, and how often it was started: a person's start is no part of a loop."""
        await self._manager("ResetFailedUnit", "s", [unit])

    async def _path(self, unit: str) -> str:
        found: str = (await self._manager("LoadUnit", "s", [unit]))[0]
        self._paths[found] = unit
        return found

    async def _manager(self, member: str, signature: str = "", body: "list[Any] | None" = None) -> list[Any]:
        return await self._call(SYSTEMD, _MANAGER_PATH, member, signature, body, _MANAGER)

    async def _call(
        self,
        destination: str,
        path: str,
        member: str,
        signature: str,
        body: "list[Any] | None",
        interface: str = "org.freedesktop.DBus",
    ) -> list[Any]:
        from dbus_fast import Message, MessageType
        from dbus_fast.errors import DBusFastError

        self._check_open()
        message = Message(destination, path, interface, member, signature=signature, body=body or [])
        try:
            async with asyncio.timeout(_ANSWER):
                reply = await self._bus.call(message)
        except TimeoutError:
            self.close()
            raise NoBus(f"systemd does not answer {member} in {_ANSWER:g} s") from None
        except (OSError, EOFError, DBusFastError) as error:
            raise NoBus(f"D-Bus went away: {error}") from None
        if reply is None:
            raise NoBus("D-Bus went away")
        if reply.message_type is MessageType.ERROR:
            raise _error(reply)
        return list(reply.body)

    def _check_open(self) -> None:
        if not self._bus.connected:
            self._removed.set()
            raise NoBus("D-Bus went away")

    def _heard(self, message: "Message") -> None:
        """Signals. Anybody on the bus may send us one, whatever our rules match: who sent it is looked at."""
        if message.sender == _DBUS and message.member == "NameOwnerChanged" and message.body[:1] == [SYSTEMD]:
            self.close()
        elif message.sender != self._owner:
            return
        elif message.member == "JobRemoved" and message.interface == _MANAGER:
            if self._ordering:
                self._jobs[message.body[1]] = message.body[3]
                self._removed.set()
        elif message.member == "PropertiesChanged" and message.path in self._paths:
            self._changed(self._paths[message.path])


def _error(reply: "Message") -> Exception:
    name = reply.error_name or ""
    text = str(reply.body[0]) if reply.body else name
    if name.endswith(("AccessDenied", "InteractiveAuthorizationRequired", "NotAuthorized")):
        return Denied(text)
    if name.endswith(("ServiceUnknown", "NameHasNoOwner", "NoReply", "Disconnected", "Spawn.ExecFailed")):
        return NoBus(f"systemd is not on the bus: {text}")
    return Failed(text)
