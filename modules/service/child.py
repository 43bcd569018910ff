"""Starting programs and learning of their end: argv lists, own session, nothing inherited, no pipe back to us.

Sources: pidfd_open(2) (Linux 5.3), waitpid(2), setsid(2). asyncio's own subprocesses are not used: they tie the child
to a transport of this process, and a service has to outlive us.
"""

import asyncio
import errno
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from amon.errors import Failed

from .proc import look

# What a program may know of ours. NOTIFY_SOCKET, WATCHDOG_PID, LISTEN_FDS and secrets are the agent's alone.
_KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR", "XDG_RUNTIME_DIR")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_POLL = 0.2  # seconds

OpenPid = Callable[[int], int]


def environment(extra: Mapping[str, str]) -> dict[str, str]:
    """The environment of a child: little of ours, and what its settings add."""
    kept = {key: value for key, value in os.environ.items() if key in _KEPT or key.startswith("LC_")}
    return {"PATH": _PATH, **kept, **extra}


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run and where. `output` is a file descriptor for both standard output and error."""

    argv: Sequence[str]
    output: int
    directory: str = "/"
    environment: Mapping[str, str] | None = None


def touch(program: str, directory: str) -> None:
    """Ask the file systems for both. Blocks as long as they do, and complains of nothing: `launch` does."""
    for path in (program, directory):
        with suppress(OSError):
            os.stat(path)  # noqa: PTH116 - the call itself is what is wanted


def launch(what: Launch) -> int:
    """Start it in a session of its own and return its pid.

    Blocks all threads until it is executed (vfork(2), with the interpreter's lock held), hence `touch` before it, in a
    thread: a file system that hangs must not hang the agent.
    """
    try:
        child = subprocess.Popen(
            list(what.argv),
            stdin=subprocess.DEVNULL,
            stdout=what.output,
            stderr=what.output,
            cwd=what.directory,
            env=environment(what.environment or {}),
            start_new_session=True,
            close_fds=True,
        )
    except OSError as error:
        raise Failed(f"cannot run {what.argv[0]}: {_reason(error, what)}") from error
    # We wait for it through its pidfd and may let it go alive; Popen, told it is over, neither reaps nor complains.
    child.returncode = 0
    return child.pid


def reap(pid: int) -> int | None:
    """The exit status as subprocess has it (negative: signal) of a child that has ended; None if not our child."""
    try:
        found, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        return None
    return os.waitstatus_to_exitcode(status) if found == pid else None


async def wait_end(pid: int, ticks: int, open_pid: OpenPid = os.pidfd_open) -> None:
    """Return when this very process has ended, be it our child or not. It may remain a zombie, to be reaped."""
    try:
        descriptor = open_pid(pid)
    except ProcessLookupError:
        return
    except OSError as error:
        if error.errno not in (errno.ENOSYS, errno.EPERM, errno.EINVAL):
            raise
        await _poll_end(pid, ticks)  # an old kernel, or a sandbox that forbids the call
        return
    try:
        if _same(pid, ticks):
            await _readable(descriptor)
    finally:
        os.close(descriptor)


def describe(status: int | None) -> str:
    """`exit status 3`, `killed by SIGKILL`."""
    if status is None:
        return "ended, exit status not known"
    if status >= 0:
        return f"exit status {status}"
    try:
        return f"killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"killed by signal {-status}"


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if not ended.done():
            ended.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        await ended
    finally:
        loop.remove_reader(descriptor)


async def _poll_end(pid: int, ticks: int) -> None:
    while _same(pid, ticks):  # noqa: ASYNC110 - another process's end sets no event here
        await asyncio.sleep(_POLL)


def _same(pid: int, ticks: int) -> bool:
    found = look(pid)
    return found is not None and found.alive and found.ticks == ticks


def _reason(error: OSError, what: Launch) -> str:
    if isinstance(error, FileNotFoundError) and error.filename == what.directory:
        return f"its directory {what.directory} does not exist"
    if isinstance(error, FileNotFoundError):
        return "no such program"
    return (error.strerror or str(error)).lower()
