"""A host as a literal: everything well unless the test says otherwise."""

import threading
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from modules.host.world import Heat, Link, Load, Mount, Room, Space, Task, Traffic

GIB = 2**30


def full(percent: float, inodes: float | None = None) -> Space:
    """A file system of 100 GiB, so full."""
    files, files_free = (0, 0) if inodes is None else (1000, round(1000 - 10 * inodes))
    return Space(100 * GIB, round(percent * GIB), round((100 - percent) * GIB), files, files_free)


@dataclass
class FakeWorld:
    load_5: float = 0.5
    memory_used: float = 40.0
    swap_used: float | None = None
    mounted: list[Mount] = field(default_factory=lambda: [Mount("/dev/sda1", "/", "ext4")])
    spaces: dict[str, Space | OSError] = field(default_factory=lambda: {"/": full(50)})
    dead: set[str] = field(default_factory=set)
    sensors: list[Heat] = field(default_factory=list)
    counters: dict[str, Traffic] = field(default_factory=lambda: {"eth0": Traffic(1000, 2000)})
    interfaces: dict[str, Link] = field(default_factory=lambda: {"eth0": Link(True, 1e10)})
    processes: list[list[Task]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    alive: threading.Event = field(default_factory=threading.Event)

    def load(self) -> Load:
        return Load((9.0, self.load_5, 0.1), 2)

    def memory(self) -> Room:
        return Room(100 * GIB, round((100 - self.memory_used) * GIB))

    def swap(self) -> Room | None:
        return None if self.swap_used is None else Room(100, round(100 - self.swap_used))

    def mounts(self) -> Sequence[Mount]:
        return self.mounted

    def traffic(self) -> Mapping[str, Traffic]:
        return dict(self.counters)

    def space(self, path: str) -> Space:
        self.asked.append(path)
        if path in self.dead:
            self.alive.wait(30)
        said = self.spaces[path]
        if isinstance(said, OSError):
            raise said
        return said

    def links(self) -> Mapping[str, Link]:
        return self.interfaces

    def heat(self) -> Sequence[Heat]:
        return self.sensors

    def tasks(self) -> Iterable[Task]:
        return self.processes.pop(0)
