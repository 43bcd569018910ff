"""Modules as they should be, and classes that are none."""

from dataclasses import dataclass

from amon.command import Call, command
from amon.module import Module


@dataclass(frozen=True, slots=True)
class Settings:
    size: int = 1


class Sized(Module[Settings]):
    @command()
    async def size(self, call: Call) -> Settings:
        """How large."""
        return self.env.settings


class Larger(Sized):
    pass


class Plain(Module[None]):
    pass


class NoModule:
    pass


not_even_a_class = 3
