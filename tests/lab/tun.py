"""A network that does to each packet what a script says, so that every count is known beforehand. Needs root.

A thread reads echo requests from a TUN (IP) or a TAP (Ethernet) in a namespace and writes what they deserve. What that
is, the target's address says: `Behind([answer(), silent()])` answers for `address(4, 0, n)` and is silent for
`address(4, 1, n)`. Sources: Documentation/networking/tuntap.rst, RFC 792, RFC 4443.
"""

import errno
import fcntl
import heapq
import itertools
import os
import random
import select
import socket
import struct
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import monotonic

from tests.lab.namespaces import HERE, NETWORKS, THERE, End, Namespace, namespaces
from tests.lab.responder import inside
from tests.modules.probe.routers import Probe, echo, packed, read

_TUNSETIFF, _TUN, _TAP, _NO_PI = 0x400454CA, 1, 2, 0x1000
_MAC = "02:00:00:00:00:0b"
_ETHERNET = 14
_ELSEWHERE = {4: socket.inet_aton("10.127.0.1"), 6: socket.inet_pton(socket.AF_INET6, "fd64:ffff::1")}
_FAMILY = {4: socket.AF_INET, 6: socket.AF_INET6}

Answer = tuple[float, bytes]
"""Seconds after the request, and the IP packet."""
Fate = Callable[[Probe, int], Iterable[Answer]]
"""What comes back for a probe. The number counts the probes to this target, from 0."""


def address(family: int, place: int, number: int) -> str:
    """An address of the fate at this place; number below 65,536."""
    return f"10.{64 + place}.{number >> 8}.{number & 255}" if family == 4 else f"fd64:{place:x}::{number:x}"


def addresses(family: int, place: int, count: int) -> list[str]:
    return [address(family, place, number) for number in range(1, count + 1)]


# --- fates


def answer(after: float = 0.0, times: int = 1) -> Fate:
    return lambda probe, number: [(after, echo(probe))] * times


def silent() -> Fate:
    return lambda probe, number: []


def one_in(count: int) -> Fate:
    """A rate limit: of so many requests to a target the first is answered."""
    return lambda probe, number: [(0.0, echo(probe))] if number % count == 0 else []


def backwards(count: int) -> Fate:
    """Keeps what comes until there are so many, then answers the last one first."""
    kept: list[Probe] = []

    def fate(probe: Probe, number: int) -> Iterable[Answer]:
        kept.append(probe)
        if len(kept) < count:
            return []
        group = [(0.0, echo(one)) for one in reversed(kept)]
        kept.clear()
        return group

    return fate


def forged() -> Fate:
    """Somebody who has seen neither the request nor its nonce, but knows our id and numbers."""
    return lambda probe, number: [(0.0, echo(probe, change=_another_nonce))]


def from_elsewhere() -> Fate:
    return lambda probe, number: [(0.0, echo(probe, source=_ELSEWHERE[probe.version]))]


def cut_to(payload: int) -> Fate:
    """So many bytes of payload come back."""
    return lambda probe, number: [(0.0, echo(probe, change=lambda rest: rest[: 4 + payload]))]


def wrong_sum() -> Fate:
    """One bit of the payload is another one than the checksum says."""

    def fate(probe: Probe, number: int) -> Iterable[Answer]:
        made = bytearray(echo(probe))
        made[-1] ^= 1
        return [(0.0, bytes(made))]

    return fate


def unreachable(code: int, *, quoted: int = 2**16, times: int = 1) -> Fate:
    """Says the first router. quoted: bytes of ours behind the IP header that it quotes."""
    return lambda probe, number: (
        [(0.0, error(probe, router(probe.version, 1), (3 if probe.version == 4 else 1, code), quoted=quoted))] * times
    )


def too_big(mtu: int) -> Fate:
    return lambda probe, number: [
        (0.0, error(probe, router(probe.version, 1), (3, 4) if probe.version == 4 else (2, 0), mtu=mtu))
    ]


def behind(routers: int, last: Fate, *, quoted: int = 2**16) -> Fate:
    """So many routers before what `last` says; each says time exceeded to what ends there."""

    def fate(probe: Probe, number: int) -> Iterable[Answer]:
        if probe.ttl > routers:
            return last(probe, number)
        kind = (11, 0) if probe.version == 4 else (3, 0)
        return [(0.0, error(probe, router(probe.version, probe.ttl), kind, quoted=quoted))]

    return fate


def garbage(seed: int) -> Fate:
    """An echo, or an error about it, with some bits turned, and sometimes cut off."""
    chance = random.Random(seed)

    def fate(probe: Probe, number: int) -> Iterable[Answer]:
        kind = (11, 0) if probe.version == 4 else (3, 0)
        made = bytearray(chance.choice((echo(probe), error(probe, router(probe.version, 1), kind))))
        for _ in range(chance.randrange(1, 9)):
            made[chance.randrange(len(made))] ^= 1 << chance.randrange(8)
        return [(0.0, bytes(made[: chance.choice((len(made), chance.randrange(1, len(made) + 1)))]))]

    return fate


def about_another() -> Fate:
    """An error that quotes a packet of ours, but to another target."""

    def fate(probe: Probe, number: int) -> Iterable[Answer]:
        at = 16 if probe.version == 4 else 24
        elsewhere = _ELSEWHERE[probe.version]
        wrong = probe.packet[:at] + elsewhere + probe.packet[at + len(elsewhere) :]
        kind = (3, 1) if probe.version == 4 else (1, 0)
        return [(0.0, error(probe, router(probe.version, 1), kind, packet=wrong))]

    return fate


