"""Scenes that every way plays alike: what is sent comes back, looks as it should, and routers are heard."""

import subprocess
from collections.abc import Callable
from time import monotonic_ns

import numpy as np

from amon.engine.packets.decode import ECHO, ERROR, EXCEEDED, decode
from amon.engine.shapes import I64
from amon.engine.stamps import interpolate
from amon.engine.ways.trial import Ways
from tests.engine import scalar
from tests.engine.ways.alone import (
    BEYOND,
    FORBIDDEN,
    IDENT,
    PEER,
    THERE,
    Taken,
    cabled,
    captured,
    load,
    opened,
    request,
    send,
)

Open = Callable[[], Ways]
ICMP = {4: 20, 6: 40}
CLOCKS = 1_000_000
"""ns by which two clocks that are read one after the other may seem apart."""


def answers_come_in_order(open_: Open, count: int = 1500) -> None:
    """Several batches, both families."""
    with cabled(), opened(open_()) as ways:
        for family in (4, 6):
            taken = Taken(ways.receivers)
            sender = ways.transmitters[family]
            begin = monotonic_ns()
            told = send(sender, [request(family, slot) for slot in range(70_000, 70_000 + count)])
            taken.take_all(count)
            assert (told.sent, told.failed, told.why) == (count, 0, "")
            assert taken.column("slot") == list(range(70_000, 70_000 + count))
            assert set(taken.column("kind")) == {ECHO}
            assert taken.column("nonce") == [request(family, slot).nonce for slot in taken.column("slot")]
            assert set(taken.column("source_low")) == {scalar.halves(THERE[family])[1]}
            assert set(taken.column("hops")) == {64}
            _stamps_can_be(begin, interpolate(told.spans), np.array(taken.column("stamp")))
            # What was handed over stays as it was, whatever comes later.
            assert [int(slot) for one in taken.packets for slot in decode(one, IDENT).slot] == taken.column("slot")
            assert taken.drops() == 0
            assert not any(sender.counters().values())


def _stamps_can_be(begin: int, sent: I64, came: I64) -> None:
    """All lie between the first call and now, each by the same clock. How near they are to the kernel's is told by
    `Transmitter.errors`: where the process is held up in a call, an answer may be older than its probe."""
    assert len(sent) == len(came)
    assert (np.diff(sent) >= 0).all()
    now = monotonic_ns()
    for stamps in (sent, came):
        assert begin - CLOCKS <= stamps.min() <= stamps.max() <= now + CLOCKS


def sizes_and_headers_are_the_rows(open_: Open) -> None:
    """Seen at the other end: mixed TTL, TOS, DF and sizes in one call, and then all alike."""
    with cabled() as other, opened(open_()) as ways:
        for family in (4, 6):
            mixed = [
                request(
                    family, slot, ttl=3 + slot % 5, tos=4 * (slot % 3), df=family == 4 and slot % 7 < 3,
                    size=16 + slot * 20,
                )
                for slot in range(40)
            ]  # fmt: skip
            alike = [request(family, 100 + slot, ttl=9, tos=0x10) for slot in range(40)]
            with captured(other) as seen:
                assert send(ways.transmitters[family], mixed).sent == 40
                assert send(ways.transmitters[family], alike).sent == 40
                for wanted in mixed + alike:
                    found = seen.recv(2048)
                    while found[0] >> 4 != (4 if family == 4 else 6) or found[ICMP[family]] not in (8, 128):
                        found = seen.recv(2048)
                    assert _header(found) == _header(wanted.packet())
                    assert found[ICMP[family] :] == wanted.packet()[ICMP[family] :]


def _header(packet: bytes) -> tuple[object, ...]:
    """What of an IP header is ours to say."""
    if packet[0] >> 4 == 4:
        return packet[1], packet[2:4], packet[6] & 0x40, packet[8], packet[12:20]
    return packet[:8], packet[8:40]


def errors_are_told(open_: Open) -> None:
    """Time exceeded, too big, unreachable: who says it, about which probe, and which MTU."""
    with cabled(), opened(open_()) as ways:
        for family in (4, 6):
            taken = Taken(ways.receivers)
            told = [
                request(family, 70_001, target=BEYOND[family], ttl=1),
                request(family, 70_002, target=BEYOND[family], size=1400, df=family == 4),
                request(family, 70_003),
            ]
            wanted = [
                (EXCEEDED, *((11, 0) if family == 4 else (3, 0)), 0, PEER[family]),
                (ERROR, *((3, 4) if family == 4 else (2, 0)), 1280, PEER[family]),
                (ECHO, *((0, 0) if family == 4 else (129, 0)), 0, THERE[family]),
            ]
            if family == 6:  # a Linux router tells IPv4 hosts this only seconds later
                told.append(request(6, 70_004, target=FORBIDDEN))
                wanted.append((ERROR, 1, 1, 0, PEER[6]))
            for one in told:  # one by one: an error must not end the next call
                assert send(ways.transmitters[family], [one]).sent == 1
            taken.take_all(len(told))
            for one, (*numbers, source) in zip(told, wanted, strict=True):
                row = taken.column("slot").index(one.slot)
                found = [taken.column(name)[row] for name in ("kind", "type", "code", "mtu", "source_low")]
                assert found == [*numbers, scalar.halves(source)[1]]
                assert taken.column("nonce")[row] == one.nonce
                quoted = taken.column("quoted_high")[row], taken.column("quoted_low")[row]
                assert quoted == scalar.halves(one.target)


def full_queues_are_waited_for(open_: Open, families: tuple[int, ...] = (4, 6)) -> None:
    """ENOBUFS: the rest is published again, none is lost but what the queue still held when it was taken away."""
    with cabled(), opened(open_()) as ways:
        for family in families:
            taken = Taken(ways.receivers)
            sender = ways.transmitters[family]
            # So slow that only what goes at once and what fits into the queue is taken.
            _tc("add", "root", "tbf", "rate", "1kbit", "burst", "1600", "limit", "1600")
            lengths = load(sender, [request(family, slot) for slot in range(100)])
            first = sender.publish(lengths)
            assert 0 < first.sent < 100
            assert (first.failed, sender.counters()) == (0, {"ENOBUFS": 1})
            _tc("del", "root")
            queued = first.sent - taken.take()
            assert sender.publish(lengths[first.sent :]).sent == 100 - first.sent
            taken.take_all(100 - queued)
            found = taken.column("slot")
            assert found == sorted(set(found))
            assert set(range(first.sent, 100)) <= set(found)


def _tc(verb: str, *words: str) -> None:
    subprocess.run(["tc", "qdisc", verb, "dev", "near", *words], check=True, timeout=10)
