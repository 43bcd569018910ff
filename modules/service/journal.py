"""The log of a unit as journald gets it: `journalctl --follow` as a child of ours, read as fast as somebody wants it.

Sources: journalctl(1); systemd.journal-fields(7): MESSAGE may be text, or the bytes of what is none; the journal's own
export of JSON writes None for what is too large.
"""

import asyncio
import json
import os
from collections.abc import AsyncGenerator, Sequence
from datetime import UTC, datetime

from amon.errors import Failed

from .child import Launch, launch
from .logfile import clean, one_line
from .proc import look
from .run import finish, kill

_CHUNK = 64 * 1024  # bytes
_LONGEST = 1024 * 1024  # bytes of one entry
_ENDING = 2.0  # seconds that the program has to end after its output did
_FIELDS = "--output-fields=MESSAGE"  # the time comes in any case


async def follow(program: Sequence[str], unit_option: str, lines: int) -> AsyncGenerator[str, None]:
    """The last `lines` lines of a unit and each that comes. What journalctl itself says is raised as `Failed`.

    It is killed when this is closed.
    """
    words = ("--no-pager", "--follow", "--output=json", _FIELDS, f"--lines={lines}", unit_option)
    reading, writing = os.pipe2(os.O_CLOEXEC)
    try:
        pid = launch(Launch((*program, *words), writing))
    except BaseException:
        os.close(reading)
        raise
    finally:
        os.close(writing)
    process = look(pid)
    ended = False
    try:
        async for entry in _entries(reading):
            for line in _lines(entry):
                yield line
        status = (await finish(pid, _ENDING)).status
        ended = True
        raise Failed(f"journalctl ended by itself{'' if status is None else f', exit status {status}'}; ask again")
    finally:
        os.close(reading)
        if not ended:
            await kill(pid, process.ticks if process else 0)


async def _entries(descriptor: int) -> AsyncGenerator[bytes, None]:
    """Whole lines of a pipe, until its end."""
    os.set_blocking(descriptor, False)
    rest = b""
    while True:
        try:
            data = os.read(descriptor, _CHUNK)
        except BlockingIOError:
            await _readable(descriptor)
            continue
        if not data:
            return
        *whole, rest = (rest + data).split(b"\n")
        if len(rest) > _LONGEST:
            rest = b""
        for line in whole:
            if line:
                yield line


async def _readable(descriptor: int) -> None:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def readable() -> None:
        if not ready.done():
            ready.set_result(None)

    loop.add_reader(descriptor, readable)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _lines(entry: bytes) -> list[str]:
    """An entry as lines with their time (UTC). `Failed` for what is none: then the program says what is wrong."""
    try:
        told = json.loads(entry)
        message, at = told.get("MESSAGE"), int(told.get("__REALTIME_TIMESTAMP", 0)) / 1e6
    except (ValueError, AttributeError, TypeError):
        raise Failed(f"journalctl: {' '.join(clean(entry.decode('utf-8', 'replace')))}") from None
    if isinstance(message, list) and all(isinstance(byte, int) and 0 <= byte < 256 for byte in message):
        message = bytes(message).decode("utf-8", "replace")
    if not isinstance(message, str):
        message = "(an entry too large to be shown)"
    when = datetime.fromtimestamp(at, UTC).strftime("%H:%M:%SZ")
    return [f"{when} {one_line(line.encode())}" for line in message.splitlines() or [""]]
