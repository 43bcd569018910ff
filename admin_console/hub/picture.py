"""The fleet as one picture, made of the presence of its sites: the worst level, and one line that says what. Pure."""

import re
from collections.abc import Iterable

from admin_console.tables import HIDDEN, OFFLINE, health_word, one_line, worst_first
from amon.health import Level, Picture
from amon.health.board import Trouble
from amon.runtime.fleet import Site

_LEVELS = {level.word: level for level in Level} | {OFFLINE: Level.critical, HIDDEN: Level.unknown}
_LEAD = {
    Level.ok: "OK",
    Level.warning: "WARN",
    Level.critical: "CRIT",
    Level.unknown: "UNKNOWN",
    Level.maintenance: "MAINT",
}
_OWN_LEAD = re.compile(r"^(OK|WARN|CRIT|UNKNOWN|MAINT)( \d+/\d+)? ?")  # as amon.health.board begins a status
_LONGEST = 200  # characters; a contact list shows a line
_SAID = 60  # characters of each site


def level_of(site: Site) -> Level:
    """Gone is as bad as can be; one that was never seen has not begun yet, and nobody knows how it is."""
    if not site.online and not site.hidden and site.changed is None:
        return Level.unknown
    return _LEVELS[health_word(site)]


def said_of(site: Site) -> str:
    """How it is in a few words, without the level."""
    if not site.online:
        return HIDDEN if site.hidden else OFFLINE if site.changed is not None else "never seen"
    return one_line(_OWN_LEAD.sub("", site.status), _SAID) or health_word(site)


def fleet_picture(sites: Iterable[Site]) -> Picture:
    """Its troubles are sites, worst first."""
    sites = worst_first(list(sites))
    levels = {site.name: level_of(site) for site in sites}
    counts = dict.fromkeys(Level, 0)
    for level in levels.values():
        counts[level] += 1
    bad = sorted((site for site in sites if levels[site.name] is not Level.ok), key=lambda one: -levels[one.name])
    troubles = tuple(Trouble(site.name, levels[site.name], health_word(site), said_of(site)) for site in bad)
    level = max(levels.values(), default=Level.ok)
    return Picture(level, counts, troubles, _status(level, troubles, len(sites)), tuple(levels))


def _status(level: Level, troubles: tuple[Trouble, ...], total: int) -> str:
    if not total:
        return "OK no sites"
    if level is Level.ok:
        return f"OK {total}/{total}"
    # What is being worked on is no news beside what is really wrong.
    told = [one for one in troubles if one.level > Level.maintenance] or troubles
    text = f"{_LEAD[level]} {len(told)}/{total}: {', '.join(f'{one.name} {one.text}' for one in told)}"
    return one_line(text, _LONGEST)
