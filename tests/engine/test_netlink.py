"""What the kernel says over netlink, whole and broken; and this machine's own kernel, which needs no rights."""

import socket
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amon.engine.linux.netlink import Netlink, read_dump
from amon.engine.linux.nlwire import (
    DONE,
    DUMP_INTR,
    ERROR,
    HEADER,
    STEPS_MOST,
    Message,
    Odd,
    Table,
    attribute,
    attributes,
    messages,
    walk,
)
from amon.engine.linux.routes import NO_ANSWER, Routes, read_answers
from amon.engine.linux.rtnetlink import (
    DELADDR,
    DELLINK,
    DELNEIGH,
    NEWADDR,
    NEWLINK,
    NEWNEIGH,
    NEWROUTE,
    NEWRULE,
    REACHABLE,
    Address,
    Change,
    Gone,
    Link,
    Neighbour,
    RouteChanged,
    read,
)
from amon.engine.shapes import I64

MAPPED = bytes(10) + b"\xff\xff"
MAC = bytes.fromhex("020000000001")


def packed(kind: int, body: bytes, sequence: int = 1, flags: int = 0) -> bytes:
    """A message with its padding."""
    return (HEADER.pack(HEADER.size + len(body), kind, flags, sequence, 0) + body).ljust((len(body) + 19) & ~3, b"\0")


def link(index: int = 3, flags: int = 0x11043, hardware: int = 1, mac: bytes = MAC) -> bytes:
    head = struct.pack("=BxHiII", 0, hardware, index, flags, 0)
    return head + attribute(3, b"eth0\0") + attribute(4, struct.pack("=I", 1500)) + attribute(1, mac)


def change(kind: int, body: bytes) -> Change | None:
    (message,) = messages(packed(kind, body))
    return read(message)


# --- the wire form


def test_messages_follow_each_other_with_padding() -> None:
    found = list(messages(packed(1, b"abcde", 7) + packed(2, b"", 8)))
    assert [(one.kind, one.sequence, bytes(one.body)) for one in found] == [(1, 7, b"abcde"), (2, 8, b"")]


@pytest.mark.parametrize("length", [0, 15, 21, 2**32 - 1])
def test_a_message_whose_length_does_not_add_up_is_odd(length: int) -> None:
    with pytest.raises(Odd):
        list(messages(struct.pack("=IHHII", length, 1, 0, 1, 0) + b"abcd"))


def test_bytes_behind_the_last_message_are_odd() -> None:
    with pytest.raises(Odd):
        list(messages(packed(1, b"") + b"abc"))


@pytest.mark.parametrize("length", [0, 3, 9])
def test_an_attribute_whose_length_does_not_add_up_is_odd(length: int) -> None:
    with pytest.raises(Odd):
        attributes(memoryview(struct.pack("=HH", length, 1) + b"abcd"))


def test_attributes_are_by_type_without_its_flags() -> None:
    found = attributes(memoryview(attribute(0x8001, b"a") + attribute(2, b"bc")))
    assert {kind: bytes(value) for kind, value in found.items()} == {1: b"a", 2: b"bc"}


@given(st.binary(max_size=200))
def test_no_bytes_make_more_of_the_wire_form_than_odd(data: bytes) -> None:
    for reader in (lambda: list(messages(data)), lambda: attributes(memoryview(data))):
        try:
            reader()
        except Odd:
            pass


# --- what messages say


def test_a_link_is_read_with_all_that_is_needed_of_it() -> None:
    seen = change(NEWLINK, link())
    assert seen == Link(3, "eth0", 1, 0x11043, 1500, MAC)
    assert isinstance(seen, Link)
    assert seen.up
    assert seen.ethernet


@pytest.mark.parametrize(
    ("flags", "hardware", "mac", "up", "ethernet"),
    [
        (0x11043, 65534, b"", True, False),  # tun
        (0x11043, 512, b"", True, False),  # ppp
        (0x10049, 772, bytes(6), True, False),  # lo
        (0x110C3, 1, MAC, True, False),  # dummy: no ARP
        (0x1003, 1, MAC, False, True),  # no carrier
        (0x10002, 1, MAC, False, True),  # set down
    ],
)
def test_a_link_is_up_with_carrier_and_ethernet_where_neighbours_are_resolved(
    flags: int, hardware: int, mac: bytes, up: bool, ethernet: bool
) -> None:
    seen = change(NEWLINK, link(flags=flags, hardware=hardware, mac=mac))
    assert isinstance(seen, Link)
    assert (seen.up, seen.ethernet) == (up, ethernet)


