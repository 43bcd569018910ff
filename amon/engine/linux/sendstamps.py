"""The kernel's own stamps of when packets were sent, for a sample of them: how far our interpolated ones are off.

Source: Documentation/networking/timestamping.rst. The stamp is taken where the driver gets the packet, and comes back
through the socket's error queue with the number of the stamped packet. It costs a sixth of a packet, hence a sample.
"""

import errno
import socket
import struct
import time
from collections.abc import Callable

from amon.engine.linux.mmsg import control_space
from amon.engine.shapes import I64
from amon.engine.stamps import Errors, clocks_apart

SO_TIMESTAMPING = 37
TX_SOFTWARE, SOFTWARE, OPT_ID, OPT_CMSG, OPT_TSONLY, OPT_RX_FILTER = 1 << 1, 1 << 4, 1 << 7, 1 << 10, 1 << 11, 1 << 17
ORIGIN_TIMESTAMPING = 4
"""SO_EE_ORIGIN_TIMESTAMPING, see ip(7), IP_RECVERR."""
CONTROL_SIZE = 4
EVERY = 4096
SECOND = 1_000_000_000
WAITING = 16
"""Samples whose stamp has not come; older ones are forgotten: it never will."""
STEPPED = 1_000_000
"""ns the two clocks may move against each other while a sample is under way; else it says nothing."""


class SendStamps:
    """Of the packets of one socket. `every` so many packets, and once a second, one is stamped.

    shared: somebody else reads the socket's error queue, and calls `came`.
    """

    def __init__(
        self,
        sock: socket.socket,
        every: int = EVERY,
        *,
        shared: bool = False,
        now: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self._socket = sock
        self._every = every
        self._shared = shared
        self._now = now
        self._passed, self._last, self._key, self._place = 0, now(), 0, 0
        self._waiting: dict[int, tuple[int, int, Callable[[int], None] | None]] = {}
        self._errors = Errors()
        self.works = _ask_for(sock)

    def choose(self, count: int) -> int:
        """Which of the next `count` packets is to be stamped: its place, or -1 for none."""
        self._passed += count
        if not self.works or (self._passed < self._every and self._now() - self._last < SECOND):
            return -1
        self.read()
        # Not always the same place of a batch: the error is another at its beginning and its end.
        self._place += 37
        return self._place % count

    def sent(self, ours: int, learn: Callable[[int], None] | None = None) -> None:
        """The chosen packet went out; `ours` is its interpolated stamp. learn: is told the kernel's (monotonic)."""
        self._passed, self._last = 0, self._now()
        self._waiting[self._key] = ours, clocks_apart(), learn
        self._key = (self._key + 1) & 0xFFFF_FFFF
        while len(self._waiting) > WAITING:
            del self._waiting[next(iter(self._waiting))]

    def unsent(self) -> None:
        """The chosen packet did not go out. Nobody says whether the kernel has counted it: count from 0 again."""
        self.read()
        self._waiting.clear()
        self._key, self._passed, self._last = 0, 0, self._now()
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, 0)
        self.works = _ask_for(self._socket)

    def came(self, key: int, stamp: int) -> None:
        """The kernel's stamp (CLOCK_REALTIME, ns) of its packet of that number."""
        ours, apart, learn = self._waiting.pop(key, (0, 0, None))
        if ours and abs(clocks_apart() - apart) < STEPPED:
            self._errors.note(ours, stamp - apart)
            if learn is not None:
                learn(stamp - apart)

    def read(self) -> None:
        """Take the stamps that have come from the error queue."""
        if self._shared:
            return
        for _ in range(2 * WAITING):
            try:
                _, controls, _, _ = self._socket.recvmsg(0, 512, socket.MSG_ERRQUEUE | socket.MSG_DONTWAIT)
            except OSError as error:
                if error.errno != errno.EAGAIN:  # a pending error of the socket, which asking has taken away
                    continue
                return
            self._note(controls)

    def _note(self, controls: list[tuple[int, int, bytes]]) -> None:
        key = stamp = None
        for level, kind, value in controls:
            if (level, kind) == (socket.SOL_SOCKET, SO_TIMESTAMPING):
                seconds, nanoseconds = struct.unpack_from("qq", value)
                stamp = seconds * SECOND + nanoseconds
            elif len(value) >= 16 and value[4] == ORIGIN_TIMESTAMPING:
                key = struct.unpack_from("I", value, 12)[0]
        if key is not None and stamp is not None:
            self.came(key, stamp)

    def errors(self) -> I64:
        """Ours minus the kernel's, ns, since the last call."""
        return self._errors.take()


def _ask_for(sock: socket.socket) -> bool:
    flags = SOFTWARE | OPT_ID | OPT_CMSG | OPT_TSONLY
    for more in (OPT_RX_FILTER, 0):  # since Linux 6.12: without it received packets would carry a second stamp
        try:
            sock.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, flags | more)
        except OSError:
            continue
        return True
    return False


SPACE = control_space(CONTROL_SIZE)
"""Bytes of the control message that has one packet stamped: (SOL_SOCKET, SO_TIMESTAMPING), `TX_SOFTWARE`."""
