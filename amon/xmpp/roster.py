"""The account's contact list, and members of rooms: reading and writing. RFC 6121, 2; XEP-0045, 9 and 10."""

from collections.abc import Iterable
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from amon.errors import Invalid
from amon.xmpp import names
from amon.xmpp.address import bare
from amon.xmpp.markup import child

_ROSTER = f"{{{names.ROSTER}}}"
_ADMIN = f"{{{names.MUC_ADMIN}}}"


@dataclass(frozen=True, slots=True)
class Contact:
    """A contact; `sees_us` and `seen` are the two directions of its subscription.

    asked: we asked to see it, and nobody has said yes or no (RFC 6121, 2.1.2.2).
    """

    jid: str
    name: str
    subscription: str
    groups: tuple[str, ...]
    asked: bool = False

    @property
    def sees_us(self) -> bool:
        return self.subscription in ("from", "both")

    @property
    def seen(self) -> bool:
        return self.subscription in ("to", "both")


@dataclass(frozen=True, slots=True)
class Member:
    """Somebody with a standing in a room, there or not."""

    jid: str
    affiliation: str


def roster_query() -> Element:
    return Element(f"{_ROSTER}query")


def read_roster(iq: Element) -> list[Contact]:
    contacts = []
    for item in iq.iterfind(f"{_ROSTER}query/{_ROSTER}item"):
        groups = tuple(group.text or "" for group in item.iterfind(f"{_ROSTER}group"))
        try:
            jid = bare(item.get("jid", ""))
        except Invalid:
            continue  # somebody else wrote it there; it is nobody
        asked = item.get("ask") == "subscribe"
        contacts.append(Contact(jid, item.get("name", ""), item.get("subscription", "none"), groups, asked))
    return contacts


def roster_item(jid: str, name: str, groups: Iterable[str], remove: bool = False) -> Element:
    query = roster_query()
    item = child(query, f"{_ROSTER}item", jid=jid)
    if remove:
        item.set("subscription", "remove")
        return query
    item.set("name", name)
    for group in groups:
        child(item, f"{_ROSTER}group", group)
    return query


def roster_removal(jid: str) -> Element:
    query = roster_query()
    child(query, f"{_ROSTER}item", jid=jid, subscription="remove")
    return query


def affiliation_query(affiliation: str) -> Element:
    query = Element(f"{_ADMIN}query")
    child(query, f"{_ADMIN}item", affiliation=affiliation)
    return query


def affiliation_set(members: Iterable[Member]) -> Element:
    query = Element(f"{_ADMIN}query")
    for member in members:
        child(query, f"{_ADMIN}item", jid=member.jid, affiliation=member.affiliation)
    return query


def read_members(iq: Element) -> list[Member]:
    members = []
    for item in iq.iterfind(f"{_ADMIN}query/{_ADMIN}item"):
        try:
            members.append(Member(bare(item.get("jid", "")), item.get("affiliation", "")))
        except Invalid:
            continue
    return members
