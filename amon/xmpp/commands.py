"""Ad-hoc commands on the wire: what comes as small records, what is shown as elements. Our own, not slixmpp's.

slixmpp does not compare who goes on with who began (tried with 1.17: a second account finished the first one's
command), keeps sessions for ever, and lists every command to everybody. Here is only the outside of it; sessions and
rights are in amon.runtime.forms. Sources: XEP-0050, XEP-0030, XEP-0004, XEP-0122.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, cast
from xml.etree.ElementTree import Element

from amon.xmpp import names
from amon.xmpp.markup import child

_ITEMS, _INFO = f"{{{names.DISCO_ITEMS}}}", f"{{{names.DISCO_INFO}}}"
_COMMANDS, _FORM = f"{{{names.COMMANDS}}}", f"{{{names.FORM}}}"
_VALIDATE = "{http://jabber.org/protocol/xdata-validate}"
_MOST_FIELDS, _MOST_VALUES, _MOST_TEXT = 100, 100, 65_536  # of one form that comes in; the last in characters
_LONGEST_NAME = 255  # of a node, a session's id, a field

Action = Literal["execute", "next", "prev", "complete", "cancel"]
ACTIONS: Final = ("execute", "next", "prev", "complete", "cancel")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request about commands. sender: the real bare address; full: where the answer goes, and whose session it is.

    kind: `list` which there are, `about` one of them, or `do` a step of one. values: of the form that came with it;
    None if none did. fault: why it cannot be read, in words; then the rest is not to be trusted.
    """

    kind: Literal["list", "about", "do"]
    sender: str
    full: str
    id: str
    node: str = ""
    action: Action = "execute"
    session: str = ""
    values: Mapping[str, tuple[str, ...]] | None = field(default=None, repr=False)  # there may be secrets in it
    fault: str = ""


@dataclass(frozen=True, slots=True)
class Nodes:
    """The commands there are: node and name of each."""

    items: tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class About:
    """One of them. is_list: the node that lists the others."""

    name: str
    is_list: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """One field of a form. options: value and label. number: what XEP-0122 calls it, with least and most."""

    var: str
    kind: Literal["text-single", "text-private", "boolean", "list-single", "fixed", "hidden"] = "text-single"
    label: str = ""
    value: str = ""
    options: tuple[tuple[str, str], ...] = ()
    required: bool = False
    number: tuple[Literal["xs:integer", "xs:decimal"], float | None, float | None] | None = None


