"""A prober's end of a cable, a target that answers all at the other, and echo requests to it as whole frames."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address

import numpy as np

from amon.engine.shapes import LINK, U16, Packets, Receiver, Transmitter
from amon.engine.ways.xdp import XdpReceiver, open_xdp
from amon.engine.ways.xsk import XskTransmitter
from tests.engine import scalar
from tests.lab.namespaces import End, Namespace, namespaces
from tests.lab.responder import Responder, inside, responder

IDENT = 0xA403
HERE: dict[int, scalar.Address] = {4: IPv4Address("192.0.2.1"), 6: IPv6Address("2001:db8::1")}
THERE: dict[int, scalar.Address] = {4: IPv4Address("198.51.100.7"), 6: IPv6Address("2001:db8:7::7")}


@dataclass(frozen=True, slots=True)
class Scene:
    near: End
    far: End
    target: Responder

    def open(self, **wishes: object) -> tuple[XskTransmitter, XdpReceiver]:
        with inside(self.near.space.name):
            transmitter, receiver = open_xdp(self.near.interface, IDENT, **wishes)  # type: ignore[arg-type]
        assert receiver is not None
        return transmitter, receiver

    def frame(self, packet: bytes) -> bytes:
        """From the near end to the far one."""
        return framed(self.far.mac, self.near.mac, packet)


@contextmanager
def scene(mtu: int = 1500) -> Iterator[Scene]:
    with namespaces("xdp", "far") as (one, other):
        near, far = veth(one, other, mtu=mtu)
        with responder(far.interface, far.space.name) as target:
            yield Scene(near, far, target)


def veth(one: Namespace, other: Namespace, mtu: int = 1500, queues: int = 1) -> tuple[End, End]:
    """As many queues at both ends: an XDP program in a veth asks for as many to receive as its peer has to send."""
    near, far = End(one, "near", "02:00:00:00:00:0a"), End(other, "far", "02:00:00:00:00:0b")
    near_words, far_words = (
        ("address", end.mac, "mtu", str(mtu), "numtxqueues", str(queues), "numrxqueues", str(queues))
        for end in (near, far)
    )
    one.ip("link", "add", "near", *near_words, "type", "veth", "peer", "name", "far", *far_words, "netns", other.name)
    for end in (near, far):
        end.space.ip("link", "set", end.interface, "up")
    return near, far


def framed(target: str, source: str, packet: bytes) -> bytes:
    kind = b"\x08\x00" if packet[0] >> 4 == 4 else b"\x86\xdd"
    return bytes.fromhex((target + source).replace(":", "")) + kind + packet


def request(family: int, slot: int, size: int = 56) -> scalar.Request:
    return scalar.Request(HERE[family], THERE[family], IDENT, slot, 0x1122334455667788, size)


def load(transmitter: Transmitter, frames: Sequence[bytes]) -> U16:
    """Put frames into the transmitter's next rows; returns what to publish."""
    rows = transmitter.rows(len(frames))
    assert len(rows) == len(frames)
    for row, frame in zip(rows, frames, strict=True):
        transmitter.memory[row, LINK : LINK + len(frame)] = np.frombuffer(frame, np.uint8)
    return np.array([len(frame) - 14 for frame in frames], np.uint16)


def slots(packets: Packets, family: int) -> list[int]:
    """Of echo replies: what stands at the beginning of the payload."""
    at = 28 if family == 4 else 48
    return [int(number) for number in packets.data[:, at : at + 4].copy().view(np.uint32)[:, 0]]


def drain_all(receiver: Receiver) -> list[Packets]:
    parts = []
    while len(part := receiver.drain(100)):
        parts.append(part)
    return parts
