"""`Module`, the base of everything loadable, and `Env`, the world it is given."""

import asyncio
import logging
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar, get_args, get_origin

from amon.clock import Clock
from amon.errors import Problem
from amon.health import Health

S = TypeVar("S")
S_co = TypeVar("S_co", covariant=True)


class Spawn(Protocol):
    def __call__(self, body: Coroutine[Any, Any, None], *, name: str) -> "asyncio.Task[None]": ...


@dataclass(frozen=True, slots=True)
class Env(Generic[S_co]):
    """The world of one instance.

    state: a private directory of this instance (0700) that outlives the agent.
    spawn: starts a task that ends with the instance; if it crashes, the instance is restarted.
    changed: to be called when `health()` would now say something else.
    maintenance: whether somebody works on this instance now: then nothing is restarted by itself.
    """

    name: str
    settings: S_co
    clock: Clock
    log: logging.Logger
    state: Path
    spawn: Spawn
    changed: Callable[[], None]
    maintenance: Callable[[], bool]


class Module(Generic[S]):
    """A capability with settings of type `S`, a frozen dataclass. `Module[None]` has none."""

    def __init__(self, env: Env[S]) -> None:
        self.env = env

    @classmethod
    def problems(cls, settings: S) -> Iterable[Problem]:
        """What is wrong with settings whose types are right; asked by `amon-agent check` and before a start.

        Beside mistakes it is asked of what is in order: what seems to be missing then is not passed on.
        """
        return ()

    async def start(self) -> None:
        """Get ready; the instance answers commands when this returns."""

    async def run(self) -> None:
        """The long work, if there is any. To return is fine; to raise is a crash, and the instance is restarted."""

    async def stop(self) -> None:
        """Let go of what `start` took, or began to take before it failed. Tasks spawned are ended already."""

    def health(self) -> Health:
        """How it is now; quick, no waiting."""
        return Health.good()


def settings_type(cls: type[Module[Any]]) -> type[Any] | None:
    """The `S` of `class X(Module[S])`; None where the module takes no settings."""
    for base in getattr(cls, "__orig_bases__", ()):
        origin = get_origin(base)
        if isinstance(origin, type) and issubclass(origin, Module):
            found = get_args(base)[0]
            if found is type(None) or found is None:
                return None
            if not (isinstance(found, type) and is_dataclass(found)):
                raise TypeError(f"the settings of {cls.__name__} must be a dataclass, not {found}")
            return found
    raise TypeError(f"{cls.__name__} must derive from Module[Settings] or Module[None]")