@dataclass(frozen=True, slots=True)
class Stage:
    """What a person sees next. actions: what he may do besides cancelling; the first is what happens on Enter.

    note: its kind and its one line. Clients show the first note only, so there is never a second.
    """

    node: str
    session: str
    status: Literal["executing", "completed", "canceled"]
    note: tuple[Literal["info", "warn", "error"], str] | None = None
    title: str = ""
    text: str = ""
    entries: tuple[Entry, ...] = ()
    actions: tuple[Action, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """No stage but an error. condition: RFC 6120's word; special: XEP-0050's."""

    condition: str
    text: str = ""
    kind: Literal["cancel", "modify", "auth", "wait"] = "cancel"
    special: str = ""


Reply = Nodes | About | Stage | Fault


def is_about_commands(iq: Element) -> bool:
    """Whether a `get` or `set` is one of those that `read` reads."""
    content = iq[0] if len(iq) else None
    if content is None:
        return False
    if content.tag == f"{_COMMANDS}command":
        return iq.get("type") == "set"
    node = content.get("node")
    if iq.get("type") != "get" or not node:
        return False
    return content.tag == f"{_INFO}query" or (content.tag == f"{_ITEMS}query" and node == names.COMMANDS)


def read(iq: Element, sender: str, full: str) -> Asked:
    """A request that `is_about_commands`. What is too large or odd comes with its `fault`."""
    content, ident = iq[0], iq.get("id", "")
    node, session = content.get("node", ""), content.get("sessionid", "")
    if max(len(node), len(session)) > _LONGEST_NAME:
        return Asked("do", sender, full, ident, fault=f"a name in it is longer than {_LONGEST_NAME} characters")
    if content.tag == f"{_ITEMS}query":
        return Asked("list", sender, full, ident, node)
    if content.tag == f"{_INFO}query":
        return Asked("about", sender, full, ident, node)
    action = content.get("action", "execute")
    if action not in ACTIONS:
        return Asked("do", sender, full, ident, node, fault="there is no such action")
    form = content.find(f"{_FORM}x")
    values, fault = _values(form) if form is not None and form.get("type") == "submit" else (None, "")
    return Asked("do", sender, full, ident, node, cast(Action, action), session, values, fault)


def _values(form: Element) -> tuple[dict[str, tuple[str, ...]], str]:
    """The fields by name, and why they are not taken. The last one of a name counts."""
    values: dict[str, tuple[str, ...]] = {}
    size = 0
    for count, one in enumerate(form.iterfind(f"{_FORM}field")):
        given = tuple(value.text or "" for value in one.iterfind(f"{_FORM}value"))
        size += sum(map(len, given)) + len(one.get("var", ""))
        if count >= _MOST_FIELDS:
            return {}, f"this form has more than {_MOST_FIELDS} fields"
        if len(given) > _MOST_VALUES:
            return {}, f"a field of this form has more than {_MOST_VALUES} values"
        if size > _MOST_TEXT:
            return {}, f"this form holds more than {_MOST_TEXT // 1024} KiB"
        if one.get("var"):
            values[one.get("var", "")] = given
    return values, ""


def answer(asked: Asked, reply: Reply, jid: str) -> Element:
    """The stanza that answers. jid: our full address, which every item of a list is at."""
    iq = Element(
        names.IQ, {"type": "error" if isinstance(reply, Fault) else "result", "id": asked.id, "to": asked.full}
    )
    if isinstance(reply, Fault):
        _fault(iq, reply)
    elif isinstance(reply, Nodes):
        query = child(iq, f"{_ITEMS}query", node=asked.node)
        for node, name in reply.items:
            child(query, f"{_ITEMS}item", jid=jid, node=node, name=name)
    elif isinstance(reply, About):
        _about(iq, asked.node, reply)
    else:
        _stage(iq, reply)
    return iq


def _fault(iq: Element, fault: Fault) -> None:
    error = child(iq, names.ERROR, type=fault.kind)
    child(error, f"{{{names.STANZAS}}}{fault.condition}")
    if fault.text:
        child(error, f"{{{names.STANZAS}}}text", fault.text)
    if fault.special:
        child(error, f"{_COMMANDS}{fault.special}")


def _about(iq: Element, node: str, about: About) -> None:
    query = child(iq, f"{_INFO}query", node=node)
    kind = "command-list" if about.is_list else "command-node"
    child(query, f"{_INFO}identity", category="automation", type=kind, name=about.name)
    for feature in (names.COMMANDS, names.FORM):
        child(query, f"{_INFO}feature", var=feature)


def _stage(iq: Element, stage: Stage) -> None:
    made = child(iq, f"{_COMMANDS}command", node=stage.node, sessionid=stage.session, status=stage.status)
    if stage.status == "executing" and stage.actions:
        actions = child(made, f"{_COMMANDS}actions", execute=stage.actions[0])
        for action in ("prev", "next", "complete"):  # in the order of the schema
            if action in stage.actions:
                child(actions, f"{_COMMANDS}{action}")
    if stage.note is not None:
        child(made, f"{_COMMANDS}note", stage.note[1], type=stage.note[0])
    if not stage.entries:
        return
    form = child(made, f"{_FORM}x", type="form" if stage.status == "executing" else "result")
    if stage.title:
        child(form, f"{_FORM}title", stage.title)
    if stage.text:
        child(form, f"{_FORM}instructions", stage.text)
    for entry in stage.entries:
        _entry(form, entry)


def _entry(form: Element, entry: Entry) -> None:
    named = {"var": entry.var} if entry.var else {}
    made = child(form, f"{_FORM}field", type=entry.kind, **named, **({"label": entry.label} if entry.label else {}))
    if entry.number is not None:
        hint = child(made, f"{_VALIDATE}validate", datatype=entry.number[0])
        bounds = {name: f"{at:g}" for name, at in zip(("min", "max"), entry.number[1:], strict=True) if at is not None}
        child(hint, f"{_VALIDATE}range", **bounds) if bounds else child(hint, f"{_VALIDATE}basic")
    if entry.required:
        child(made, f"{_FORM}required")
    if entry.value or entry.kind in ("boolean", "fixed"):
        child(made, f"{_FORM}value", entry.value)
    for value, label in entry.options:
        child(child(made, f"{_FORM}option", label=label), f"{_FORM}value", value)
