"""Paths over real interfaces, neighbours and routes, in namespaces: what comes, changes, goes and comes back."""

import fcntl
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from select import select
from time import monotonic_ns

import numpy as np
import pytest

from amon.engine.linux.netlink import Netlink
from amon.engine.linux.rtnetlink import REACHABLE, STALE, Neighbour
from amon.engine.paths.paths import Paths
from amon.engine.shapes import U64
from tests.engine.netns import cable, ip, peer, play, process, sysctl
from tests.waiting import until

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(
        os.geteuid() != 0 or sys.platform != "linux", reason="makes network namespaces, so it needs root"
    ),
]
FAR = "198.51.100.1"
FAR6 = "2001:db8:f::1"


def halves(*addresses: str) -> tuple[U64, U64]:
    numbers = [int(one) + (0xFFFF << 32 if isinstance(one, IPv4Address) else 0) for one in map(ip_address, addresses)]
    high = np.array([number >> 64 for number in numbers], np.uint64)
    return high, np.array([number & (2**64 - 1) for number in numbers], np.uint64)


class Prober:
    """What the loop does with paths, for a few addresses."""

    def __init__(self, *addresses: str, netlink: Netlink | None = None) -> None:
        self.addresses = addresses
        self.paths = Paths(netlink or Netlink())
        self.hops = self.paths.hops
        self.told = 0
        self.resolve()

    def resolve(self) -> None:
        self.rows = self.paths.resolve(*halves(*self.addresses)).tolist()

    def turn(self) -> None:
        if self.paths.refresh(monotonic_ns()):
            self.told += 1
            self.resolve()
            self.paths.keep(np.array(self.rows, np.uint16))

    def usable(self) -> bool:
        self.turn()
        return all(self.hops.usable[row] for row in self.rows)

    def text(self, place: int = 0) -> str:
        self.turn()
        return self.hops.text(self.rows[place])

    def source(self, place: int = 0) -> str:
        row = self.rows[place]
        low = int(self.hops.source_low[row])
        return str(IPv4Address(low & 0xFFFF_FFFF))

    def dmac(self, place: int = 0) -> str:
        return bytes(self.hops.dmac[self.rows[place]]).hex(":")


@contextmanager
def network() -> Iterator[int]:
    """192.0.2.2/24 and 2001:db8::2/64 here; their gateways .1 and ::1 there."""
    with peer() as other:
        ip("addr add 192.0.2.2/24 dev near")
        ip("addr add 2001:db8::2/64 dev near nodad")
        ip("addr add 192.0.2.1/24 dev far", other)
        ip("addr add 2001:db8::1/64 dev far nodad", other)
        ip("link set far address 02:00:00:00:00:01", other)
        ip("route add default via 192.0.2.1")
        ip("route add default via 2001:db8::1")
        yield other


async def a_gateway_is_resolved() -> None:
    with network():
        prober = Prober(FAR, FAR6, "192.0.2.1", "198.51.100.77", "127.0.0.1")
        assert "the neighbour 192.0.2.1 on near is being looked for" in prober.paths.notes()
        assert not prober.hops.usable[prober.rows[0]]
        await until(prober.usable)
        assert prober.rows[0] == prober.rows[2] == prober.rows[3], "one gateway, one hop"
        assert prober.dmac(0) == prober.dmac(1) == "02:00:00:00:00:01"
        row = prober.rows[0]
        assert bytes(prober.hops.smac[row]).hex(":") in shown("link", "show", "near")
        assert prober.hops.ifindex[row] == socket.if_nametoindex("near")
        assert prober.hops.link[row]
        assert prober.hops.mtu[row] == 1500
        assert prober.source() == "192.0.2.2"
        sixth = prober.rows[1]
        assert int(prober.hops.source_high[sixth]) == 0x20010DB8 << 32
        assert int(prober.hops.source_low[sixth]) == 2
        own = prober.rows[4]
        assert not prober.hops.link[own], "lo has no MAC"
        assert prober.hops.ifindex[own] == 1


async def no_rights_are_needed() -> None:
    with network():
        own = os.getresuid()
        os.setresuid(65534, 65534, own[2])
        try:
            prober = Prober(FAR, FAR6)
            await until(prober.usable)
        finally:
            os.setresuid(*own)


