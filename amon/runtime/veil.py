"""Secrets hidden in a text that comes in pieces: one that lies across a border is found as well."""

import re
from collections.abc import Iterable

from amon.text import visible

_HELD_MOST = 262_144  # characters of a line that has no end


class Veil:
    """`feed` gives back what cannot be the beginning of a secret any more, `end` the rest. shapes: what is hidden."""

    def __init__(self, shapes: Iterable[str]) -> None:
        self._shapes = sorted(set(shapes), key=len, reverse=True)  # the longest first: one may begin another
        self._reach = len(self._shapes[0]) - 1 if self._shapes else 0
        self._pattern: re.Pattern[str] | None = None
        self._held = ""

    def feed(self, text: str) -> str:
        text = self._held + text
        free = max(0, len(text) - self._reach)  # whatever begins before this is here to its end
        made, at = self._hidden(text, free)
        end = max(at, free)
        self._held = text[end:]
        return made + text[at:end]

    def end(self) -> str:
        text, self._held = self._held, ""
        made, at = self._hidden(text, len(text))
        return made + text[at:]

    def _hidden(self, text: str, free: int) -> tuple[str, int]:
        """What stands up to the end of the last secret that begins before `free`, and where that is."""
        if not any(shape in text for shape in self._shapes):
            return "", 0
        if self._pattern is None:
            self._pattern = re.compile("|".join(map(re.escape, self._shapes)))
        parts: list[str] = []
        at = 0
        for match in self._pattern.finditer(text):
            if match.start() >= free:
                break
            parts += text[at : match.start()], "***"
            at = match.end()
        return "".join(parts), at


class Glass:
    """A text made safe to look at, in pieces (see `text.visible`), and discreet: before that, and after it."""

    def __init__(self, shapes: Iterable[str]) -> None:
        shapes = tuple(shapes)
        self._raw, self._shown = Veil(shapes), Veil(shapes)
        self._line = ""  # one that has not ended yet: a tab is as wide as what stands before it

    def feed(self, text: str) -> str:
        text = self._line + self._raw.feed(text)
        end = text.rfind("\n") + 1
        if not end and len(text) > _HELD_MOST:
            end = len(text) - text.endswith("\r")
        self._line = text[end:]
        return self._shown.feed(visible(text[:end]))

    def end(self) -> str:
        text, self._line = self._line + self._raw.end(), ""
        return self._shown.feed(visible(text)) + self._shown.end()