def router(family: int, ttl: int) -> str:
    return f"10.98.0.{ttl}" if family == 4 else f"fd98::{ttl:x}"


def error(
    probe: Probe, source: str, kind: tuple[int, int], *, mtu: int = 0, quoted: int = 2**16, packet: bytes = b""
) -> bytes:
    """An ICMP error about it, or about another packet."""
    header = 20 if probe.version == 4 else 40
    quote = (packet or probe.packet)[: header + quoted][:1232]  # RFC 4443, 2.4 (c)
    head = struct.pack("!BBHHH", *kind, 0, 0, mtu) if probe.version == 4 else struct.pack("!BBHI", *kind, 0, mtu)
    return packed(probe.version, socket.inet_pton(_FAMILY[probe.version], source), probe.source, head + quote)


def _another_nonce(rest: bytes) -> bytes:
    """Behind id, seq and slot."""
    return rest[:8] + bytes(each ^ 0x55 for each in rest[8:16]) + rest[16:]


# --- the network


@dataclass(slots=True)
class Behind:
    """fates: by place in the address. seen: how many requests came, by target."""

    fates: Sequence[Fate]
    seen: dict[bytes, int] = field(default_factory=dict)
    written: int = 0
    """Packets that went back."""
    heard: set[tuple[bytes, bytes]] = field(default_factory=set)
    """Source addresses, and MACs they were sent to."""

    @property
    def requests(self) -> int:
        return sum(self.seen.values())

    def answers(self, packet: bytes, mac: bytes = b"") -> Iterable[Answer]:
        """mac: it was sent to."""
        probe = read(packet)
        if probe is None:
            return []
        self.heard.add((probe.source, mac))
        number = self.seen.get(probe.target, 0)
        self.seen[probe.target] = number + 1
        place = probe.target[1] - 64 if probe.version == 4 else int.from_bytes(probe.target[2:4], "big")
        return self.fates[place](probe, number) if place < len(self.fates) else []


@contextmanager
def scripted(fates: Sequence[Fate], *, ethernet: bool = True, mtu: int = 1500) -> Iterator[tuple[End, Behind]]:
    """A namespace whose only way out leads to these fates, by both families."""
    with namespaces("tap" if ethernet else "tun") as (space,):
        end = End(space, "lab0", "02:00:00:00:00:0a")
        script = Behind(fates)
        with device(space, end.interface, ethernet=ethernet) as descriptor:
            set_up(end, ethernet=ethernet, mtu=mtu)
            with answering(descriptor, script, ethernet=ethernet):
                yield end, script


@contextmanager
def device(space: Namespace, name: str, *, ethernet: bool) -> Iterator[int]:
    """A TUN or TAP in this namespace; it goes when its descriptor is closed."""
    with inside(space.name):
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            kind = (_TAP if ethernet else _TUN) | _NO_PI
            fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), kind))
        except BaseException:
            os.close(descriptor)
            raise
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def set_up(end: End, *, ethernet: bool, mtu: int = 1500) -> None:
    """Addresses, neighbours and routes of a device that has just been made."""
    space = end.space
    space.sysctl(**{f"net__ipv6__conf__{end.interface}__accept_dad": 0})
    if ethernet:
        space.ip("link", "set", end.interface, "address", end.mac)
    # Its queue: what the script has not read yet.
    space.ip("link", "set", end.interface, "mtu", str(mtu), "txqueuelen", "20000", "up")
    for own, peer, network in zip(HERE, THERE, NETWORKS, strict=True):
        end.address(f"{own}/{64 if ':' in own else 24}")
        if ethernet:
            end.neighbour(peer, _MAC)
        end.route(network, *(("via", peer) if ethernet else ()))


@contextmanager
def answering(descriptor: int, script: Behind, *, ethernet: bool) -> Iterator[None]:
    """The script is played in a thread while this is open. What it raises is raised here."""
    stop, told = os.pipe()
    faults: list[BaseException] = []

    def play() -> None:
        try:
            _play(descriptor, stop, script, ethernet)
        except BaseException as fault:
            faults.append(fault)

    thread = threading.Thread(target=play, name="amon-lab-script")
    thread.start()
    try:
        yield
    finally:
        os.close(told)
        thread.join(10)
        os.close(stop)
    if faults:
        raise faults[0]


def _play(descriptor: int, stop: int, script: Behind, ethernet: bool) -> None:
    later: list[tuple[float, int, bytes]] = []
    order = itertools.count()
    while True:
        wait = max(0.0, later[0][0] - monotonic()) if later else None
        ready, _, _ = select.select([descriptor, stop], [], [], wait)
        if stop in ready:
            return
        now = monotonic()
        for frame in _frames(descriptor) if ready else ():
            head = frame[6:12] + frame[:6] + frame[12:14] if ethernet else b""
            for after, packet in script.answers(frame[len(head) :], head[6:12]):
                heapq.heappush(later, (now + after, next(order), head + packet))
        while later and later[0][0] <= monotonic():
            script.written += _write(descriptor, heapq.heappop(later)[2])


def _frames(descriptor: int) -> Iterator[bytes]:
    """What is there, some at a time, so that what is due goes out between."""
    for _ in range(64):
        try:
            yield os.read(descriptor, 65536)
        except BlockingIOError:
            return


def _write(descriptor: int, frame: bytes) -> bool:
    """Whether the kernel took it: not where the interface is down or gone, nor what is no IP, as some tests want it."""
    try:
        os.write(descriptor, frame)
    except OSError as error:
        if error.errno not in (errno.EIO, errno.EBADFD, errno.EINVAL):
            raise
        return False
    return True
