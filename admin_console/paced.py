"""Pictures of sessions where nothing can be drawn in place: said as lines, now and then, and the last at the end."""

import time
from collections.abc import Callable, Iterator

from amon.text import visible
from amon.wire import Output

EVERY = 10.0
"""Seconds between two pictures of a site."""
_LINES_MOST = 200


class Pictures:
    """The newest of each site. now: seconds that never go back."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._newest: dict[str, Output] = {}
        self._said: dict[str, float] = {}

    def take(self, site: str, output: Output) -> list[str]:
        """Its lines, if it is time to say them."""
        self._newest[site] = output
        if self._now() - self._said.get(site, -EVERY) < EVERY:
            return []
        self._said[site] = self._now()
        return lines_of(self._newest.pop(site))

    def rest(self) -> Iterator[tuple[str, list[str]]]:
        """The last of each site that was not said."""
        left, self._newest = self._newest, {}
        for site, output in left.items():
            yield site, lines_of(output)


def lines_of(output: Output) -> list[str]:
    """For people, tamed."""
    return visible("\n".join(output.lines)).split("\n")[:_LINES_MOST]
