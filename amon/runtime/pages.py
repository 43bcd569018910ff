"""Long answers in chat: the first page at once, the rest on `more`. A phone shows twenty lines."""

from amon.clock import Clock

_LINES = 20
_CHARACTERS = 2048
_KEPT = 600.0  # seconds
_MOST = 200


class Pages:
    """What is left of each person's last long answer."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._left: dict[str, tuple[float, str]] = {}

    def first(self, jid: str, text: str) -> str:
        page, rest = _page(text)
        if rest:
            self._left.pop(jid, None)
            self._left[jid] = (self._clock.monotonic(), rest)
            while len(self._left) > _MOST:
                del self._left[next(iter(self._left))]
            page += f"\n({rest.count(chr(10)) + 1} more lines: say more)"
        return page

    def more(self, jid: str) -> str:
        since, rest = self._left.pop(jid, (0.0, ""))
        if not rest or self._clock.monotonic() - since > _KEPT:
            return "there is no more; ask again"
        return rest


def _page(text: str) -> tuple[str, str]:
    lines = text.split("\n")
    taken = size = 0
    for line in lines[:_LINES]:
        size += len(line) + 1
        if taken and size > _CHARACTERS:
            break
        taken += 1
    return "\n".join(lines[:taken]), "\n".join(lines[taken:])


def shown(page: str) -> str:
    """Columns in a fence (XEP-0393), below a first line that is the verdict. A single line needs none."""
    first, _, rest = page.partition("\n")
    if not rest:
        return page
    notes = ""
    if rest.endswith("say more)"):
        rest, _, notes = rest.rpartition("\n")
        notes = f"\n{notes}"
    # A fence inside the text would end ours early.
    fenced = rest.replace("```", "'''")
    return f"{first}\n```\n{fenced}\n```{notes}" if rest else f"{first}{notes}"
