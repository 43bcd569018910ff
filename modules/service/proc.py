"""Which processes there are and whose they are. Sources: proc_pid_stat(5), proc_pid_environ(5), boot_id in random(4).

A pid alone says nothing: it is given out again. Pid, start time (field 22, clock ticks since boot) and boot together
name a process for ever.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

VARIABLE = "AMON_SERVICE"  # in the environment of each process we start; its value is the token of that start


@dataclass(frozen=True, slots=True)
class Process:
    """A line of /proc/PID/stat, as far as it matters here."""

    pid: int
    state: str
    group: int
    session: int
    ticks: int

    @property
    def alive(self) -> bool:
        return self.state not in "ZXx"


def boot_id(root: Path = Path("/proc")) -> str:
    return (root / "sys/kernel/random/boot_id").read_text().strip()


def look(pid: int, root: Path = Path("/proc")) -> Process | None:
    """The process as it is now, or None. A zombie is still there (its pid is not free), but not alive."""
    try:
        text = (root / str(pid) / "stat").read_bytes().decode("utf-8", "replace")
        # The name is in brackets and may itself hold brackets and spaces: a process chooses it freely.
        words = text[text.rindex(")") + 1 :].split()
        return Process(pid, words[0], int(words[2]), int(words[3]), int(words[19]))
    except (OSError, ValueError, IndexError):
        return None


def everyone(root: Path = Path("/proc")) -> Iterator[Process]:
    for name in os.listdir(root):  # noqa: PTH208 - Path.iterdir() makes an object per process for nothing
        if name.isdecimal() and (found := look(int(name), root)) is not None:
            yield found


def members(group: int, root: Path = Path("/proc")) -> list[Process]:
    """The living processes of a process group."""
    return [process for process in everyone(root) if process.group == group and process.alive]


def token_of(pid: int, root: Path = Path("/proc")) -> str | None:
    """The token the process was started with; None where there is none, or where we may not look."""
    try:
        environment = (root / str(pid) / "environ").read_bytes()
    except OSError:
        return None
    mark = f"{VARIABLE}=".encode()
    found = next((word for word in environment.split(b"\0") if word.startswith(mark)), None)
    return None if found is None else found.removeprefix(mark).decode("ascii", "replace")


def writes_to(pid: int, path: Path, root: Path = Path("/proc")) -> bool:
    """Whether standard output or error of the process is this file."""
    for descriptor in ("1", "2"):
        try:
            if (root / str(pid) / "fd" / descriptor).samefile(path):
                return True
        except OSError:
            continue
    return False


def find_leader(token: str, log: Path, root: Path = Path("/proc")) -> Process | None:
    """The process started with this token, when nobody wrote its pid down.

    It leads its session, as its children do not, unless they asked to: the oldest is the one. Where no environment has
    the token (programs overwrite theirs to change their title, and before it is executed one has its parent's), the log
    tells, but for what has another token: a helper of an earlier run. No token asks by the log alone.
    """
    leaders = [process for process in everyone(root) if process.alive and process.pid == process.session]
    tokens = {process.pid: token_of(process.pid, root) for process in leaders}
    mine = [one for one in leaders if token and tokens[one.pid] == token]
    if not mine:
        logging = (one for one in leaders if writes_to(one.pid, log, root))
        mine = [one for one in logging if not token or tokens[one.pid] is None]
    return min(mine, key=lambda process: (process.ticks, process.pid), default=None)


def memory(pid: int, root: Path = Path("/proc")) -> int | None:
    """Resident memory in bytes."""
    try:
        return int((root / str(pid) / "statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
    except (OSError, ValueError, IndexError):
        return None
