"""Where the sites are probed that a line names: `probe ping @desy`, `probe peers @all`.

Sites tell it in their tags, and only a console knows those; so it sends along what it knows, and the line stays as it
was typed. Who sets tags is the site: nobody vouches for them, and a site may refuse to probe what another one says.
"""

import contextlib
import re

from amon.command import split
from amon.errors import Invalid, Refused
from amon.runtime.fleet import Fleet, Site
from amon.target import Expression, parse, select, unknown_names
from amon.text import visible
from amon.wire import SITES_MOST

TAGS = ("probe", "probe4", "probe6")
"""Tags whose values are the addresses at which a site is probed."""
_LONGEST = 256  # characters of the addresses of one site
_MOST = 52_000  # characters of all: they travel in one message, and what is signed has 64 KiB at most


async def probed(fleet: Fleet, line: str) -> dict[str, str]:
    """By the name of each site that the line names, its addresses; empty for one that tells none.

    `Refused` where these are more than one request carries.
    """
    targets = named(line)
    if not targets:
        return {}
    await fleet.look_up(unseen=True)
    facts = fleet.facts()
    names = {name for target in targets for name in select(target, facts)}
    found = {name: addresses(fleet.sites[name]) for name in sorted(names) if name in fleet.sites}
    size = sum(len(name) + len(told) + 10 for name, told in found.items())
    if len(found) > SITES_MOST or size > _MOST:
        raise Refused(
            f"this line names {len(found)} sites, more than one request tells of; name fewer of them, in several lines"
        )
    return found


def strangers(fleet: Fleet, line: str) -> list[str]:
    """What is worth a note: names in a line that no site has. They may be no names at all, to who reads the line."""
    facts = fleet.facts()
    unknown = {name: near for target in named(line) for name, near in unknown_names(target, facts).items()}
    return [
        f"no site is named {name!r}" + (f"; did you mean {' or '.join(near)}?" if near else "")
        for name, near in unknown.items()
    ]


def addresses(site: Site) -> str:
    """As its tags say, with blanks between."""
    told = ",".join(site.tags[tag] for tag in TAGS if tag in site.tags)
    words = (word for word in re.split(r"[,\s]+", visible(told, lines=False)) if word)
    return " ".join(dict.fromkeys(words))[:_LONGEST]


def named(line: str) -> list[Expression]:
    """The words of a line that may name sites, each as a target. A line that nobody can read names none."""
    found = []
    try:
        words = split(line) if "@" in line else ()
    except Invalid:
        return []
    for word in words:
        if not word.quoted and word.text.startswith("@") and len(word.text) > 1:
            with contextlib.suppress(Invalid):  # of another language: what it means its site knows
                found.append(parse(word.text[1:]))
    return found
