"""Addresses (JIDs), compared as RFC 7622 wants: after preparation, never as typed."""

from functools import lru_cache

import amon.xmpp.lean  # noqa: F401 -- before slixmpp

# isort: split
from slixmpp.jid import JID, InvalidJID
from slixmpp.util.sasl.client import saslprep
from slixmpp.util.stringprep_profiles import StringPrepError

from amon.errors import Invalid


@lru_cache(maxsize=4096)
def split(jid: str) -> tuple[str, str]:
    """Prepared bare address and resource; `Invalid` for what is no address."""
    try:
        parsed = JID(jid)
        # RFC 3454 prepares some letters to others that it would prepare again (U+03F9): two people could be one.
        stable = JID(parsed.bare).bare == parsed.bare
    except (InvalidJID, ValueError):
        raise Invalid(f"'{jid[:64]}' is no address such as name@example.org") from None
    if not stable:
        raise Invalid(f"'{jid[:64]}' has a letter that no address is written with")
    if not parsed.domain:
        raise Invalid("an address is empty; it looks like name@example.org")
    return parsed.bare, parsed.resource


def bare(jid: str) -> str:
    return split(jid)[0]


def full(jid: str) -> str:
    name, resource = split(jid)
    return f"{name}/{resource}" if resource else name


def prepared_password(password: str) -> str:
    """As it enters a login: RFC 4013."""
    try:
        return str(saslprep(password))
    except (StringPrepError, UnicodeError):
        raise Invalid("the password has characters that no login takes (control or unassigned ones)") from None