async def the_datagram_is_empty_has_a_ttl_of_one_and_comes_through_its_interface() -> None:
    hear = (
        "import socket; s = socket.socket(type=socket.SOCK_DGRAM); s.bind(('192.0.2.1', 9)); s.setsockopt(0, 12, 1);"
        "data, more, _, who = s.recvmsg(99, 99); print(data, int.from_bytes(more[0][2], 'little'), who[0], flush=True)"
    )
    with network() as other, process(["nsenter", "-t", str(other), "-n", sys.executable, "-c", hear]) as ear:
        bound = f"{int.from_bytes(socket.inet_aton('192.0.2.1'), 'little'):08X}:0009"
        await until(lambda: bound in Path(f"/proc/{ear.pid}/net/udp").read_text())
        prober = Prober(FAR)
        await until(prober.usable)
        assert ear.stdout is not None
        assert ear.stdout.readline() == "b'' 1 192.0.2.2\n"


async def a_stale_neighbour_is_confirmed_and_stays_usable() -> None:
    with network():
        prober = Prober(FAR)
        await until(prober.usable)
        sysctl("net.ipv4.neigh.near.delay_first_probe_time", "1")
        ip("neigh replace 192.0.2.1 lladdr 02:00:00:00:00:01 dev near nud stale")
        version = prober.hops.version

        def confirmed() -> bool:
            assert prober.usable()
            return "REACHABLE" in neighbour("192.0.2.1")

        await until(confirmed)
        assert prober.hops.version == version, "nothing about it has changed"


async def a_neighbour_is_confirmed_before_it_goes_stale() -> None:
    with network():
        # A reachable neighbour is one for 1.5 to 4.5 s then, instead of 15 to 45.
        sysctl("net.ipv4.neigh.near.base_reachable_time_ms", "3000")
        sysctl("net.ipv4.neigh.near.delay_first_probe_time", "5")
        prober = Prober(FAR)
        await until(prober.usable)
        watcher = Netlink(groups=(3,))
        states: list[int] = []

        def confirmed_again() -> bool:
            assert prober.usable()
            states.extend(one.state for one in watcher.news() or () if isinstance(one, Neighbour))
            return states.count(REACHABLE) >= 2

        await until(confirmed_again, within=40)
        assert STALE not in states


async def news_of_another_process_are_not_believed() -> None:
    with network():
        netlink = Netlink()
        prober = Prober(FAR, netlink=netlink)
        await until(prober.usable)
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as forger:
            forger.bind((0, 0))
            gone = struct.pack("=IHHIIBxHiII", 32, 17, 0, 0, 0, 0, 1, socket.if_nametoindex("near"), 0, 0)
            forger.sendto(gone, netlink._news.getsockname())
            assert select([netlink], [], [], 5)[0]
        assert prober.usable()
        assert netlink.counters == {"overrun": 0, "odd": 0}


def neighbour(address: str) -> str:
    return shown("neigh", "show", address)


def shown(*words: str) -> str:
    return subprocess.run(["ip", *words], capture_output=True, text=True, timeout=10, check=True).stdout


async def another_mac_is_taken_over() -> None:
    with network() as other:
        prober = Prober(FAR)
        await until(prober.usable)
        version = prober.hops.version
        ip("link set far address 02:00:00:00:00:02", other)
        ip("neigh flush dev near")
        await until(lambda: prober.usable() and prober.dmac() == "02:00:00:00:00:02")
        assert prober.hops.version > version


async def a_neighbour_that_does_not_answer_is_said_and_found_when_it_comes() -> None:
    with network() as other:
        ip("addr del 192.0.2.1/24 dev far", other)
        prober = Prober(FAR)
        await until(lambda: "does not answer" in prober.text())
        assert prober.text() == "the neighbour 192.0.2.1 on near does not answer (ARP or neighbour discovery)"
        assert not prober.usable()
        ip("addr add 192.0.2.1/24 dev far", other)
        await until(prober.usable)


async def an_interface_goes_down_and_comes_up() -> None:
    with network():
        prober = Prober(FAR)
        await until(prober.usable)
        row = prober.rows[0]
        ip("link set near down")
        texts = set()

        def told() -> bool:
            prober.paths.refresh(monotonic_ns())
            texts.add(prober.hops.text(row))
            return texts != {""}

        await until(told)
        assert "the interface near is down" in texts
        await until(lambda: prober.text() == "no route leads there")
        ip("link set near up")
        ip("route add default via 192.0.2.1")
        await until(prober.usable)


