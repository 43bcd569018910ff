"""ICMP sockets, without any right: both families, errors by the error queue."""

import os
import socket

import pytest

from amon.engine.shapes import WayRefused
from amon.engine.ways.ping import RANGE, open_ping
from amon.engine.ways.trial import Ways, open_ways
from tests.engine.netns import cable, ip
from tests.engine.ways.alone import (
    BEYOND,
    IDENT,
    OWN,
    THERE,
    Taken,
    allow_ping,
    alone,
    cabled,
    drop_rights,
    load,
    opened,
    request,
    send,
    settle,
    wait_until,
)  # fmt: skip
from tests.engine.ways.scenes import (
    answers_come_in_order,
    errors_are_told,
    full_queues_are_waited_for,
    sizes_and_headers_are_the_rows,
)


def _open() -> Ways:
    return open_ways(None, "ping", IDENT)


def _allowed() -> bool:
    low, high = map(int, RANGE.read_text().split()) if RANGE.exists() else (1, 0)
    return low <= os.getegid() <= high


@pytest.mark.skipif(not _allowed(), reason="net.ipv4.ping_group_range does not have our group")
def test_this_host_answers_without_any_namespace() -> None:
    with opened(_open()) as ways:
        taken = Taken(ways.receivers)
        assert send(ways.transmitters[4], [request(4, slot, target=OWN[4]) for slot in range(20)]).sent == 20
        taken.take_all(20)


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
def test_a_full_queue_stops_it_in_the_middle_and_it_goes_on_there() -> None:
    # IPv6: the kernel's icmpv6_push_pending_frames() drops the error, so nobody can know.
    full_queues_are_waited_for(_open, (4,))


@alone
def test_it_works_without_any_right() -> None:
    with cabled():
        drop_rights()
        with pytest.raises(PermissionError):
            socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        with opened(_open()) as ways:
            for family in (4, 6):
                taken = Taken(ways.receivers)
                assert send(ways.transmitters[family], [request(family, slot) for slot in range(200)]).sent == 200
                taken.take_all(200)
                assert taken.drops() == 0


@alone
def test_errors_for_earlier_packets_do_not_make_later_ones_fail() -> None:
    """A router that rejects all of them, while we go on sending."""
    with cabled(), opened(_open()) as ways:
        for family in (4, 6):
            taken = Taken(ways.receivers)
            sender = ways.transmitters[family]
            # No more than a Linux router complains about without a pause: icmp_msgs_burst in ip-sysctl.rst.
            for slot in range(20):
                told = send(sender, [request(family, slot, target=BEYOND[family], ttl=1)])
                assert (told.sent, told.failed) == (1, 0)
            taken.take_all(20)
            assert sorted(taken.column("slot")) == list(range(20))


@alone
def test_errors_that_come_while_the_call_still_sends_cost_nothing_either() -> None:
    with cabled(), opened(_open()) as ways:
        for family in (4, 6):
            sender = ways.transmitters[family]
            told = send(sender, [request(family, slot, target=BEYOND[family], ttl=1) for slot in range(700)])
            assert (told.sent, told.failed) == (700, 0)
            assert not sender.counters()


@alone
def test_answers_and_errors_come_in_the_order_of_their_stamps() -> None:
    with cabled(), opened(_open()) as ways:
        for family in (4, 6):
            taken = Taken(ways.receivers)
            mixed = [request(family, slot, target=(THERE, BEYOND)[slot % 2][family], ttl=(64, 1)[slot % 2])
                     for slot in range(40)]  # fmt: skip
            assert send(ways.transmitters[family], mixed).sent == 40
            taken.take_all(40)
            for packets in taken.packets:
                assert (packets.stamp[1:] >= packets.stamp[:-1]).all()


@alone
def test_what_a_small_buffer_has_no_room_for_is_counted() -> None:
    with cabled():
        for family in (4, 6):
            sender, receiver = open_ping(family, IDENT, buffer=8192)
            with opened(Ways("", {family: sender}, (receiver,))) as ways:
                taken = Taken(ways.receivers)
                for first in range(0, 3000, 1000):
                    assert send(sender, [request(family, first + slot) for slot in range(1000)]).sent == 1000
                wait_until(lambda taken=taken: taken.take() + taken.drops() == 3000)  # type: ignore[misc]
                assert 0 < taken.drops() < 3000


@alone
def test_an_interface_may_go_and_come_back_without_any_right() -> None:
    with cabled() as other:
        for family in (4, 6):
            with opened(open_ways("near", "ping", IDENT)) as ways:
                taken = Taken(ways.receivers)
                ip("link del near")
                lost = send(ways.transmitters[family], [request(family, slot) for slot in range(20)])
                assert (lost.sent, lost.failed, lost.why) == (0, 20, "ICMP socket: the interface is gone")
                cable(other)
                settle(other)
                assert send(ways.transmitters[family], [request(family, 90)]).sent == 1
                taken.take_all(1)


@alone
def test_a_packet_with_df_that_is_too_large_is_lost_alone_and_one_without_is_fragmented() -> None:
    with cabled(), opened(_open()) as ways:
        taken = Taken(ways.receivers)
        sender = ways.transmitters[4]
        lengths = load(sender, [request(4, slot, size=1900, df=slot == 1) for slot in range(3)])
        told = sender.publish(lengths)
        assert (told.sent, told.failed) == (1, 1)
        assert told.why == "ICMP socket: the packet is larger than the interface takes (MTU)"
        assert sender.counters() == {}
        assert sender.publish(lengths[2:]).sent == 1
        taken.take_all(2)
        assert [int(length) for packets in taken.packets for length in packets.length] == [1928, 1928]


@alone
def test_send_stamps_are_measured_against_the_kernels() -> None:
    with cabled():
        for family in (4, 6):
            sender, receiver = open_ping(family, IDENT, every=1)
            with opened(Ways("", {family: sender}, (receiver,))):
                for round_ in range(20):
                    assert send(sender, [request(family, round_ * 40 + slot) for slot in range(40)]).sent == 40
                    wait_until(lambda receiver=receiver: len(receiver.drain(4096)))  # type: ignore[misc]
                receiver.drain(4096)
                found = sender.errors()
                assert len(found) >= 15
                assert abs(sorted(found)[len(found) // 2]) < 1_000_000


@alone
def test_a_group_out_of_range_is_told_what_to_do() -> None:
    for family in (4, 6):
        with pytest.raises(WayRefused, match="group 0 is not in ") as refused:
            open_ping(family, IDENT)
        assert "ping_group_range='0 2147483647'" in str(refused.value)


@alone
def test_an_id_that_another_program_has_is_told() -> None:
    allow_ping()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM, socket.IPPROTO_ICMP) as other:
        other.bind(("", IDENT))
        with pytest.raises(WayRefused, match=f"the id {IDENT} is another program's: choose another"):
            open_ways(None, "ping", IDENT)


@alone
def test_nobody_else_gets_our_id() -> None:
    allow_ping()
    with (
        opened(_open()),
        socket.socket(socket.AF_INET6, socket.SOCK_DGRAM, socket.IPPROTO_ICMPV6) as other,
        pytest.raises(OSError, match="Address already in use"),
    ):
        other.bind(("", IDENT))
