"""Modules with a mistake in their declaration."""

from dataclasses import dataclass
from typing import Any

from amon.command import Call, command
from amon.module import Module


class Unbounded(Module[None]):
    @command()
    async def say(self, call: Call, what: str) -> None:
        """Say it."""


class Untyped(Module):  # type: ignore[type-arg]
    pass


class Loose(Module[dict[str, Any]]):
    pass


@dataclass(frozen=True, slots=True)
class Lost:
    where: "Nowhere"  # type: ignore[name-defined]  # noqa: F821


class Unresolved(Module[Lost]):
    pass
