"""A server's command with one form, filled in and sent: what XEP-0133 makes of XEP-0050 and XEP-0004.

Two steps, as the standard has it: the first tells whether we may at all, and carries no password. Prosody 0.12 tells
a mistake in a note of an answer that is no error, ejabberd 23.01 as an error.
"""

from collections.abc import Awaitable, Callable
from typing import NoReturn
from xml.etree.ElementTree import Element

from amon.errors import Failed
from amon.text import visible
from amon.xmpp.faults import StanzaError
from amon.xmpp.forms import Values, read_form, submit_form

_COMMANDS = "{http://jabber.org/protocol/commands}"
_FORM = "{jabber:x:data}x"
_NOTE_MOST = 200  # characters of a server's note that are shown
ADMIN = "http://jabber.org/protocol/admin"

Ask = Callable[[str, str, Element], Awaitable[Element]]

# Beginnings or parts of Prosody 0.12's notes (mod_admin_adhoc), and what RFC 6120 calls that.
_NOTES = {
    "Account already exists": "conflict",
    "User does not exist": "item-not-found",
    "could not be deleted": "item-not-found",
}


async def run_form(ask: Ask, to: str, node: str, values: Values) -> None:
    """Runs the command `node` of `to` with these fields; `StanzaError` for what the server says against it."""
    begun = _command(await ask(to, "set", Element(f"{_COMMANDS}command", {"node": node, "action": "execute"})))
    form = begun.find(_FORM)
    known = read_form(form) if form is not None else {}
    if begun.get("status") != "executing" or not set(values) <= set(known):
        _check_notes(begun)
        raise Failed(f"{to} asks for something else in its command {node} than XEP-0133 has")
    # XEP-0050, 3.4: the session's id goes back as it came; a server that needs none gives none.
    session = {"sessionid": begun.get("sessionid", "")} if begun.get("sessionid") else {}
    filled = Element(f"{_COMMANDS}command", {"node": node, "action": "complete", **session})
    filled.append(submit_form(ADMIN, values))
    ended = _command(await ask(to, "set", filled))
    _check_notes(ended)
    if ended.get("status") != "completed":
        raise Failed(f"{to} did not finish its command {node}: it is {ended.get('status') or 'without a status'}")


def _command(answer: Element) -> Element:
    command = answer.find(f"{_COMMANDS}command")
    if command is None:
        raise Failed(f"{answer.get('from') or 'the server'} answered a command with something else")
    return command


def _check_notes(command: Element) -> None:
    for note in command.iterfind(f"{_COMMANDS}note"):
        said = note.text or ""
        condition = next((word for part, word in _NOTES.items() if part in said), "")
        if condition or note.get("type") == "error":
            _refuse(condition or "undefined-condition", said)


def _refuse(condition: str, said: str) -> NoReturn:
    # Somebody else's words: one line, and not too many of them.
    raise StanzaError(condition, f"the server says: {visible(' '.join(said.split())[:_NOTE_MOST])}")
