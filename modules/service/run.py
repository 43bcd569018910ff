"""Running a short program to its end, within a time limit, keeping the end of what it says: checks, status, systemctl.

A program that leaves a child holding the pipe does not hold us: its own exit counts, then what is already in the pipe
is taken. Start and stop scripts use a file instead (see script.py): a daemon must not lose its standard output with us.
"""

import asyncio
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from amon.errors import Failed

from .child import Launch, launch, reap, touch, wait_end
from .proc import look
from .single import Single

KEPT = 64 * 1024  # bytes of output, from its end
_DYING = 3.0  # seconds a killed process may take; longer means it hangs in the kernel


@dataclass(frozen=True, slots=True)
class Ran:
    """How it ended. `status` is None when it took too long; `stuck` is its pid if even SIGKILL did not end it."""

    status: int | None
    output: str = ""
    stuck: int | None = None


class _Tail:
    """The last bytes of a pipe."""

    def __init__(self, descriptor: int) -> None:
        os.set_blocking(descriptor, False)
        self._descriptor = descriptor
        self._kept = bytearray()

    def take(self) -> int | None:
        """Read what is there: how much, 0 at the end, None if there is nothing now."""
        try:
            read = os.read(self._descriptor, KEPT)
        except BlockingIOError:
            return None
        self._kept += read
        if len(self._kept) > 2 * KEPT:
            del self._kept[:-KEPT]
        return len(read)

    def take_rest(self) -> None:
        # Bounded: a daemon that writes for ever into the pipe must not keep us reading.
        for _ in range(64):
            if not self.take():
                return

    def text(self) -> str:
        return bytes(self._kept[-KEPT:]).decode("utf-8", "replace")


async def run(
    argv: Sequence[str],
    timeout: float,
    *,
    directory: str = "/",
    environment: Mapping[str, str] | None = None,
    reach: Single | None = None,
) -> Ran:
    """Run it; `Failed` if it cannot be started. On time-out and on cancellation its whole process group is killed.

    reach: where its file systems may hang, what waits for them.
    """
    if reach is not None:
        try:
            async with asyncio.timeout(timeout):
                await reach.call(touch, argv[0], directory)
        except TimeoutError:
            raise Failed(f"the file system of {argv[0]} hangs") from None
    reading, writing = os.pipe2(os.O_CLOEXEC)
    tail = _Tail(reading)
    loop = asyncio.get_running_loop()

    def readable() -> None:
        if tail.take() == 0:
            loop.remove_reader(reading)

    try:
        try:
            pid = launch(Launch(argv, writing, directory, environment))
        finally:
            os.close(writing)
        loop.add_reader(reading, readable)
        ran = await finish(pid, timeout)
        tail.take_rest()
        return Ran(ran.status, tail.text(), ran.stuck)
    finally:
        loop.remove_reader(reading)
        os.close(reading)


async def finish(pid: int, timeout: float, *, leave: bool = False) -> Ran:
    """Wait for a child of ours and reap it; kill it, with its group, when it takes too long.

    leave: on cancellation it goes on without us, instead of being killed.
    """
    process = look(pid)
    ticks = process.ticks if process else 0
    try:
        async with asyncio.timeout(timeout):
            await wait_end(pid, ticks)
        return Ran(reap(pid))
    except TimeoutError:
        return Ran(None, stuck=await kill(pid, ticks))
    except asyncio.CancelledError:
        if leave:
            raise
        await kill(pid, ticks)
        raise


async def kill(pid: int, ticks: int) -> int | None:
    """Kill the group of a child not reaped yet, so that pid and group are still its own; the pid if it stays."""
    try:
        os.killpg(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    try:
        async with asyncio.timeout(_DYING):
            await wait_end(pid, ticks)
    except TimeoutError:
        return pid
    reap(pid)
    return None
