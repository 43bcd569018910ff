"""A picture of what the console showed, as SVG: drawn by rich, and without what would differ from run to run."""

import re
from pathlib import Path
from typing import TextIO

from rich.console import Console

_WIDTH = 92
# A page that shows the picture must not fetch fonts from elsewhere; any monospaced one will do.
_FONTS = re.compile(r"@font-face \{.*?\}\s*", re.DOTALL)
_CLOCK = re.compile(r"(?<=since&#160;)\d\d:\d\dZ")
_AGES = re.compile(r"\d(?=&#160;s&#160;ago)")
_PORTS = re.compile(r"(?<=127.0.0.1:)\d{5}")


def recorder(out: TextIO) -> Console:
    """A console that remembers, of a width that fits a page."""
    return Console(file=out, record=True, width=_WIDTH, highlight=False, markup=False, emoji=False)


def write_picture(console: Console, path: Path, title: str = "amon") -> None:
    """What the console has shown so far."""
    svg = console.export_svg(title=title, unique_id="amon", clear=False)
    path.write_text(steady(svg), encoding="utf-8")


def steady(svg: str) -> str:
    """The same picture for the same show: times of day and ages are made alike."""
    svg = _FONTS.sub("", svg)
    svg = _CLOCK.sub("14:02Z", svg)
    svg = _AGES.sub("1", svg)
    svg = _PORTS.sub("15432", svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"
