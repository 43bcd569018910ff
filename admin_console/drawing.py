"""Pictures of sessions drawn on a terminal, each in the place of the one before. Source: rich.

What a site draws is text like any other of its words: no terminal is commanded by it, and it has no more room than
there is.
"""

import contextlib

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from admin_console.paced import lines_of
from amon.text import visible
from amon.wire import Output


class Drawing:
    """Several sites below each other, on a terminal. What was drawn last stays there."""

    def __init__(self, console: Console, several: bool) -> None:
        self._several = several
        self._newest: dict[str, list[str]] = {}
        self._live = Live(console=console, auto_refresh=False, vertical_overflow="crop")
        self._live.start()

    def draw(self, site: str, output: Output) -> None:
        self._newest[site] = lines_of(output)
        self._live.update(self._picture(), refresh=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            self._live.stop()

    def _picture(self) -> Group:
        room = max(3, self._live.console.height // len(self._newest) - 2)
        parts: list[Text] = []
        for site, lines in sorted(self._newest.items()):
            head = [Text(visible(site, lines=False), "bold")] if self._several else []
            parts += head + [Text(line, no_wrap=True, overflow="ellipsis") for line in lines[:room]]
        return Group(*parts)
