"""What AF_XDP needs at an interface: a socket for each queue, and the program that hands them our answers.

Sources: docs.kernel.org/networking/af_xdp.html; netdevice(7) and linux/ethtool.h for the queues of an interface.
"""

import ctypes
import errno
import fcntl
import select
import socket
import struct
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from types import MappingProxyType
from typing import Protocol, TypeVar

from amon.engine.linux.bpf import GENERIC, NATIVE, XSKMAP, Counts, Link, Map, Program, Unverified
from amon.engine.linux.xsk import Socket, Unopened, new_memory
from amon.engine.shapes import STRIDE, U8, WayRefused
from amon.engine.ways.rights import refusal
from amon.engine.ways.xdp_filter import COUNTS, answers

H = TypeVar("H", bound="Closable")

RECEIVED, RECEIVED_LEAST = 8192, 512
"""Frames that may wait to be drained: on all queues together (20 ms at 400,000 a second), and on each at least."""
QUEUES_MOST = 64
MODES: Mapping[str, int] = MappingProxyType({"generic": GENERIC, "native": NATIVE})
SIOCETHTOOL, ETHTOOL_GCHANNELS = 0x8946, 0x3C  # linux/sockios.h, linux/ethtool.h
SIOCGIFHWADDR, ARPHRD_ETHER = 0x8927, 1  # netdevice(7), linux/if_arp.h

PATIENCE = 0.25
"""Seconds to wait for a queue that is in use: it is free some 40 ms after its socket was closed."""
OCCUPIED = "interface {0}: another XDP program is there: detach it (ip link set {0} xdp off), or end its process"


class Closable(Protocol):
    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Seat:
    """A queue, and the memory of its socket; the first `sent` rows are to send from."""

    queue: int
    memory: U8
    sent: int


class Attachment:
    """users: who calls `leave` at the end; with the last one all is closed. Raises WayRefused."""

    def __init__(
        self, interface: str, ident: int, queue: int, frames: int, *, receive: bool,
        received: int = RECEIVED, modes: Sequence[str] = tuple(MODES),
    ) -> None:  # fmt: skip
        self.interface = interface
        self._modes = modes
        self.seats = _seats(interface, queue, frames, received if receive else 0)
        self.sockets: list[Socket] = []
        self.mode = ""
        """Where the program is: "native" (in the driver) or "generic" (behind it); "": nowhere."""
        self.users = 0
        self._program: Program | None = None
        self._held = ExitStack()
        try:
            if receive:
                self._load(ident)
            self._open()
        except BaseException:
            self.close()
            raise

    def _load(self, ident: int) -> None:
        try:
            self._map = self._hold(Map(XSKMAP, 4, 1 + max(seat.queue for seat in self.seats), "amon_sockets"))
            self._counts = self._hold(Counts(len(COUNTS), "amon_counts"))
            lines = answers(ident, self._map.descriptor, self._counts.descriptor)
            self._program = self._hold(Program(lines, "amon_answers"))
        except Unverified as error:
            raise WayRefused(
                f"XDP programs: this kernel does not take ours, which needs Linux 5.18: {error}"
            ) from error
        except OSError as error:
            raise WayRefused(_no_right("XDP programs", error)) from error

    def _hold(self, held: H) -> H:
        self._held.callback(held.close)
        return held

    def _open(self) -> None:
        index = _index(self.interface)
        for seat in self.seats:
            self.sockets.append(self._hold(self._sit(seat, index)))
        if self._program:
            self._hold(self._attach(self._program, index))

    def _sit(self, seat: Seat, index: int) -> Socket:
        until = time.monotonic() + PATIENCE
        while True:
            try:
                kernel = Socket(index, seat.queue, seat.memory, seat.sent)
                break
            except Unopened as error:
                # The kernel frees a queue some time after its socket is closed: ours of before, at a restart.
                if error.errno != errno.EBUSY or time.monotonic() > until:
                    raise WayRefused(self._unopened(seat, error)) from error
            time.sleep(PATIENCE / 25)
        if self._program:
            self._map[seat.queue] = struct.pack("=I", kernel.descriptor)
        return kernel

    def _attach(self, program: Program, index: int) -> Link:
        """In the first mode that the interface has."""
        for mode in self._modes:
            try:
                link = program.attach(index, MODES[mode])
            except OSError as error:
                if error.errno in (errno.EBUSY, errno.EEXIST):
                    raise WayRefused(OCCUPIED.format(self.interface)) from error
                refused = error
            else:
                self.mode = mode
                return link
        raise WayRefused(_no_right(f"interface {self.interface}: XDP", refused)) from refused

    def _unopened(self, seat: Seat, error: Unopened) -> str:
        place = f"queue {seat.queue} of {self.interface}"
        if error.step == "bind" and error.errno == errno.EBUSY:
            return f"{place}: another AF_XDP socket is there: end its program; of several `cores`: ethtool -L"
        if error.step == "bind" and error.errno == errno.EINVAL:
            return f"{place}: no such queue"
        if error.step == "memory" and error.errno in (errno.ENOBUFS, errno.ENOMEM):
            mebibytes = len(seat.memory) * STRIDE // 2**20
            return f"{place}: {mebibytes} MiB may not be locked: needs LimitMEMLOCK= in the unit, or CAP_IPC_LOCK"
        what = "AF_XDP sockets" if error.step == "socket" else f"{place}: AF_XDP ({error.step})"
        return refusal(what, OSError(error.errno, error.reason), "CAP_NET_RAW")

    def poll_descriptor(self) -> int:
        """Readable when one of the sockets is. As long as somebody waits for a socket, each packet sent or received
        costs a look at who that is (0.1 µs and more), so with several sockets nobody does before it is asked for."""
        if len(self.sockets) == 1:
            return self.sockets[0].descriptor
        epoll = self._hold(select.epoll())
        for kernel in self.sockets:
            epoll.register(kernel.descriptor, select.EPOLLIN)
        return epoll.fileno()

    def statistics(self) -> Counter[str]:
        """Of `struct xdp_statistics`, and `COUNTS` of the program."""
        total: Counter[str] = Counter()
        for kernel in self.sockets:
            total.update(kernel.statistics())
        if self._program:
            total.update(dict(zip(COUNTS, self._counts.read(), strict=True)))
        return total

    def leave(self) -> None:
        self.users -= 1
        if self.users <= 0:
            self.close()

    def close(self) -> None:
        self._held.close()