async def a_cable_is_pulled_and_plugged_in() -> None:
    with network() as other:
        prober = Prober(FAR)
        await until(prober.usable)
        ip("link set far down", other)
        await until(lambda: prober.text() == "the interface near is down")
        assert not prober.usable()
        ip("link set far up", other)
        await until(prober.usable)


async def an_interface_disappears_and_returns() -> None:
    with network() as other:
        prober = Prober(FAR)
        await until(prober.usable)
        index = socket.if_nametoindex("near")
        ip("link del near")
        await until(lambda: not prober.usable())
        await until(lambda: prober.text() == "no route leads there")
        cable(other)
        ip("addr add 192.0.2.2/24 dev near")
        ip("addr add 192.0.2.1/24 dev far", other)
        ip("route add default via 192.0.2.1")
        await until(prober.usable)
        assert prober.hops.ifindex[prober.rows[0]] == socket.if_nametoindex("near") != index
        assert len(prober.hops) <= 3, "hops that nobody uses are freed"


async def our_address_changes() -> None:
    with network():
        prober = Prober(FAR)
        await until(prober.usable)
        row = prober.rows[0]
        ip("addr add 192.0.2.3/24 dev near")
        ip("addr del 192.0.2.2/24 dev near")
        texts = set()

        def other_source() -> bool:
            prober.paths.refresh(monotonic_ns())
            texts.add(prober.hops.text(row))
            return texts != {""}

        await until(other_source)
        assert "192.0.2.2 is no address of this host any more" in texts
        ip("addr add 192.0.2.4/24 dev near")
        ip("route replace default via 192.0.2.1")
        await until(lambda: prober.usable() and prober.source() in ("192.0.2.3", "192.0.2.4"))


async def a_route_changes() -> None:
    with network() as other:
        prober = Prober(FAR)
        await until(prober.usable)
        ip("addr add 192.0.2.9/24 dev far", other)
        cable(other, "near2", "far2")
        ip("addr add 203.0.113.2/24 dev near2")
        ip("addr add 203.0.113.1/24 dev far2", other)
        ip("route add 198.51.100.0/24 via 203.0.113.1")
        await until(lambda: prober.usable() and prober.hops.ifindex[prober.rows[0]] == socket.if_nametoindex("near2"))
        assert prober.source() == "203.0.113.2"
        assert prober.told < 4, "changes come in swarms and are told once"


async def policy_routing_is_the_kernel_s() -> None:
    with network() as other:
        cable(other, "near2", "far2")
        ip("addr add 203.0.113.2/24 dev near2")
        ip("addr add 203.0.113.1/24 dev far2", other)
        ip("route add default via 203.0.113.1 table 100")
        ip("rule add to 198.51.100.0/25 lookup 100")
        prober = Prober("198.51.100.1", "198.51.100.200")
        await until(prober.usable)
        indices = [prober.hops.ifindex[row] for row in prober.rows]
        assert indices == [socket.if_nametoindex("near2"), socket.if_nametoindex("near")]


async def an_ipv4_route_may_have_an_ipv6_gateway() -> None:
    with network():
        ip("route add 203.0.113.0/24 via inet6 2001:db8::1 dev near")
        prober = Prober("203.0.113.5")
        await until(prober.usable)
        assert prober.dmac() == "02:00:00:00:00:01"
        assert prober.source() == "192.0.2.2"


async def a_link_local_gateway_is_resolved_on_its_interface() -> None:
    with network() as other:
        ip("addr add fe80::9/64 dev far nodad", other)
        ip("route add 2001:db8:f::/64 via fe80::9 dev near")
        ip("addr add fe80::7/64 dev near nodad")
        prober = Prober(FAR6)
        await until(prober.usable)
        assert prober.dmac() == "02:00:00:00:00:01"


