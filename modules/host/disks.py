"""Which mounts are worth a look, what to call them, and asking them without waiting for ever."""

import asyncio
import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from .blocking import Blocking
from .world import Mount, Space

# Made by the kernel or by programs, full by nature or of no size. autofs above all: to ask it is to mount.
_NO_DISK = frozenset(
    {
        "autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "cramfs", "debugfs", "devfs", "devpts",
        "devtmpfs", "ecryptfs", "efivarfs", "erofs", "fuse.gvfsd-fuse", "fuse.lxcfs", "fuse.portal", "fuse.snapfuse",
        "fusectl", "hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "pstore", "ramfs", "romfs", "rootfs",
        "rpc_pipefs", "securityfs", "selinuxfs", "squashfs", "sysfs", "tmpfs", "tracefs", "udf",
    }
)  # fmt: skip
_LONGEST_NAME = 48  # characters
_UNFIT = re.compile(r"[^\w.+@:-]")


@dataclass(frozen=True, slots=True)
class Silence:
    """Why there are no numbers; counts: whether that is a trouble of this host."""

    reason: str
    counts: bool = True


Answer = Space | Silence


def worth_a_look(mounts: Iterable[Mount], ignore: Sequence[str]) -> list[Mount]:
    """Real file systems, each once: what is mounted in several places is shown at the shortest path."""
    # What was mounted last on a path hides what was there before: NFS on its autofs, say.
    on_top = {mount.path: mount for mount in mounts if mount.kind != "rootfs"}.values()
    found: dict[str, Mount] = {}
    for mount in sorted(on_top, key=lambda mount: (len(mount.path), mount.path)):
        if _is_made_up(mount) or any(fnmatchcase(mount.path, pattern) for pattern in ignore):
            continue
        key = mount.device if "/" in mount.device or ":" in mount.device else mount.path
        found.setdefault(key, mount)
    return sorted(found.values(), key=lambda mount: mount.path)


def _is_made_up(mount: Mount) -> bool:
    """A container's root is an overlay, and can be full."""
    return mount.kind in _NO_DISK and not (mount.path == "/" and mount.kind == "overlay")


def part_names(paths: Iterable[str]) -> dict[str, str]:
    """Path to the name of its part of health, which must stand in a target: `/var/log` is `disk-var-log`.

    Where two paths give one name, as `/a/b` and `/a-b` do, the later one in the alphabet is numbered.
    """
    names: dict[str, str] = {}
    for path in sorted(paths):
        base = "disk-" + (_UNFIT.sub("_", path.strip("/").replace("/", "-"))[:_LONGEST_NAME] or "root")
        name, number = base, 1
        while name in names.values():
            number += 1
            name = f"{base}-{number}"
        names[path] = name
    return names


async def ask_all(
    mounts: Iterable[Mount], space: Callable[[str], Space], blocking: Blocking, within: float
) -> Mapping[str, Answer]:
    """Path to what each mount says, all asked at once: a dead one costs `within` seconds, however many are dead."""
    paths = [mount.path for mount in mounts]
    return dict(zip(paths, await asyncio.gather(*(_ask(path, space, blocking, within) for path in paths)), strict=True))


async def _ask(path: str, space: Callable[[str], Space], blocking: Blocking, within: float) -> Answer:
    try:
        return await blocking.ask(path, lambda: space(path), within)
    except PermissionError:  # somebody's own mount, through FUSE: none of our business
        return Silence("we may not look", counts=False)
    except TimeoutError:
        return Silence("does not answer")
    except OSError as fault:  # a stale NFS handle, for one
        return Silence(os.strerror(fault.errno).lower() if fault.errno else str(fault))
