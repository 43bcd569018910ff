"""What may be set: how often to look, and from which value on something is not well."""

from dataclasses import dataclass, field
from typing import Annotated, Literal, get_args

from amon.fields import Field

Watched = Literal["load", "memory", "swap", "disk", "temperature"]
Path = Annotated[str, Field("a mount point", pattern=r"/[^\x00-\x1f]*", longest=256, example="/data")]
Pattern = Annotated[str, Field("a mount point, `*` for any run", pattern=r"[/*][^\x00-\x1f]*", longest=256)]
PerCore = Annotated[float, Field("tasks that run or wait, per core, over 5 min", unit="1", least=0)]
Percent = Annotated[float, Field("used", unit="%", least=0, most=100)]
Degrees = Annotated[float, Field("of the hottest sensor", unit="°C", least=0, most=150)]


class Limits:
    """Two limits, of which the second is the worse."""

    __slots__ = ()
    warn: float
    crit: float

    def __post_init__(self) -> None:
        if self.warn > self.crit:
            raise ValueError(f"warn ({self.warn:g}) must not be above crit ({self.crit:g})")


@dataclass(frozen=True, slots=True)
class Load(Limits):
    warn: PerCore = 2
    crit: PerCore = 5


@dataclass(frozen=True, slots=True)
class Memory(Limits):
    warn: Percent = 90
    crit: Percent = 97


@dataclass(frozen=True, slots=True)
class Swap(Limits):
    """Full swap alone hurts nobody; what was moved there once may stay for months."""

    warn: Percent = 80
    crit: Percent = 100


@dataclass(frozen=True, slots=True)
class Disk(Limits):
    warn: Percent = 85
    crit: Percent = 95


@dataclass(frozen=True, slots=True)
class Temperature(Limits):
    warn: Degrees = 85
    crit: Degrees = 95


@dataclass(frozen=True, slots=True)
class Settings:
    every: Annotated[float, Field("time between two looks", unit="s", least=1, most=3600)] = 30
    answer_within: Annotated[
        float, Field("a mount that takes longer shows as unknown", unit="s", least=0.01, most=60)
    ] = 2
    slack: Annotated[
        float,
        Field("how far below a limit a value must fall to be well again, of the limit", unit="%", least=0, most=50),
    ] = 5
    watch: Annotated[tuple[Watched, ...], Field("what makes health", longest=5)] = get_args(Watched)
    load: Annotated[Load, Field("limits of the load")] = field(default_factory=Load)
    memory: Annotated[Memory, Field("limits of the memory")] = field(default_factory=Memory)
    swap: Annotated[Swap, Field("limits of the swap")] = field(default_factory=Swap)
    disk: Annotated[Disk, Field("limits of every mount that has none of its own")] = field(default_factory=Disk)
    temperature: Annotated[Temperature, Field("limits of the temperature")] = field(default_factory=Temperature)
    mounts: Annotated[dict[Path, Disk], Field("other limits for some mounts")] = field(default_factory=dict)
    ignore: Annotated[tuple[Pattern, ...], Field("mounts that are not looked at at all", longest=64)] = ()
