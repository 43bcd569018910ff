"""Packet sockets on a cable between namespaces: whole frames out, a ring in."""

import fcntl
import os
import socket
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic_ns

import pytest

from amon.engine.linux.packetring import BLOCK
from amon.engine.shapes import WayRefused
from amon.engine.ways.packet import PacketTransmitter, RingReceiver
from amon.engine.ways.trial import Ways, open_ways
from tests.engine.netns import cable, ip, sysctl
from tests.engine.ways.alone import (
    BEYOND,
    IDENT,
    MAC,
    Taken,
    alone,
    at,
    cabled,
    load,
    opened,
    request,
    send,
    settle,
    wait_until,
)  # fmt: skip
from tests.engine.ways.scenes import answers_come_in_order, errors_are_told, sizes_and_headers_are_the_rows


def _open() -> Ways:
    return open_ways("near", "packet+ring", IDENT)


@alone
def test_what_is_sent_is_received_in_order_with_stamps_that_can_be() -> None:
    answers_come_in_order(_open)


@alone
def test_each_packet_has_the_size_and_the_header_of_its_row() -> None:
    sizes_and_headers_are_the_rows(_open)


@alone
def test_routers_that_complain_are_heard() -> None:
    errors_are_told(_open)


@alone
def test_answers_of_uneven_size_are_taken_apart_as_they_came() -> None:
    with cabled(), opened(_open()) as ways:
        taken = Taken(ways.receivers)
        sizes = [16 + slot * 7 % 61 for slot in range(300)]
        for family in (4, 6):
            assert send(ways.transmitters[family], [request(family, 70_000 + slot, size=size)
                                                    for slot, size in enumerate(sizes)]).sent == 300  # fmt: skip
        wait_until(lambda: taken.take() == 600)
        assert taken.column("slot") == [70_000 + slot for slot in range(300)] * 2
        lengths = [int(length) for packets in taken.packets for length in packets.length]
        assert lengths == [28 + size for size in sizes] + [48 + size for size in sizes]


@alone
def test_a_little_at_a_time_is_the_same_as_all_at_once() -> None:
    with cabled(), opened(_open()) as ways:
        taken = Taken(ways.receivers)
        send(ways.transmitters[4], [request(4, slot, size=16 + slot % 3) for slot in range(500)])
        wait_until(lambda: taken.take(7) == 500)
        assert taken.column("slot") == list(range(500))
        assert max(map(len, taken.packets)) <= 7


@alone
def test_what_the_ring_has_no_room_for_is_counted() -> None:
    with cabled(), opened(Ways("", {4: PacketTransmitter("near")}, (RingReceiver("near", IDENT, 2 * BLOCK),))) as ways:
        taken = Taken(ways.receivers)
        sent = 0
        while sent < 8000:
            sent += send(ways.transmitters[4], [request(4, sent + slot) for slot in range(1000)]).sent
        wait_until(lambda: taken.take() + taken.drops() == sent)
        assert 0 < taken.drops() < sent
        assert ways.receivers[0].counters()["tp_freeze_q_cnt"] >= 1


@alone
def test_other_peoples_packets_do_not_come_in() -> None:
    with cabled(), opened(_open()) as ways:
        other = open_ways("near", "packet+ring", IDENT + 1)
        with opened(other):
            theirs, ours = Taken(other.receivers), Taken(ways.receivers)
            for family in (4, 6):
                send(ways.transmitters[family], [request(family, 1), request(family, 2, target=BEYOND[family], ttl=1)])
            wait_until(lambda: ours.take() == 4)
            theirs.take()
            assert not theirs.packets


@alone
def test_packets_of_another_vlan_are_not_ours_but_a_priority_is_no_vlan() -> None:
    with cabled() as other, opened(_open()) as ways:
        taken = Taken(ways.receivers)
        with at(other), socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0) as far:
            far.bind(("far", 0))
            for slot, tag in enumerate((0x0005, 0x6000, 0x6005, None)):
                label = b"" if tag is None else struct.pack(">HH", 0x8100, tag)
                ends = bytes.fromhex((MAC["near"] + MAC["far"]).replace(":", ""))
                far.send(ends + label + b"\x08\x00" + request(4, slot).reply())
        taken.take_all(2)
        assert taken.column("slot") == [1, 3]


@alone
def test_an_interface_may_go_and_come_back() -> None:
    with cabled() as other, opened(_open()) as ways:
        taken = Taken(ways.receivers)
        sender = ways.transmitters[4]
        ip("link del near")
        lost = send(sender, [request(4, slot) for slot in range(20)])
        assert (lost.sent, lost.failed) == (0, 20)
        assert lost.why == "AF_PACKET: the interface is gone"
        taken.take()
        cable(other)
        settle(other)
        wait_until(lambda: send(sender, [request(4, 99)]).sent and taken.take())
        assert set(taken.column("slot")) == {99}


