"""A bare slixmpp client for tests of servers: logs in, sends, keeps what comes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal

import slixmpp

# XEP-0045, 7.2.2: status 110 marks the presence of our own occupant, the last of those sent at joining.
_OURSELVES = "{http://jabber.org/protocol/muc#user}x/{http://jabber.org/protocol/muc#user}status[@code='110']"


class LoginRefused(Exception):
    """The server did not take the password, or offered no way to give it."""


class JoinRefused(Exception):
    """The room did not let us in; says the condition."""


class Plain(slixmpp.ClientXMPP):
    """What it receives is in `messages`; `login` waits until it may send."""

    def __init__(self, jid: str, password: str, ca_file: Path) -> None:
        super().__init__(jid, password)
        self.messages: asyncio.Queue[Any] = asyncio.Queue()
        self._session: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ended = asyncio.Event()
        self.ca_certs = ca_file
        for plugin in ("xep_0004", "xep_0030", "xep_0045", "xep_0199"):
            self.register_plugin(plugin)
        self.add_event_handler("session_start", self._started)
        self.add_event_handler("failed_all_auth", self._refused)
        self.add_event_handler("message", self.messages.put_nowait)
        self.add_event_handler("message_error", self.messages.put_nowait)
        self.add_event_handler("ssl_invalid_chain", self._distrusted)
        self.add_event_handler("disconnected", lambda _: self._ended.set())

    async def login(self, host: str, port: int, *, direct: bool = False) -> None:
        self.enable_direct_tls, self.enable_starttls = direct, not direct
        self.connect(host, port)
        async with asyncio.timeout(20):
            await self._session
        self.send_presence()

    async def join(self, room: str, nick: str, *, history: int = 0) -> None:
        """Enters a room; slixmpp's own wait never ends on a refusal by Prosody, which comes without its `<x/>`."""
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def settle(presence: Any) -> None:
            if presence["from"].bare != room or answered.done():
                return
            if presence["type"] == "error":
                answered.set_exception(JoinRefused(presence["error"]["condition"]))
            elif presence.xml.find(_OURSELVES) is not None:
                answered.set_result(None)

        request = self.make_presence(pto=slixmpp.JID(f"{room}/{nick}"))
        request["muc_join"]["history"]["maxstanzas"] = str(history)
        with self.event_handler("presence_error", settle), self.event_handler("presence_available", settle):
            request.send()
            async with asyncio.timeout(20):
                await answered

    async def admit(self, room: str, *jids: str) -> None:
        """Makes them members, one request each: Prosody 0.12 heeds only the first item of a list."""
        for jid in jids:
            await self.plugin["xep_0045"].set_affiliation(slixmpp.JID(room), "member", jid=slixmpp.JID(jid))

    async def goodbye(self) -> None:
        if self.transport is not None:
            await self.disconnect()
            async with asyncio.timeout(20):
                await self._ended.wait()

    def say(self, to: str, text: str, kind: Literal["chat", "normal", "groupchat"] = "chat") -> None:
        self.send_message(slixmpp.JID(to), text, mtype=kind)

    async def next_message(self) -> Any:
        async with asyncio.timeout(20):
            return await self.messages.get()

    @property
    def mechanism(self) -> str:
        """The way the password was proven."""
        used = self.plugin["feature_mechanisms"].mech
        return str(used.name) if used else ""

    def _started(self, _: object) -> None:
        if not self._session.done():
            self._session.set_result(None)

    def _refused(self, _: object) -> None:
        if not self._session.done():
            self._session.set_exception(LoginRefused(str(self.boundjid)))

    def _distrusted(self, error: BaseException) -> None:
        if not self._session.done():
            self._session.set_exception(error)


@asynccontextmanager
async def logged_in(
    jid: str, password: str, host: str, port: int, ca_file: Path, *, direct: bool = False
) -> AsyncIterator[Plain]:
    client = Plain(jid, password, ca_file)
    try:
        await client.login(host, port, direct=direct)
        yield client
    finally:
        await client.goodbye()
