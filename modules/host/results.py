"""What the commands give back."""

from dataclasses import dataclass
from typing import Annotated

from amon.fields import Field
from amon.units import format_quantity


@dataclass(frozen=True, slots=True)
class Summary:
    cores: Annotated[int, Field("processors the system uses")]
    load: Annotated[float, Field("tasks that run or wait, per core, over 5 min", unit="1")]
    memory: Annotated[float, Field("used", unit="%")]
    memory_size: Annotated[int, Field("whole memory", unit="B")]
    swap: Annotated[float | None, Field("used", unit="%")] = None
    disk: Annotated[str | None, Field("the fullest mount")] = None
    disk_used: Annotated[float | None, Field("how full that is", unit="%")] = None
    temperature: Annotated[float | None, Field("of the hottest sensor", unit="°C")] = None
    silent: Annotated[tuple[str, ...], Field("mounts that do not answer")] = ()

    def __str__(self) -> str:
        parts = [f"load {self.load:.2f} per core ({self.cores})"]
        parts.append(f"memory {self.memory:.0f} % of {format_quantity(self.memory_size, 'B')}")
        if self.swap is not None:
            parts.append(f"swap {self.swap:.0f} %")
        if self.disk is not None:
            parts.append(f"disk {self.disk} {self.disk_used:.0f} %")
        if self.temperature is not None:
            parts.append(f"{self.temperature:.0f} °C")
        if self.silent:
            parts.append(f"no answer from {', '.join(self.silent)}")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class Moment:
    """The host as it was at one look."""

    at: Annotated[str, Field("when, UTC")]
    load: Annotated[float, Field("tasks that run or wait, per core, over 1 min", unit="1")]
    memory: Annotated[float, Field("used", unit="%")]
    level: Annotated[str, Field("the worst of all that is looked at")]
    worst: Annotated[str, Field("what that is, if it is not well")] = ""

    def __str__(self) -> str:
        words = f"{self.at} {self.level}: load {self.load:.2f} per core, memory {self.memory:.0f} %"
        return f"{words}, {self.worst}" if self.worst else words


@dataclass(frozen=True, slots=True)
class Disk:
    mount: Annotated[str, Field("where")]
    size: Annotated[int | None, Field("whole", unit="B")] = None
    used: Annotated[int | None, Field("taken", unit="B")] = None
    free: Annotated[int | None, Field("what an ordinary user can still write", unit="B")] = None
    percent: Annotated[float | None, Field("used, as df counts it", unit="%")] = None
    inodes: Annotated[float | None, Field("inodes used, where they are counted", unit="%")] = None
    kind: Annotated[str, Field("file system")] = ""
    read_only: Annotated[bool, Field("cannot be written to: makes no health")] = False
    note: Annotated[str, Field("why there are no numbers")] = ""


@dataclass(frozen=True, slots=True)
class Interface:
    name: Annotated[str, Field("as ip link calls it")]
    up: Annotated[bool, Field("whether it works")]
    speed: Annotated[float | None, Field("what it is capable of", unit="b/s")] = None
    rx_rate: Annotated[float | None, Field("received, since the last look", unit="b/s")] = None
    tx_rate: Annotated[float | None, Field("sent, since the last look", unit="b/s")] = None
    rx: Annotated[int, Field("received since boot", unit="B")] = 0
    tx: Annotated[int, Field("sent since boot", unit="B")] = 0
    errors: Annotated[int, Field("broken packets, both ways")] = 0
    drops: Annotated[int, Field("packets thrown away, both ways")] = 0


@dataclass(frozen=True, slots=True)
class Sensor:
    sensor: Annotated[str, Field("chip and what it measures")]
    temperature: Annotated[float, Field("now", unit="°C")]
    high: Annotated[float | None, Field("what its maker calls high", unit="°C")] = None
    critical: Annotated[float | None, Field("what its maker calls critical", unit="°C")] = None


@dataclass(frozen=True, slots=True)
class Process:
    """Its name only: an argv may hold passwords."""

    pid: int
    user: Annotated[str, Field("whose it is")]
    cpu: Annotated[float, Field("of one core, over the last second", unit="%")]
    memory: Annotated[int, Field("resident", unit="B")]
    age: Annotated[float, Field("since its start", unit="s")]
    name: Annotated[str, Field("of the program")]
