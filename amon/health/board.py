"""The board: the last health of every instance, and the one picture of the site made of them.

Presence: ok is available, warning `away`, critical `dnd` (red in most clients, on purpose), maintenance and unknown
`xa`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from amon.health.level import Health, Level, worst
from amon.health.maintenance import SITE, Maintenance, Maintenances
from amon.text import visible

_SHOW = {
    Level.ok: "available",
    Level.warning: "away",
    Level.critical: "dnd",
    Level.maintenance: "xa",
    Level.unknown: "xa",
}
_LEAD = {
    Level.ok: "OK",
    Level.warning: "WARN",
    Level.critical: "CRIT",
    Level.unknown: "UNKNOWN",
    Level.maintenance: "MAINT",
}
_LONGEST_STATUS = 200  # characters; a contact list shows a line


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that is not ok: full name (`service/httpd`), level, state word, text, since (epoch seconds)."""

    name: str
    level: Level
    state: str
    text: str = ""
    since: float | None = None

    @property
    def short(self) -> str:
        return self.name.rpartition("/")[2]

    def __str__(self) -> str:
        since = f" since {datetime.fromtimestamp(self.since, UTC):%H:%MZ}" if self.since is not None else ""
        return f"{self.short} {self.text or self.state}{since}"


@dataclass(frozen=True, slots=True)
class Picture:
    """A site's health as it is told: level, how many things of each level, what is not ok (worst first), a line.

    names: the full names of all that was counted.
    """

    level: Level
    counts: Mapping[Level, int]
    troubles: tuple[Trouble, ...]
    status: str
    names: tuple[str, ...] = ()

    @property
    def show(self) -> str:
        """`available`, `away`, `dnd` or `xa` (RFC 6121, 4.7.2.1)."""
        return _SHOW[self.level]


class Board:
    """Knows the health of each instance; makes pictures. `revealed` limits one to what an account may show."""

    def __init__(self) -> None:
        self._of: dict[str, Health] = {}

    def put(self, instance: str, health: Health) -> None:
        self._of[instance] = health

    def drop(self, instance: str) -> None:
        self._of.pop(instance, None)

    def of(self, instance: str) -> Health | None:
        return self._of.get(instance)

    def picture(self, now: float, maintenances: Maintenances, revealed: frozenset[str] | None = None) -> Picture:
        counts = dict.fromkeys(Level, 0)
        troubles: list[Trouble] = []
        names: list[str] = []
        for instance, health in self._of.items():
            if revealed is not None and instance not in revealed:
                continue
            covered = maintenances.covering(instance, now) is not None
            for name, leaf in health.leaves(instance):
                level = Level.maintenance if covered and leaf.level is not Level.ok else leaf.level
                counts[level] += 1
                names.append(visible(name, lines=False))
                if level is not Level.ok:
                    troubles.append(_trouble(name, level, leaf))
        troubles.sort(key=lambda trouble: (-trouble.level, trouble.name))
        level = worst(level for level, count in counts.items() if count)
        running = [
            one
            for scope, one in maintenances.running(now).items()
            if revealed is None or scope == SITE or scope in revealed
        ]
        if running and level is Level.ok:
            level = Level.maintenance
        return Picture(level, counts, tuple(troubles), _status(level, counts, troubles, running), tuple(names))


def _trouble(name: str, level: Level, leaf: Health) -> Trouble:
    """Texts may quote what hosts and exceptions say: nothing of them may break a stanza or a contact list."""
    name, state, text = (visible(said, lines=False) for said in (name, leaf.state or leaf.level.word, leaf.text))
    return Trouble(name, level, state, text, leaf.since)


def _status(level: Level, counts: Mapping[Level, int], troubles: list[Trouble], running: list[Maintenance]) -> str:
    total = sum(counts.values())
    if level is Level.ok:
        return f"OK {total}/{total}"
    if level is Level.maintenance:
        said: list[object] = [*running] or [*troubles]
        text = f"{_LEAD[level]} {', '.join(str(one) for one in said)}"
    else:
        # What is being worked on is no news beside what is really wrong.
        bad = [trouble for trouble in troubles if trouble.level > Level.maintenance]
        text = f"{_LEAD[level]} {len(bad)}/{total} {', '.join(str(trouble) for trouble in bad)}"
    text = visible(text, lines=False)
    return text if len(text) <= _LONGEST_STATUS else text[: _LONGEST_STATUS - 3] + "..."
