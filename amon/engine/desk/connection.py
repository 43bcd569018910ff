"""One client at the engine's desk: reads its orders, keeps what it has not taken yet. Never blocks.

Sources: unix(7) (SOCK_SEQPACKET, SO_PEERCRED, SCM_RIGHTS), recvmsg(2) (MSG_TRUNC, MSG_CTRUNC), SO_PEERGROUPS of
asm-generic/socket.h.
"""

import array
import ctypes
import os
import socket
import struct
from collections import deque
from dataclasses import dataclass

import msgspec

from amon.engine.messages import AnyOrder, read_order

SO_PEERGROUPS = 59
DESCRIPTORS_MOST = 1
_GROUPS_MOST = 65_536  # NGROUPS_MAX
_UNREAD_MOST = 10_000
_SPACE = socket.CMSG_SPACE(4 * 4)  # one more than is taken, so that it is seen and refused


class Gone(Exception):
    """The other end has closed, or broke. The text is for the log."""


class Unreadable(Exception):
    """What came is no order. The text is for who sent it."""


@dataclass(frozen=True, slots=True)
class Peer:
    """Who the kernel says has connected; nobody can say it of himself."""

    pid: int
    uid: int
    gids: frozenset[int]


def peer_of(connected: socket.socket) -> Peer:
    """With the supplementary groups, which SO_PEERCRED leaves out."""
    pid, uid, gid = struct.unpack("3i", connected.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))
    return Peer(pid, uid, frozenset((gid & 0xFFFF_FFFF, *_groups_of(connected))))


def _groups_of(connected: socket.socket) -> tuple[int, ...]:
    """By the C library: Python's getsockopt takes 256 groups at most. Before Linux 4.13 there is no such option."""
    found, size = (ctypes.c_uint32 * _GROUPS_MOST)(), ctypes.c_uint32(4 * _GROUPS_MOST)
    libc = ctypes.CDLL(None, use_errno=True)
    fault = libc.getsockopt(connected.fileno(), socket.SOL_SOCKET, SO_PEERGROUPS, found, ctypes.byref(size))
    return () if fault else tuple(found[: size.value // 4])


class Client:
    """tenant: on whose account; empty until it has said hello. since: when it connected, monotonic ns."""

    def __init__(self, connected: socket.socket, peer: Peer, since: int) -> None:
        connected.setblocking(False)
        self.peer, self.since = peer, since
        self.tenant = self.name = ""
        self.faults = 0
        """Messages that were no orders."""
        self.queued = 0
        """Bytes that wait until it reads."""
        self.closed = False
        self.interest = 0
        """Events of epoll(7) that the desk waits for."""
        self._tokens, self._tokens_at = 0.0, 0
        self._socket = connected
        self._queue: deque[bytes] = deque()

    def __str__(self) -> str:
        who = f"{self.tenant} ({self.name})" if self.name else self.tenant or "somebody without a tenant"
        return f"{who}, uid {self.peer.uid}, pid {self.peer.pid}"

    def fileno(self) -> int:
        return self._socket.fileno()

    def allowance(self, rate: float, burst: float, now: int) -> int:
        """Orders it may give now, of so many per second."""
        earned = burst if not self._tokens_at else (now - self._tokens_at) * rate / 1e9
        self._tokens, self._tokens_at = min(burst, self._tokens + earned), now
        return int(self._tokens)

    def receive(self, buffer: bytearray) -> tuple[AnyOrder, tuple[int, ...]]:
        """The next order and the descriptors that came with it. BlockingIOError: there is none now."""
        try:
            size, extra, flags, _ = self._socket.recvmsg_into([buffer], _SPACE, socket.MSG_CMSG_CLOEXEC)
        except BlockingIOError:
            raise
        except OSError as error:
            raise Gone(str(error)) from None
        self._tokens -= 1
        descriptors = _descriptors(extra)
        try:
            return self._order(memoryview(buffer)[:size], flags, descriptors), descriptors
        except (Gone, Unreadable):
            for each in descriptors:
                os.close(each)
            raise

    def _order(self, data: memoryview, flags: int, descriptors: tuple[int, ...]) -> AnyOrder:
        if flags & socket.MSG_TRUNC:
            raise Unreadable("this message is too large")
        # An empty message looks the same as the end, and no client of ours sends one.
        if not data:
            raise Gone("closed")
        if flags & socket.MSG_CTRUNC or len(descriptors) > DESCRIPTORS_MOST:
            raise Unreadable("too many file descriptors came with this message")
        try:
            return read_order(bytes(data))
        except (msgspec.ValidationError, msgspec.DecodeError, RecursionError) as error:
            raise Unreadable(f"not understood: {str(error)[:200]}") from None

    def put(self, data: bytes) -> None:
        """Sends it, or keeps it until there is room."""
        if self.closed:
            return
        self._queue.append(data)
        self.queued += len(data)
        if len(self._queue) == 1:
            self.flush()

    def flush(self) -> None:
        """Sends what there is room for. Whether it is gone is seen by the next `receive`."""
        while self._queue:
            try:
                self._socket.send(self._queue[0], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                self._queue.clear()
                self.queued = 0
                return
            self.queued -= len(self._queue.popleft())

    def close(self) -> None:
        """What it was sent it still gets, but what it says is not heard any more."""
        self.closed = True
        self._queue.clear()
        self.queued = 0
        try:
            # With something unread at the close the other end hears of a reset before our last words.
            self._socket.shutdown(socket.SHUT_RD)
            for _ in range(_UNREAD_MOST):
                if not self._socket.recv(1):
                    break
        except OSError:
            pass
        self._socket.close()


def _descriptors(extra: "list[tuple[int, int, bytes]]") -> tuple[int, ...]:
    found = array.array("i")
    for level, kind, data in extra:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            found.frombytes(data[: len(data) - len(data) % found.itemsize])
    return tuple(found)
