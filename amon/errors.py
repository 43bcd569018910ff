"""The three kinds of error: what the asker did wrong, what the world did, and (everything else) a bug of ours."""

from dataclasses import dataclass


class Refused(Exception):
    """Shown to the asker as it is: says who, what and the next step. Nothing was done."""


class Invalid(Refused):
    """The asker's words are wrong; points at the one it means.

    `line` is what was typed, `start` and `end` the span of the word in characters.
    Without a line there is nothing to point at and `str()` is the message alone.
    """

    def __init__(self, message: str, line: str = "", start: int = 0, end: int = 0) -> None:
        super().__init__(message)
        self.message = message
        self.line = line
        self.start = start
        self.end = end

    def pointed(self, width: int = 72) -> str:
        """Message, the line (cut to `width` characters around the word) and carets below the word."""
        if not self.line:
            return self.message
        first = max(0, min(self.start - width // 2, len(self.line) - width))
        # One blank for each character that has no picture (a tab, say), so that the carets stand where they should.
        shown = "".join(c if c.isprintable() else " " for c in self.line[first : first + width])
        carets = max(1, min(self.end, first + width) - self.start)
        return f"{self.message}\n  {shown}\n  {' ' * (self.start - first)}{'^' * carets}"


class Failed(Exception):
    """What was asked could not be done: a result, with its reason in words."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in something that was written down, and where."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}" if self.path else self.text
