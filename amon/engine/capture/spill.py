"""A thread that writes records into a file or a pipe, so that who makes them never waits for a disk or a reader.

What it cannot write whole it takes back, so that the file ends with a whole record. Source: ftruncate(2).
"""

import os
from collections import deque
from errno import EBADF, EDQUOT, EFBIG, ENOSPC, EPIPE
from threading import Condition, Thread
from typing import Final

import numpy as np

from amon.engine.capture.pcap import Records
from amon.engine.linux.sink import Sink, Unread

QUEUE: Final = 8 * 1024 * 1024
"""Bytes that wait to be written."""
_TEXTS: Final = {
    ENOSPC: "the disk is full",
    EDQUOT: "the disk quota is used up",
    EFBIG: "the file may not become larger",
    EPIPE: "who read it has gone",
    EBADF: "it is not open for writing",
}


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
        except Unread:
            self.text = "its reader takes nothing"
        finally:
            os.close(self._descriptor)
            with self._change:
                self._closing = True
                self.lost += sum(map(len, self._waiting))

    def _write_all(self) -> None:
        sink = Sink(self._descriptor)
        if sink.fault:
            self.text = sink.fault
            return
        self._write(Records(self._header, np.empty(0, np.int64)), sink)
        while (records := self._next()) is not None:
            self._write(records, sink)

    def _next(self) -> Records | None:
        with self._change:
            self._change.wait_for(lambda: self._waiting or self._closing)
            if not self._waiting:
                return None
            records = self._waiting.popleft()
            self._room += len(records.data)
            return records

    def _write(self, records: Records, sink: Sink) -> None:
        done = 0
        view = memoryview(records.data)
        try:
            while done < len(view):
                done += sink.write(view[done:], lambda: self._hurried)
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