async def routes_that_refuse_say_so() -> None:
    with network():
        for kind, place in (("unreachable", 1), ("prohibit", 2), ("blackhole", 3), ("throw", 4)):
            ip(f"route add {kind} 203.0.113.{place}")
            ip(f"route add {kind} 2001:db8:bad::{place}")
        fourth = Prober(*(f"203.0.113.{place}" for place in (1, 2, 3)), "192.0.2.255", "224.0.0.1")
        assert [fourth.text(place) for place in range(5)] == [
            "the route there says unreachable",
            "the route there says prohibited",
            "the route there is a black hole",
            "that is a broadcast address",
            "that is a multicast address",
        ]
        sixth = Prober(*(f"2001:db8:bad::{place}" for place in (1, 2, 3)))
        assert [sixth.text(place) for place in range(3)] == [
            "the route there says unreachable",
            "the route there says prohibited",
            "the route there is a black hole",
        ]


async def an_interface_without_mac_has_hops_without_link() -> None:
    with network():
        ip("tuntap add dev tun0 mode tun")
        ip("addr add 203.0.113.1 peer 203.0.113.2 dev tun0")
        ip("link set tun0 up")
        ip("route add 198.51.100.0/24 dev tun0")
        # A tun has carrier only while a process holds it.
        with Path("/dev/net/tun").open("r+b", buffering=0) as tun:  # noqa: ASYNC230
            fcntl.ioctl(tun, 0x400454CA, struct.pack("16sH14x", b"tun0", 0x0001 | 0x1000))  # TUNSETIFF, IFF_TUN | NO_PI
            prober = Prober(FAR, "198.51.100.2", "127.0.0.1")
            await until(prober.usable)
            assert prober.rows[0] == prober.rows[1], "all behind it is one hop"
            assert not prober.hops.link[prober.rows[0]]
            assert prober.hops.ifindex[prober.rows[0]] == socket.if_nametoindex("tun0")
            assert prober.source() == "203.0.113.1"


async def news_that_were_lost_are_made_up_for() -> None:
    with network():
        sysctl("net.ipv4.conf.near.promote_secondaries", "1")
        netlink = Netlink(buffer=2304)
        prober = Prober(FAR, netlink=netlink)
        await until(prober.usable)
        for number in range(3, 60):
            ip(f"addr add 192.0.2.{number}/24 dev near")
        ip("addr del 192.0.2.2/24 dev near")
        await until(lambda: prober.usable() and prober.told)
        assert netlink.counters["overrun"] >= 1
        assert prober.source() != "192.0.2.2"
        assert not any(address.endswith(bytes([192, 0, 2, 2])) for _, address in prober.paths._addresses)


async def a_hundred_thousand_addresses_in_one_question() -> None:
    """Answers that the receive buffer cannot hold are asked for again; none is missing and none is another's."""
    with network() as other:
        cable(other, "near2", "far2")
        ip("addr add 203.0.113.2/24 dev near2")
        ip("route add 10.128.0.0/9 via 203.0.113.1")
        paths = Paths(Netlink())
        low = np.arange(100_000, dtype=np.uint64) * np.uint64(167) + np.uint64((0xFFFF << 32) + (10 << 24))
        rows = paths.resolve(np.zeros(100_000, np.uint64), low)
        expected = np.where(low & np.uint64(1 << 23), socket.if_nametoindex("near2"), socket.if_nametoindex("near"))
        assert (paths.hops.ifindex[rows] == expected).all()


@pytest.mark.parametrize(
    "scene",
    [
        a_gateway_is_resolved,
        no_rights_are_needed,
        the_datagram_is_empty_has_a_ttl_of_one_and_comes_through_its_interface,
        a_stale_neighbour_is_confirmed_and_stays_usable,
        a_neighbour_is_confirmed_before_it_goes_stale,
        news_of_another_process_are_not_believed,
        another_mac_is_taken_over,
        a_neighbour_that_does_not_answer_is_said_and_found_when_it_comes,
        an_interface_goes_down_and_comes_up,
        a_cable_is_pulled_and_plugged_in,
        an_interface_disappears_and_returns,
        our_address_changes,
        a_route_changes,
        policy_routing_is_the_kernel_s,
        an_ipv4_route_may_have_an_ipv6_gateway,
        a_link_local_gateway_is_resolved_on_its_interface,
        routes_that_refuse_say_so,
        an_interface_without_mac_has_hops_without_link,
        news_that_were_lost_are_made_up_for,
        a_hundred_thousand_addresses_in_one_question,
    ],
    ids=lambda scene: scene.__name__,
)
def test_on_a_real_network(scene: Callable[[], Awaitable[None]]) -> None:
    play(scene)
