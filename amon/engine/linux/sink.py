"""Writing into what may have nobody who reads it: a file is waited for, a pipe only as long as its writer likes.

A terminal is refused: packets are anybody's bytes, and one that is held (Ctrl-S) would hold its writer. Sources:
write(2), pipe(7) (one that polls writable takes PIPE_BUF bytes), pwritev2(2) (RWF_NOWAIT), isatty(3).
"""

import os
import stat
from collections.abc import Callable
from errno import EINVAL, ENOSYS, EOPNOTSUPP
from select import PIPE_BUF, POLLOUT, poll
from typing import Final

_PIECE: Final = 256 * 1024
_POLL_MS: Final = 100


class Unread(Exception):
    """Its reader takes nothing, and its writer waits no longer."""


class Sink:
    """descriptor: stays its owner's. fault: why nothing may be written into it; empty if it may."""

    def __init__(self, descriptor: int) -> None:
        mode = os.fstat(descriptor).st_mode
        self._descriptor = descriptor
        self._is_file = stat.S_ISREG(mode)
        takes = (self._is_file or stat.S_ISFIFO(mode) or stat.S_ISCHR(mode)) and not os.isatty(descriptor)
        self.fault = "" if takes else "a capture goes into a file or a pipe"
        self._nowait = True
        self._writable = poll()
        self._writable.register(descriptor, POLLOUT)

    def write(self, data: memoryview, gives_up: Callable[[], bool]) -> int:
        """How many bytes of it were taken. gives_up: asked as long as there is no reader. Raises OSError, Unread."""
        if self._is_file:
            return os.write(self._descriptor, data[:_PIECE])
        while True:
            if self._writable.poll(_POLL_MS):
                try:
                    return self._write_now(data[:PIPE_BUF])
                except BlockingIOError:
                    pass  # somebody else writes there too, and was faster
            if gives_up():
                raise Unread

    def _write_now(self, data: memoryview) -> int:
        """Never blocks, where the kernel can promise that; O_NONBLOCK would be for all who have this descriptor."""
        if self._nowait:
            try:
                return os.pwritev(self._descriptor, (data,), -1, os.RWF_NOWAIT)
            except OSError as error:
                if error.errno not in (EOPNOTSUPP, EINVAL, ENOSYS):
                    raise
                self._nowait = False
        return os.write(self._descriptor, data)
