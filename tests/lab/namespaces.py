"""Network namespaces for one block, with cables between them: made, known to each other, gone behind it. Needs root.

Sources: ip-netns(8), veth(4), ip-neighbour(8), Documentation/networking/ip-sysctl.rst. All are called `amon-lab-...`.
"""

import itertools
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.lab.responder import inside

_WITHIN = 10.0  # seconds for one call of ip(8)
_ONE_QUEUE = ("numtxqueues", "1", "numrxqueues", "1")
_numbers = itertools.count()

needs_root = pytest.mark.skipif(
    os.geteuid() != 0 or shutil.which("ip") is None, reason="makes network namespaces: needs root and iproute2"
)
needs_tun = pytest.mark.skipif(not Path("/dev/net/tun").exists(), reason="needs /dev/net/tun (modprobe tun)")


@dataclass(frozen=True, slots=True)
class Namespace:
    """name: by which ip-netns(8) knows it."""

    name: str

    @property
    def words(self) -> tuple[str, ...]:
        """A program is put into it by these words before its own."""
        return ("ip", "netns", "exec", self.name)

    def ip(self, *words: str) -> None:
        ip("-n", self.name, *words)

    def sysctl(self, **values: object) -> None:
        """By name without dots: `net__ipv4__icmp_ratelimit=0`. A name that this kernel has not is an error."""
        with inside(self.name):
            for name, value in values.items():
                Path("/proc/sys", *name.split("__")).write_text(str(value))


@dataclass(frozen=True, slots=True)
class End:
    """One end of a cable: an interface in a namespace."""

    space: Namespace
    interface: str
    mac: str

    def address(self, *addresses: str) -> None:
        for each in addresses:
            self.space.ip("address", "add", each, "dev", self.interface, *_no_detection(each))

    def neighbour(self, address: str, mac: str) -> None:
        """Static: nobody asks, nothing goes stale."""
        self.space.ip("neighbour", "replace", address, "lladdr", mac, "nud", "permanent", "dev", self.interface)

    def route(self, *words: str) -> None:
        """`default via 10.0.0.2`, and the family is what the words say."""
        self.space.ip("route", "replace", *words, "dev", self.interface)


@contextmanager
def namespaces(*whats: str) -> Iterator[list[Namespace]]:
    """One for each word, which is part of its name; `lo` is up. Gone behind the block, with all that is there."""
    with ExitStack() as stack:
        made = []
        for what in whats:
            space = Namespace(f"amon-lab-{os.getpid()}-{next(_numbers)}-{what}")
            ip("netns", "add", space.name)
            stack.callback(_remove, space)
            space.ip("link", "set", "lo", "up")
            made.append(space)
        yield made


def cable(one: Namespace, other: Namespace, *, mtu: int = 1500) -> tuple[End, End]:
    """A veth pair; it goes with the namespaces. RPS is off: what comes in is worked on by whoever has sent it."""
    number = next(_numbers)
    names = f"lab{number}a", f"lab{number}b"
    macs = f"02:00:00:{number % 256:02x}:00:0a", f"02:00:00:{number % 256:02x}:00:0b"
    one.ip(
        "link", "add", names[0], "address", macs[0], "mtu", str(mtu), *_ONE_QUEUE, "type", "veth",
        "peer", "name", names[1], "address", macs[1], "mtu", str(mtu), *_ONE_QUEUE, "netns", other.name,
    )  # fmt: skip
    ends = End(one, names[0], macs[0]), End(other, names[1], macs[1])
    for end in ends:
        end.space.sysctl(**{f"net__ipv6__conf__{end.interface}__accept_dad": 0})
        end.space.ip("link", "set", end.interface, "up")
    return ends


@dataclass(frozen=True, slots=True)
class Pair:
    """A prober and what it probes: all of `NETWORKS` is behind `far`."""

    near: End
    far: End


HERE, THERE = ("10.99.0.1", "fd99::1"), ("10.99.0.2", "fd99::2")
NETWORKS = ("10.64.0.0/10", "fd64::/16")


@contextmanager
def pair(*, mtu: int = 1500) -> Iterator[Pair]:
    """Two namespaces, addresses of both families, static neighbours, and routes from the first to `NETWORKS`."""
    with namespaces("near", "far") as (one, other):
        near, far = cable(one, other, mtu=mtu)
        for end, back, mine, theirs in ((near, far, HERE, THERE), (far, near, THERE, HERE)):
            for own, peer in zip(mine, theirs, strict=True):
                end.address(f"{own}/{64 if ':' in own else 24}")
                end.neighbour(peer, back.mac)
        for network, gateway in zip(NETWORKS, THERE, strict=True):
            near.route(network, "via", gateway)
        yield Pair(near, far)


def answer_all(end: End) -> None:
    """The kernel behind this end answers for every address of `NETWORKS`, without limit: the K target."""
    for network in NETWORKS:
        end.space.ip("route", "add", "local", network, "dev", "lo")
    end.space.sysctl(
        net__ipv4__icmp_ratelimit=0, net__ipv6__icmp__ratelimit=0, net__ipv4__conf__all__rp_filter=0,
        net__ipv4__icmp_echo_ignore_broadcasts=0,
    )  # fmt: skip


def ip(*words: str) -> None:
    said = subprocess.run(["ip", *words], capture_output=True, text=True, timeout=_WITHIN, check=False)
    if said.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {said.stderr.strip()}")


def processes(space: Namespace) -> list[int]:
    said = subprocess.run(
        ["ip", "netns", "pids", space.name], capture_output=True, text=True, timeout=_WITHIN, check=False
    )
    return [int(word) for word in said.stdout.split()]


def _remove(space: Namespace) -> None:
    """What still runs in it ends first: it would keep the namespace alive without a name."""
    for pid in processes(space):
        if pid != os.getpid():
            _kill(pid)
    ip("netns", "delete", space.name)


def _kill(pid: int) -> None:
    try:
        os.kill(pid, 9)
    except ProcessLookupError:
        return


def _no_detection(address: str) -> Sequence[str]:
    """IPv6: used at once, without looking for another host that has it."""
    return ("nodad",) if ":" in address else ()