def test_what_a_bridge_says_of_its_ports_is_passed_over() -> None:
    assert change(NEWLINK, struct.pack("=BxHiII", socket.AF_BRIDGE, 1, 3, 0, 0)) is None


def test_addresses_of_both_families_are_read_as_16_bytes() -> None:
    four = struct.pack("=BBBBI", socket.AF_INET, 24, 0, 0, 3)
    body = four + attribute(1, bytes([192, 0, 2, 9])) + attribute(2, bytes([192, 0, 2, 1])) + attribute(4, bytes(4))
    assert change(NEWADDR, body) == Address(3, MAPPED + bytes([192, 0, 2, 1]), 24, MAPPED + bytes(4))
    six = struct.pack("=BBBBI", socket.AF_INET6, 64, 0, 0, 3) + attribute(1, bytes(range(16)))
    assert change(NEWADDR, six) == Address(3, bytes(range(16)), 64)
    assert change(DELADDR, six) == Gone(Address(3, bytes(range(16)), 64))


def test_a_neighbour_that_is_forgotten_has_no_state() -> None:
    body = struct.pack("=BxxxiHBB", socket.AF_INET, 3, REACHABLE, 0, 1) + attribute(1, bytes(4)) + attribute(2, MAC)
    assert change(NEWNEIGH, body) == Neighbour(3, MAPPED + bytes(4), REACHABLE, MAC)
    assert change(DELNEIGH, body) == Neighbour(3, MAPPED + bytes(4), 0)


def test_routes_and_rules_only_say_that_they_changed() -> None:
    assert change(NEWROUTE, bytes(12)) == RouteChanged()
    assert change(NEWRULE, bytes(12)) == RouteChanged()
    cached = struct.pack("=BBBBBBBBI", socket.AF_INET6, 0, 0, 0, 0, 0, 0, 0, 0x200)
    assert change(NEWROUTE, cached) is None
    assert change(999, b"") is None


@pytest.mark.parametrize("family", [0, 7, socket.AF_INET, socket.AF_INET6])
def test_an_address_of_another_length_or_family_is_passed_over(family: int) -> None:
    body = struct.pack("=BxxxiHBB", family, 3, REACHABLE, 0, 1) + attribute(1, bytes(5))
    assert change(NEWNEIGH, body) is None
    assert change(NEWADDR, struct.pack("=BBBBI", family, 24, 0, 0, 3) + attribute(1, bytes(5))) is None


@given(st.sampled_from([NEWLINK, DELLINK, NEWADDR, DELADDR, NEWNEIGH, DELNEIGH, NEWROUTE]), st.binary(max_size=120))
def test_no_body_makes_more_than_odd(kind: int, body: bytes) -> None:
    try:
        read(Message(kind, 0, 1, memoryview(body)))
    except Odd:
        pass


# --- dumps


def dumped(*datagrams: bytes) -> list[Change]:
    rest = iter(datagrams)
    return read_dump(lambda: next(rest))


def test_a_dump_ends_where_it_says_so() -> None:
    found = dumped(
        packed(NEWLINK, link(1)) + packed(NEWLINK, link(2)), packed(NEWLINK, link(3)), packed(DONE, bytes(4))
    )
    assert [one.index for one in found if isinstance(one, Link)] == [1, 2, 3]


def test_a_dump_that_was_interrupted_is_not_believed() -> None:
    with pytest.raises(InterruptedError):
        dumped(packed(NEWLINK, link(1), flags=DUMP_INTR), packed(DONE, bytes(4)))


def test_a_dump_that_is_refused_says_why() -> None:
    with pytest.raises(PermissionError):
        dumped(packed(ERROR, struct.pack("=i", -1)))


# --- answers about routes


def answers(*datagrams: bytes, count: int = 4, first: int = 100, family: int = 4) -> Routes:
    data = np.zeros((len(datagrams), 512), np.uint8)
    for row, one in enumerate(datagrams):
        data[row, : len(one)] = np.frombuffer(one, np.uint8)
    routes = Routes.blank(count)
    table = Table(data, np.array([len(one) for one in datagrams], np.int64))
    read_answers(table, np.arange(count), first, routes, family)
    return routes


def route(sequence: int, *more: bytes, kind: int = 1) -> bytes:
    head = struct.pack("=BBBBBBBBI", socket.AF_INET, 32, 0, 0, 254, 0, 0, kind, 0)
    return packed(NEWROUTE, head + b"".join(more), sequence)


OIF = attribute(4, struct.pack("=I", 7))
GATEWAY = attribute(5, bytes([192, 0, 2, 1]))
SOURCE = attribute(7, bytes([192, 0, 2, 2]))


