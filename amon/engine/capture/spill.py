"""A thread that writes records into a file or a pipe, so that who makes them never waits for a disk or a reader.

What it cannot write whole it takes back, so that the file ends with a whole record. Sources: write(2), pipe(7) (a pipe
that polls writable takes PIPE_BUF bytes), ftruncate(2).
"""

import os
import stat
from collections import deque
from errno import EBADF, EDQUOT, EFBIG, ENOSPC, EPIPE
from select import PIPE_BUF, POLLOUT, poll
from threading import Condition, Thread
from typing import Final

import numpy as np

from amon.engine.capture.pcap import Records

QUEUE: Final = 8 * 1024 * 1024
"""Bytes that wait to be written."""
_PIECE: Final = 256 * 1024
_POLL_MS: Final = 100
_TEXTS: Final = {
    ENOSPC: "the disk is full",
    EDQUOT: "the disk quota is used up",
    EFBIG: "the file may not become larger",
    EPIPE: "who read it has gone",
    EBADF: "it is not open for writing",
}


class _Slow(Exception):
    """Its reader takes nothing, and the time is up."""


class Spill:
    """descriptor: of a file or a pipe; closed at the end. header: what comes before the first record.

    packets, bytes: whole records that were written, and bytes with the header; final when `is_over`. lost: records that
    were taken and not written. text: why it could not go on."""

    def __init__(self, descriptor: int, header: bytes, queue: int = QUEUE) -> None:
        self.packets = self.bytes = self.lost = 0
        self.text = ""
        self._descriptor, self._header, self._room = descriptor, header, queue
        self._waiting: deque[Records] = deque()
        self._change = Condition()
        self._closing = self._hurried = False
        self._thread = Thread(target=self._run, name="capture", daemon=True)
        self._thread.start()

    @property
    def is_over(self) -> bool:
        return not self._thread.is_alive()

    def put(self, records: Records) -> bool:
        """Whether there was room for them."""
        with self._change:
            if self._closing or self.text or len(records.data) > self._room:
                return False
            self._room -= len(records.data)
            self._waiting.append(records)
            self._change.notify()
            return True

    def close(self) -> None:
        """Nothing more comes; what waits is written."""
        with self._change:
            self._closing = True
            self._change.notify()

    def hurry(self) -> None:
        """A reader that takes nothing is waited for no longer. A disk has to be: it cannot be left in the middle."""
        self._hurried = True

    def wait(self, seconds: float) -> bool:
        """Until it is over, so long at most."""
        self._thread.join(seconds)
        return self.is_over

    def _run(self) -> None:
        try:
            self._write_all()
        except OSError as error:
            self.text = _TEXTS.get(error.errno or 0, f"it cannot be written: {error.strerror}")
        except _Slow:
            self.text = "its reader takes nothing"
        finally:
            os.close(self._descriptor)
            with self._change:
                self._closing = True
                self.lost += sum(map(len, self._waiting))

    def _write_all(self) -> None:
        mode = os.fstat(self._descriptor).st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)):
            self.text = "a capture goes into a file or a pipe"
            return
        self._write(Records(self._header, np.empty(0, np.int64)), pipe=stat.S_ISFIFO(mode))
        while (records := self._next()) is not None:
            self._write(records, pipe=stat.S_ISFIFO(mode))

    def _next(self) -> Records | None:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            records = self._waiting.popleft()
            self._room += len(records.data)
            return records

    def _write(self, records: Records, *, pipe: bool) -> None:
        done, piece = 0, PIPE_BUF if pipe else _PIECE
        view = memoryview(records.data)
        try:
            while done < len(view):
                if pipe:
                    self._await_reader()
                done += os.write(self._descriptor, view[done : done + piece])
        finally:
            whole = int(np.searchsorted(records.ends, done, "right"))
            self.packets += whole
            self.lost += len(records) - whole
            kept = done if done == len(view) else int(records.ends[whole - 1]) if whole else 0
            self.bytes += kept
            if kept < done:
                self._take_back(done - kept)

    def _take_back(self, size: int) -> None:
        """The last bytes written; what was in the file before us stays, also where it is appended to."""
        try:
            os.ftruncate(self._descriptor, os.lseek(self._descriptor, 0, os.SEEK_CUR) - size)
        except OSError:
            pass  # a pipe: its last record is not whole, which readers tell and survive

    def _await_reader(self) -> None:
        writable = poll()
        writable.register(self._descriptor, POLLOUT)
        while not writable.poll(_POLL_MS):
            if self._hurried:
                raise _Slow
