"""systemd through its own program, where there is no D-Bus or no library for it. Source: systemctl(1), journalctl(1).

`--` fences the unit's name off, `--no-ask-password` keeps it from asking a terminal that is not there.
"""

import asyncio
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass

from amon.errors import Failed

from .bus import Denied
from .logfile import LINES, clean, own_user
from .run import Ran, run

_SHOW = 10.0  # seconds for anything that is not a job
_SAID = 200  # characters
_LOOK_AGAIN = (0.1, 0.2, 0.4, 0.8, 1.6, 0.0)  # seconds between two looks, before a log is called empty
_PROPERTIES = (
    "LoadState", "ActiveState", "SubState", "StateChangeTimestampMonotonic", "Result", "MainPID", "ExecMainStatus",
    "ExecMainCode", "NRestarts", "MemoryCurrent",
)  # fmt: skip
_CLOSED = ("insufficient permissions", "not seeing messages from other users")  # as it says them in every language
_VERBS = {"StartUnit": "start", "StopUnit": "stop", "RestartUnit": "restart"}


@dataclass(frozen=True, slots=True)
class Programs:
    """How the two programs are called; a test puts words before them."""

    systemctl: Sequence[str] = ("systemctl",)
    journalctl: Sequence[str] = ("journalctl",)


class Systemctl:
    """The same two questions as `Bus`, at 5 ms each instead of 0.3."""

    def __init__(self, programs: Programs, address: str, manager: str) -> None:
        self._programs = programs
        self._user = ("--user",) if manager == "user" else ()
        variable = "DBUS_SESSION_BUS_ADDRESS" if manager == "user" else "DBUS_SYSTEM_BUS_ADDRESS"
        self._environment = {variable: address} if address else {}

    async def show(self, unit: str) -> Mapping[str, str]:
        ran = await self._run(_SHOW, "show", f"--property={','.join(_PROPERTIES)}", "--", unit)
        if ran.status != 0:
            raise Failed(_said(ran) or "systemctl does not answer")
        pairs = (line.partition("=") for line in ran.output.splitlines())
        return {key: value for key, _, value in pairs}

    async def order(self, member: str, unit: str, timeout: float) -> str:
        ran = await self._run(timeout, _VERBS[member], "--", unit)
        if ran.status is None:
            raise Failed(f"systemctl did not end in {timeout:g} s")
        if ran.status == 0:
            return "done"
        said = _said(ran)
        if "access denied" in said.lower() or "authentication" in said.lower() or "not authorized" in said.lower():
            raise Denied(said)
        if ran.status == 1 and "see" in said.lower():  # it points at status and journal, which follow below anyway
            return "failed"
        raise Failed(said or f"systemctl: exit status {ran.status}")

    async def reset(self, unit: str) -> None:
        await self._run(_SHOW, "reset-failed", "--", unit)

    async def last_lines(self, unit: str) -> tuple[str, ...]:
        for rest in _LOOK_AGAIN:
            ran = await self._journal(unit, "--quiet")
            lines = clean(ran.output)
            if ran.status == 0 and (lines := lines or await self._lines_of_process(unit)):
                return lines
            if ran.status != 0:
                break
            await asyncio.sleep(rest)  # journald keeps what a program said a moment after it was said, a busy one later
        # Of a journal that is closed to us it says so only aloud, if it finds another that is open.
        _refuse_if_closed(ran.output or (await self._journal(unit)).output)
        if ran.status != 0:
            raise Failed(f"journalctl: {_said(ran) or 'no answer'}")
        return ()

    async def follow(self, unit: str, lines: int) -> AsyncGenerator[str, None]:
        """Its log as it grows. Its hint that the journal is closed to us comes before anything else."""
        from .journal import follow

        try:
            async with aclosing(follow(self._programs.journalctl, self._unit_option(unit), lines)) as log:
                async for line in log:
                    yield line
        except Failed as failed:
            _refuse_if_closed(str(failed))
            raise

    def _unit_option(self, unit: str) -> str:
        return f"--user-unit={unit}" if self._user else f"--unit={unit}"

    async def _lines_of_process(self, unit: str) -> tuple[str, ...]:
        """What its last main process said. journald tells units of a user by the process's cgroup alone, and nothing of
        what is gone before it looks: the last words of a program that fails at once are under its pid only.
        """
        if not self._user:
            return ()
        names = ("ExecMainPID", "ExecMainStartTimestamp")
        ran = await self._run(_SHOW, "show", f"--property={','.join(names)}", "--", unit)
        shown = dict(line.split("=", 1) for line in ran.output.splitlines() if "=" in line)
        pid, since = (shown.get(name, "") for name in names)
        if ran.status != 0 or not pid.isdecimal() or pid == "0" or not since:
            return ()
        ran = await self._journal_of((f"--since={since}", f"_PID={pid}"), "--quiet")
        return clean(ran.output) if ran.status == 0 else ()

    async def _journal(self, unit: str, *quiet: str) -> Ran:
        return await self._journal_of((self._unit_option(unit),), *quiet)

    async def _journal_of(self, what: Sequence[str], *quiet: str) -> Ran:
        words = (*quiet, "--no-pager", f"--lines={LINES}", "--output=cat", *what)
        return await run((*self._programs.journalctl, *words), _SHOW)

    async def _run(self, timeout: float, *words: str) -> Ran:
        options = ("--no-ask-password", "--no-pager", *self._user)
        return await run((*self._programs.systemctl, *options, *words), timeout, environment=self._environment)


def _refuse_if_closed(said: str) -> None:
    if any(sign in said for sign in _CLOSED):
        user = own_user()
        raise Failed(
            f"user {user} may not read the journal; "
            f"next: usermod --append --groups systemd-journal {user}, then restart the agent"
        )


def _said(ran: Ran) -> str:
    return " ".join(clean(ran.output)[-3:])[:_SAID]
