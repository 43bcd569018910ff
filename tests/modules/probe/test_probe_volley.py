"""Echo requests and what becomes of them: each to exactly one end, and nothing believed that is not proved."""

import asyncio
import errno
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import pytest

from amon.engine.messages import Spec
from amon.testing import FakeClock
from modules.probe import icmp
from modules.probe.echo import Counts, replies
from modules.probe.icmpsocket import Heard
from modules.probe.shape import Stop
from modules.probe.volley import UNDER_WAY_MOST, Reply, plan
from tests.modules.probe.probeworlds import Packet, Script, Wires, world

Said = Iterator[tuple[float, Heard] | OSError]
HOST = "192.0.2.1"


async def fly(
    script: Script, spec: Spec, address: str = HOST, turns: float = 10.0
) -> tuple[list[Reply], Counts, Wires]:
    clock, counts, heard = FakeClock(), Counts(), list[Reply]()
    wires = Wires(script, clock)

    async def collect() -> None:
        async for reply in replies(address, spec, world(clock=clock, icmp=wires), counts):
            heard.append(reply)

    task = asyncio.create_task(collect())
    await clock.turn(turns, 0.05)
    await task
    return heard, counts, wires


def answering(packet: Packet) -> Said:
    yield 0.01, packet.reply()


def silent(packet: Packet) -> Said:
    yield from ()


@pytest.mark.parametrize("address", [HOST, "2001:db8::1"])
async def test_each_packet_is_answered_once(address: str) -> None:
    heard, counts, wires = await fly(answering, Spec(rounds=3, interval=0.5), address)
    assert [(one.number, one.state, one.source, one.hops) for one in heard] == [
        (number, "answered", address, 57) for number in range(3)
    ]
    assert all(one.rtt is not None and 0.01 <= one.rtt <= 0.1 for one in heard)
    assert counts == Counts(way="memory socket")
    assert len(wires.sent) == 3


async def test_silence_is_told_after_the_timeout() -> None:
    heard, _, _ = await fly(silent, Spec(rounds=2, interval=0.5, timeout=1))
    assert [(one.state, one.rtt, one.source) for one in heard] == [("lost", None, "")] * 2


async def test_a_reply_after_the_timeout_is_lost_and_then_late() -> None:
    def slow(packet: Packet) -> Said:
        yield 1.5 if packet.count == 0 else 0.01, packet.reply()

    heard, counts, _ = await fly(slow, Spec(rounds=4, interval=0.6, timeout=1))
    assert [one.state for one in heard if one.number == 0] == ["lost", "late"]
    assert Counter(one.state for one in heard) == {"answered": 3, "lost": 1, "late": 1}
    assert counts.duplicates == 0


async def test_a_second_reply_is_a_duplicate() -> None:
    def twice(packet: Packet) -> Said:
        yield 0.01, packet.reply()
        yield 0.02, packet.reply()

    heard, counts, _ = await fly(twice, Spec(rounds=3, interval=0.5))
    assert [one.state for one in heard] == ["answered"] * 3
    # Of the last packet's second reply nobody waits any more.
    assert counts.duplicates in (2, 3)


def other_nonce(message: bytes) -> bytes:
    return message[:8] + bytes(8) + message[16:]


def other_number(message: bytes) -> bytes:
    return message[:2] + bytes([message[2] ^ 0x55]) + message[3:]


@pytest.mark.parametrize("change", [other_nonce, other_number], ids=["nonce", "number"])
async def test_a_forged_reply_is_counted_and_not_believed(change: object) -> None:
    def forge(packet: Packet) -> Said:
        yield 0.01, packet.reply(change=change)  # type: ignore[arg-type]

    heard, counts, _ = await fly(forge, Spec(rounds=2, interval=0.5, timeout=1))
    assert [one.state for one in heard] == ["lost", "lost"]
    assert counts.forged == 2


async def test_a_reply_from_somebody_else_is_counted_and_not_believed() -> None:
    def elsewhere(packet: Packet) -> Said:
        yield 0.01, packet.reply(source="192.0.2.99")

    heard, counts, _ = await fly(elsewhere, Spec(rounds=2, interval=0.5, timeout=1))
    assert [one.state for one in heard] == ["lost", "lost"]
    assert counts.wrong_source == 2


async def test_an_error_about_another_target_is_not_believed() -> None:
    def astray(packet: Packet) -> Said:
        yield 0.01, packet.error("10.0.0.1", 3, 1, to="192.0.2.77")

    heard, counts, _ = await fly(astray, Spec(rounds=1, timeout=1))
    assert [one.state for one in heard] == ["lost"]
    assert counts.wrong_source == 1


async def test_another_process_s_replies_are_not_ours_to_count() -> None:
    def foreign(packet: Packet) -> Said:
        yield 0.01, packet.reply(change=lambda message: b"\0\0" + message[2:])

    heard, counts, _ = await fly(foreign, Spec(rounds=1, timeout=1))
    assert [one.state for one in heard] == ["lost"]
    assert (counts.forged, counts.bad) == (0, 0)