def _seats(interface: str, queue: int, frames: int, received: int) -> tuple[Seat, ...]:
    """The first one sends; answers may come in on any queue: the device chooses it by their addresses."""
    if not received:
        return (Seat(queue, new_memory(frames), frames),)
    others = [number for number in range(_queues(interface)) if number != queue]
    share = max(RECEIVED_LEAST, received >> len(others).bit_length())
    first = Seat(queue, new_memory(frames + share), frames)
    return (first, *(Seat(number, new_memory(share), 0) for number in others))


def _index(interface: str) -> int:
    try:
        return socket.if_nametoindex(interface)
    except OSError as error:
        raise WayRefused(f"interface {interface}: there is none of this name") from error


def _queues(interface: str) -> int:
    """On how many queues it may receive; 1 where it does not say."""
    # struct ethtool_channels: cmd, max_{rx,tx,other,combined}, {rx,tx,other,combined}_count
    channels = (ctypes.c_uint32 * 9)(ETHTOOL_GCHANNELS)
    request = struct.pack("=16sQ16x", interface.encode(), ctypes.addressof(channels))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        try:
            fcntl.ioctl(asked, SIOCETHTOOL, request)
        except OSError:
            return 1
    return max(1, min(QUEUES_MOST, channels[5] + channels[8]))


def check_ethernet(interface: str) -> None:
    """Raises WayRefused for interfaces without MAC addresses: there is nothing to put before the IP header."""
    _index(interface)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        answer = fcntl.ioctl(asked, SIOCGIFHWADDR, struct.pack("=16s24x", interface.encode()))
    if struct.unpack_from("=H", answer, 16)[0] != ARPHRD_ETHER:
        raise WayRefused(f"interface {interface}: no Ethernet: use a raw socket")


def _no_right(what: str, error: OSError) -> str:
    for capability in ("CAP_BPF", "CAP_NET_ADMIN"):
        text = refusal(what, error, capability)
        if capability in text:
            break
    return text
