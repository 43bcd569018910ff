"""Outputs that do not fit into one message, kept whole at their site: one file each, private, bounded, discreet.

A file is named by account, asker and id of the call, so that whoever guesses an id finds nothing; it is forgotten with
the journal's record. In it is text as people may see it (UTF-8), in blocks of the same length, each of them by itself
in the form of zlib (RFC 1950), so that a part can be read without all before it; behind them, where each block ends.
"""

import array
import asyncio
import contextlib
import dataclasses
import errno
import json
import os
import shutil
import struct
import tempfile
import threading
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from amon.command.answer import columns_of
from amon.command.pieces import pieces
from amon.convert import to_data
from amon.errors import Failed
from amon.fields import Secret, shapes
from amon.files import sync_directory
from amon.ids import digest
from amon.runtime.caps import Kept, bounded
from amon.runtime.veil import Glass
from amon.wire import Whole
from amon.words import Answer

MOST = 64 * 2**20  # bytes of one output, as text
TOTAL = 512 * 2**20  # bytes of all files
RESERVE = 32 * 2**20  # bytes that are left on the disk: the journal has to be written
BLOCK = 48_000  # bytes of text: whatever they are, in the form of zlib and in base64 they fit into one payload
_HEAD = 20_000  # characters of the beginning that the answer gets
_LOOK_EVERY = 64  # blocks, between two looks at the disk
_TAIL = struct.Struct("<QI4s")  # bytes of text, blocks, mark
_MARK = b"amo1"
_WAITING_MOST = 4  # results that are written down or wait for it: until then they are in memory
_BUSY = "others are being written down just now"
_LEVEL = 3  # of zlib: logs become a tenth; more takes three times as long for little

Key = tuple[str, str, str]  # account, asker, id


class _Stopped(Exception):
    """Nobody wants it any more."""


@dataclass(frozen=True, slots=True)
class _Limits:
    most: int
    total: int
    reserve: int


