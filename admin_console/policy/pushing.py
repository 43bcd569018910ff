"""A bundle brought to the sites, and which of them obey which: their serial is among the facts they tell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from admin_console.policy.signing import Signed
from admin_console.session import Session
from admin_console.tables import listed
from admin_console.wish import Report, Wish
from amon.ids import new_id
from amon.runtime.fleet import Site
from amon.runtime.gather import Job, gathering
from amon.target import Expression
from amon.wire import NewPolicy, encode

WITHIN = 30.0  # seconds, after the last site has it
_EACH_SECOND = 1_000_000  # characters; servers that amon configures take two million bytes for ever
_BELIEVED = 1000  # numbers after the last of ours that a site may claim to obey
_ACCEPT_BY = 10.0


@dataclass(frozen=True, slots=True)
class Obeyed:
    """serial: of the bundle that a site obeys; None where it tells none. known: whether it told its facts at all."""

    site: str
    serial: int | None
    known: bool


def obeyed(sites: Sequence[Site], facts: Mapping[str, Mapping[str, Sequence[str]]]) -> list[Obeyed]:
    """facts: by the mark in a site's presence, as the fleet has them."""
    found = []
    for site in sites:
        told = facts.get(site.mark) if site.online and site.mark else None
        said = next(iter((told or {}).get("policy", ())), "")
        found.append(Obeyed(site.name, int(said[:16]) if said[:16].isdecimal() else None, told is not None))
    return found


def next_serial(last: int, told: Sequence[Obeyed]) -> int:
    """The number of a new policy: after our last one, and after those that were signed at another console.

    A site can claim any number. One near the end of all numbers would make the next policy the last for ever.
    """
    return max([last, *(one.serial for one in told if one.serial is not None and one.serial <= last + _BELIEVED)]) + 1


def signed_elsewhere(last: int, told: Sequence[Obeyed]) -> str:
    """Which newer policy was not signed here, and so may say what our file does not; empty for none."""
    newest = next_serial(last, told) - 1
    if newest <= last:
        return ""
    sites = listed([one.site for one in told if one.serial == newest])
    return f"policy {newest} at {sites} was not signed here; this file may lack what was changed in it"


def accept_within(characters: int) -> float:
    """Seconds until the last site must have answered to so many characters, which all go through one connection."""
    return _ACCEPT_BY + characters / _EACH_SECOND


async def push(session: Session, signed: Signed, names: Sequence[str], target: Expression) -> Report:
    """Bring it to these sites; the book tells of each what it made of it."""
    ident = new_id(session.clock.time())
    payload = encode(NewPolicy(ident, signed.text, signed.sig))
    line = f"policy {signed.bundle.serial}"
    accept_by = accept_within(len(names) * len(payload))
    within = accept_by + WITHIN
    job = Job(ident, line, tuple(names), within, accept_by, confirmed=True, sealed=dict.fromkeys(names, payload))
    # Straight to each: a site that is not in the room yet, or was thrown out of it, needs it as much as others.
    with gathering(session.fleet, None, job, session.clock) as under_way:
        under_way.send()
        await under_way.collect()
        book = under_way.book
    return Report(Wish(target, line, within, accept_by), job, book, book.exit_code(), under_way.words)
