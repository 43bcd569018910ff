"""What a connection tells its owner, as small frozen records. Imports no slixmpp."""

from dataclasses import dataclass
from typing import Literal, Protocol

Kind = Literal["chat", "groupchat", "normal"]


@dataclass(frozen=True, slots=True)
class Received:
    """A message. `sender` is the real bare address; None where the server did not tell it: then it is nobody's order.

    reply_to: full address to answer to (inside a room: the occupant's real one, or of the private chat).
    payload: text of our own child element, opaque here. text: what a person reads, quotes of a reply cut off.
    delayed: kept by a server on its way (XEP-0203). edited: corrects an earlier message (XEP-0308).
    private_in_room: came through a room to us alone, whatever type it claims.
    """

    sender: str | None
    reply_to: str
    text: str
    room: str | None = None
    nick: str | None = None
    payload: str | None = None
    id: str | None = None
    delayed: bool = False
    edited: bool = False
    kind: Kind = "chat"
    private_in_room: bool = False


@dataclass(frozen=True, slots=True)
class Bounced:
    """What we sent to `to` came back. `condition` is RFC 6120's word, for example `service-unavailable`."""

    to: str
    id: str | None
    condition: str


@dataclass(frozen=True, slots=True)
class Seen:
    """Presence of one resource of an account. `health` and `site` are the texts of our own children.

    refused: it does not let us see it (`unsubscribed`, RFC 6121, 3.2), whether or not it is there.
    at: when it was said, where the server kept it for us (XEP-0203, epoch seconds); None for what is said now.
    """

    jid: str
    resource: str
    available: bool
    show: str = ""
    status: str = ""
    health: str | None = None
    site: str | None = None
    at: float | None = None
    refused: bool = False


@dataclass(frozen=True, slots=True)
class RoomState:
    """Whether we are in a room, as whom, and whether its senders can be believed.

    safe: members-only and everybody's real address shown, as the server says now; not taken from our configuration.
    doubtful: its configuration changed this moment, and how it is now is being asked.
    """

    room: str
    joined: bool
    nick: str = ""
    reason: str = ""
    safe: bool = False
    doubtful: bool = False


@dataclass(frozen=True, slots=True)
class Online:
    """A session is up. `lost`: ids of messages of the last session that the server never acknowledged."""

    resumed: bool
    jid: str
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Offline:
    """No session; the next try is in `retry_in` seconds. `fault` is a word for programs, `reason` is for people."""

    reason: str
    retry_in: float
    fault: str = "lost"


class Listener(Protocol):
    """The owner of a connection. Called in the order of the stream; must not wait."""

    def received(self, message: Received) -> None: ...

    def bounced(self, bounce: Bounced) -> None: ...

    def seen(self, presence: Seen) -> None: ...

    def room(self, state: RoomState) -> None: ...

    def online(self, event: Online) -> None: ...

    def offline(self, event: Offline) -> None: ...

    def may_see(self, jid: str) -> bool:
        """Whether this bare address may have our presence and facts. Asked each time; nobody by default."""
        ...
