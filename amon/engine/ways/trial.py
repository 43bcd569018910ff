"""Which way to the network can be had here, found out by trying: from AF_XDP down to sockets that need no right.

Each way that is better than the one taken is named in the notes, with the reason it was refused and what to do.
"""

import contextlib
import fcntl
import socket
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from amon.engine.shapes import Receiver, Transmitter, WayRefused
from amon.engine.ways.packet import RING, PacketTransmitter, RingReceiver
from amon.engine.ways.ping import PingTransmitter, check_id, open_ping
from amon.engine.ways.raw import RawReceiver, raw_transmitter
from amon.engine.ways.taking import BUFFER

WAYS = ("xdp", "xsk+ring", "packet+ring", "raw", "ping")
"""Best first."""
SIOCGIFHWADDR = 0x8927
ARPHRD_ETHER = 1
FEW = 4 * 1024 * 1024
"""Bytes of receive buffer below which answers are lost at a few ten thousand packets per second."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for. interface: None is the system's own routing. frames: to send from; received: AF_XDP's to
    receive into; ring, buffer: bytes, of TPACKET_V3 and of sockets."""

    interface: str | None
    ident: int
    frames: int = 2048
    ring: int = RING
    buffer: int = BUFFER
    queue: int = 0
    received: int = 16384


@dataclass(frozen=True, slots=True)
class Ways:
    """name: of `WAYS`. transmitters: by family, 4 and 6; both may be one. receivers: all are to be drained. notes: why
    better ones were refused, and what is weak in this one."""

    name: str
    transmitters: Mapping[int, Transmitter]
    receivers: tuple[Receiver, ...]
    notes: tuple[str, ...] = ()

    def close(self) -> None:
        ends: list[Transmitter | Receiver] = [*self.transmitters.values(), *self.receivers]
        for end in {id(end): end for end in ends}.values():
            end.close()


def open_ways(
    interface: str | None, wanted: str, ident: int, *, dedicated: bool = False, frames: int = 2048,
    ring: int = RING, buffer: int = BUFFER, queue: int = 0, received: int = 16384,
) -> Ways:  # fmt: skip
    """wanted: one of `WAYS`, or `auto`: the best there is; `xdp` puts a program on the interface, so only where the
    host is `dedicated` to probing. Raises WayRefused, with all reasons."""
    if wanted != "auto" and wanted not in WAYS:
        raise WayRefused(f"no way named {wanted!r}: auto, {', '.join(WAYS)}")
    wish = Wish(interface, ident, frames, ring, buffer, queue, received)
    notes: list[str] = []
    for name in _candidates(wanted, dedicated):
        try:
            ways = OPENERS[name](wish)
        except WayRefused as refused:
            notes.append(f"{name}: {refused}")
        else:
            return Ways(ways.name, ways.transmitters, ways.receivers, (*notes, *ways.notes))
    raise WayRefused("; ".join(notes))


def _candidates(wanted: str, dedicated: bool) -> tuple[str, ...]:
    if wanted != "auto":
        return (wanted,)
    return WAYS if dedicated else WAYS[1:]


def _open_xdp(wish: Wish) -> Ways:
    from amon.engine.ways.xdp import open_xdp  # only here: it is not needed where it cannot be had

    interface = _ethernet(wish.interface)
    transmitter, receiver = open_xdp(
        interface, wish.ident, queue=wish.queue, frames=wish.frames, receive=True, received=wish.received
    )
    assert receiver is not None
    return Ways("xdp", {4: transmitter, 6: transmitter}, (receiver,))


def _open_xsk(wish: Wish) -> Ways:
    from amon.engine.ways.xdp import open_xdp

    interface = _ethernet(wish.interface)
    receiver = RingReceiver(interface, wish.ident, wish.ring)
    with _closing(receiver):
        transmitter, _ = open_xdp(interface, wish.ident, queue=wish.queue, frames=wish.frames, receive=False)
    return Ways("xsk+ring", {4: transmitter, 6: transmitter}, (receiver,))


def _open_packet(wish: Wish) -> Ways:
    interface = _ethernet(wish.interface)
    receiver = RingReceiver(interface, wish.ident, wish.ring)
    with _closing(receiver):
        transmitter = PacketTransmitter(interface, wish.frames)
    return Ways("packet+ring", {4: transmitter, 6: transmitter}, (receiver,))


def _open_raw(wish: Wish) -> Ways:
    def both(family: int) -> tuple[Transmitter, RawReceiver]:
        receiver = RawReceiver(family, wish.ident, wish.buffer)
        with _closing(receiver):
            return raw_transmitter(family, wish.interface, wish.frames), receiver

    return _each_family("raw", wish, both)


def _open_ping(wish: Wish) -> Ways:
    opened: list[PingTransmitter] = []

    def both(family: int) -> tuple[Transmitter, Receiver]:
        transmitter, receiver = open_ping(family, wish.ident, wish.interface, wish.frames, buffer=wish.buffer)
        opened.append(transmitter)
        return transmitter, receiver

    check_id(wish.ident)
    ways = _each_family("ping", wish, both)
    for transmitter in opened:
        transmitter.keep_id()
    return ways


OPENERS: Mapping[str, Callable[[Wish], Ways]] = {
    "xdp": _open_xdp, "xsk+ring": _open_xsk, "packet+ring": _open_packet, "raw": _open_raw, "ping": _open_ping,
}  # fmt: skip


def _each_family(name: str, wish: Wish, both: Callable[[int], tuple[Transmitter, Receiver]]) -> Ways:
    """For ways with a socket for each family: one of the two is enough."""
    transmitters: dict[int, Transmitter] = {}
    receivers: list[Receiver] = []
    notes: list[str] = []
    if wish.interface is not None:
        _link_type(wish.interface)
    for family in (4, 6):
        try:
            transmitters[family], receiver = both(family)
        except WayRefused as refused:
            notes.append(f"IPv{family}: {refused}")
            continue
        receivers.append(receiver)
        size = getattr(receiver, "buffer", wish.buffer)
        if size < min(FEW, wish.buffer):
            notes.append(
                f"IPv{family}: receive buffer of {size} bytes only, answers may be dropped at high rates: raise "
                f"net.core.rmem_max (sysctl) or give CAP_NET_ADMIN"
            )
    if not transmitters:
        raise WayRefused("; ".join(dict.fromkeys(note.partition(": ")[2] for note in notes)))
    return Ways(name, transmitters, tuple(receivers), tuple(f"{name}: {note}" for note in notes))


def _ethernet(interface: str | None) -> str:
    if interface is None:
        raise WayRefused("needs the name of an interface: give one in the configuration")
    if _link_type(interface) != ARPHRD_ETHER:
        raise WayRefused(f"{interface} has no Ethernet addresses (loopback, tunnel, PPP)")
    return interface


def _link_type(interface: str) -> int:
    """Its ARPHRD number, netdevice(7). Raises WayRefused if there is none of that name."""
    request = struct.pack("16s24x", interface.encode()[:15])
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        try:
            answer = fcntl.ioctl(sock, SIOCGIFHWADDR, request)
        except OSError as error:
            raise WayRefused(f"interface {interface}: {error.strerror}: see `ip link`") from error
    kind: int = struct.unpack_from("H", answer, 16)[0]
    return kind


@contextlib.contextmanager
def _closing(receiver: Receiver) -> Iterator[None]:
    try:
        yield
    except BaseException:
        receiver.close()
        raise
