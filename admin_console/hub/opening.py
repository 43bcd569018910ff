"""How the book of a typed line is opened: whom it means, of those who let us gather; and again after a restart."""

import re
from collections.abc import Iterator
from typing import Any

from admin_console.hub.fleet import HubFleet
from admin_console.hub.gathering import Gathering
from admin_console.hub.line import CONFIRM_WITHIN, DEADLINE, Typed, TypedLine
from admin_console.tables import one_line
from amon.clock import Clock
from amon.ids import digest
from amon.runtime.spoken import Reach
from amon.runtime.typed import Line
from amon.target import select, unknown_names
from amon.wire import NeedsWord
from amon.words import Effect
from amon.xmpp.events import Received

_ID = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}")
_MOST_LINES, _MOST_NAMES = 32, 10_000


async def opened(
    fleet: HubFleet, ident: str, sender: str, message: Received, line: Line, clock: Clock
) -> TypedLine | str:
    """The line with its book. Or what is to be said instead; empty where the sites answer for themselves."""
    began = clock.monotonic()
    facts = fleet.facts()
    names = select(line.target, facts) if line.target is not None else tuple(sorted(one.name.lower() for one in facts))
    if any(fleet.sites[name].online and fleet.gathers(name) is None for name in names):
        await fleet.learn()
    mine: list[str] = []
    others: list[str] = []
    for name in names:
        site = fleet.sites[name]
        gone = not site.online and not site.hidden
        (mine if fleet.gathers(name) or gone else others).append(name)
    note = ""
    if line.target is not None and (unknown := unknown_names(line.target, facts)):
        name, near = next(iter(unknown.items()))
        note = f"no site named {one_line(name, 64)}{f'; did you mean {near[0]}?' if near else ''}"
    if not any(fleet.sites[name].online for name in mine) and others:
        return note
    if not mine:
        return note or f"{line.target or 'all'} fits no site of {fleet.room_address}"
    asked = digest(ident, line.text)
    typed = Typed(
        ident,
        sender,
        message.reply_to,
        message.room or "",
        one_line(line.first, 40),
        line.reach,
        asked,
        tuple(others),
        note,
    )
    return TypedLine(typed, mine, [name for name in mine if fleet.sites[name].online], began)


# Over a restart


def remembered(gathering: Gathering, clock: Clock) -> dict[str, Any]:
    """What is kept of a line whose asker waits. Times are epoch seconds."""
    line, typed = gathering.line, gathering.line.typed
    open_ = [row.site for row in line.book.rows() if not row.state.ended or row.site in line.told]
    return {
        "id": typed.id,
        "asker": typed.asker,
        "to": typed.to,
        "room": typed.room,
        "what": typed.what,
        "reach": typed.reach.value,
        "asked": typed.asked,
        "others": list(typed.others),
        "note": typed.note,
        "began": clock.time() - (clock.monotonic() - line.began),
        "asking": sorted(line.asking) if gathering.waits_for_yes else [],
        "open": open_,
        "confirmed": line.confirmed,
    }


def recalled(data: Any, clock: Clock) -> Iterator[TypedLine]:
    """Lines of an earlier life whose sites may still tell; whatever is no such thing is left out."""
    for one in (data if isinstance(data, list) else [])[:_MOST_LINES]:
        try:
            line = _recalled(one, clock)
        except (KeyError, TypeError, ValueError):
            continue
        if line is not None:
            yield line


def _recalled(one: dict[str, Any], clock: Clock) -> TypedLine | None:
    age = clock.time() - float(one["began"])
    if not _ID.fullmatch(one["id"]) or not 0 <= age <= DEADLINE + CONFIRM_WITHIN:
        return None
    ident, asker, to, room, what = (str(one[key]) for key in ("id", "asker", "to", "room", "what"))
    note = "; ".join(filter(None, ("I was started anew meanwhile", str(one["note"]))))
    others = tuple(str(name) for name in one["others"])
    typed = Typed(ident, asker, to, room, what, Reach(one["reach"]), str(one["asked"]), others, note)
    names = [str(name) for name in one["open"]][:_MOST_NAMES]
    line = TypedLine(typed, names, names, clock.monotonic())
    line.confirmed = bool(one["confirmed"])
    for name in one["asking"]:
        if name in line.book:
            line.asking[name] = NeedsWord(typed.id, Effect.change)
            line.book.hold(name, clock.monotonic())
    return line
