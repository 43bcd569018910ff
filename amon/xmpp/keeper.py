"""Stays in one room while a session lasts: joins, looks now and then whether it is still in, comes back.

XEP-0045, XEP-0410; slixmpp's own self-ping leaves a pending task behind each interval and confuses two of its results.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random
from typing import Protocol
from xml.etree.ElementTree import Element

from amon.clock import Clock
from amon.tasks import wait_event
from amon.xmpp import names
from amon.xmpp.backoff import Backoff
from amon.xmpp.events import RoomState
from amon.xmpp.faults import StanzaError
from amon.xmpp.login import Times
from amon.xmpp.outgoing import directed
from amon.xmpp.requests import info_query, read_features
from amon.xmpp.room import Room, destroy_query

_NICKS = 9  # tries at another nick before it is a fault
_POSTS = 3  # of a presence that joins and is not answered, within `room_wait`
# XEP-0410, 3: these say that we are in the room, whatever else they say.
_STILL_IN = {"service-unavailable", "feature-not-implemented", "recipient-unavailable"}
_UNKNOWN = {"timeout", "remote-server-timeout", "remote-server-not-found", "offline"}


class Line(Protocol):
    """What a keeper needs of the connection."""

    def post(self, element: Element) -> bool: ...

    def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Awaitable[Element]: ...

    def dress(self, presence: Element) -> None:
        """Adds show and status to the presence that joins: a room does not know those we sent before (T16)."""
        ...


class Keeper:
    """The room's state and the task that keeps us in it. `stir()` after each stanza that changed the state."""

    def __init__(
        self, room: Room, line: Line, report: Callable[[RoomState], None], times: Times, clock: Clock, random: Random
    ) -> None:
        self.room, self._line, self._report, self._times, self._clock = room, line, report, times, clock
        self._backoff = Backoff(times.retry_first, times.retry_most, random)
        self._stirred = asyncio.Event()
        self._look_again = False
        self.may_create = False
        self.task: asyncio.Task[None] | None = None
        self._said: RoomState | None = None
        self._settled = asyncio.Event()
        self._called = asyncio.Event()
        self._doubts = 0

    def stir(self) -> None:
        self._stirred.set()

    def doubt(self) -> None:
        """The room may not be what it was: it is unsafe from this stanza on, until the server says what it is now."""
        self._look_again = True
        if self._said is not None and self._said.joined:
            self._tell()
        self.stir()

    def call(self) -> None:
        """We are invited: if we wait for the next try, that is now."""
        self._called.set()

    async def wait_state(self) -> RoomState:
        """The outcome of the try that is under way, or of the last one in this session."""
        await self._settled.wait()
        assert self._said is not None
        return self._said

    def begin(self) -> None:
        """What `wait_state` then waits for is still to come."""
        self._settled.clear()
        if not self.room.joined:
            self._said = None

    async def keep(self) -> None:
        """For the length of a session; what was joined in a resumed one is looked at first."""
        self.begin()
        if self.room.joined and not await self._still_in():
            self.room.forget("the room had forgotten us")
        while True:
            if not self.room.joined and not await self._join():
                self._tell()
                await self._rest()
                continue
            since = self._clock.monotonic()
            await self._learn()
            await self._stay()
            self._tell()
            if self._clock.monotonic() - since >= self._times.stable:
                self._backoff.reset()
            await self._rest()

    async def _rest(self) -> None:
        """Until the next try, or until somebody calls us in."""
        self._called.clear()
        await wait_event(self._called, self._clock, self._backoff.next())

    async def _join(self) -> bool:
        for number in range(1, _NICKS + 1):
            self._stirred.clear()
            presence = self.room.join(self.room.wanted if number == 1 else f"{self.room.wanted}-{number}")
            self._line.dress(presence)
            if not await self._answered(presence):
                self.room.forget("the room does not answer")
            if self.room.joined:
                return not self.room.made or self.may_create or await self._undo()
            if self.room.condition != "conflict":
                return False
        return False

    async def _undo(self) -> bool:
        """Our joining made a room that did not exist: with the server's settings it would be open to anybody."""
        try:
            await self._line.ask(self.room.address, "set", destroy_query())
        except StanzaError:
            self._line.post(directed("unavailable", f"{self.room.address}/{self.room.nick}"))
        self.room.forget("there is no such room; an administrator has to create it")
        return False

    async def _answered(self, presence: Element) -> bool:
        """Sends it, again if nothing comes back, and says whether the room answered.

        ejabberd (mod_muc, 23.01) knows a room's process until after its end and sends it what comes meanwhile: that is
        lost, and no error tells of it. To who is in already, a second join tells all again (XEP-0045, Business Rules,
        Presence) and changes nothing.
        """
        for _ in range(_POSTS):
            # Who is told of occupants has been heard; in a large room only the rest of it may take long.
            if not self.room.occupants and not self._line.post(presence):
                return False
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._times.room_wait / _POSTS):
                    await self._stirred.wait()
                return True
        return False

    async def _stay(self) -> None:
        """Returns when we are out."""
        while self.room.joined:
            self._stirred.clear()
            if self._look_again:
                await self._learn()
                continue
            try:
                async with asyncio.timeout(self._times.room_check):
                    await self._stirred.wait()
            except TimeoutError:
                if not await self._still_in():
                    self.room.forget("the room had forgotten us")

    async def _learn(self) -> None:
        """What the room is now, from the server; until it says so the room is not safe."""
        self._look_again = False
        try:
            features = read_features(await self._line.ask(self.room.address, "get", info_query()))
        except StanzaError:
            features = set()
        if self.room.joined and not self._look_again:  # else it changed again meanwhile, and this may be old
            self.room.learned(features)
            self._tell()

    async def _still_in(self) -> bool:
        """A ping to ourselves through the room."""
        try:
            await self._line.ask(
                f"{self.room.address}/{self.room.nick}", "get", Element(names.PING), self._times.ping_wait
            )
        except StanzaError as error:
            self._doubts = self._doubts + 1 if error.condition in _UNKNOWN else 0
            return error.condition in _STILL_IN or 0 < self._doubts < 2
        self._doubts = 0
        return True

    def _tell(self) -> None:
        """Tells what is new."""
        room = self.room
        reason = room.reason
        if room.joined:
            reason = f"the nick {room.wanted} is taken" if room.nick != room.wanted else ""
        doubtful = room.joined and self._look_again
        state = RoomState(room.address, room.joined, room.nick, reason, room.safe, doubtful)
        if state != self._said:
            self._said = state
            self._report(state)
        self._settled.set()
