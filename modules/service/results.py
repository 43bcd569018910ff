"""What the commands give back: data with units, made into text and tables elsewhere."""

from dataclasses import dataclass
from typing import Annotated

from amon.fields import Field


@dataclass(frozen=True, slots=True)
class Brief:
    """A line of `service list`."""

    name: Annotated[str, Field("the service")]
    state: Annotated[str, Field("up, down, failed, starting, stopping, unhealthy, given-up or unknown")]
    driver: Annotated[str, Field("who runs it")]
    age: Annotated[float | None, Field("how long it has been so", unit="s")]


@dataclass(frozen=True, slots=True)
class Row:
    """A service with all that is known of it."""

    name: Annotated[str, Field("the service")]
    state: Annotated[str, Field("up, down, failed, starting, stopping, unhealthy, given-up or unknown")]
    driver: Annotated[str, Field("who runs it")]
    age: Annotated[float | None, Field("how long it has been so", unit="s")]
    restarts: Annotated[int, Field("automatic restarts that still count, and the init system's", unit="1")]
    pids: Annotated[tuple[int, ...], Field("main process")]
    memory: Annotated[int | None, Field("what it holds in memory", unit="B")]
    check: Annotated[str, Field("last result of its check")]
    text: Annotated[str, Field("more words")]


@dataclass(frozen=True, slots=True)
class Plan:
    """What a command would do to a service."""

    name: Annotated[str, Field("the service")]
    state: Annotated[str, Field("how it is now")]
    driver: Annotated[str, Field("who runs it")]
    would: Annotated[tuple[str, ...], Field("what would be called, in order; nothing if it is so already")]

    def __str__(self) -> str:
        return f"{self.name} is {self.state} now; would: {', then '.join(self.would) or 'do nothing'}"
