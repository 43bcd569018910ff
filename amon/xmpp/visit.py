"""A short visit to a server: does this login work, may it into its rooms? Then it leaves, and nobody has noticed.

No presence is sent but to the rooms, so contact lists do not see it, and no room is made that does not exist. For
checks of a configuration; an agent stays by `Connection`. Sources: RFC 6120, XEP-0045 (7.2, 15.6), XEP-0030.
"""

import asyncio
import logging
import secrets
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from xml.etree.ElementTree import Element

from amon.xmpp import outgoing
from amon.xmpp.address import bare, split
from amon.xmpp.faults import Fault, StanzaError, Unreachable
from amon.xmpp.login import Limits, Login, Times
from amon.xmpp.passwords import Passwords
from amon.xmpp.requests import Requests, info_query, read_features
from amon.xmpp.room import Room
from amon.xmpp.route import connect
from amon.xmpp.stream import Stream

_ROOM = {
    "registration-required": "is for members only: make {jid} a member of it (amon approve)",
    "forbidden": "has banned {jid}: take it off the room's list of outcasts",
    "item-not-found": "does not exist: make the room first, or check its address",
    "not-authorized": "asks for a password, which an agent has not: take it off the room",
    "service-unavailable": "is full, or its service does not answer: check its address and its limit of occupants",
    "not-allowed": "does not exist, and this account may not make it: make the room first",
    "remote-server-not-found": "lies on a server that cannot be found: check the part behind the @",
    "remote-server-timeout": "lies on a server that does not answer: check the part behind the @",
    "timeout": "does not answer: check the part behind the @",
}
VISIT_TIMES = Times(connect=10, login=15, ask=10, room_wait=10, goodbye=2)


class Visit:
    """A session that looks around. Made by `visiting`."""

    def __init__(self, login: Login, times: Times) -> None:
        self._account = bare(login.jid)
        self._times = times
        self._requests = Requests(self._account)
        self._rooms: dict[str, Room] = {}
        self._stirred = asyncio.Event()
        self._passwords = Passwords(login.password, login.spare)
        self.stream: Stream

    @property
    def password_works(self) -> int:
        """Which password opened the door: 0 is the login's, then its spare ones."""
        return self._passwords.works

    @property
    def certificate_ends(self) -> float | None:
        """When the server's certificate ends, epoch seconds; None where TLS does not tell."""
        return self.stream.certificate_ends()

    async def begin(self, login: Login, context: ssl.SSLContext, log: logging.Logger) -> None:
        """Logs in, with the first password that is not refused."""
        while True:
            login = replace(login, password=self._passwords.current)
            stream = self.stream = Stream(login, self, context, Limits(), log, keys={})
            try:
                return await self._come_up(stream, login, context)
            except BaseException as error:
                await stream.close(0)
                another = isinstance(error, Unreachable) and stream.password_refused and self._passwords.next()
                if not another:
                    raise

    async def _come_up(self, stream: Stream, login: Login, context: ssl.SSLContext) -> None:
        await connect(lambda: stream, login, context, self._times.connect)
        try:
            async with asyncio.timeout(self._times.login):
                await stream.wait_begun()
        except TimeoutError:
            text = f"the server did not finish the login in {self._times.login:g} s"
            raise Unreachable(Fault("login", text)) from None

    async def room_fault(self, address: str) -> str:
        """What keeps this account from being obeyed in a room; empty if nothing does."""
        room = Room(bare(address), f"{self._account.partition('@')[0]}-check-{secrets.token_hex(3)}")
        try:
            features = await self._features(room.address)
            await self._enter(room)
        except StanzaError as error:
            return _ROOM.get(error.condition, f"does not let {{jid}} in: {error}").replace("{jid}", self._account)
        finally:
            self._rooms.pop(room.address, None)
        room.learned(features)
        missing = [] if room.members_only else ["members-only"]
        missing += [] if room.shows_addresses else ["non-anonymous"]
        if missing:
            return f"is not {' and not '.join(missing)}: an agent obeys nobody there; change the room's configuration"
        return ""

    async def _features(self, address: str) -> set[str]:
        try:
            return read_features(
                await self._requests.ask(self.stream.post, address, "get", info_query(), self._times.ask)
            )
        except StanzaError as error:
            # Without server-to-server connections Prosody says the first of every address that is not its own, ejabberd
            # the second. Who is banned from a room may ask about it and is told at the door.
            elsewhere = error.condition in ("not-allowed", "forbidden")
            condition = "remote-server-not-found" if elsewhere else error.condition
            raise StanzaError(condition, str(error)) from None

    async def _enter(self, room: Room) -> None:
        """In and out again."""
        self._rooms[room.address] = room
        self.stream.post(room.join(room.wanted))
        try:
            async with asyncio.timeout(self._times.room_wait):
                while not room.joined and not room.condition:
                    self._stirred.clear()
                    await self._stirred.wait()
        except TimeoutError:
            raise StanzaError("timeout", "no answer came") from None
        if room.condition:
            raise StanzaError(room.condition, room.reason)
        self.stream.post(outgoing.directed("unavailable", f"{room.address}/{room.nick}"))

    # --- from the stream (see `stream.Owner`)

    def begun(self, resumed: bool, lost: tuple[str, ...]) -> None:
        """Nothing to do: who visits waits for the stream to begin."""

    def message(self, element: Element) -> None:
        """Nobody is here to read it."""

    def presence(self, element: Element) -> None:
        room = self._rooms.get(split(element.get("from") or self._account)[0])
        if room is not None and room.presence(element):
            self._stirred.set()

    def iq(self, element: Element) -> None:
        if element.get("type") in ("result", "error"):
            self._requests.answered(element)


@asynccontextmanager
async def visiting(
    login: Login, context: ssl.SSLContext, *, log: logging.Logger | None = None, times: Times = VISIT_TIMES
) -> AsyncIterator[Visit]:
    """Logs in under a name of its own, so that a running agent is not disturbed; `Unreachable` says why it cannot."""
    login = replace(login, jid=bare(login.jid), resource=f"check-{secrets.token_hex(4)}")
    visit = Visit(login, times)
    log = log or logging.getLogger("amon.xmpp.visit")
    await visit.begin(login, context, log)
    try:
        yield visit
    finally:
        await visit.stream.close(times.goodbye)
