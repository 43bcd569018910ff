"""What one room told us: who is in it under which real address, and whether that can be believed. Sans-IO. XEP-0045.

Kept in the order of the stream, so that a message's sender is who had the nick when it was said.
"""

from dataclasses import dataclass
from xml.etree.ElementTree import Element

from amon.errors import Invalid
from amon.xmpp import faults, markup, names
from amon.xmpp.address import split

_USER = f"{{{names.MUC_USER}}}"
_OURSELVES = "110"
_SHOWS_ADDRESSES = "100"
_MADE = "201"
_RENAMED = "303"
_SETTINGS = {"102", "103", "104", "172", "173", "174"}  # XEP-0045, 15.6: the room may not be what it was
_LEFT = {
    "301": "we were banned from the room",
    "307": "we were kicked out of the room",
    "321": "we are no member of the room any more",
    "322": "the room was made members-only and we are no member",
    "332": "the room service is shutting down",
    "333": "the room service lost us",
}


@dataclass(frozen=True, slots=True)
class Occupant:
    """Somebody in a room. `jid` (bare) and `full` are the real address, None where the room hides it."""

    nick: str
    jid: str | None
    full: str | None
    role: str
    affiliation: str


class Room:
    """State of one room as the stanzas tell it. `outcome` is how the last try to join ended."""

    def __init__(self, address: str, nick: str) -> None:
        self.address, self.wanted = address, nick
        self.nick = nick
        self.joined = False
        self.shows_addresses = False
        self.members_only = False
        self.occupants: dict[str, Occupant] = {}
        self.made = False  # by our joining: it did not exist
        self.reason = ""
        self.condition = ""

    @property
    def safe(self) -> bool:
        return self.joined and self.shows_addresses and self.members_only

    def join(self, nick: str) -> Element:
        """The presence that asks to be let in, without history: what was said before us is not for us."""
        self.forget("")
        self.nick = nick
        presence = Element(names.PRESENCE, {"to": f"{self.address}/{nick}"})
        entry = markup.child(presence, f"{{{names.MUC}}}x")
        markup.child(entry, f"{{{names.MUC}}}history", maxstanzas="0", maxchars="0")
        return presence

    def forget(self, reason: str) -> None:
        """We are not in it (any more)."""
        self.joined = self.shows_addresses = self.members_only = self.made = False
        self.occupants.clear()
        self.reason, self.condition = reason, ""

    def presence(self, element: Element) -> bool:
        """Takes a presence from the room; True if our own being there changed."""
        nick = split(element.get("from", ""))[1]
        kind = element.get("type")
        if kind == "error":
            return self._refused(element)
        user = element.find(f"{_USER}x")
        if user is None or not nick:
            return False
        codes = {status.get("code", "") for status in user.iterfind(f"{_USER}status")}
        if kind == "unavailable":
            return self._gone(nick, user, codes)
        if kind is not None:
            return False
        self.occupants[nick] = _occupant(nick, user)
        if _OURSELVES not in codes:
            return False
        self.nick = nick
        self.made = self.made or _MADE in codes
        self.shows_addresses = self.shows_addresses or _SHOWS_ADDRESSES in codes
        was, self.joined = self.joined, True
        return not was

    def settings_changed(self, element: Element) -> bool:
        """A message of the room itself; True if the room must be looked at again."""
        codes = {status.get("code", "") for status in element.iterfind(f"{_USER}x/{_USER}status")}
        if not codes & _SETTINGS:
            return False
        self.shows_addresses = self.members_only = False
        return True

    def learned(self, features: set[str]) -> None:
        """Service discovery of the room has the last word on what it is now."""
        self.members_only = "muc_membersonly" in features
        self.shows_addresses = "muc_nonanonymous" in features

    def _refused(self, element: Element) -> bool:
        if self.joined:
            return False
        self.condition = error_condition(element)
        self.reason = faults.words(self.condition)
        return True

    def _gone(self, nick: str, user: Element, codes: set[str]) -> bool:
        occupant = self.occupants.pop(nick, None)
        ours = _OURSELVES in codes or nick == self.nick
        item = user.find(f"{_USER}item")
        if _RENAMED in codes and item is not None and item.get("nick"):
            new = split(f"{self.address}/{item.get('nick')}")[1]
            if occupant is not None:
                self.occupants[new] = Occupant(new, occupant.jid, occupant.full, occupant.role, occupant.affiliation)
            if ours:
                self.nick = new
            return False
        if not ours or not self.joined:
            return False
        gone = user.find(f"{_USER}destroy") is not None
        known = [_LEFT[code] for code in sorted(codes) if code in _LEFT]
        self.forget("the room was destroyed" if gone else known[0] if known else "the room says we left")
        return True


def _occupant(nick: str, user: Element) -> Occupant:
    item = user.find(f"{_USER}item")
    if item is None:
        return Occupant(nick, None, None, "", "")
    bare = full = None
    try:
        if item.get("jid"):
            bare, resource = split(item.get("jid", ""))
            full = f"{bare}/{resource}" if resource else bare
    except Invalid:
        pass  # an address that is none: nobody
    return Occupant(nick, bare, full, item.get("role", ""), item.get("affiliation", ""))


def error_condition(stanza: Element) -> str:
    """RFC 6120's word in a stanza of type error."""
    error = stanza.find(names.ERROR)
    for part in error if error is not None else ():
        if part.tag.startswith(f"{{{names.STANZAS}}}") and not part.tag.endswith("}text"):
            return markup.without_namespace(part.tag)
    return "undefined-condition"


def is_invitation(message: Element) -> bool:
    """XEP-0045, 7.8.2: from the room, with `invite` and who it is from."""
    return message.find(f"{_USER}x/{_USER}invite") is not None


def destroy_query() -> Element:
    query = Element(f"{{{names.MUC_OWNER}}}query")
    markup.child(query, f"{{{names.MUC_OWNER}}}destroy")
    return query
