"""Somebody with an account and no manners: says any stanza over a session that is really logged in.

An ordinary account of a stranger, or the account of an agent that was stolen: the server takes both for what they are,
stamps their address on what they say, and carries it. What a false server could say is in tests/xmpp/test_trust.py.
"""

import asyncio
import contextlib
import logging
import re
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from xml.etree.ElementTree import Element, fromstring

from amon.xmpp import names
from amon.xmpp.address import split
from amon.xmpp.events import Received
from amon.xmpp.faults import Unreachable
from amon.xmpp.incoming import read_message
from amon.xmpp.login import Limits, Login
from amon.xmpp.markup import serialise
from amon.xmpp.room import Room
from amon.xmpp.route import connect
from amon.xmpp.stream import Stream
from amon.xmpp.tls import tls_context

_WITHIN = 15.0  # seconds for anything that must come
_NO_LIMITS = Limits(sent=64 * 1024 * 1024)
_CLIENT = " xmlns='jabber:client'"
_STANZA = re.compile(r"^<(message|presence|iq)\b")


class Attacker:
    """One logged-in session. `heard` is every stanza that came, in order."""

    def __init__(self, login: Login, ca_file: Path) -> None:
        self.jid = f"{login.jid}/{login.resource}"
        self.heard: list[Element] = []
        self.streams = 0  # more than one: the server threw it out
        self._login, self._context = login, tls_context(ca_file)
        self._new = asyncio.Event()
        self._stream: Stream | None = None

    # --- from the stream (see amon.xmpp.stream.Owner)

    def begun(self, resumed: bool, lost: tuple[str, ...]) -> None:
        pass

    def message(self, element: Element) -> None:
        self.heard.append(element)
        self._new.set()

    presence = iq = message

    # --- what it does

    async def log_in(self) -> None:
        self._stream = Stream(self._login, self, self._context, _NO_LIMITS, logging.getLogger("attacker"), keys={})
        stream = self._stream
        await connect(lambda: stream, self._login, self._context, _WITHIN)
        async with asyncio.timeout(_WITHIN):
            await stream.wait_begun()
        self.streams += 1
        self._post("<presence/>")

    async def log_out(self) -> None:
        if self._stream is not None:
            await self._stream.close(1.0)

    async def say(self, xml: str) -> None:
        """Sends one stanza, also one that no honest client would, and waits until the server is done with it."""
        try:
            self._post(xml)
            await self.barrier()
        except (Unreachable, ConnectionError):  # a server that throws out who talks so is right
            await self.log_in()

    def pour(self, xml: str) -> None:
        """Sends without waiting."""
        self._post(xml)

    async def barrier(self) -> None:
        """The server handles the stanzas of a session in order: when it answers, it has handled all before."""
        ident = secrets.token_hex(6)
        self._post(f"<iq type='get' id='{ident}'><ping xmlns='urn:xmpp:ping'/></iq>")
        assert self._stream is not None
        ended = asyncio.ensure_future(self._stream.ended.wait())
        answered = asyncio.ensure_future(self.wait(lambda stanza: stanza.get("id") == ident))
        try:
            await asyncio.wait({ended, answered}, return_when=asyncio.FIRST_COMPLETED)
            if not answered.done():
                raise ConnectionError("the server threw us out")
            await answered
        finally:
            for task in (ended, answered):
                task.cancel()
            await asyncio.wait({ended, answered})

    async def say_in_room(self, room: str, xml: str) -> None:
        """Says it, and waits until the room has told it to all, or refused."""
        ident = secrets.token_hex(6)
        self._post(xml.replace("<message ", f"<message id='{ident}' ", 1))
        await self.wait(lambda stanza: stanza.get("id") == ident and split(stanza.get("from", ""))[0] == room)

    async def ask(self, xml: str) -> Element:
        """A request (IQ) without id, and its answer."""
        ident = secrets.token_hex(6)
        self._post(xml.replace("<iq ", f"<iq id='{ident}' ", 1))
        return await self.wait(lambda stanza: stanza.get("id") == ident)

    async def answered(self, ident: str) -> Element:
        """What came back to a message of this id."""
        return await self.wait(lambda stanza: (stanza.get("id") or "").startswith(ident))

    async def join(self, room: str, nick: str) -> None:
        self._post(f"<presence to='{room}/{nick}'><x xmlns='http://jabber.org/protocol/muc'/></presence>")
        await self.wait(lambda stanza: stanza.tag == names.PRESENCE and stanza.get("from") == f"{room}/{nick}")

    async def leave(self, room: str, nick: str) -> None:
        """Out, and known to be."""
        here = f"{room}/{nick}"
        self._post(f"<presence to='{here}' type='unavailable'/>")
        await self.wait(lambda stanza: stanza.get("from") == here and stanza.get("type") == "unavailable")

    async def wait(self, wanted: Callable[[Element], bool]) -> Element:
        """The first such stanza, heard already or to come."""
        async with asyncio.timeout(_WITHIN):
            while (found := next((stanza for stanza in self.heard if wanted(stanza)), None)) is None:
                self._new.clear()
                await self._new.wait()
        return found

    def heard_from(self, agent: str) -> list[str]:
        """What the agent said to us: the texts and payloads, and other stanzas as they came."""
        said = []
        for stanza in self.heard:
            if split(stanza.get("from") or self._login.jid)[0] != agent:
                continue
            event = read_message(stanza, _NO_ROOMS, self._login.jid) if stanza.tag == names.MESSAGE else None
            said.append((event.payload or event.text) if isinstance(event, Received) else serialise(stanza))
        return said

    def _post(self, xml: str) -> None:
        assert self._stream is not None
        with contextlib.suppress(OSError):
            self._stream.post(fromstring(_STANZA.sub(rf"\g<0>{_CLIENT}", xml)))


_NO_ROOMS: dict[str, Room] = {}


@asynccontextmanager
async def attacking(login: Login, ca_file: Path) -> AsyncIterator[Attacker]:
    attacker = Attacker(login, ca_file)
    await attacker.log_in()
    try:
        yield attacker
    finally:
        await attacker.log_out()
