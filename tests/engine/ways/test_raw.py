"""Raw sockets on a cable between namespaces and on loopback, both families."""

from typing import Any

from amon.engine.shapes import Transmitter
from amon.engine.ways.raw import RawReceiver, raw_transmitter
from amon.engine.ways.trial import Ways, open_ways
from tests.engine.netns import cable, ip
from tests.engine.ways.alone import (
    BEYOND,
    IDENT,
    OWN,
    Taken,
    alone,
    cabled,
    captured,
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
    return open_ways(None, "raw", IDENT)


@alone
def test_what_is_sent_is_received_in_order_with_stamps_that_can_be() -> None:
    answers_come_in_order(_open)


@alone
def test_through_one_interface_it_is_the_same() -> None:
    answers_come_in_order(lambda: open_ways("near", "raw", IDENT))


@alone
def test_each_packet_has_the_size_and_the_header_of_its_row() -> None:
    sizes_and_headers_are_the_rows(_open)


@alone
def test_routers_that_complain_are_heard() -> None:
    errors_are_told(_open)


@alone
def test_on_loopback_everything_comes_back() -> None:
    ip("link set lo up")
    with opened(open_ways("lo", "raw", IDENT)) as ways:
        for family in (4, 6):
            taken = Taken(ways.receivers)
            told = send(ways.transmitters[family], [request(family, slot, target=OWN[family]) for slot in range(400)])
            assert told.sent == 400
            taken.take_all(400)
            assert taken.column("slot") == list(range(400))
            assert taken.drops() == 0


@alone
def test_a_source_of_zero_becomes_the_systems_own() -> None:
    with cabled() as other, opened(_open()) as ways, captured(other) as seen:
        sender = ways.transmitters[4]
        lengths = load(sender, [request(4, 1)])
        sender.memory[0, 28:32] = 0
        assert sender.publish(lengths).sent == 1
        while (packet := seen.recv(2048))[0] >> 4 != 4:
            pass  # IPv6 finding out who is there
        assert packet[12:16] == request(4, 1).source.packed


@alone
def test_what_a_small_buffer_has_no_room_for_is_counted() -> None:
    with cabled():
        for family in (4, 6):
            receiver = RawReceiver(family, IDENT, buffer=8192)
            with opened(Ways("", {family: raw_transmitter(family)}, (receiver,))) as ways:
                taken = Taken(ways.receivers)
                for first in range(0, 3000, 1000):
                    told = send(ways.transmitters[family], [request(family, first + slot) for slot in range(1000)])
                    assert told.sent == 1000
                wait_until(lambda taken=taken: taken.take() + taken.drops() == 3000)  # type: ignore[misc]
                assert 0 < taken.drops() < 3000
                assert taken.column("slot")[:2] == [0, 1]


@alone
def test_other_peoples_packets_do_not_come_in() -> None:
    with cabled(), opened(_open()) as ways, opened(open_ways(None, "raw", IDENT + 1)) as other:
        theirs, ours = Taken(other.receivers), Taken(ways.receivers)
        for family in (4, 6):
            send(ways.transmitters[family], [request(family, 1), request(family, 2, target=BEYOND[family], ttl=1)])
        ours.take_all(4)
        theirs.take()
        assert not theirs.packets
        assert theirs.drops() == 0


@alone
def test_an_interface_may_go_and_come_back() -> None:
    with cabled() as other, opened(open_ways("near", "raw", IDENT)) as ways:
        taken = Taken(ways.receivers)
        ip("link del near")
        for family in (4, 6):
            lost = send(ways.transmitters[family], [request(family, slot) for slot in range(20)])
            assert (lost.sent, lost.failed, lost.why) == (0, 20, "raw: the interface is gone")
        cable(other)
        settle(other)
        for family in (4, 6):
            assert send(ways.transmitters[family], [request(family, 90 + family)]).sent == 1
        taken.take_all(2)
        assert taken.column("slot") == [94, 96]


@alone
def test_a_full_queue_stops_it_in_the_middle_and_it_goes_on_there() -> None:
    full_queues_are_waited_for(_open)


@alone
def test_a_packet_that_cannot_be_sent_is_lost_alone() -> None:
    with cabled(), opened(_open()) as ways:
        for family in (4, 6):
            taken = Taken(ways.receivers)
            sender = ways.transmitters[family]
            _one_is_lost(sender, family, {"size": 1900}, "raw: the packet is larger than the interface takes (MTU)")
            ip(f"route add unreachable {BEYOND[family]}")
            _one_is_lost(sender, family, {"target": BEYOND[family]}, "raw: no route to the host")
            taken.take_all(4)
            assert taken.column("slot") == [1, 3, 1, 3]
            assert sender.counters() == {"EHOSTUNREACH": 1}  # too large is a matter of who asked for it


@alone
def test_send_stamps_are_measured_against_the_kernels_also_after_a_loss() -> None:
    with cabled():
        for family in (4, 6):
            sender = raw_transmitter(family, every=1)
            for round_ in range(20):
                assert send(sender, [request(family, round_ * 40 + slot) for slot in range(40)]).sent == 40
                lost = send(sender, [request(family, slot, size=1900) for slot in range(2)])
                assert lost.failed == 1
                sender.rewind(1)
            found = sender.errors()
            assert len(found) >= 19
            # One stamp taken for another's would be off by a whole round, which takes longer than this.
            assert abs(sorted(found)[len(found) // 2]) < 1_000_000


def _one_is_lost(sender: Transmitter, family: int, how: dict[str, Any], why: str) -> None:
    lengths = load(sender, [request(family, 1), request(family, 2, **how), request(family, 3)])
    told = sender.publish(lengths)
    assert (told.sent, told.failed, told.why) == (1, 1, why)
    assert sender.publish(lengths[2:]).sent == 1
