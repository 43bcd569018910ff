"""A picture of what the console showed, as SVG: drawn by rich, and without what would differ from run to run."""

import re
from functools import partial
from pathlib import Path
from typing import TextIO

from rich.console import Console

_WIDTH = 92
# A page that shows the picture must not fetch fonts from elsewhere; any monospaced one will do.
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
# What differs between two runs of one show, and what stands in the picture instead, of the same length.
_STEADY = (
    (re.compile(r"\d\d:\d\dZ"), "14:02Z"),
    (re.compile(r"\d(?=&#160;s(?:&#160;ago|<))"), "1"),
    (re.compile(r"(?<=127\.0\.0\.1:)\d{5}"), "15432"),
    (re.compile(r"(?<=>)\d{4,7}(?=</text>)"), "471104"),  # pid
    (re.compile(r"\d\d\.\d\d?(?=&#160;MiB)"), "19.40"),
)


def recorder(out: TextIO) -> Console:
    """A console that remembers, of a width that fits a page."""
    return Console(file=out, record=True, width=_WIDTH, highlight=False, markup=False, emoji=False)


def write_picture(console: Console, path: Path, title: str = "amon") -> None:
    """What the console has shown so far."""
    svg = console.export_svg(title=title, unique_id="amon", clear=False)
    path.write_text(steady(svg), encoding="utf-8")


def steady(svg: str) -> str:
    """The same picture for the same show: times, ports, pids and sizes are made alike."""
    svg = _FONTS.sub("", svg)
    for pattern, instead in _STEADY:
        svg = pattern.sub(partial(_as_long, instead), svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def _as_long(instead: str, found: re.Match[str]) -> str:
    return instead[: len(found[0])]
