"""An order that this version cannot read, because it was written by a newer one: what there is in it that is not known.

What is left out of an order may have been its "but do not", so nothing of it is done. But who is known here is told
so, instead of taking this site for a silent one. Anything else that is no payload is nobody's order and not answered.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from amon.runtime.about import amon_version
from amon.text import visible
from amon.wire import Envelope, Payload

_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_NAME_MOST = 40  # characters of a name that nobody knows
_LINE_MOST = 8192


@dataclass(frozen=True, slots=True)
class Unread:
    """id: of the order. line: what it asks for, if it says that. why: what is not known here, with the next step."""

    id: str
    line: str
    why: str


def unread(body: str, site: str, alone: bool) -> Unread | None:
    """None where nobody can say whose order it is, or that it is for this site, or what is unknown in it.

    alone: it came to this account and not through a room, where what names nobody is for nobody.
    """
    try:
        found = json.loads(body, object_pairs_hook=_each_once)
        if isinstance(found, dict) and found.get("type") == "envelope":
            return _unread(found["request"], site, alone, _unknown(found, _FIELDS["envelope"]))
        return _unread(found, site, alone, "")
    except (ValueError, KeyError, RecursionError):
        return None


def _unread(order: Any, site: str, alone: bool, unknown: str) -> Unread | None:
    if not isinstance(order, dict):
        return None
    ident, kind, names = order.get("id"), order.get("type"), order.get("names")
    if not (isinstance(ident, str) and _ID.fullmatch(ident) and isinstance(kind, str)):
        return None
    if site not in names if isinstance(names, list) else not alone:
        return None
    known = _FIELDS.get(kind)
    unknown = unknown or (_unknown(order, known) if known is not None else f"the order {_shown(kind)}")
    if not unknown:
        return None
    line = order.get("line")
    why = f"this agent (amon {amon_version()}) does not know {unknown}; update it, or ask without that"
    return Unread(ident, line if isinstance(line, str) and len(line) <= _LINE_MOST else _shown(kind), why)


def _unknown(found: Mapping[str, Any], known: frozenset[str]) -> str:
    """The first field that is not known; empty if all are."""
    return next((f"the field {_shown(name)}" for name in found if name not in known), "")


def _shown(name: str) -> str:
    return repr(visible(name[:_NAME_MOST], lines=False))


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a field is there twice")
    return found


_FIELDS = {
    str(kind.__struct_config__.tag): frozenset((*kind.__struct_encode_fields__, "type"))
    for kind in (*Payload.__args__, Envelope)
}
