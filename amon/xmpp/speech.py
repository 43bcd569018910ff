"""What an account can say, to people and to machines. Every method tells whether it was sent: not without a session."""

import secrets
from abc import ABC, abstractmethod
from xml.etree.ElementTree import Element

from amon.xmpp import outgoing
from amon.xmpp.address import split
from amon.xmpp.inbox import Inbox


class Speech(ABC):
    """Needs only to post, and to know the rooms."""

    _inbox: Inbox

    @abstractmethod
    def post(self, element: Element) -> bool: ...

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
    ) -> bool:
        """Text for a person; `in_reply_to` is the id of the message it answers, `unstyled` for raw log lines."""
        made = outgoing.text_message(
            to, text, id=id or secrets.token_hex(8), kind=kind, in_reply_to=in_reply_to, unstyled=unstyled
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
