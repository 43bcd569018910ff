"""Long answers in chat: the first page at once, the rest on `more`. A phone shows twenty lines."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from amon.clock import Clock

_LINES, _CHARACTERS = 20, 2048  # of a page
_KEPT = 600.0  # seconds
_MOST = 200  # people and places
_MANY = 100  # lines that nobody turns over in a chat
_READ = 16_384  # bytes of a file at a time

Where = tuple[str, str | None]  # who reads, and in which room (None: one to one)
Key = tuple[str, str, str]  # of an output that is kept whole: account, asker, id
Read = Callable[[Key, int, int], bytes]  # key, offset, at most so many bytes


@dataclass(frozen=True, slots=True)
class Behind:
    """What comes after a text that was cut: of the output `key` all from `offset` (bytes) on, so many lines."""

    key: Key
    offset: int
    lines: int


@dataclass(frozen=True, slots=True)
class _Left:
    """since: monotonic seconds. text: all that was said, where it is not an output that is kept whole."""

    since: float
    rest: str
    behind: Behind | None
    text: str

    @property
    def lines(self) -> int:
        return (self.rest.count("\n") + 1 if self.rest else 0) + (self.behind.lines if self.behind else 0)


class Pages:
    """What is left of the last long answer of each person in each place."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: dict[Where, _Left] = {}
        self._one = asyncio.Lock()

    def first(self, where: Where, text: str, rest: str = "", behind: Behind | None = None) -> str:
        """The part of `text` to say now. rest: goes after it, but is said only on `more`. behind: what comes then."""
        page, left = _page(text)
        left = "\n".join(part for part in (left, rest) if part)
        if not left and behind is None:
            return page
        said = "" if behind else "\n".join(part for part in (text, rest) if part)
        return self._keep(where, page, _Left(self._clock.monotonic(), left, behind, said))

    async def more(self, where: Where, read: Read) -> str | None:
        """The next page; None if nothing is left, or not any more. `Failed` where the rest cannot be read."""
        async with self._one:  # who says it twice at once gets two pages
            return await self._more(where, read)

    async def _more(self, where: Where, read: Read) -> str | None:
        left = self._known(where)
        if left is None or not left.lines:
            return None
        rest, behind = left.rest, left.behind
        if behind is not None and behind.lines and len(rest) < 2 * _CHARACTERS:
            raw = await asyncio.to_thread(read, behind.key, behind.offset, _READ)
            text = raw.decode(errors="ignore")  # a character that lies across the end is read the next time
            lines = max(1, behind.lines - text.count("\n")) if len(raw) == _READ else 0
            behind = Behind(behind.key, behind.offset + len(text.encode()), lines)
            rest = (rest + text) if rest else text.removeprefix("\n")
            rest = rest if behind.lines else rest.removesuffix("\n")
        if not rest:
            return None
        page, rest = _page(rest)
        if self._left.get(where) is not left:
            return page  # another answer came meanwhile; `more` is of that one now
        return self._keep(where, page, _Left(self._clock.monotonic(), rest, behind, left.text))

    def last(self, where: Where) -> str | Key | None:
        """All of the last long answer, or where it is; None if there was none, or too long ago."""
        left = self._known(where)
        return None if left is None else left.behind.key if left.behind else left.text

    def _known(self, where: Where) -> _Left | None:
        left = self._left.get(where)
        return left if left is not None and self._clock.monotonic() - left.since <= _KEPT else None

    def _keep(self, where: Where, page: str, left: _Left) -> str:
        self._left.pop(where, None)
        self._left[where] = left
        while len(self._left) > _MOST:
            del self._left[next(iter(self._left))]
        count = left.lines
        how = "say more, or file" if count > _MANY else "say more"
        return f"{page}\n({count} more line{'s' if count > 1 else ''}: {how})" if count else page


def _page(text: str) -> tuple[str, str]:
    """At most `_LINES` lines and `_CHARACTERS`; a line longer than that is broken."""
    taken: list[str] = []
    room = _CHARACTERS
    lines = text.split("\n")
    for place, line in enumerate(lines[:_LINES]):
        if len(line) > room:
            if not taken:
                taken, lines[0] = [line[:room]], line[room:]
            return "\n".join(taken), "\n".join(lines[place:])
        taken.append(line)
        room -= len(line) + 1
    return "\n".join(taken), "\n".join(lines[_LINES:])


def shown(page: str, *, goes_on: bool = False) -> str:
    """Columns in a fence (XEP-0393), below a first line that is the verdict. A single line needs none.

    goes_on: a later page, which has no verdict but more of the columns.
    """
    first, _, rest = ("", "", page) if goes_on else page.partition("\n")
    if not rest:
        return page
    notes = ""
    if rest.endswith((": say more)", ": say more, or file)")):
        rest, _, note = rest.rpartition("\n")
        notes = f"\n{note}"
    # A fence inside the text would end ours early.
    fenced = rest.replace("```", "'''")
    head = "" if goes_on else f"{first}\n"
    return f"{head}```\n{fenced}\n```{notes}" if rest else f"{first}{notes}"
