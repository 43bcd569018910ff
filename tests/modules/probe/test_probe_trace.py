"""Trace: hops, statistics, several routers, networks, and paths that end or lie."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from amon.testing import FakeClock
from modules.probe import trace
from modules.probe.hops import ROUTERS_MOST, Hop, Path, Router, Times, shown
from modules.probe.icmpsocket import Heard
from modules.probe.multipath import flows_for
from modules.probe.volley import Reply
from tests.modules.probe.probeworlds import Packet, Script, Wires, world

Said = Iterator[tuple[float, Heard] | OSError]
HOST = "192.0.2.9"


class Table:
    """AS 64500 + second number of the address; counts how often it was made ready."""

    def __init__(self) -> None:
        self.made = 0

    async def ready(self) -> None:
        self.made += 1

    def of(self, address: str) -> tuple[int, str]:
        return (64500 + int(address.split(".")[1]), "NET") if address.startswith("10.") else (0, "")


def along(*hops: tuple[str, ...], end: bool = True, silent: int = 0) -> Script:
    """Routers hop by hop; of several the flow's checksum picks one. silent: a hop that says nothing."""

    def script(packet: Packet) -> Said:
        if packet.ttl == silent:
            return
        if packet.ttl <= len(hops):
            row = hops[packet.ttl - 1]
            yield 0.001 * packet.ttl, packet.error(row[packet.checksum // 251 % len(row)], 11, 0, quoted=8)
        elif end:
            yield 0.01, packet.reply()

    return script


CHAIN = (("10.1.0.1",), ("10.1.0.2",), ("10.2.0.1",))


async def run(script: Script, settings: trace.Settings, **more: Any) -> tuple[trace.Trace, Wires]:
    clock = FakeClock()
    wires = Wires(script, clock)
    task = asyncio.create_task(trace.measure(HOST, settings, world(clock=clock, icmp=wires, **more)))
    while not task.done():
        await clock.turn(0.5, 0.02)
    return await task, wires


async def test_a_trace_names_the_hops_with_their_statistics() -> None:
    found, wires = await run(along(*CHAIN), trace.Settings(count=4))
    assert (found.state, found.reached, found.length, found.silent) == ("good", True, 4, 0)
    assert [hop.address for hop in found.hops] == ["10.1.0.1", "10.1.0.2", "10.2.0.1", HOST]
    assert [(hop.sent, hop.answered, hop.loss) for hop in found.hops] == [(4, 4, 0.0)] * 4
    assert all(hop.rtt_least <= hop.rtt_mean <= hop.rtt_most for hop in found.hops if hop.rtt_mean)  # type: ignore[operator]
    assert len({packet.checksum for packet in wires.sent}) == 1


async def test_networks_are_told_per_hop_and_on_the_way() -> None:
    table = Table()
    found, _ = await run(along(*CHAIN), trace.Settings(count=1), networks=table)
    assert [(hop.asn, hop.network) for hop in found.hops] == [(64501, "NET"), (64501, "NET"), (64502, "NET"), (0, "")]
    assert found.networks == "AS64501 AS64502"
    assert table.made == 1
    head, *story = found.explain()
    assert head.startswith(f"{HOST}: 4 hops")
    # The rows stand below the line that says what they are of: all of them keep their place in the column.
    assert [row[:5] for row in story[:4]] == ["  1  ", "  2  ", "  3  ", "  4  "]
    assert "10.2.0.1 AS64502 NET" in story[2]


def test_a_trace_reads_as_a_line_for_each_hop_and_explain_tells_the_rest() -> None:
    hops = (
        Hop(1, "10.0.0.1", sent=3, answered=3, rtt_least=0.0004, rtt_mean=0.0005, rtt_most=0.0007),
        Hop(2, sent=3, loss=100.0),
        Hop(3, "10.1.0.9", 64500, "EXAMPLE-NET", 3, 2, 33.333, rtt_least=0.011243712, others=(Router("10.1.0.10", 1),)),
        Hop(4, HOST, 64501, "N" * 64, 3, 3, rtt_least=0.0125, mtu=1500),
    )
    found = trace.Trace(target="desy", address=HOST, reached=True, length=4, silent=1, rtt=0.0125, hops=hops)
    assert str(found).splitlines() == [
        "desy (192.0.2.9): 4 hops, rtt 12.5 ms, 1 silent, 1 with several routers",
        "  1  10.0.0.1                                         400 us",
        "  2  *",
        "  3  10.1.0.9 +1  AS64500 EXAMPLE-NET               11.24 ms  33 % lost",
        "  4  192.0.2.9    AS64501 NNNNNNNNNNNNNNNNNNNNNNNN   12.5 ms  MTU 1500",
    ]
    head, first, *_ = found.explain()
    assert head == str(found).splitlines()[0]
    assert first == "  1  10.0.0.1  0 % lost  400 us / 500 us / 700 us"
    failed = trace.Trace(target=HOST, state="failed", reason="nobody on the way answers")
    assert str(failed) == "192.0.2.9: failed: nobody on the way answers"


def test_of_a_very_long_path_both_ends_are_shown() -> None:
    rows = shown([Hop(ttl, f"10.0.0.{ttl}", sent=1, answered=1) for ttl in range(1, 256)])
    assert len(rows) == 33
    assert rows[23:26] == [" 24  10.0.0.24", "... 223 more hops, all of them with --explain", "248  10.0.0.248"]
    assert rows[-1] == "255  10.0.0.255"
    assert len(shown([Hop(ttl, "10.0.0.1") for ttl in range(1, 33)])) == 32


async def test_a_silent_hop_is_a_row_of_its_own_and_part_of_the_route() -> None:
    with_silence, _ = await run(along(*CHAIN, silent=2), trace.Settings(count=1))
    assert [hop.address for hop in with_silence.hops] == ["10.1.0.1", "", "10.2.0.1", HOST]
    assert (with_silence.silent, with_silence.good) == (1, True)
    again, _ = await run(along(*CHAIN, silent=2), trace.Settings(count=2))
    whole, _ = await run(along(*CHAIN), trace.Settings(count=1))
    assert with_silence.route == again.route != whole.route
    assert str(with_silence.hops[1]) == "  2  *  (1 sent)"


async def test_silence_behind_a_hop_is_where_it_failed() -> None:
    found, _ = await run(along(*CHAIN, end=False), trace.Settings(count=1, timeout=1))
    assert (found.state, found.reason) == ("failed", "silence behind hop 3 (10.2.0.1)")
    assert len(found.hops) == 3


async def test_nobody_at_all_answers() -> None:
    found, _ = await run(along(end=False), trace.Settings(count=1, timeout=1))
    assert (found.state, found.reason, found.hops) == ("failed", "nobody on the way answers", ())


async def test_a_path_longer_than_asked_for_is_told() -> None:
    found, _ = await run(along(*CHAIN), trace.Settings(count=1, last=2, timeout=1))
    assert found.reason == "not reached in 2 hops"


async def test_a_router_that_refuses_ends_the_path() -> None:
    def script(packet: Packet) -> Said:
        if packet.ttl == 1:
            yield 0.001, packet.error("10.1.0.1", 11, 0)
        else:
            yield 0.001, packet.error("10.2.0.1", 3, 13)

    found, _ = await run(script, trace.Settings(count=2))
    assert (found.state, found.reason) == ("failed", "10.2.0.1 says administratively prohibited")
    assert [hop.address for hop in found.hops] == ["10.1.0.1", "10.2.0.1"]
    assert found.hops[1].note == "administratively prohibited"


@pytest.mark.parametrize("widths", [(1, 4, 2), (3, 1, 7)])
async def test_multipath_finds_all_routers_of_each_hop(widths: tuple[int, ...]) -> None:
    wide = [tuple(f"10.{place}.0.{one}" for one in range(width)) for place, width in enumerate(widths)]
    found, wires = await run(along(*wide), trace.Settings(count=1, multipath=True, timeout=0.5))
    assert [1 + len(hop.others) for hop in found.hops[:3]] == list(widths)
    assert not any(hop.note for hop in found.hops)
    flows = [flow for hop in found.hops for one in hop.others for flow in one.flows]
    assert flows
    # As many flows as the rule asks for at a hop, and no hundred more.
    assert len({packet.checksum for packet in wires.sent if packet.ttl == 2}) == max(6, flows_for(widths[1] + 1, 0.05))


async def test_multipath_ends_where_each_packet_goes_its_own_way() -> None:
    def script(packet: Packet) -> Said:
        if packet.ttl == 1:
            yield 0.001, packet.error(f"10.0.0.{packet.count % 3}", 11, 0)
        else:
            yield 0.001, packet.reply()

    found, wires = await run(script, trace.Settings(count=3, multipath=True, timeout=0.5))
    assert found.hops[0].note == "one flow, several routers"
    assert sum(packet.ttl == 1 for packet in wires.sent) == 3 + 6  # the trace, and the first volley of flows


async def test_multipath_of_a_router_with_ever_new_addresses_is_bounded() -> None:
    def script(packet: Packet) -> Said:
        if packet.ttl == 1:
            yield 0.001, packet.error(f"10.{packet.checksum >> 8}.{packet.checksum & 255}.1", 11, 0)
        else:
            yield 0.001, packet.reply()

    found, wires = await run(script, trace.Settings(count=1, multipath=True, timeout=0.5, flows_most=96))
    assert 1 + len(found.hops[0].others) <= ROUTERS_MOST
    assert len(wires.sent) < 2000


@pytest.mark.parametrize(("routers", "flows"), [(2, 6), (3, 11), (4, 16), (5, 21), (6, 27), (10, 51), (16, 90)])
def test_the_stopping_rule_is_that_of_the_paper_s_table(routers: int, flows: int) -> None:
    # Augustin et al. 2007, table for 95 %.
    assert flows_for(routers, 0.05) == flows


def test_less_chance_of_a_miss_asks_for_more_flows() -> None:
    assert flows_for(2, 0.01) == 8
    assert flows_for(2, 0.001) > flows_for(2, 0.01)


async def test_the_mtu_is_told_hop_by_hop() -> None:
    def script(packet: Packet) -> Said:
        for place, mtu in ((1, 1500), (2, 1400)):
            if packet.ttl <= place:
                yield 0.001, packet.error(f"10.0.0.{place}", 11, 0)
                return
            if packet.size > mtu:
                yield 0.001, packet.error(f"10.0.0.{place}", 3, 4, mtu=mtu)
                return
        yield 0.001, packet.reply()

    found, _ = await run(script, trace.Settings(count=1, mtu=True, mtu_most=9000, timeout=0.5))
    assert [hop.mtu for hop in found.hops] == [9000, 1500, 1400]
    assert found.mtu == 1400


async def test_watching_tells_again_and_again_what_is_known_since_the_beginning() -> None:
    clock = FakeClock()
    wires = Wires(along(*CHAIN), clock)
    rows: list[trace.Trace] = []

    async def collect() -> None:
        stream = trace.watch(HOST, trace.Settings(interval=1), world(clock=clock, icmp=wires))
        async for one in stream:
            rows.append(one)
            if len(rows) == 5:
                await stream.aclose()

    task = asyncio.create_task(collect())
    while not task.done():
        await clock.turn(0.5, 0.02)
    await task
    sent = [row.hops[0].sent for row in rows]
    assert sent == sorted(sent)
    assert sent[-1] >= 5
    assert rows[-1].good
    with pytest.raises(OSError, match="Bad file descriptor"):
        wires.made[0].heard().__next__()


async def test_watching_an_unknown_name_tells_so_once() -> None:
    rows = [one async for one in trace.watch("nowhere.example", trace.Settings(), world())]
    assert [(one.state, one.reason) for one in rows] == [("failed", "nowhere.example: domain name not found")]


def test_the_first_hop_must_not_be_behind_the_last() -> None:
    with pytest.raises(ValueError, match="must not be above"):
        trace.Settings(first=5, last=4)


# --- a path by itself


def reply(number: int, ttl: int, state: str, source: str, rtt: float | None = 0.1, flow: int = 0) -> Reply:
    return Reply(number, ttl, flow, state, source, rtt, kind=11)


def test_what_comes_late_is_known_but_stays_lost() -> None:
    path = Path(HOST)
    path.add(reply(0, 1, "lost", "", None))
    path.add(reply(0, 1, "late", "10.0.0.1", 3.0))
    hop = path.hops(None)[0]
    assert (hop.address, hop.sent, hop.answered, hop.loss, hop.rtt_mean) == ("10.0.0.1", 1, 0, 100.0, None)


def test_who_answers_with_ever_new_addresses_fills_no_memory() -> None:
    path = Path(HOST)
    for number in range(1000):
        path.add(reply(number, 1, "hop", f"10.0.{number >> 8}.{number & 255}"))
    hop = path.hops(None)[0]
    assert 1 + len(hop.others) == ROUTERS_MOST
    assert "answers of more than 64 addresses" in hop.note


def test_running_statistics_are_those_of_the_whole() -> None:
    import statistics

    times, values = Times(), [0.1, 0.4, 0.2, 0.2, 0.9]
    for one in values:
        times.add(one)
    columns = times.columns()
    assert columns["rtt_mean"] == pytest.approx(statistics.fmean(values))
    assert columns["deviation"] == pytest.approx(statistics.pstdev(values))
    assert columns["jitter"] == pytest.approx((0.3 + 0.2 + 0 + 0.7) / 4)
    assert (columns["rtt_least"], columns["rtt_most"], columns["rtt_last"]) == (0.1, 0.9, 0.9)
