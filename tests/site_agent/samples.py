"""Modules with a fault of their own, for what a configuration makes of them."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated

from amon.errors import Problem
from amon.fields import Field, Secret
from amon.module import Module


class Plain(Module[None]):
    """Takes no settings."""


@dataclass(frozen=True, slots=True)
class Settings:
    token: Annotated[Secret | None, Field("what lets us in", secret=True)] = None
    odd: dict[str, object] | None = None


class Breaks(Module[Settings]):
    """Its own look at its settings raises."""

    @classmethod
    def problems(cls, settings: Settings) -> Iterable[Problem]:
        raise RuntimeError("no look")


class Keeps(Module[Settings]):
    """Has a secret in its settings, and a hint that nothing converts to."""
