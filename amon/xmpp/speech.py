"""What an account can say, to people and to machines. Every method tells whether it was sent: not without a session."""

import secrets
from abc import ABC, abstractmethod
from xml.etree.ElementTree import Element

from amon.xmpp import names, outgoing
from amon.xmpp.address import split
from amon.xmpp.faults import StanzaError
from amon.xmpp.inbox import Inbox

_PING_WITHIN = 25.0  # seconds


class Speech(ABC):
    """Needs only to post, and to know the rooms."""

    _inbox: Inbox

    @abstractmethod
    def post(self, element: Element) -> bool: ...

    @abstractmethod
    async def ask(self, to: str | None, kind: str, content: Element, within: float | None = None) -> Element: ...

    def send_payload(self, to: str, payload: str, *, id: str, body: str | None = None) -> bool:  # noqa: A002
        """The machine's message, to one address or into a room we are in; `body` is for people who look on."""
        address, nick = split(to)
        room = self._inbox.rooms.get(address)
        if room is None or nick:
            kind = "normal"
        elif room.joined:
            kind = "groupchat"
        else:
            return False
        return self.post(outgoing.payload_message(to, payload, id=id, body=body, kind=kind))

    def say(
        self,
        to: str,
        text: str,
        *,
        kind: str = "chat",
        in_reply_to: str | None = None,
        unstyled: bool = False,
        id: str = "",  # noqa: A002
        replaces: str = "",
    ) -> bool:
        """Text for a person; `in_reply_to` is the id of the message it answers, `unstyled` for raw log lines.

        replaces: id of our last message to this full address, which this one takes the place of (XEP-0308).
        """
        id = id or secrets.token_hex(8)  # noqa: A001
        made = outgoing.text_message(
            to, text, id=id, kind=kind, in_reply_to=in_reply_to, unstyled=unstyled, replaces=replaces
        )
        return self.post(outgoing.private(made) if split(to)[0] in self._inbox.rooms else made)

    def say_room(self, room: str, text: str, *, payload: str | None = None, id: str = "") -> bool:  # noqa: A002
        """Text into a room we are in, with the machine's part beside it if there is one."""
        known = self._inbox.rooms.get(split(room)[0])
        if known is None or not known.joined:
            return False
        id = id or secrets.token_hex(8)  # noqa: A001
        if payload is not None:
            return self.send_payload(room, payload, id=id, body=text)
        made = outgoing.text_message(room, text, id=id, kind="groupchat", in_reply_to=None, unstyled=False)
        return self.post(made)

    def composing(self, to: str, on: bool) -> bool:
        """Shows that we are at it, one to one (XEP-0085)."""
        return self.post(outgoing.chat_state(to, "composing" if on else "active"))

    async def ping(self, to: str) -> bool | None:
        """Whether the client at a full address is there (XEP-0199); None if it did not answer, or we are offline.

        A server answers with an error for a client that is gone (RFC 6121, 8.5.3.2.3).
        """
        try:
            await self.ask(to, "get", Element(names.PING), _PING_WITHIN)
        except StanzaError as error:
            # One that does not know pings is there.
            return None if error.condition in ("timeout", "offline") else error.condition == "feature-not-implemented"
        return True
