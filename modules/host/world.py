"""What the host tells about itself. Sources: psutil, proc(5), statvfs(3), df(1) for what is used of what.

A test brings a `World` of its own; `Machine` is the real one.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import psutil


@dataclass(frozen=True, slots=True)
class Load:
    """Tasks that run or wait, on average over 1, 5 and 15 min, and the cores to run them."""

    minutes: tuple[float, float, float]
    cores: int


@dataclass(frozen=True, slots=True)
class Room:
    """Bytes of memory or swap: whole, and what is left for whoever asks."""

    size: int
    free: int

    @property
    def percent(self) -> float:
        return 100 * (self.size - self.free) / self.size if self.size else 0.0


@dataclass(frozen=True, slots=True)
class Mount:
    device: str
    path: str
    kind: str
    read_only: bool = False


@dataclass(frozen=True, slots=True)
class Space:
    """Of a file system: bytes, and inodes (0 where it does not count them). free: for ordinary users."""

    size: int
    used: int
    free: int
    files: int = 0
    files_free: int = 0

    @property
    def percent(self) -> float:
        """As df counts: what is kept back for root is neither used nor free."""
        return 100 * self.used / (self.used + self.free) if self.used + self.free else 0.0

    @property
    def inodes(self) -> float | None:
        return 100 * (self.files - self.files_free) / self.files if self.files else None


@dataclass(frozen=True, slots=True)
class Traffic:
    """Counters of an interface since boot: bytes, packets that were broken, packets that were dropped."""

    rx: int = 0
    tx: int = 0
    errors: int = 0
    drops: int = 0


@dataclass(frozen=True, slots=True)
class Link:
    """speed: bits per second, None where the driver does not say."""

    up: bool
    speed: float | None = None


@dataclass(frozen=True, slots=True)
class Heat:
    sensor: str
    celsius: float
    high: float | None = None
    critical: float | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """A process: cpu seconds used since it began, bytes resident, began in seconds since the epoch."""

    pid: int
    name: str
    user: str
    cpu: float
    memory: int
    began: float


class World(Protocol):
    """`load`, `memory`, `swap`, `mounts` and `traffic` answer at once. The others may take long, `space` for ever."""

    def load(self) -> Load: ...
    def memory(self) -> Room: ...
    def swap(self) -> Room | None: ...
    def mounts(self) -> Sequence[Mount]: ...
    def traffic(self) -> Mapping[str, Traffic]: ...
    def space(self, path: str) -> Space: ...
    def links(self) -> Mapping[str, Link]: ...
    def heat(self) -> Sequence[Heat]: ...
    def tasks(self) -> Iterable[Task]: ...


class Machine:
    """This one."""

    def load(self) -> Load:
        return Load(os.getloadavg(), psutil.cpu_count() or 1)

    def memory(self) -> Room:
        said = psutil.virtual_memory()
        return Room(said.total, said.available)

    def swap(self) -> Room | None:
        said = psutil.swap_memory()
        return Room(said.total, said.free) if said.total else None

    def mounts(self) -> Sequence[Mount]:
        # All of them: without `all`, psutil leaves out what has no block device, NFS for one.
        return [
            Mount(part.device, part.mountpoint, part.fstype, "ro" in part.opts.split(","))
            for part in psutil.disk_partitions(all=True)
        ]

    def space(self, path: str) -> Space:
        said = os.statvfs(path)
        block = said.f_frsize
        used = (said.f_blocks - said.f_bfree) * block
        return Space(said.f_blocks * block, used, said.f_bavail * block, said.f_files, said.f_ffree)

    def traffic(self) -> Mapping[str, Traffic]:
        return {
            name: Traffic(said.bytes_recv, said.bytes_sent, said.errin + said.errout, said.dropin + said.dropout)
            for name, said in psutil.net_io_counters(pernic=True).items()
        }

    def links(self) -> Mapping[str, Link]:
        return {
            name: Link(said.isup, said.speed * 1e6 if said.speed > 0 else None)
            for name, said in psutil.net_if_stats().items()
        }

    def heat(self) -> Sequence[Heat]:
        found = []
        for chip, sensors in psutil.sensors_temperatures().items():
            for n, said in enumerate(sensors):
                name = f"{chip} {said.label or (n if len(sensors) > 1 else '')}".strip()
                found.append(Heat(name, said.current, said.high, said.critical))
        return found

    def tasks(self) -> Iterable[Task]:
        found = []
        for process in psutil.process_iter():
            try:
                with process.oneshot():
                    times = process.cpu_times()
                    found.append(
                        Task(
                            process.pid,
                            process.name(),
                            process.username(),
                            times.user + times.system,
                            process.memory_info().rss,
                            process.create_time(),
                        )
                    )
            except (psutil.Error, KeyError):  # gone meanwhile, hidden from us, or of a user without a name
                continue
        return found
