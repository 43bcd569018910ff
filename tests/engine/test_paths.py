"""Paths on a kernel of paper: rows, versions, what is told when, and how neighbours are kept."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from errno import ENETUNREACH, ENOBUFS
from ipaddress import IPv4Address

import numpy as np
import pytest

from amon.engine.linux.routes import Routes
from amon.engine.linux.rtnetlink import (
    FAILED,
    INCOMPLETE,
    PERMANENT,
    REACHABLE,
    STALE,
    Address,
    Change,
    Gone,
    Link,
    Neighbour,
    RouteChanged,
)
from amon.engine.paths.hops import HOPS_MOST, NO_HOP, NO_ROOM
from amon.engine.paths.neighbours import KEEP, PER_SECOND, RETRY_MOST, Key, Neighbours
from amon.engine.paths.paths import PAUSE, SETTLE, Paths
from amon.engine.shapes import MAPPED, U16, U64
from amon.errors import Failed

SECOND = 1_000_000_000
MAC = bytes.fromhex("020000000001")
OTHER_MAC = bytes.fromhex("020000000002")
OWN_MAC = bytes.fromhex("0200000000aa")
ETH = Link(3, "eth0", 1, 0x11043, 1500, OWN_MAC)
DOWN = Link(3, "eth0", 1, 0x1002, 1500, OWN_MAC)
TUN = Link(4, "tun0", 65534, 0x11091, 1400, b"")
LO = Link(1, "lo", 772, 0x10049, 65536, bytes(6))


def sixteen(text: str) -> bytes:
    return bytes(10) + b"\xff\xff" + IPv4Address(text).packed


GATEWAY = sixteen("192.0.2.1")
OWN = sixteen("192.0.2.2")


def low(*texts: str) -> U64:
    return np.array([int(IPv4Address(text)) | MAPPED for text in texts], np.uint64)


@dataclass
class Kernel:
    """Routes 192.0.2.0/24 directly, 198.51.100.0/24 nowhere, 10.0.0.0/8 into a tunnel, all else by the gateway."""

    links: list[Link] = field(default_factory=lambda: [LO, ETH, TUN])
    addresses: list[Address] = field(default_factory=lambda: [Address(3, OWN, 24, sixteen("192.0.2.255"))])
    known: list[Neighbour] = field(default_factory=list)
    coming: list[Change] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    lost: bool = False
    silent: bool = False
    source: int = int(IPv4Address("192.0.2.2")) | MAPPED

    def fileno(self) -> int:
        return -1

    def close(self) -> None:
        pass

    def everything(self) -> list[Change]:
        if self.silent:
            raise Failed("the kernel does not tell its network")
        return [*self.links, *self.addresses, *self.known]

    def news(self) -> list[Change] | None:
        coming, self.coming = self.coming, []
        lost, self.lost = self.lost, False
        return None if lost else coming

    def routes(self, high: U64, low: U64) -> Routes:
        routes = Routes.blank(len(low))
        four = (low & np.uint64(0xFFFF_FFFF)).astype(np.int64)
        routes.error[:] = np.where(four >> 8 == int(IPv4Address("198.51.100.0")) >> 8, ENETUNREACH, 0)
        tunnel = four >> 24 == 10
        routes.ifindex[:] = np.where(tunnel, 4, 3)
        routes.kind[:] = 1
        direct = (four >> 8 == int(IPv4Address("192.0.2.0")) >> 8) | tunnel
        routes.gateway_low[:] = np.where(direct, 0, int(IPv4Address("192.0.2.1")) | MAPPED)
        routes.source_low[:] = self.source
        return routes


class Scene:
    def __init__(self, kernel: Kernel | None = None) -> None:
        self.kernel = kernel or Kernel()
        self.now = 1000 * SECOND
        self.sent: list[tuple[str, int, bytes]] = []
        self.refused: OSError | None = None
        self.paths = Paths(self.kernel, self.nudge, lambda: self.now)
        self.hops = self.paths.hops

    def nudge(self, *neighbour: object) -> None:
        if self.refused is not None:
            raise self.refused
        self.sent.append(neighbour)  # type: ignore[arg-type]

    def resolve(self, *texts: str) -> list[int]:
        found: list[int] = self.paths.resolve(np.zeros(len(texts), np.uint64), low(*texts)).tolist()
        return found

    def turn(self, *changes: Change, after: float = 0) -> bool:
        self.now += int(after * SECOND)
        self.kernel.coming += changes
        return self.paths.refresh(self.now)


@pytest.fixture
def scene() -> Scene:
    return Scene()


def reachable(mac: bytes = MAC, address: bytes = GATEWAY) -> Neighbour:
    return Neighbour(3, address, REACHABLE, mac)


# --- rows


def test_addresses_behind_one_gateway_have_one_row(scene: Scene) -> None:
    rows = scene.resolve("203.0.113.1", "203.0.113.2", "192.0.2.1", "192.0.2.9")
    assert rows[0] == rows[1] == rows[2] != rows[3]
    assert NO_ROOM not in rows
    assert scene.resolve("203.0.113.77") == [rows[0]]


def test_a_row_is_usable_when_the_kernel_has_its_mac(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    assert not scene.hops.usable[row]
    assert scene.hops.text(row) == "the neighbour 192.0.2.1 on eth0 is being looked for"
    version = scene.hops.version
    assert not scene.turn(reachable()), "the way is the same"
    assert scene.hops.usable[row]
    assert scene.hops.text(row) == ""
    assert scene.hops.version > version
    assert bytes(scene.hops.dmac[row]) == MAC
    assert bytes(scene.hops.smac[row]) == OWN_MAC
    assert (scene.hops.mtu[row], scene.hops.ifindex[row], bool(scene.hops.link[row])) == (1500, 3, True)
    assert scene.hops.source_low[row] == scene.kernel.source


def test_a_mac_the_kernel_had_already_is_taken_at_once() -> None:
    scene = Scene(Kernel(known=[Neighbour(3, GATEWAY, STALE, MAC)]))
    (row,) = scene.resolve("203.0.113.1")
    assert scene.hops.usable[row]


def test_an_address_without_a_way_has_a_row_that_says_so(scene: Scene) -> None:
    rows = scene.resolve("198.51.100.1", "198.51.100.2")
    assert rows[0] == rows[1]
    assert not scene.hops.usable[rows[0]]
    assert scene.hops.text(rows[0]) == "no route leads there"
    assert scene.paths.notes() == ("some addresses: no route leads there",)


def test_behind_an_interface_without_mac_all_is_one_hop_without_link(scene: Scene) -> None:
    rows = scene.resolve("10.0.0.1", "10.200.0.1")
    assert rows[0] == rows[1]
    assert scene.hops.usable[rows[0]]
    assert not scene.hops.link[rows[0]]
    assert scene.hops.mtu[rows[0]] == 1400
    scene.turn(after=10)
    assert scene.sent == [], "nobody is to be found there"


def test_no_addresses_have_no_rows(scene: Scene) -> None:
    assert scene.resolve() == []


def test_more_next_hops_than_rows_share_one_that_says_so(scene: Scene) -> None:
    """A whole /15 on one link, say."""

    def direct(high: U64, low: U64) -> Routes:
        routes = Routes.blank(len(low))
        routes.error[:], routes.kind[:], routes.ifindex[:] = 0, 1, 3
        return routes

    scene.kernel.routes = direct  # type: ignore[method-assign]
    addresses = np.arange(HOPS_MOST + 10, dtype=np.uint64) + np.uint64(MAPPED)
    rows: U16 = scene.paths.resolve(np.zeros_like(addresses), addresses)
    assert (rows != NO_HOP).all()
    assert (rows == NO_ROOM).sum() == 11
    assert len(np.unique(rows)) == HOPS_MOST
    assert scene.hops.text(NO_ROOM) == "more than 65,535 next hops: there was no room for this one"
    scene.paths.keep(rows[:5])
    assert len(scene.hops) == 6
    again = scene.paths.resolve(np.zeros_like(addresses[-3:]), addresses[-3:])
    assert NO_ROOM not in again.tolist()


def test_rows_that_are_kept_stay_what_they_are(scene: Scene) -> None:
    first, second = scene.resolve("203.0.113.1", "192.0.2.9")
    scene.turn(reachable(), reachable(OTHER_MAC, sixteen("192.0.2.9")))
    version = scene.hops.version
    scene.paths.keep(np.array([first], np.uint16))
    assert scene.hops.usable[first]
    assert not scene.hops.usable[second]
    assert scene.hops.version > version, "frames made from a row that is freed are to be made again"
    scene.turn(reachable(MAC, sixteen("192.0.2.9")))
    assert not scene.hops.usable[second]


# --- changes


def test_another_mac_is_another_version(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.turn(reachable())
    version = scene.hops.version
    scene.turn(reachable())
    assert scene.hops.version == version
    scene.turn(reachable(OTHER_MAC))
    assert scene.hops.version > version
    assert bytes(scene.hops.dmac[row]) == OTHER_MAC


def test_an_interface_that_is_down_takes_its_hops_with_it_at_once(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.turn(DOWN)
    assert scene.hops.text(row) == "the interface eth0 is down"
    scene.turn(ETH)
    assert scene.hops.usable[row]


def test_an_interface_that_is_gone_takes_its_hops_with_it_at_once(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.turn(Gone(ETH))
    assert scene.hops.text(row) == "the interface with number 3 is gone"
    assert scene.turn(after=1)


def test_an_address_that_is_ours_no_more_takes_its_hops_with_it(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.turn(Gone(Address(3, OWN, 24)))
    assert scene.hops.text(row) == "192.0.2.2 is no address of this host any more"
    assert scene.turn(after=1)


def test_a_host_without_an_address_of_the_family_says_so(scene: Scene) -> None:
    scene.kernel.source = 0
    (row,) = scene.resolve("203.0.113.1")
    scene.turn(reachable())
    assert scene.hops.text(row) == "there is no address to send from through eth0"


def test_an_address_with_only_another_lifetime_is_no_change(scene: Scene) -> None:
    """Router advertisements renew IPv6 addresses all the time."""
    assert not scene.turn(scene.kernel.addresses[0])
    assert not scene.turn(after=60)


def test_changes_come_in_swarms_and_are_told_once(scene: Scene) -> None:
    assert not scene.turn(RouteChanged())
    assert not scene.turn(RouteChanged(), after=0.1)
    assert scene.turn(after=SETTLE / SECOND)
    assert not scene.turn(after=10)


def test_a_network_in_uproar_is_told_now_and_then(scene: Scene) -> None:
    told = sum(scene.turn(RouteChanged(), after=0.01) for _ in range(1000))
    assert 4 <= told <= 10 * SECOND // PAUSE + 1


def test_who_has_many_addresses_is_told_less_often(scene: Scene) -> None:
    addresses = np.full(200_000, int(low("203.0.113.1")[0]), np.uint64)
    scene.turn(RouteChanged())
    assert scene.turn(after=1)
    scene.paths.resolve(np.zeros_like(addresses), addresses)
    scene.turn(RouteChanged())
    assert not scene.turn(after=9)
    assert scene.turn(after=2)


def test_news_that_were_lost_are_made_up_for_by_asking_for_all(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.kernel.links, scene.kernel.lost = [LO, DOWN], True
    scene.kernel.known = [Neighbour(3, GATEWAY, FAILED)]
    scene.turn()
    assert scene.hops.text(row) == "the interface eth0 is down"
    assert scene.turn(after=1), "routes may be others too"
    scene.turn(ETH)
    assert "does not answer" in scene.hops.text(row)


def test_a_kernel_that_does_not_answer_is_asked_again(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.kernel.links, scene.kernel.lost, scene.kernel.silent = [LO, DOWN], True, True
    assert not scene.turn()
    assert scene.hops.usable[row], "what was known is all there is"
    scene.kernel.silent = False
    scene.turn(after=0.5)
    assert scene.hops.usable[row]
    scene.turn(after=1)
    assert not scene.hops.usable[row]


def test_the_broadcast_addresses_of_our_networks_are_told(scene: Scene) -> None:
    scene.turn(
        Address(3, sixteen("203.0.113.9"), 30),
        Address(3, sixteen("203.0.113.100"), 31),
        Address(3, sixteen("203.0.113.200"), 32),
        Address(3, bytes.fromhex("20010db8000000000000000000000002"), 64),
    )
    high, low = scene.paths.broadcasts()
    assert not high.any()
    shown = {str(IPv4Address(int(one) & 0xFFFF_FFFF)) for one in low}
    assert shown == {"192.0.2.0", "192.0.2.255", "203.0.113.8", "203.0.113.11"}


# --- neighbours


def test_a_neighbour_is_looked_for_by_one_datagram(scene: Scene) -> None:
    scene.resolve("203.0.113.1", "203.0.113.2")
    assert scene.sent == []
    scene.turn()
    assert scene.sent == [("eth0", 3, GATEWAY)]
    scene.turn(Neighbour(3, GATEWAY, INCOMPLETE), after=0.5)
    assert len(scene.sent) == 1


def test_a_neighbour_that_is_known_is_kept_in_use(scene: Scene) -> None:
    scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.sent.clear()
    for _ in range(600):
        scene.turn(after=0.1)
    assert len(scene.sent) == 60 * SECOND // KEEP


def test_a_neighbour_that_is_written_down_is_left_alone(scene: Scene) -> None:
    scene.kernel.coming = [Neighbour(3, GATEWAY, PERMANENT, MAC)]
    scene.turn()
    (row,) = scene.resolve("203.0.113.1")
    for _ in range(100):
        scene.turn(after=1)
    assert scene.hops.usable[row]
    assert scene.sent == []
    scene.turn(Neighbour(3, GATEWAY, STALE, MAC))
    assert scene.sent == [("eth0", 3, GATEWAY)]


def test_a_neighbour_that_goes_stale_is_asked_for_at_once(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.turn(after=2)
    scene.sent.clear()
    scene.turn(Neighbour(3, GATEWAY, STALE, MAC))
    assert scene.sent == [("eth0", 3, GATEWAY)]
    assert scene.hops.usable[row], "its MAC is still the best there is"


def test_stale_again_and_again_is_no_storm(scene: Scene) -> None:
    scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.sent.clear()
    for _ in range(100):
        scene.turn(Neighbour(3, GATEWAY, STALE, MAC), after=0.01)
    assert len(scene.sent) <= 2


def test_a_neighbour_that_does_not_answer_is_asked_for_less_and_less(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.turn()
    for _ in range(600):
        scene.turn(Neighbour(3, GATEWAY, FAILED), after=0.1)
    text = "the neighbour 192.0.2.1 on eth0 does not answer (ARP or neighbour discovery)"
    assert scene.hops.text(row) == text
    assert scene.paths.notes() == (text,)
    assert 60 * SECOND // RETRY_MOST <= len(scene.sent) <= 12
    scene.turn(reachable())
    assert scene.hops.usable[row]


def test_a_neighbour_that_was_forgotten_is_looked_for_again(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.sent.clear()
    scene.turn(Neighbour(3, GATEWAY, 0), after=2)
    assert not scene.hops.usable[row]
    assert scene.sent == [("eth0", 3, GATEWAY)]


def test_an_interface_that_comes_up_does_not_wait_for_the_next_try(scene: Scene) -> None:
    scene.resolve("203.0.113.1")
    for _ in range(300):
        scene.turn(Neighbour(3, GATEWAY, FAILED), after=0.1)
    scene.turn(DOWN)
    scene.sent.clear()
    scene.turn(ETH)
    assert scene.sent == [("eth0", 3, GATEWAY)]


def test_a_datagram_the_kernel_does_not_take_is_told(scene: Scene) -> None:
    (row,) = scene.resolve("203.0.113.1")
    scene.refused = OSError(ENOBUFS, "No buffer space available")
    scene.turn()
    assert scene.hops.text(row) == "the neighbour 192.0.2.1 on eth0 cannot be asked for: No buffer space available"
    scene.refused = None
    scene.turn(after=1)
    assert scene.sent == [("eth0", 3, GATEWAY)]


def test_a_neighbour_nobody_uses_any_more_is_left_alone(scene: Scene) -> None:
    scene.resolve("203.0.113.1")
    scene.turn(reachable())
    scene.paths.keep(np.zeros(0, np.uint16))
    scene.sent.clear()
    scene.turn(after=60)
    assert scene.sent == []


def keys(count: int) -> Sequence[Key]:
    return [(3, number.to_bytes(16)) for number in range(count)]


def test_very_many_neighbours_are_asked_for_at_a_bounded_rate() -> None:
    sent: list[bytes] = []
    neighbours = Neighbours(lambda name, index, address: sent.append(address), lambda index: "eth0")
    for key in keys(5000):
        neighbours.want(key, None, 0)
    seconds = 10
    for tick in range(100 * seconds):
        neighbours.turn(tick * SECOND // 100)
    assert PER_SECOND * seconds * 0.9 <= len(sent) <= PER_SECOND * (seconds + 1)
    assert len(set(sent)) == len(sent), "nobody twice before all had their turn"


def test_what_is_planned_does_not_grow_with_what_is_said() -> None:
    neighbours = Neighbours(lambda name, index, address: None, lambda index: "eth0")
    (key,) = keys(1)
    neighbours.want(key, None, 0)
    for tick in range(10_000):
        neighbours.note(Neighbour(3, key[1], (REACHABLE, STALE, FAILED)[tick % 3], MAC), tick * 1000)
    assert len(neighbours._heap) < 100
