"""A password that changes by itself: new one to disk, to the server, tried by a second login, and only then in place.

Killed at any point, the agent still logs in: whatever the server holds stands in one of the files (`passfiles.py`).
Sources: XEP-0077, 3.3; what a session logged in with tells `Connection.password_works`.
"""

import logging
import os
import secrets
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import replace
from random import Random
from typing import Protocol

from amon.clock import Clock
from amon.errors import Failed
from amon.files import write_whole
from amon.health import Health
from amon.units import age
from amon.xmpp.faults import StanzaError, Unreachable
from amon.xmpp.login import Login
from amon.xmpp.visit import visiting
from site_agent.passfiles import Keep

LOST = ("timeout", "offline")  # the server may have done what it was asked, or not
REFUSED = ("not-authorized", "credentials-expired")  # RFC 6120, 6.5
LOOK_EVERY = 2.0  # seconds: how soon after a login it is noticed what it was made with
RETRY = 3600.0  # seconds after a change that did not work
_LATE = 60.0  # seconds after which nothing that a server was asked is still to be done
_SPREAD = 0.1  # of the period: a fleet that was enrolled in one hour does not change its passwords in one


class Line(Protocol):
    """What a rotation needs of a connection."""

    @property
    def password_works(self) -> int: ...

    @property
    def online(self) -> bool: ...

    def statistics(self) -> "Counts": ...

    async def change_password(self, new: str) -> None: ...


class Counts(Protocol):
    """What is looked at of `Connection.statistics`."""

    @property
    def sessions(self) -> int: ...


Try = Callable[[str], Awaitable[bool]]
"""A second login with a password: whether the server takes it; `Failed` if it could not be asked."""


class Rotation:
    """The care for one account's password. `run` is its life.

    passwords: what the connection was given, in its order. told: how it goes, for the site's health; None is well.
    changed: the password in the file is another one now.
    """

    def __init__(
        self,
        keep: Keep,
        passwords: tuple[str, ...],
        line: Line,
        works: Try,
        *,
        told: Callable[[Health | None], None],
        changed: Callable[[str], None],
        clock: Clock,
        random: Random,
        log: logging.Logger | None = None,
    ) -> None:
        self._keep, self._files, self._line, self._works = keep, keep.files, line, works
        self._known = tuple(dict.fromkeys(passwords))
        self._told, self._changed, self._clock = told, changed, clock
        self._log = log or logging.getLogger("amon.rotate")
        self._share = 1 - _SPREAD * random.random()
        self._sessions = 0
        self._now = False  # it worked with something else than the password: change it at once
        self._not_before = 0.0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await self.step()
            await self._clock.sleep(LOOK_EVERY)

    async def step(self) -> None:
        """Look once, and do what is due; what goes wrong is told and tried again."""
        if not self._line.online:
            return
        try:
            self._settle()
            if self._clock.monotonic() >= self._not_before and self._due():
                await self._change()
                self._told(None)
        except (Failed, OSError) as fault:
            self._not_before = self._clock.monotonic() + RETRY
            self._log.warning("the password was not changed: %s; next try in %s", fault, age(RETRY))
            self._told(Health.fair(f"the password was not changed: {fault}", state="not changed"))

    def _settle(self) -> None:
        """A login has just told which of the passwords holds."""
        sessions = self._line.statistics().sessions
        if sessions == self._sessions:
            return
        self._sessions = sessions
        held = self._known[self._line.password_works]
        files = self._files
        following = files.held(files.next)
        if following and held == following:
            self._log.info("the password that was being changed holds")
            self._take(following)
        if held != files.held(files.path):
            self._log.warning("logged in with the password of the enrolment; it is changed now")
            self._now = True

    def _due(self) -> bool:
        if self._now:
            return True
        if self._keep.every is None:
            return False
        old = self._clock.time() - self._keep.path.stat().st_mtime
        # A file from the future was written when the clock was wrong: its age is not known.
        return old >= self._keep.every * self._share or old < -86_400

    async def _change(self) -> None:
        following = self._files.held(self._files.next)
        if following:  # of a change whose outcome is not known; it may be what the server holds
            if not self._is_late() or await self._is_taken(following):
                return
            self._files.drop_next()
        new = secrets.token_urlsafe(32)
        write_whole(self._files.next, f"{new}\n")
        try:
            await self._line.change_password(new)
        except StanzaError as error:
            if error.condition in LOST:
                self._known = (*self._known, new)  # as the connection keeps it
                await self._is_taken(new)
            else:
                self._files.drop_next()
            raise
        self._known = (new, *(one for one in self._known if one != new))
        if not await self._works(new):
            raise Failed("the server said that it took a new one, and refuses it; both are kept")
        self._take(new)

    def _is_late(self) -> bool:
        """A busy server may do what it was asked by a session that is dead long since, after it has refused a login."""
        old = self._clock.time() - self._files.next.stat().st_mtime
        return not 0 <= old < _LATE

    async def _is_taken(self, following: str) -> bool:
        """Whether the server took it: asked by logging in. If not, or if it cannot be asked now, both are kept."""
        if await self._works(following):
            self._take(following)
            return True
        return False

    def _take(self, new: str) -> None:
        self._files.promote()
        now = self._clock.time()
        os.utime(self._keep.path, (now, now))
        self._now = False
        self._changed(new)
        self._log.info("the password was changed")


async def logs_in(login: Login, password: str, context: ssl.SSLContext) -> bool:
    """Whether the server takes this password: a second, short session, which disturbs the first one not."""
    try:
        async with visiting(replace(login, password=password, spare=()), context):
            return True
    except Unreachable as error:
        if error.fault.word in REFUSED:
            return False
        raise Failed(error.fault.text) from None