@alone
def test_an_interface_that_is_down_takes_nothing_and_works_again_when_it_is_up() -> None:
    with cabled(), opened(_open()) as ways:
        taken = Taken(ways.receivers)
        sender = ways.transmitters[4]
        ip("link set near down")
        lost = send(sender, [request(4, slot) for slot in range(20)])
        assert (lost.sent, lost.failed, lost.why) == (0, 20, "AF_PACKET: the interface is down")
        assert sender.counters() == {"ENETDOWN": 1}
        taken.take()
        ip("link set near up")
        wait_until(lambda: send(sender, [request(4, 99)]).sent and taken.take())


@pytest.mark.skipif(not os.access("/dev/net/tun", os.R_OK | os.W_OK), reason="/dev/net/tun is not ours to open")
@alone
def test_a_full_queue_stops_it_in_the_middle_and_it_goes_on_there() -> None:
    with _tap(10) as queue:
        sender = PacketTransmitter("tap")
        lengths = load(sender, [request(4, slot) for slot in range(30)])
        first = sender.publish(lengths)
        assert (first.sent, first.failed) == (10, 0)
        assert sender.counters() == {"ENOBUFS": 1}
        seen = [_slot(os.read(queue, 2048)) for _ in range(4)]
        assert sender.publish(lengths[10:]).sent == 4
        sent = 14
        while sent < 30:
            seen.append(_slot(os.read(queue, 2048)))
            sent += sender.publish(lengths[sent:]).sent
        seen += [_slot(os.read(queue, 2048)) for _ in range(30 - len(seen))]
        assert seen == list(range(30))


@alone
def test_a_packet_larger_than_the_interface_takes_is_lost_alone() -> None:
    with cabled(), opened(_open()) as ways:
        taken = Taken(ways.receivers)
        sender = ways.transmitters[4]
        lengths = load(sender, [request(4, 1), request(4, 2, size=1900), request(4, 3)])
        told = sender.publish(lengths)
        assert (told.sent, told.failed) == (1, 1)
        assert told.why == "AF_PACKET: the packet is larger than the interface takes (MTU)"
        assert sender.counters() == {}
        assert sender.publish(lengths[2:]).sent == 1
        wait_until(lambda: taken.take() == 2)
        assert taken.column("slot") == [1, 3]


@alone
def test_send_stamps_are_measured_against_the_kernels() -> None:
    with cabled():
        sender = PacketTransmitter("near", every=1)
        for round_ in range(20):
            assert send(sender, [request(4, round_ * 40 + slot) for slot in range(40)]).sent == 40
        found = sender.errors()
        assert len(found) >= 19
        assert abs(sorted(found)[len(found) // 2]) < 1_000_000
        assert not len(sender.errors())


@alone
def test_a_ring_without_room_in_memory_is_refused_with_what_to_do() -> None:
    with cabled(), pytest.raises(WayRefused, match="make it smaller"):
        RingReceiver("near", IDENT, 1 << 50)


@alone
def test_an_interface_that_is_not_there_is_named() -> None:
    with pytest.raises(WayRefused, match="interface nowhere: No such device"):
        RingReceiver("nowhere", IDENT)
    with pytest.raises(WayRefused, match="interface nowhere: No such device"):
        PacketTransmitter("nowhere")


@alone
def test_stamps_are_of_the_monotonic_clock() -> None:
    with cabled(), opened(_open()) as ways:
        before = monotonic_ns()
        taken = Taken(ways.receivers)
        send(ways.transmitters[4], [request(4, 1)])
        wait_until(taken.take)
        assert before - 100_000 < taken.packets[0].stamp[0] < monotonic_ns()


@contextmanager
def _tap(queue: int) -> Iterator[int]:
    """An Ethernet interface that keeps so many frames for whoever reads the descriptor (tuntap.rst)."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR)
    try:
        fcntl.ioctl(descriptor, 0x400454CA, struct.pack("16sH22x", b"tap", 0x0002 | 0x1000))
        sysctl("net.ipv6.conf.tap.disable_ipv6", "1")  # which would send frames of its own
        ip(f"link set tap txqueuelen {queue} up")
        yield descriptor
    finally:
        os.close(descriptor)


def _slot(frame: bytes) -> int:
    return int(struct.unpack_from("<I", frame, 14 + 28)[0])
