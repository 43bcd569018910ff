"""Stanzas to events: who says what, and what is dropped unread. Pure.

Dropped whole: forwarded messages, carbons, archive results and pubsub events (CVE-2017-5589 and its family: the outer
body of a forged one was processed by a stock handler), headlines, our own, room messages before we are in.
"""

from collections.abc import Mapping
from datetime import datetime
from xml.etree.ElementTree import Element

from amon.xmpp import names
from amon.xmpp.address import split
from amon.xmpp.events import Bounced, Kind, Received, Seen
from amon.xmpp.room import Room, error_condition

_WRAPPERS = ("{urn:xmpp:carbons:", "{urn:xmpp:forward:", "{urn:xmpp:mam:", "{http://jabber.org/protocol/pubsub#event")
_SHOWS = ("away", "chat", "dnd", "xa")


def read_message(element: Element, rooms: Mapping[str, Room], account: str) -> Received | Bounced | None:
    """What a message means to us; None for what is not ours to read. `Invalid` for a sender that is no address."""
    bare, resource = split(element.get("from") or account)
    kind = element.get("type", "normal")
    if kind == "error":
        return Bounced(element.get("from", ""), element.get("id"), error_condition(element))
    if bare == account or kind == "headline" or any(child.tag.startswith(_WRAPPERS) for child in element):
        return None
    text, payload = _text(element), element.findtext(names.AMON)
    if not text and payload is None:
        return None
    room = rooms.get(bare)
    if room is not None:
        return _from_room(element, room, resource, text, payload)
    if kind == "groupchat":
        return None
    reply_to = f"{bare}/{resource}" if resource else bare
    said: Kind = "chat" if kind == "chat" else "normal"
    return _received(element, bare, reply_to, text, payload, said)


def _from_room(element: Element, room: Room, nick: str, text: str, payload: str | None) -> Received | None:
    """By the real address that had this nick when it was said; nobody if the room hides it."""
    if not nick or not room.joined or nick == room.nick:
        return None
    occupant = room.occupants.get(nick)
    sender = occupant.jid if occupant else None
    private = element.get("type") != "groupchat"
    if private:
        reply_to = f"{room.address}/{nick}"
    else:
        reply_to = (occupant.full if occupant else None) or ""
    kind: Kind = "chat" if private else "groupchat"
    return _received(element, sender, reply_to, text, payload, kind, room.address, nick, private)


def _received(
    element: Element,
    sender: str | None,
    reply_to: str,
    text: str,
    payload: str | None,
    kind: Kind,
    room: str | None = None,
    nick: str | None = None,
    private: bool = False,
) -> Received:
    origin = element.find(names.ORIGIN_ID)
    return Received(
        sender=sender,
        reply_to=reply_to,
        text=text,
        room=room,
        nick=nick,
        payload=payload,
        id=element.get("id") or (origin.get("id") if origin is not None else None) or None,
        delayed=any(child.tag in (names.DELAY, names.OLD_DELAY) for child in element),
        edited=element.find(names.REPLACE) is not None,
        kind=kind,
        private_in_room=private,
    )


def _text(element: Element) -> str:
    """The body without what stands there only for clients that know less: XEP-0428."""
    text = element.findtext(names.BODY) or ""
    for mark in element:
        if mark.tag != names.FALLBACK or mark.get("for") == names.AMON_NS:
            continue
        part = mark.find(f"{names.FALLBACK.partition('}')[0]}}}body")
        start, end = (part.get("start", ""), part.get("end", "")) if part is not None else ("", "")
        if start.isdecimal() and end.isdecimal():
            text = text[: int(start[:9])] + text[int(end[:9]) :]
        elif len(mark) == 0 or part is not None:
            return ""
    return text


def read_presence(element: Element) -> Seen | None:
    """Presence of a person or an agent, not of a room; None for what is not presence."""
    kind = element.get("type")
    if kind not in (None, "unavailable", "unsubscribed"):
        return None
    bare, resource = split(element.get("from", ""))
    show = element.findtext(names.SHOW) or ""
    return Seen(
        jid=bare,
        resource=resource,
        available=kind is None,
        show=show if show in _SHOWS else "",
        status=element.findtext(names.STATUS) or "",
        health=element.findtext(names.HEALTH),
        site=element.findtext(names.SITE),
        at=_said_at(element.find(names.DELAY)),
        refused=kind == "unsubscribed",
    )


def _said_at(delay: Element | None) -> float | None:
    """The time of a stamp (XEP-0082); None where there is none, or none that is one."""
    if delay is None:
        return None
    try:
        said = datetime.fromisoformat(delay.get("stamp", ""))
        return said.timestamp() if said.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None
