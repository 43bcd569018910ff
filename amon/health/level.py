"""`Health`: level and text, with named parts for an instance that looks after several things."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from types import MappingProxyType

_NOTHING: Mapping[str, "Health"] = MappingProxyType({})


class Level(IntEnum):
    """From good to bad; the worst of several is the greatest."""

    ok = 0
    maintenance = 1
    unknown = 2
    warning = 3
    critical = 4

    @property
    def word(self) -> str:
        """As people write it in a target: `health:crit`."""
        return _WORDS[self]


_WORDS = {
    Level.ok: "ok",
    Level.maintenance: "maint",
    Level.unknown: "unknown",
    Level.warning: "warn",
    Level.critical: "crit",
}


@dataclass(frozen=True, slots=True)
class Health:
    """How something is. `state` is one word for targets (`service:httpd=down`); `parts` are named things inside.

    since: seconds since the epoch when it came to be so, if that is known.
    """

    level: Level
    text: str = ""
    state: str = ""
    since: float | None = None
    parts: Mapping[str, "Health"] = field(default_factory=lambda: _NOTHING)

    @classmethod
    def good(cls, text: str = "", *, state: str = "up") -> "Health":
        return cls(Level.ok, text, state)

    @classmethod
    def fair(cls, text: str, *, state: str = "warn", since: float | None = None) -> "Health":
        return cls(Level.warning, text, state, since)

    @classmethod
    def bad(cls, text: str, *, state: str = "down", since: float | None = None) -> "Health":
        return cls(Level.critical, text, state, since)

    @classmethod
    def unknown(cls, text: str, *, state: str = "unknown") -> "Health":
        return cls(Level.unknown, text, state)

    @classmethod
    def of(cls, parts: Mapping[str, "Health"]) -> "Health":
        """The worst of the parts, with their texts, worst first."""
        level = worst(part.level for part in parts.values())
        named = [f"{name} {part.text}".strip() for name, part in _by_badness(parts) if part.level is not Level.ok]
        return cls(level, ", ".join(named), parts=parts)

    def leaves(self, name: str) -> Iterable[tuple[str, "Health"]]:
        """Every thing without parts, under its full name (`service/httpd`)."""
        if not self.parts:
            yield name, self
        for part_name, part in self.parts.items():
            yield from part.leaves(f"{name}/{part_name}")


def worst(levels: Iterable[Level]) -> Level:
    """Nothing at all is ok: a site with nothing to look after has nothing wrong."""
    return max(levels, default=Level.ok)


def _by_badness(parts: Mapping[str, Health]) -> list[tuple[str, Health]]:
    return sorted(parts.items(), key=lambda pair: (-pair[1].level, pair[0]))
