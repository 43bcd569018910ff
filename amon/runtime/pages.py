"""Long answers in chat: the first page at once, the rest on `more`. A phone shows twenty lines."""

from amon.clock import Clock

_LINES, _CHARACTERS = 20, 2048  # of a page
_KEPT = 600.0  # seconds
_MOST = 200  # people and places

Where = tuple[str, str | None]  # who reads, and in which room (None: one to one)


class Pages:
    """What is left of the last long answer of each person in each place."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: dict[Where, tuple[float, str]] = {}

    def first(self, where: Where, text: str, rest: str = "") -> str:
        """The part of `text` to say now. rest: goes after it, but is said only on `more`."""
        page, left = _page(text)
        left = "\n".join(part for part in (left, rest) if part)
        if left:
            self._left.pop(where, None)
            self._left[where] = (self._clock.monotonic(), left)
            while len(self._left) > _MOST:
                del self._left[next(iter(self._left))]
            count = left.count("\n") + 1
            page += f"\n({count} more line{'s' if count > 1 else ''}: say more)"
        return page

    def more(self, where: Where) -> str | None:
        """What is left; None if nothing is, or not any more."""
        since, rest = self._left.pop(where, (0.0, ""))
        return rest if rest and self._clock.monotonic() - since <= _KEPT else None


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
    if rest.endswith("say more)"):
        rest, _, note = rest.rpartition("\n")
        notes = f"\n{note}"
    # A fence inside the text would end ours early.
    fenced = rest.replace("```", "'''")
    head = "" if goes_on else f"{first}\n"
    return f"{head}```\n{fenced}\n```{notes}" if rest else f"{first}{notes}"
