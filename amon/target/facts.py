"""What is known about a site without asking it: its name, its tags, and what its presence says."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

HEALTH_WORDS: Mapping[str, str] = MappingProxyType(
    {
        "ok": "ok", "warn": "warn", "crit": "crit", "unknown": "unknown", "maint": "maint",
        "warning": "warn", "critical": "crit", "maintenance": "maint",
    }
)  # fmt: skip
"""Long and short words for a level of health, to the short one."""


@dataclass(frozen=True, slots=True)
class Facts:
    """One site as the target language sees it."""

    name: str
    tags: Mapping[str, str] = field(default_factory=dict)
    """Declared in the site's configuration, by key."""
    health: str | None = None
    """`ok warn crit unknown maint` (or the long words); None when nothing is known."""
    parts: Mapping[str, str] = field(default_factory=dict)
    """Parts that are not well: `service/httpd` (instance, part) to its one-word state, such as `down`."""
    modules: frozenset[str] = frozenset()
    known: Mapping[str, str] | None = None
    """Every part, well or not, by its full name, to the module it belongs to; None where that is not known."""
    online: bool = True

    def health_word(self) -> str:
        if not self.online or self.health is None:
            return "unknown"
        return HEALTH_WORDS.get(self.health.lower(), "unknown")
