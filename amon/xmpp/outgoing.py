"""What we say, as stanzas. Pure. Sources: RFC 6121; XEP-0085, 0308, 0334, 0393, 0428, 0461; for rooms XEP-0045."""

from typing import Literal
from xml.etree.ElementTree import Element

from amon.xmpp import markup, names
from amon.xmpp.markup import child

Show = Literal["", "away", "chat", "dnd", "xa"]


def message(to: str, kind: str, id: str = "") -> Element:  # noqa: A002
    made = Element(names.MESSAGE, {"to": to, "type": kind})
    if id:
        made.set("id", id)
    return made


def payload_message(to: str, payload: str, *, id: str, body: str | None, kind: str) -> Element:  # noqa: A002
    """The machine's part, and for people who look on a body that is marked as its fallback."""
    made = message(to, kind, id)
    if body:
        child(made, names.BODY, body)
        child(child(made, names.FALLBACK, **{"for": names.AMON_NS}), names.FALLBACK.replace("}fallback", "}body"))
    child(made, names.AMON, payload)
    if kind != "groupchat":  # a room's archive is the fleet's audit trail
        child(made, names.NO_STORE)
        if body:  # a message without body is copied to no other client (XEP-0280, 6.1)
            child(made, names.NO_COPY)
    return made


def text_message(
    to: str,
    text: str,
    *,
    id: str,  # noqa: A002
    kind: str,
    in_reply_to: str | None,
    unstyled: bool,
    replaces: str = "",
) -> Element:
    made = message(to, kind, id)
    child(made, names.BODY, text)
    if in_reply_to:
        child(made, names.REPLY, to=to, id=in_reply_to)
    if replaces:
        child(made, names.REPLACE, id=replaces)
    if unstyled:
        child(made, names.UNSTYLED)
    if kind == "chat":
        child(made, f"{{{names.CHATSTATES}}}active")  # ends "is typing"
    return made


def private(made: Element) -> Element:
    """Marks a message to somebody through a room: XEP-0045, 7.5."""
    child(made, f"{{{names.MUC_USER}}}x")
    return made


def invitation(room: str, jid: str) -> Element:
    made = Element(names.MESSAGE, {"to": room})
    child(child(made, f"{{{names.MUC_USER}}}x"), f"{{{names.MUC_USER}}}invite", to=jid)
    return made


def chat_state(to: str, state: str) -> Element:
    made = message(to, "chat")
    child(made, f"{{{names.CHATSTATES}}}{state}")
    child(made, names.NO_STORE)
    return made


def presence(show: str, status: str, health: str | None, site: str | None, to: str | None = None) -> Element:
    """Health as presence; the structured part goes to the server only, rooms do not carry it."""
    made = Element(names.PRESENCE, {"to": to} if to else {})
    if show:
        child(made, names.SHOW, show)
    if status:
        child(made, names.STATUS, markup.legal(status))
    if health is not None and to is None:
        child(made, names.HEALTH, health)
    if site is not None and to is None:
        child(made, names.SITE, site)
    return made


def unread(to: str, why: str, id: str = "") -> Element:  # noqa: A002
    """The error for a message that was not read, which clients show beside it: RFC 6120, 8.3."""
    made = message(to, "error", id)
    error = child(made, names.ERROR, type="modify")
    child(error, f"{{{names.STANZAS}}}policy-violation")
    child(error, f"{{{names.STANZAS}}}text", f"this message was not read and nothing was done: it {why}")
    return made


def directed(kind: str, to: str | None = None) -> Element:
    """A presence that says only its type."""
    return Element(names.PRESENCE, {"type": kind, **({"to": to} if to else {})})
