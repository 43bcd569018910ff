"""The shell without a terminal: `amon shell < lines`. One line after the other, the exit code is that of the worst."""

import asyncio
import contextlib
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path
from typing import TextIO

from admin_console.broadcast import Interrupts
from admin_console.plain import PlainFace
from admin_console.program import Output, face_of
from admin_console.shell.desk import Desk, Leave
from amon.errors import Failed, Invalid, Refused
from amon.job import PRECEDENCE, ExitCode
from amon.text import LONGEST_LINE


class ScriptFront:
    """Nobody is there to be asked: --yes stands in the line, or nothing is changed that wants a yes."""

    can_ask = False

    async def ask(self, question: str) -> str:
        return ""

    def face(self, output: Output) -> PlainFace:
        face = face_of(output)
        face.can_ask = False
        return face

    @contextlib.asynccontextmanager
    async def apart(self) -> AsyncIterator[None]:
        yield


async def play(desk: Desk, lines: AsyncIterator[str]) -> int:
    """Every line to its end, what comes after a failed one, too. Ctrl-C stops the one at work, and is the last."""
    codes: list[int] = []
    script, stopped = asyncio.current_task(), False
    assert script is not None

    def stop() -> None:
        nonlocal stopped
        stopped = True
        if not desk.work.interrupt():
            script.cancel()

    interrupts = Interrupts()
    with interrupts.caught(), interrupts.mean(stop):
        await _play(desk, lines, codes, lambda: stopped)
    return worst(codes)


async def _play(desk: Desk, lines: AsyncIterator[str], codes: list[int], stopped: Callable[[], bool]) -> None:
    async for line in lines:
        try:
            task = desk.enter(line)
            codes.append(await task if task is not None else 0)
        except Leave:
            break
        except (Refused, Failed) as error:
            codes.append(desk.tell(error))
        if stopped():
            break


async def lines_of(source: TextIO) -> AsyncIterator[str]:
    """Each when it is there: whoever writes into a pipe may wait for what became of the line before."""
    if stat.S_ISREG(os.fstat(source.fileno()).st_mode) or _is_nothing(source):
        for line in source:
            yield line.rstrip("\n")[: LONGEST_LINE + 1]
        return
    reader = asyncio.StreamReader(limit=4 * LONGEST_LINE)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), source)
    try:
        while data := await _line(reader):
            yield data.decode(errors="replace").rstrip("\n")
    finally:
        transport.close()


async def _line(reader: asyncio.StreamReader) -> bytes:
    try:
        return await reader.readline()
    except ValueError:
        raise Invalid(
            f"a line is longer than the {LONGEST_LINE} characters that are taken; nothing behind it was done"
        ) from None


def _is_nothing(source: TextIO) -> bool:
    """/dev/null is a device that no loop can wait for: epoll_ctl(2), EPERM."""
    return os.path.samestat(os.fstat(source.fileno()), Path(os.devnull).stat())


def worst(codes: Iterable[int]) -> int:
    """What amon could not even say comes before what the sites made of it."""
    order = [2, 1, *(int(code) for code in PRECEDENCE if code is not ExitCode.all_done)]
    found = set(codes)
    return next((code for code in order if code in found), max(found, default=0))