@pytest.mark.parametrize("data", [b"", b"\0\0\0", b"\x08" + bytes(20), b"\0" * 8])
async def test_broken_packets_end_nothing(data: bytes) -> None:
    def broken(packet: Packet) -> Said:
        yield 0.01, Heard(data, HOST, 0)
        yield 0.1, packet.reply()

    heard, _, _ = await fly(broken, Spec(rounds=1, timeout=1))
    assert [one.state for one in heard] == ["answered"]


@pytest.mark.parametrize("quoted", [8, 12, 24, 1000])
async def test_an_error_that_quotes_eight_bytes_is_enough(quoted: int) -> None:
    def unreachable(packet: Packet) -> Said:
        yield 0.01, packet.error("10.0.0.1", 3, 1, quoted=quoted)

    heard, _, _ = await fly(unreachable, Spec(rounds=1))
    assert [(one.state, one.source, one.kind, one.code) for one in heard] == [("unreachable", "10.0.0.1", 3, 1)]


async def test_an_error_that_quotes_seven_is_not() -> None:
    def unreachable(packet: Packet) -> Said:
        yield 0.01, packet.error("10.0.0.1", 3, 1, quoted=7)

    heard, counts, _ = await fly(unreachable, Spec(rounds=1, timeout=1))
    assert [one.state for one in heard] == ["lost"]
    assert counts.bad == 1


async def test_an_error_with_a_wrong_nonce_in_its_quotation_is_forged() -> None:
    def forge(packet: Packet) -> Said:
        said = packet.error("10.0.0.1", 11, 0)
        yield 0.01, Heard(other_nonce_quoted(said.data), said.source, 0, 9, said.error, 0, said.to)

    heard, counts, _ = await fly(forge, Spec(rounds=1, timeout=1))
    assert [one.state for one in heard] == ["lost"]
    assert counts.forged == 1


def other_nonce_quoted(data: bytes) -> bytes:
    return data[:12] + bytes(8) + data[20:]


async def test_what_does_not_fit_the_own_link_is_unsent_and_says_what_would() -> None:
    def narrow(packet: Packet) -> Said:
        packet.wire.local_mtu = 1500
        yield OSError(errno.EMSGSIZE, "message too long")

    heard, _, _ = await fly(narrow, Spec(rounds=2, interval=0.1, df=True, size=3000))
    assert [(one.state, one.mtu) for one in heard] == [("unsent", 1500)] * 2


async def test_no_route_says_nothing_about_the_target() -> None:
    def lost(packet: Packet) -> Said:
        yield OSError(errno.ENETUNREACH, "Network is unreachable")

    with pytest.raises(Stop, match="this host does not send it: network is unreachable") as stop:
        await fly(lost, Spec(rounds=2))
    assert stop.value.state == "unmeasured"


async def test_a_trace_goes_not_beyond_the_hop_where_the_target_answers() -> None:
    def path(packet: Packet) -> Said:
        yield 0.001, packet.reply() if packet.ttl >= 3 else packet.error(f"10.0.0.{packet.ttl}", 11, 0)

    heard, _, wires = await fly(path, Spec(rounds=2, interval=2, ttl=1, last_ttl=30))
    assert {one.source: one.state for one in heard} == {"10.0.0.1": "hop", "10.0.0.2": "hop", HOST: "answered"}
    assert max(packet.ttl for packet in wires.sent) < 30
    assert [packet.ttl for packet in wires.sent][-3:] == [1, 2, 3]


async def test_all_packets_of_a_flow_have_one_checksum() -> None:
    _, _, wires = await fly(answering, Spec(rounds=5, interval=0.2, flows=3))
    assert Counter(packet.checksum for packet in wires.sent) == {0xFFFF - icmp.flow_sum(flow): 5 for flow in range(3)}


async def test_no_more_than_the_limit_are_under_way_and_each_has_its_end() -> None:
    times: list[float] = []

    def count(packet: Packet) -> Said:
        times.append(packet.wire.clock.monotonic())
        yield from ()

    spec = Spec(rounds=UNDER_WAY_MOST + 100, interval=0.001, timeout=60)
    heard, _, wires = await fly(count, spec, turns=200)
    assert len(wires.sent) == len(heard) == UNDER_WAY_MOST + 100
    assert {one.state for one in heard} == {"lost"}
    assert times[UNDER_WAY_MOST - 1] < 10
    assert times[UNDER_WAY_MOST] >= 60  # when the first ones are lost


def test_packets_are_planned_visit_by_visit_and_ttl_by_ttl() -> None:
    rows = list(plan(Spec(rounds=2, interval=1, ttl=1, last_ttl=2, burst=2, gap=0.1, flows=2)))
    assert [(number, ttl, flow) for _, number, ttl, flow in rows[:8]] == [
        (0, 1, 0), (0, 1, 1), (0, 2, 0), (0, 2, 1), (1, 1, 0), (1, 1, 1), (1, 2, 0), (1, 2, 1),
    ]  # fmt: skip
    times = [due for due, *_ in rows]
    assert times == sorted(times)
    assert [times[0], times[4], times[8]] == [0.0, 0.1, 1.0]


def test_a_burst_without_a_gap_is_spaced_all_the_same() -> None:
    times = [due for due, *_ in plan(Spec(rounds=1, burst=50))]
    assert all(later - earlier >= 0.00099 for earlier, later in pairwise(times))