class Outputs:
    """Of one site, in `folder`, which is made when it is first needed. free: bytes left on the disk of a folder.

    A site without a folder keeps nothing.
    """

    def __init__(
        self,
        folder: Path | None,
        most: int = MOST,
        total: int = TOTAL,
        reserve: int = RESERVE,
        free: Callable[[Path], int] = lambda folder: shutil.disk_usage(folder).free,
    ) -> None:
        self._folder = folder
        self._limits = _Limits(most, total, reserve)
        self._free = free
        self._one = asyncio.Lock()  # at a time: each takes a thread, and the interpreter
        self._waiting = 0

    async def keep(self, key: Key, result: Any, hidden: Iterable[Secret], now: float, *, data: bool = False) -> Kept:
        """Write all of `result` down, in a thread. data: as JSON, a row on each line, instead of text for people.

        hidden: secrets of the call. now: epoch seconds. Where it cannot be written `fault` says why.
        """
        if isinstance(result, list | tuple):
            result = list(result)  # the module may go on with its own
        hides, stop = tuple(shapes(hidden)), threading.Event()
        made = _Text(pieces(result) if not data else _json_lines(result), hides)
        if self._waiting >= _WAITING_MOST:
            return await asyncio.to_thread(_kept, result, made, None, _BUSY)
        self._waiting += 1
        try:
            async with self._one:
                return await asyncio.to_thread(self._keep, key, result, made, now, stop)
        finally:
            self._waiting -= 1
            stop.set()

    def _keep(self, key: Key, result: Any, made: "_Text", now: float, stop: threading.Event) -> Kept:
        try:
            whole, fault = self._written(key, made, now, stop), ""
        except OSError as error:
            whole, fault = None, (error.strerror or str(error)).lower()
        return _kept(result, made, whole, fault)

    def _written(self, key: Key, text: "_Text", now: float, stop: threading.Event) -> Whole:
        folder, path = self._home(), self._path(key)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._make_room(folder)
        fresh = path.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        try:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
            with os.fdopen(os.open(fresh, flags, 0o600), "wb") as file:
                whole = self._write(file, text, stop)
                file.flush()
                os.fsync(file.fileno())
            os.utime(fresh, (now, now))
            fresh.replace(path)
            sync_directory(folder)
        except BaseException:
            with contextlib.suppress(OSError):
                fresh.unlink()
            raise
        return whole

    def _write(self, file: BinaryIO, text: "_Text", stop: threading.Event) -> Whole:
        blocks, waiting, was_cut = _Blocks(file), b"", False
        for part in text:
            if stop.is_set():
                raise _Stopped
            waiting += part.encode()
            if blocks.size + len(waiting) > self._limits.most:
                waiting, was_cut = self._last(waiting, self._limits.most - blocks.size), True
            while len(waiting) >= BLOCK:
                if blocks.count % _LOOK_EVERY == 0 and self._free(self._home()) < self._limits.reserve:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                blocks.put(waiting[:BLOCK])
                waiting = waiting[BLOCK:]
            if was_cut:
                break
        blocks.put(waiting)
        blocks.end()
        return Whole(blocks.size, blocks.seen.hexdigest(), blocks.lines + (blocks.last != b"\n"), was_cut)

    def _last(self, waiting: bytes, room: int) -> bytes:
        """As many whole lines as there is room for, and a line that says so."""
        kept = waiting[:room]
        end = kept.rfind(b"\n") + 1
        kept = kept[:end] if end else kept.decode(errors="ignore").encode() + b"\n"
        return kept + f"(cut here: a site keeps {self._limits.most // 2**20} MiB; ask for less)\n".encode()

    def _make_room(self, folder: Path) -> None:
        """The oldest go, until one more has room whatever it is."""
        files = sorted(_files(folder), key=lambda one: one[1].st_mtime)
        left = sum(found.st_size for _, found in files) + self._limits.most - self._limits.total
        for path, found in files:
            if left <= 0:
                return
            path.unlink(missing_ok=True)
            left -= found.st_size

    def _home(self) -> Path:
        if self._folder is None:
            raise FileNotFoundError(errno.ENOENT, "this site has no place for it")
        return self._folder

    def _path(self, key: Key) -> Path:
        return self._home() / f"{digest(*key)}.out"

    # Reading, quick enough for any thread; `Failed` where there is nothing

    def part(self, key: Key, offset: int) -> bytes:
        """Text from `offset` to the end of the block that it lies in; empty at the end and beyond it."""
        with self._opened(key) as (file, size, ends):
            if offset >= size:
                return b""
            return _read(file, ends, offset // BLOCK)[offset % BLOCK :]

    def packed(self, key: Key, offset: int) -> bytes:
        """The same in the form of zlib, as a rule just as it is kept; empty at the end and beyond it."""
        with self._opened(key) as (file, size, ends):
            if offset >= size:
                return b""
            place, inside = divmod(offset, BLOCK)
            return _held(file, ends, place) if not inside else zlib.compress(_read(file, ends, place)[inside:], _LEVEL)

    def text(self, key: Key, offset: int, most: int) -> bytes:
        """At most so many bytes (of two blocks) from `offset` on."""
        part = self.part(key, offset)
        return (part if len(part) >= most else part + self.part(key, offset + len(part)))[:most]

    def parts(self, key: Key) -> Iterator[bytes]:
        """All of it."""
        with self._opened(key) as (file, _, ends):
            for place in range(len(ends)):
                yield _read(file, ends, place)

    def scratch(self) -> BinaryIO:
        """A file without a name, where outputs are; it is gone when it is closed. `Failed` where none can be."""
        try:
            folder = self._home()
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self._free(folder) < self._limits.reserve + self._limits.most:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return tempfile.TemporaryFile(dir=folder)
        except OSError as error:
            raise Failed(f"there is no place for a file here: {(error.strerror or str(error)).lower()}") from None

    @contextlib.contextmanager
    def _opened(self, key: Key) -> Iterator[tuple[BinaryIO, int, "array.array[int]"]]:
        try:
            with self._path(key).open("rb") as file:
                held = os.fstat(file.fileno()).st_size
                file.seek(max(0, held - _TAIL.size))
                size, count, mark = _TAIL.unpack(file.read(_TAIL.size))
                ends = array.array("I")
                file.seek(held - _TAIL.size - count * ends.itemsize)
                ends.frombytes(file.read(count * ends.itemsize))
                if mark != _MARK:
                    raise ValueError
                yield file, size, ends
        except FileNotFoundError:
            raise Failed("this output is not kept here, or not any more") from None
        except (OSError, ValueError, IndexError, struct.error, zlib.error) as error:
            raise Failed(f"this output cannot be read any more ({type(error).__name__})") from None


def _held(file: BinaryIO, ends: "array.array[int]", place: int) -> bytes:
    start = ends[place - 1] if place else 0
    file.seek(start)
    return file.read(ends[place] - start)


def _read(file: BinaryIO, ends: "array.array[int]", place: int) -> bytes:
    return zlib.decompress(_held(file, ends, place))


class _Blocks:
    """A file that is written, block by block."""

    def __init__(self, file: BinaryIO) -> None:
        self.size = self.lines = 0
        self.last = b"\n"
        self.seen = sha256()
        self._file = file
        self._ends = array.array("I")

    @property
    def count(self) -> int:
        return len(self._ends)

    def put(self, text: bytes) -> None:
        if not text:
            return
        packed = zlib.compress(text, _LEVEL)
        self._file.write(packed)
        self._ends.append((self._ends[-1] if self._ends else 0) + len(packed))
        self.seen.update(text)
        self.size, self.lines, self.last = self.size + len(text), self.lines + text.count(b"\n"), text[-1:]

    def end(self) -> None:
        self._file.write(self._ends.tobytes() + _TAIL.pack(self.size, len(self._ends), _MARK))


def _kept(result: Any, made: "_Text", whole: Whole | None, fault: str) -> Kept:
    made.look()
    rows = result if isinstance(result, list | tuple) else [result]
    columns = columns_of(type(rows[0])) if rows and dataclasses.is_dataclass(rows[0]) else ()
    short, data_cut = bounded(result, made.hides)
    return Kept(Answer(made.head, short, columns), whole, fault, data_cut)


class _Text:
    """What people may see of the pieces of a result, and its beginning."""

    def __init__(self, parts: Iterator[str], hides: tuple[str, ...]) -> None:
        self.hides = hides
        self.head = ""
        self._made = self._make(parts, Glass(hides))

    def __iter__(self) -> Iterator[str]:
        return self._made

    def look(self) -> None:
        """See to it that the beginning is there, though nothing was written."""
        while len(self.head) < _HEAD and next(self._made, None) is not None:
            pass

    def _make(self, parts: Iterator[str], glass: Glass) -> Iterator[str]:
        for part in parts:
            yield self._seen(glass.feed(part))
        yield self._seen(glass.end())

    def _seen(self, text: str) -> str:
        if len(self.head) < _HEAD:
            self.head += text[: _HEAD - len(self.head)]
        return text


def _json_lines(result: Any) -> Iterator[str]:
    for row in result if isinstance(result, list | tuple) else [result]:
        yield json.dumps(to_data(row), ensure_ascii=False) + "\n"


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            yield path, path.stat()


def forget(folder: Path, before: float) -> None:
    """Drop what is older (epoch seconds), and what an agent that died in it has left."""
    with contextlib.suppress(FileNotFoundError):
        for path, found in _files(folder):
            if found.st_mtime < before:
                path.unlink(missing_ok=True)
