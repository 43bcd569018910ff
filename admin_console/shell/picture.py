"""The prompt and the line below it: which sites are meant, how the worst of them is, what is under way. Pure.

Parts are (style, text) as prompt_toolkit takes them; every text went through `tables.py`, and nothing in it is markup.
"""

from collections import Counter
from collections.abc import Sequence

from admin_console.tables import HEALTH_ORDER, health_word, one_line
from amon.errors import Refused
from amon.runtime.fleet import Site
from amon.target import Expression
from amon.units import age

Parts = list[tuple[str, str]]
STYLES = {
    "crit": "bold ansired", "offline": "bold ansired", "warn": "ansiyellow", "hidden": "ansimagenta",
    "unknown": "ansimagenta", "maint": "ansiblue", "ok": "ansigreen", "target": "bold", "note": "",
}  # fmt: skip
_LONGEST_TARGET = 48  # characters


def prompt(target: Expression | None, sites: Sequence[Site], trouble: str = "") -> Parts:
    """`amon [tag:tier=2: 12 sites, CRIT 1] > `. trouble: why there is no connection."""
    said = one_line(str(target), _LONGEST_TARGET) if target is not None else "no target"
    head: Parts = [("", "amon ["), ("class:target", said)]
    try:
        meant = [site for site in sites if target is None or target.matches(site.facts())]
    except Refused:  # an earlier job's sites, which nobody has looked up
        return [*head, ("", "] > ")]
    head.append(("", f": {counted(len(meant), 'site')}"))
    if trouble:
        return [*head, ("", ", "), ("class:crit", "no connection"), ("", "] > ")]
    return [*head, *_worst(meant), ("", "] > ")]


def _worst(sites: Sequence[Site]) -> Parts:
    counts = Counter(map(health_word, sites))
    worst = next((health for health in HEALTH_ORDER if counts[health]), None)
    if worst is None:
        return []
    word = "OK" if worst == "ok" else f"{worst.upper()} {counts[worst]}"
    return [("", ", "), (f"class:{worst}", word)]


def toolbar(usage: str, under_way: Sequence[tuple[str, str, int, int, float]], waiting: int) -> str:
    """One line. under_way: id, line, how many of the sites have ended, how many there are, since how many seconds."""
    if usage:
        return one_line(usage, 200)
    said = [
        f"{ident} {one_line(line, 40)}: {ended} of {counted(of, 'site')}, {age(since)}"
        for ident, line, ended, of, since in under_way[:3]
    ]
    if len(under_way) > 3:
        said.append(f"{len(under_way) - 3} more")
    if waiting:
        said.append(f"{counted(waiting, 'line')} waiting")
    return " | ".join(said)


def counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
