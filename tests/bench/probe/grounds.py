"""Where probers are measured: what answers them runs on their own core, so "one core" pays for both ends.

F: an XDP program answers (`tests.lab.responder`), so cheap that what is seen is the prober's own cost.
K: the kernel's ICMP answers, about 2 µs a packet, which hides differences.
T: frames to a MAC that nobody has, dropped early in the peer: the cost of sending.
A chain of routers: namespaces that forward.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import ip_address
from itertools import pairwise

from tests.lab.namespaces import HERE, NETWORKS, Namespace, Pair, answer_all, cable, namespaces, pair
from tests.lab.responder import responder

NOBODY = "02:ff:ff:ff:ff:ff"
ROUTERS = 5
_FORWARD = {"net__ipv4__ip_forward": 1, "net__ipv6__conf__all__forwarding": 1}
_UNLIMITED = {
    "net__ipv4__icmp_ratelimit": 0,
    "net__ipv6__icmp__ratelimit": 0,
    "net__ipv4__icmp_msgs_per_sec": 10**9,
    "net__ipv4__icmp_msgs_burst": 10**6,
}


@dataclass(frozen=True, slots=True)
class Ground:
    """space: where probers run. interface, mac: theirs. gateway: the MAC of their next hop."""

    kind: str
    space: Namespace
    interface: str
    mac: str
    gateway: str


@contextmanager
def ground(kind: str) -> Iterator[Ground]:
    """kind: `F`, `K` or `T`."""
    with pair() as lab:
        if kind == "K":
            answer_all(lab.far)
            _unlimited(lab.far.space)
        if kind == "T":
            for gateway in ("10.99.0.2", "fd99::2"):
                lab.near.neighbour(gateway, NOBODY)
        made = _ground(kind, lab)
        if kind == "F":
            with responder(lab.far.interface, lab.far.space.name):
                yield made
        else:
            yield made


def _ground(kind: str, lab: Pair) -> Ground:
    gateway = NOBODY if kind == "T" else lab.far.mac
    return Ground(kind, lab.near.space, lab.near.interface, lab.near.mac, gateway)


def _unlimited(space: Namespace) -> None:
    for name, value in _UNLIMITED.items():
        try:
            space.sysctl(**{name: value})
        except FileNotFoundError:  # of the whole machine on older kernels
            continue


@dataclass(frozen=True, slots=True)
class Chain:
    """routers: the address each says time exceeded from, nearest first; behind the last is all of `NETWORKS`."""

    ground: Ground
    routers: dict[int, tuple[str, ...]]


@contextmanager
def chain(routers: int = ROUTERS) -> Iterator[Chain]:
    """A prober, so many routers, and a target whose kernel answers."""
    names = ("near", *(f"r{number}" for number in range(1, routers + 1)), "far")
    with namespaces(*names) as spaces:
        first = None
        told: dict[int, list[str]] = {4: [], 6: []}
        for number, (one, other) in enumerate(pairwise(spaces)):
            near, far = cable(one, other)
            first = first or (near, far)
            v4, v6 = f"10.99.{number}", f"fd99:{number}:"
            near.address(HERE[0] + "/24" if not number else f"{v4}.1/24", f"{v6}:1/64")
            far.address(f"{v4}.2/24", f"{v6}:2/64")
            for mine, theirs, here in ((near, far, "2"), (far, near, "1")):
                mine.neighbour(f"{v4}.{here}", theirs.mac)
                mine.neighbour(f"{v6}:{here}", theirs.mac)
            for network, gateway in zip(NETWORKS, (f"{v4}.2", f"{v6}:2"), strict=True):
                near.route(network, "via", gateway)
            if number:
                for network, gateway in (("10.99.0.0/24", f"{v4}.1"), ("fd99:0::/64", f"{v6}:1")):
                    far.route(network, "via", gateway)
            other.sysctl(**_FORWARD)
            _unlimited(other)
            told[4].append(f"{v4}.2")
            told[6].append(str(ip_address(f"{v6}:2")))
        for network in NETWORKS:
            spaces[-1].ip("route", "add", "local", network, "dev", "lo")
        assert first is not None
        made = Ground("chain", spaces[0], first[0].interface, first[0].mac, first[1].mac)
        yield Chain(made, {family: tuple(rows[:routers]) for family, rows in told.items()})
