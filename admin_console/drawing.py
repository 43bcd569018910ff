"""Pictures drawn on a terminal, each in the place of the one before, and what sessions draw in that way. Source: rich.

What a site draws is text like any other of its words: no terminal is commanded by it, and it has no more room than
there is.
"""

import contextlib
from collections.abc import Iterator

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from admin_console.paced import lines_of
from amon.text import visible
from amon.wire import Output


class Place:
    """Where on a terminal a picture stands. stays: whether the last one is left there."""

    def __init__(self, console: Console, *, stays: bool) -> None:
        self._console, self._stays = console, stays
        self._shown: RenderableType | None = None
        self._live = self._begun()

    def show(self, picture: RenderableType) -> None:
        self._shown = picture
        # A typed Ctrl-C is echoed at the cursor: behind a line as wide as the terminal that would begin another one.
        self._live.update(Group(picture, Text()), refresh=True)

    @contextlib.contextmanager
    def aside(self) -> Iterator[None]:
        """The picture is gone while the block writes, and stands below it afterwards."""
        self._leave()
        try:
            yield
        finally:
            self._live = self._begun()
            if self._shown is not None:
                self.show(self._shown)

    def close(self) -> None:
        with contextlib.suppress(OSError):  # the terminal is gone
            if self._stays and self._shown is not None:
                self._live.update(self._shown)
                self._live.stop()
            else:
                self._leave()

    def _begun(self) -> Live:
        live = Live(console=self._console, auto_refresh=False, vertical_overflow="crop")
        live.start()
        return live

    def _leave(self) -> None:
        """Nothing of the picture is left, also of one that is larger than the terminal."""
        self._live.update(Text())
        self._live.transient = True
        self._live.stop()


class Drawing(Place):
    """Several sites below each other. What was drawn last stays there."""

    def __init__(self, console: Console, several: bool) -> None:
        super().__init__(console, stays=True)
        self._several = several
        self._newest: dict[str, list[str]] = {}

    def draw(self, site: str, output: Output) -> None:
        self._newest[site] = lines_of(output)
        self.show(self._picture())

    def _picture(self) -> Group:
        room = max(3, self._console.height // len(self._newest) - 2)
        parts: list[Text] = []
        for site, lines in sorted(self._newest.items()):
            head = [Text(visible(site, lines=False), "bold")] if self._several else []
            parts += head + [Text(line, no_wrap=True, overflow="ellipsis") for line in lines[:room]]
        return Group(*parts)
