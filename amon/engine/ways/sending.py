"""What all ways have in common that send through a socket: batches, their spans, errors, a sample of kernel stamps."""

import errno
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from functools import partial

from amon.engine.linux.mmsg import Messages, why, write_control
from amon.engine.linux.sendstamps import CONTROL_SIZE, SO_TIMESTAMPING, SPACE, TX_SOFTWARE, SendStamps
from amon.engine.shapes import I64, U8, U16, Published, Span
from amon.engine.stamps import Course, interpolate
from amon.engine.ways.rows import Rows

BATCH = 128
"""Packets per system call. Fewer make stamps better (they are interpolated over a batch), more make it cheaper."""
WAITS = (errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM, errno.EINTR)
"""The system has no room just now: the same packet again, a little later."""
ABSENT = (errno.ENETDOWN, errno.ENXIO, errno.ENODEV)
"""The interface is down or gone: no packet can be sent."""
UNFIT = errno.EMSGSIZE
"""The packet is larger than the interface takes. Whoever asked for that size is told so: nothing was dropped."""


class SocketTransmitter(ABC):
    """A `Transmitter` for one socket; the ways say how a row becomes a message, and what an error means.

    control: bytes of control messages before the one that asks for a stamp.
    """

    def __init__(
        self, name: str, family: int, sock: socket.socket, frames: int, *, link: bool = False,
        begin: int, address: int = 0, control: int = 0, every: int = 4096,
    ) -> None:  # fmt: skip
        self.name, self.family, self.link = name, family, link
        self._socket = sock
        self._rows = Rows(frames)
        self.memory: U8 = self._rows.memory
        self._messages = Messages(frames, name=address, control=control + SPACE)
        self._messages.point(self.memory, begin)
        self._messages.headers["controllen"] = 0
        self._control = control
        self._controlled = False
        write_control(self._messages.controls, control, socket.SOL_SOCKET, SO_TIMESTAMPING, CONTROL_SIZE)
        self._messages.controls[:, control + 16] = TX_SOFTWARE
        self._stamps = SendStamps(sock, every)
        self._course = Course()
        self._counts: dict[str, int] = {}

    def rows(self, most: int) -> I64:
        return self._rows.take(most)

    def rewind(self, count: int) -> None:
        self._rows.give_back(count)

    def publish(self, lengths: U16) -> Published:
        spans: list[Span] = []
        done = 0
        for piece in self._rows.oldest(len(lengths)):
            for part in self._prepare(piece, lengths[done : done + piece.stop - piece.start]):
                sent, error = self._send(part, spans)
                self._rows.done(sent)
                done += sent
                if error:
                    return self._ended(spans, error, len(lengths) - done)
        return Published(spans)

    @abstractmethod
    def _prepare(self, piece: slice, lengths: U16) -> Iterator[slice]:
        """Make messages of these rows; the parts of them that can be sent with the socket as it is then."""

    def _send(self, part: slice, spans: list[Span]) -> tuple[int, int]:
        """How many of them went out, and the errno that stopped it or 0."""
        at, tries = part.start, 0
        while at < part.stop:
            count = min(BATCH, part.stop - at)
            chosen = self._stamps.choose(count)
            if chosen >= 0:
                self._stamp(at + chosen, True)
            begin = time.monotonic_ns()
            sent = self._messages.send(self._socket.fileno(), at, count)
            end = time.monotonic_ns()
            if chosen >= 0:
                self._stamp(at + chosen, False)
                if chosen == max(sent, 0) < count:
                    self._stamps.unsent()
            if sent < 0:
                tries += 1
                if self._again(-sent, tries):
                    continue
                return at - part.start, -sent
            tries = 0
            spans.append(self._course.span(sent, begin, end))
            if 0 <= chosen < sent:
                learn = partial(self._course.learn, chosen, sent, begin, end)
                self._stamps.sent(int(interpolate(spans[-1:])[chosen]), learn)
            at += sent
        return at - part.start, 0

    def _stamp(self, row: int, wanted: bool) -> None:
        """One message with or without the control message that asks for a stamp."""
        before = self._control if self._controlled else 0
        self._messages.control(row, 1, self._control - before, before + (SPACE if wanted else 0))

    def _again(self, error: int, tries: int) -> bool:
        """Whether this was no error of the packet, which has been tried so often and is to be tried again at once."""
        return False

    def _ended(self, spans: list[Span], error: int, left: int) -> Published:
        """An error stopped it with `left` frames not sent: wait, one is lost, or all are."""
        if error != UNFIT:
            name = errno.errorcode.get(error, str(error))
            self._counts[name] = self._counts.get(name, 0) + 1
        if error in WAITS:
            return Published(spans)
        failed = left if error in ABSENT else 1
        self._rows.done(failed)
        return Published(spans, failed, f"{self.name}: {why(error, HINTS)}")

    def errors(self) -> I64:
        self._stamps.read()
        return self._stamps.errors()

    def counters(self) -> Mapping[str, int]:
        """Calls that ended with an error, by its name (errno(3)); not those for a packet that is too large."""
        return dict(self._counts)

    def close(self) -> None:
        self._socket.close()


HINTS: Mapping[int, str] = {
    UNFIT: "the packet is larger than the interface takes (MTU)",
    errno.EPERM: "the system's firewall rejects it",
    errno.EACCES: "the address is a broadcast address or forbidden by a route",
    errno.ENETUNREACH: "no route to the network",
    errno.EHOSTUNREACH: "no route to the host",
    errno.ENETDOWN: "the interface is down",
    errno.ENXIO: "the interface is gone",
    errno.ENODEV: "the interface is gone",
    errno.EINVAL: "the system does not take this packet (EINVAL)",
}
