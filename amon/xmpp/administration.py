"""What an account asks its server about: contacts, rooms and their members, facts of agents.

Sources: RFC 6121, 2 and 3; XEP-0045, 9 and 10; XEP-0030, XEP-0128. Works on Prosody 0.12 and ejabberd 23.
"""

from abc import abstractmethod
from collections.abc import Iterable
from xml.etree.ElementTree import Element

from amon.errors import Failed
from amon.xmpp import names, outgoing, roster
from amon.xmpp.accounts import Accounts
from amon.xmpp.address import bare
from amon.xmpp.events import RoomState
from amon.xmpp.faults import StanzaError
from amon.xmpp.forms import read_form, submit_form
from amon.xmpp.requests import info_query, read_facts, read_features
from amon.xmpp.room import destroy_query
from amon.xmpp.roster import Contact, Member

_OWNER = f"{{{names.MUC_OWNER}}}"
_CONFIG = "muc#roomconfig_"
_FORM_TYPE = "http://jabber.org/protocol/muc#roomconfig"
_LOST_AFTER = 10.0  # seconds

# What the design wants of a room. A server shows the settings it knows; only those are set.
_WANTED: dict[str, tuple[str, ...]] = {
    f"{_CONFIG}persistentroom": ("1",),
    f"{_CONFIG}membersonly": ("1",),
    f"{_CONFIG}whois": ("anyone",),
    f"{_CONFIG}publicroom": ("0",),
    f"{_CONFIG}moderatedroom": ("0",),
    f"{_CONFIG}presencebroadcast": ("moderator",),
    f"{_CONFIG}historylength": ("0",),
    "muc#maxhistoryfetch": ("0",),
    f"{_CONFIG}changesubject": ("0",),
    f"{_CONFIG}allowinvites": ("0",),
    "{http://prosody.im/protocol/muc}roomconfig_allowmemberinvites": ("0",),
}
# Without these it is no room for orders, or joining costs N².
_ESSENTIAL = {
    "muc_membersonly": "members-only",
    "muc_nonanonymous": "showing real addresses",
    "muc_persistent": "persistent",
}


class Administration(Accounts):
    """Needs only to ask, to send and to be in a room."""

    @abstractmethod
    def post(self, element: Element) -> bool: ...

    @abstractmethod
    async def enter(self, room: str, *, create: bool = False) -> RoomState: ...

    # --- rooms

    async def create_room(
        self, room: str, *, members: Iterable[str] = (), admins: Iterable[str] = (), title: str = ""
    ) -> None:
        """Makes the room, or brings one of ours to what is wanted; we stay in it. `Failed` says what is wrong."""
        state = await self.enter(room, create=True)
        if not state.joined:
            raise Failed(f"the room {room} could not be entered: {state.reason}")
        await self._configure(room, title)
        standings = [Member(bare(jid), "member") for jid in members] + [Member(bare(jid), "admin") for jid in admins]
        # Nobody takes the owner's standing from himself.
        standings = [member for member in standings if member.jid != self.account]
        if standings:
            await self.set_members(room, standings)
        await self._verify(room)

    async def _configure(self, room: str, title: str) -> None:
        known = await self._settings(room)
        wanted = {**_WANTED, **({f"{_CONFIG}roomname": (title,)} if title else {})}
        values = {name: value for name, value in wanted.items() if name in known}
        query = Element(f"{_OWNER}query")
        query.append(submit_form(_FORM_TYPE, values))
        await self.ask(room, "set", query)

    async def _settings(self, room: str) -> dict[str, tuple[str, ...]]:
        try:
            answer = await self.ask(room, "get", Element(f"{_OWNER}query"))
        except StanzaError as error:
            if error.condition in ("forbidden", "not-allowed"):
                raise Failed(f"only an owner of {room} may configure it, and {self.account} is none") from None
            raise
        form = answer.find(f"{_OWNER}query/{{{names.FORM}}}x")
        return read_form(form) if form is not None else {}

    async def _verify(self, room: str) -> None:
        features = read_features(await self.ask(room, "get", info_query()))
        missing = [text for feature, text in _ESSENTIAL.items() if feature not in features]
        settings = await self._settings(room)
        if set(settings.get(f"{_CONFIG}presencebroadcast", ("moderator",))) != {"moderator"}:
            missing.append("limiting presence to moderators")
        if settings.get(f"{_CONFIG}historylength", ("0",)) != ("0",):
            missing.append("without history")
        if missing:
            raise Failed(f"the server did not make {room} {', '.join(missing)}: look at its room settings")

    async def destroy_room(self, room: str) -> None:
        """Removes a room we own."""
        await self.ask(room, "set", destroy_query())

    async def members(self, room: str, affiliations: Iterable[str] = ("member",)) -> list[Member]:
        """Who has such a standing in a room, there or not; a server tells it a room admin."""
        found: list[Member] = []
        for affiliation in affiliations:
            found += roster.read_members(await self._asked_twice(room, roster.affiliation_query(affiliation)))
        return found

    async def _asked_twice(self, room: str, question: Element) -> Element:
        """Of a question that reaches a room while it ends, ejabberd never says anything; a second one has an answer."""
        try:
            return await self.ask(room, "get", question, _LOST_AFTER)
        except StanzaError as error:
            if error.condition != "timeout":
                raise
            return await self.ask(room, "get", question)

    async def set_members(self, room: str, members: Iterable[Member]) -> None:
        """Gives standings in a room; affiliation `none` takes one away."""
        # One request each: Prosody 0.12 reads only the first item of a list and confirms the whole.
        for member in members:
            await self.ask(room, "set", roster.affiliation_set([member]))

    def invite(self, room: str, jid: str) -> bool:
        """Lets the room call somebody in (XEP-0045, 7.8.2): an agent that waits for this room comes at once."""
        return self.post(outgoing.invitation(bare(room), bare(jid)))

    # --- contacts and facts

    async def roster(self) -> list[Contact]:
        """The account's contacts."""
        return roster.read_roster(await self.ask(None, "get", roster.roster_query()))

    async def subscribe(self, jid: str, name: str = "", groups: Iterable[str] = ()) -> None:
        """Takes an account into the contacts and asks for its presence."""
        await self.ask(None, "set", roster.roster_item(bare(jid), name, groups))
        self.post(outgoing.directed("subscribe", bare(jid)))

    async def unsubscribe(self, jid: str) -> None:
        """Takes an account out of the contacts, and with it both subscriptions (RFC 6121, 2.5)."""
        await self.ask(None, "set", roster.roster_removal(bare(jid)))

    async def facts(self, jid: str) -> dict[str, tuple[str, ...]]:
        """What an agent tells about its site; empty if it is none. `Failed` if it does not let us know."""
        return read_facts(await self.ask(jid, "get", info_query()))
