"""What has to outlive the agent about a service: what people want, and how often it was restarted."""

from dataclasses import asdict, dataclass, field
from pathlib import Path

from . import record
from .limiter import History
from .states import Wish


@dataclass(frozen=True, slots=True)
class Memory:
    """`wish.json` of one service."""

    wish: Wish = field(default_factory=Wish)
    history: History = field(default_factory=History)

    @classmethod
    def read(cls, path: Path) -> "Memory":
        """A record that is missing or damaged means: nobody said anything."""
        found = record.read(path) or {}
        try:
            history = dict(found.get("history", {}))
            history["restarts"] = tuple(float(at) for at in history.get("restarts", ()))
            return cls(Wish(**found.get("wish", {})), History(**history))
        except (TypeError, ValueError):
            return cls()

    async def write(self, path: Path) -> None:
        await record.save(path, asdict(self))