def test_an_answer_is_put_where_its_sequence_number_says() -> None:
    routes = answers(route(102, OIF, GATEWAY, SOURCE), route(100, OIF, kind=2))
    assert routes.error.tolist() == [0, NO_ANSWER, 0, NO_ANSWER]
    assert routes.ifindex.tolist() == [7, 0, 7, 0]
    assert routes.kind.tolist() == [2, 0, 1, 0]
    assert routes.gateway_low.tolist() == [0, 0, 0xFFFF_C000_0201, 0]
    assert routes.source_low.tolist() == [0, 0, 0xFFFF_C000_0202, 0]


def test_a_refusal_is_put_where_its_sequence_number_says() -> None:
    body = struct.pack("=i", -101) + bytes(16)
    assert answers(packed(ERROR, body, 101)).error.tolist() == [NO_ANSWER, 101, NO_ANSWER, NO_ANSWER]


def test_an_ipv6_gateway_of_an_ipv4_route_is_read() -> None:
    via = attribute(18, struct.pack("=H", socket.AF_INET6) + bytes(range(16)))
    routes = answers(route(100, OIF, via))
    assert routes.gateway_high[0] == int.from_bytes(bytes(range(8)))
    assert routes.gateway_low[0] == int.from_bytes(bytes(range(8, 16)))


@pytest.mark.parametrize(
    "broken",
    [
        route(99, OIF),  # asked for before
        route(104, OIF),  # nobody asked for it
        route(100, struct.pack("=HH", 3, 4)),  # an attribute shorter than its head
        route(100, struct.pack("=HH", 200, 4)),  # and one longer than the rest
        route(100, OIF)[:24],  # cut
        route(100, *[attribute(60, b"")] * 80),  # attributes without end
        packed(ERROR, b"", 100),
        packed(NEWROUTE, bytes(4), 100),
        packed(NEWLINK, bytes(16), 100),
        b"",
    ],
)
def test_an_answer_that_does_not_add_up_is_none(broken: bytes) -> None:
    routes = answers(broken)
    assert (routes.error == NO_ANSWER).all()


@settings(max_examples=200)
@given(
    st.lists(
        st.binary(max_size=120) | st.builds(lambda tail: route(100)[:28] + tail, st.binary(max_size=80)), max_size=5
    ),
    st.sampled_from([4, 6]),
)
def test_no_answer_of_any_bytes_breaks_the_reader(datagrams: list[bytes], family: int) -> None:
    routes = answers(*datagrams, family=family)
    assert len(routes.error) == 4


def test_a_walk_takes_one_attribute_of_every_row_at_a_time() -> None:
    rows = [attribute(1, b"a") + attribute(2, b"bb"), attribute(3, b""), b""]
    data = np.zeros((3, 64), np.uint8)
    for row, one in enumerate(rows):
        data[row, : len(one)] = np.frombuffer(one, np.uint8)
    odd = np.zeros(3, np.bool_)
    length: I64 = np.array([len(one) for one in rows], np.int64)
    steps = [list(zip(step.rows, step.kinds, step.size, strict=True)) for step in walk(Table(data, length), 0, odd)]
    assert steps == [[(0, 1, 1), (1, 3, 0)], [(0, 2, 2)]]
    assert not odd.any()
    assert STEPS_MOST * 4 < 512, "a reply of the largest size may have more attributes than are looked at"


# --- this machine's kernel


@pytest.fixture
def netlink() -> Netlink:
    return Netlink()


def test_this_kernel_tells_its_links_addresses_and_neighbours(netlink: Netlink) -> None:
    everything = netlink.everything()
    (lo,) = [one for one in everything if isinstance(one, Link) and one.name == "lo"]
    assert not lo.ethernet
    assert lo.index == socket.if_nametoindex("lo")
    assert netlink.news() == []
    netlink.close()


def test_this_kernel_tells_the_way_to_ourselves(netlink: Netlink) -> None:
    count = 1000
    low = np.full(count, 0xFFFF_7F00_0001, np.uint64)
    low[::3] = 1  # ::1
    routes = netlink.routes(np.zeros(count, np.uint64), low)
    netlink.close()
    # A host without IPv6 refuses ::1, and that is an answer too.
    assert not (routes.error == NO_ANSWER).any()
    fourth = low != 1
    assert (routes.error[fourth] == 0).all()
    assert (routes.kind[fourth] == 2).all()
    assert (routes.ifindex[fourth] == socket.if_nametoindex("lo")).all()
    assert (routes.source_low[fourth] == 0xFFFF_7F00_0001).all()


def test_no_addresses_are_no_question(netlink: Netlink) -> None:
    none = np.zeros(0, np.uint64)
    assert len(netlink.routes(none, none).error) == 0
    netlink.close()
