"""A log file as it grows: its last lines, then what is added, through rotation and truncation. As tail(1) with -F.

It is looked at twice a second, more often while it grows, in a thread: a file system that hangs must not hang the
agent. What was written between the last look and a truncation is lost, as for everybody who reads such a file.
"""

import asyncio
import os
import stat
import threading
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from pathlib import Path

from amon.clock import Clock
from amon.errors import Failed

from .logfile import one_line

_SOON, _EVERY = 0.1, 0.5  # seconds between looks while something comes, and when nothing does
_WAKE = 5  # looks without anything new after which nothing comes
_CHUNK = 64 * 1024  # bytes read at a time
_BACK = 256 * 1024  # bytes looked at for the lines before
_LONGEST = 16 * 1024  # bytes of a line; what is longer is broken


@dataclass(frozen=True, slots=True)
class _News:
    data: bytes = b""
    note: str = ""


class _File:
    """The file of this name, whichever it is now. All its methods block, and one waits for the other."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._descriptor = -1
        self._place = 0

    def begin(self, lines: int) -> list[bytes]:
        """Open it, and its last lines; nothing while it is not there."""
        with self._lock:
            return self._begin(lines)

    def news(self) -> _News:
        with self._lock:
            return self._news()

    def end(self) -> None:
        """Whoever is still at work with it has ended by then."""
        with self._lock:
            self._close()

    def _begin(self, lines: int) -> list[bytes]:
        if not self._open() or lines <= 0:
            self._place = self._size()
            return []
        end = self._size()
        first = max(0, end - _BACK)
        data = os.pread(self._descriptor, end - first, first)
        whole = data[: data.rfind(b"\n") + 1]  # a line that is still being written comes when it is whole
        self._place = first + len(whole)
        found = whole.splitlines()
        return (found[1:] if first and len(found) > 1 else found)[-lines:]

    def _news(self) -> _News:
        if self._descriptor < 0:
            return _News(note=f"-- {self._path.name} is there --") if self._open() else _News()
        if self._size() < self._place:
            self._place = 0
            return _News(note=f"-- {self._path.name} was cut --")
        data = os.pread(self._descriptor, _CHUNK, self._place)
        self._place += len(data)
        if data or not self._is_another():
            return _News(data)
        self._close()
        return _News(note=f"-- {self._path.name} is a new file --") if self._open() else _News()

    def _close(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> bool:
        try:
            # Not to wait for whoever writes into it, should it be a pipe.
            descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return False
        except OSError as error:
            raise Failed(f"{self._path}: {(error.strerror or str(error)).lower()}") from None
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise Failed(f"{self._path} is no file that can be followed")
        self._descriptor, self._place = descriptor, 0
        return True

    def _size(self) -> int:
        return os.fstat(self._descriptor).st_size if self._descriptor >= 0 else 0

    def _is_another(self) -> bool:
        """Whether the name now means another file. One that was taken away may still be written to."""
        try:
            now = self._path.stat()
        except OSError:
            return False
        mine = os.fstat(self._descriptor)
        return (now.st_dev, now.st_ino) != (mine.st_dev, mine.st_ino)


async def follow(path: Path, lines: int, clock: Clock) -> AsyncGenerator[str, None]:
    """The last `lines` lines of the file, and each that is added; for ever. `Failed` if it may not be read."""
    file, rest, idle = _File(path), b"", _WAKE
    try:
        for line in await asyncio.to_thread(file.begin, lines):
            yield one_line(line)
        while True:
            news = await asyncio.to_thread(file.news)
            if news.note:
                rest = b""
                yield news.note
                continue
            *whole, rest = (rest + news.data).split(b"\n")
            if len(rest) > _LONGEST:
                whole, rest = [*whole, rest], b""
            for line in whole:
                yield one_line(line)
            idle = 0 if news.data else idle + 1
            if len(news.data) < _CHUNK:
                await clock.sleep(_EVERY if idle > _WAKE else _SOON)
    finally:
        await asyncio.to_thread(file.end)
