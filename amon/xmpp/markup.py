"""Elements to text: written without prefixes, escaped fast, free of what XML 1.0 forbids; and masked for the trace.

slixmpp's own `tostring` escapes character by character in Python: 70 % of the time at 10 KB.
"""

import re
from functools import lru_cache
from xml.etree.ElementTree import Element, SubElement

from amon.xmpp import names

# XML 1.0, 2.2: one such character, sent, and the server closes the stream.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_UNPLAIN = re.compile("[^\x20!#-%'-;=?-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
# A bare carriage return would be read back as a line feed (XML 1.0, 2.11).
_ENTITIES = (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ("\r", "&#13;"))
_CONTROLS = bytes(set(range(32)) - {9, 10, 13})
_PREFIXES = {names.XML: "xml", names.STREAM: "stream"}
_SECRET_TAGS = {"password", "auth", "response", "challenge", "success"}
# Words of the protocol and of presence, which the servers and all who see us have anyway.
_HARMLESS = {
    "group", "health", "jid", "mechanism", "priority", "reason", "resource", "show", "site", "status", "text", "tzo",
    "utc", "value",
}  # fmt: skip
_SECRET_FIELD = re.compile("(?i)pass|secret|token|uri|key")
_FIRST = re.compile(r"\s*([!.,;#$%&+~^]?[A-Za-z-]{1,16}[:,]?)\s+\S")
_KIND = re.compile(r'"type\\?":\\?"([a-z-]{1,16})\\?"')
_SECRET_ATTRIBUTES = {"token", "previd", "sessionid"}
_COMMAND = f"{{{names.COMMANDS}}}command"  # what is typed into a form, and what a form says of it


def legal(text: str) -> str:
    """`text` with every character that XML cannot carry replaced by U+FFFD."""
    return _FORBIDDEN.sub("\ufffd", text)


def _is_legal(text: str) -> bool:
    if text.isascii():  # twice as fast as the expression
        return len(text.encode().translate(None, _CONTROLS)) == len(text)
    return _FORBIDDEN.search(text) is None


def escape(text: str) -> str:
    if not _is_legal(text):
        text = legal(text)
    for sign, entity in _ENTITIES:
        if sign in text:  # `replace` counts first, which takes thirty times as long as to look
            text = text.replace(sign, entity)
    return text


def _escape_attribute(text: str) -> str:
    if _UNPLAIN.search(text) is None:
        return text
    return escape(text).replace('"', "&quot;").replace("\n", "&#10;").replace("\t", "&#9;")


@lru_cache(maxsize=512)
def _split(name: str) -> tuple[str, str]:
    if name[0] != "{":
        return "", name
    namespace, _, local = name[1:].partition("}")
    return namespace, local


def serialise(element: Element, inside: str = names.CLIENT) -> str:
    """The element as it stands in a stream whose default namespace is `inside`."""
    parts: list[str] = []
    _write(element, inside, parts)
    return "".join(parts)


def _write(element: Element, inside: str, parts: list[str]) -> None:
    namespace, local = _split(element.tag)
    parts.append(f"<{local}")
    if namespace != inside:
        parts.append(f' xmlns="{_escape_attribute(namespace)}"')
    for place, (key, value) in enumerate(element.attrib.items()):
        space, name = _split(key)
        prefix = _PREFIXES.get(space)
        if space and prefix is None:  # a stranger's; what is traced must be writable, whatever it is
            prefix = f"a{place}"
            parts.append(f' xmlns:{prefix}="{_escape_attribute(space)}"')
        parts.append(f' {prefix}:{name}="' if space else f' {name}="')
        parts.append(_escape_attribute(value))
        parts.append('"')
    if not element.text and not len(element):
        parts.append("/>")
        return
    parts.append(">")
    if element.text:
        parts.append(escape(element.text))
    for child in element:
        _write(child, namespace, parts)
        if child.tail:
            parts.append(escape(child.tail))
    parts.append(f"</{local}>")


def masked(element: Element) -> str:
    """The element for the trace: what proves who we are is left out, and so is what people and programs write.

    A typed line or a payload may have a secret in it, and here nobody has read yet where. So a body is its length, and
    its first word where that looks like a command with something behind it; a payload is its kind and its length. Of
    all other texts those are shown that are known to be harmless.
    """
    return serialise(_mask(element), "")


def _mask(element: Element, hidden: bool = False) -> Element:
    copy = Element(element.tag, {k: "***" if k in _SECRET_ATTRIBUTES else v for k, v in element.attrib.items()})
    name = _split(element.tag)[1]
    hidden = hidden or element.tag == _COMMAND
    secret = name in _SECRET_TAGS or hidden
    copy.text = _told(element.tag, element.text, secret) if element.text else element.text
    if name not in _SECRET_TAGS:
        # XEP-0133: a password in a form stands in a field that is called so; a form sent in may have others.
        hidden = hidden or (name == "field" and _SECRET_FIELD.search(element.get("var", "")) is not None)
        hidden = hidden or (name == "x" and element.get("type") == "submit")
        copy.extend([_mask(child, hidden) for child in element])
    return copy


def _told(tag: str, text: str, secret: bool) -> str:
    if secret:
        return "***"
    if tag == names.AMON:
        kind = _KIND.search(text)
        return f"{kind[1] if kind else 'payload'} ({len(text)} characters)"
    if _split(tag)[1] in _HARMLESS or text.isspace():
        return text
    first = _FIRST.match(text) if tag == names.BODY else None
    return f"{first[1] if first else ''} ({len(text)} characters)".lstrip()


def child(parent: Element, tag: str, text: str | None = None, **attributes: str) -> Element:
    """A new child of `parent`."""
    made = SubElement(parent, tag, attributes)
    made.text = text
    return made


def without_namespace(tag: str) -> str:
    return tag.rpartition("}")[2]
