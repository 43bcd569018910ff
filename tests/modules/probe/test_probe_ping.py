"""Ping: loss, times, and what is said where nothing comes; the path MTU, also where routers lie or are silent."""

import asyncio
import errno
from collections.abc import Iterator
from itertools import pairwise

import pytest

from amon.clock import SystemClock
from amon.testing import FakeClock
from modules.probe import icmpsocket, ping
from modules.probe.icmpsocket import Heard
from modules.probe.names import SystemResolver
from modules.probe.shape import Stop, World
from tests.modules.probe.probeworlds import Packet, Script, Wires, world

Said = Iterator[tuple[float, Heard] | OSError]
HOST = "192.0.2.1"


async def run(
    script: Script, settings: ping.Settings, target: str = HOST, turns: float = 60.0
) -> tuple[ping.Ping, Wires]:
    clock = FakeClock()
    wires = Wires(script, clock)
    here = world({"www.example.org": [HOST]}, clock=clock, icmp=wires, sources=("10.0.0.7", "fd00::7"))
    task = asyncio.create_task(ping.measure(target, settings, here))
    left = turns
    while not task.done() and left > 0:
        await clock.turn(0.1, 0.01)
        left -= 0.1
    return await task, wires


def after(*seconds: float | None) -> Script:
    """The first packet is answered after the first of these, and so on; None: not at all."""

    def script(packet: Packet) -> Said:
        wait = seconds[packet.count % len(seconds)]
        if wait is not None:
            yield wait, packet.reply()

    return script


async def test_times_are_told_as_a_distribution() -> None:
    found, wires = await run(after(0.1, 0.2, 0.3, 0.2), ping.Settings(count=4, interval=0.5), "www.example.org")
    assert found.good
    assert (found.sent, found.answered, found.loss, found.address, found.hops) == (4, 4, 0.0, HOST, 57)
    assert [round(one, 1) for one in found.rtts] == [0.1, 0.2, 0.3, 0.2]
    assert found.rtt_least == min(found.rtts)
    assert found.rtt_most == max(found.rtts)
    assert found.jitter == pytest.approx(sum(abs(b - a) for a, b in pairwise(found.rtts)) / 3)
    assert str(found).startswith(f"www.example.org ({HOST}): 4 of 4 answered, rtt 1")
    assert wires.options[0]["source"] == "10.0.0.7"


async def test_loss_is_wrong_and_its_share_is_told() -> None:
    found, _ = await run(after(0.01, None), ping.Settings(count=4, interval=0.5, timeout=1))
    assert (found.state, found.reason, found.loss) == ("wrong", "50 % lost", 50.0)
    found, _ = await run(after(0.01, None), ping.Settings(count=4, interval=0.5, timeout=1, loss_most=50))
    assert found.good


async def test_a_slow_median_is_wrong_where_that_is_asked_for() -> None:
    found, _ = await run(after(0.3), ping.Settings(count=2, rtt_most=0.1))
    assert (found.state, found.reason) == ("wrong", "the median is above 100 ms")


async def test_silence_is_a_failure() -> None:
    found, _ = await run(after(None), ping.Settings(count=2, timeout=1))
    assert (found.state, found.reason, found.loss, found.rtt_median) == ("failed", "no answer in 1 s", 100.0, None)
    assert [step.text for step in found.story] == [f"packet {n}: nothing came in time" for n in (0, 1)]


async def test_what_came_late_is_lost_and_told() -> None:
    found, _ = await run(after(1.2), ping.Settings(count=5, interval=0.5, timeout=1))
    assert found.reason.startswith("no answer in 1 s, ")
    assert found.late >= 2
    assert (found.sent, found.answered) == (5, 0)


async def test_an_error_of_a_router_is_the_reason() -> None:
    def script(packet: Packet) -> Said:
        yield 0.01, packet.error("10.9.0.1", 3, 13)

    found, _ = await run(script, ping.Settings(count=2))
    assert (found.state, found.reason) == ("failed", "10.9.0.1 says administratively prohibited")
    assert (found.unreachable, found.loss) == (2, 100.0)


async def test_no_right_to_send_says_nothing_about_the_target() -> None:
    def make(*_: object, **__: object) -> None:
        raise Stop("unmeasured", "no ICMP socket is allowed here")

    found = await ping.measure(HOST, ping.Settings(), world(icmp=make))
    assert (found.state, found.reason) == ("unmeasured", "no ICMP socket is allowed here")


async def test_what_never_left_is_no_loss() -> None:
    def narrow(packet: Packet) -> Said:
        packet.wire.local_mtu = 1280
        yield OSError(errno.EMSGSIZE, "message too long")

    found, _ = await run(narrow, ping.Settings(count=3, interval=0.1, size=2000, df=True))
    assert (found.state, found.reason) == ("unmeasured", "this host sent nothing: the own link takes 1280 B")
    assert (found.sent, found.unsent, found.loss) == (0, 3, 0.0)


async def test_bursts_are_sent_with_their_gap_and_the_tos() -> None:
    found, wires = await run(after(0.01), ping.Settings(count=3, burst=4, interval=1, gap=0.05, tos=184))
    assert found.sent == len(wires.sent) == 12
    assert wires.options[0]["tos"] == 184


async def test_who_stops_it_leaves_no_socket_open() -> None:
    clock = FakeClock()
    wires = Wires(after(None), clock)
    task = asyncio.create_task(ping.measure(HOST, ping.Settings(), world(clock=clock, icmp=wires)))
    await clock.turn(0.5, 0.1)
    assert wires.sent
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(OSError, match="Bad file descriptor"):
        wires.made[0].heard().__next__()


def test_settings_that_cannot_be_are_refused_by_their_fields() -> None:
    from amon.convert import from_data

    problems: list[object] = []
    assert from_data({"count": 0, "size": 8, "tos": 256, "ttl": 0}, ping.Settings, "ping", problems) is None  # type: ignore[arg-type]
    assert len(problems) == 4


# --- path MTU


def through(*links: int, mute: bool = False, lie: int = 0) -> Script:
    """Links of these MTUs, one behind the other, and a target that answers."""

    def script(packet: Packet) -> Said:
        for place, mtu in enumerate(links, 1):
            if packet.size > mtu:
                if not mute:
                    yield 0.01, packet.error(f"10.0.0.{place}", 3, 4, mtu=lie or mtu)
                return
        yield 0.01, packet.reply()

    return script


PMTU = ping.Settings(count=1, pmtu=True, timeout=0.5)


@pytest.mark.parametrize(
    ("links", "mtu", "by"),
    [((1500, 1400, 1450), 1400, "10.0.0.2"), ((9000,), 9000, "at least"), ((1500,), 1500, "10.0.0.1")],
)
async def test_the_narrowest_router_tells_the_mtu(links: tuple[int, ...], mtu: int, by: str) -> None:
    found, wires = await run(through(*links), PMTU)
    assert (found.mtu, found.mtu_by) == (mtu, by)
    assert all(wire.df for wire in wires.made[1:])
    assert len(wires.sent) <= 12  # no search where the routers tell the truth


@pytest.mark.parametrize("mtu", [1400, 1473, 100, 8999])
async def test_behind_silent_routers_it_is_found_by_search(mtu: int) -> None:
    found, _ = await run(through(mtu, mute=True), PMTU, turns=120)
    assert found.mtu == mtu
    assert found.mtu_by == "by search: the routers say nothing"


@pytest.mark.parametrize("lie", [68, 600, 1399, 1401, 8999, 0, 20, 65_535])
async def test_a_router_that_lies_about_its_mtu_is_not_believed(lie: int) -> None:
    found, wires = await run(through(1400, lie=lie), PMTU, turns=120)
    assert found.mtu == 1400
    assert len(wires.sent) < 100


async def test_a_target_that_answers_nothing_with_df_has_no_mtu() -> None:
    def script(packet: Packet) -> Said:
        if not packet.wire.df:
            yield 0.01, packet.reply()

    found, _ = await run(script, PMTU)
    assert (found.good, found.mtu, found.mtu_by) == (True, 0, "no answer with DF")


# --- by the kernel, where it lets us


def allowed(address: str) -> bool:
    try:
        icmpsocket.IcmpSocket(address, 1).close()
    except (OSError, Stop):
        return False
    return True


def test_errors_and_answers_come_under_uvloop_too() -> None:
    uvloop = pytest.importorskip("uvloop")
    if not allowed("127.0.0.1"):
        pytest.skip("no ICMP socket is allowed here (net.ipv4.ping_group_range, or CAP_NET_RAW)")
    here = World(SystemClock(), SystemResolver())
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        found = runner.run(ping.measure("127.0.0.1", ping.Settings(count=3, interval=0.01, pmtu=True), here))
    assert (found.good, found.answered) == (True, 3), found.explain()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_loopback_answers(address: str) -> None:
    if not allowed(address):
        pytest.skip("no ICMP socket is allowed here (net.ipv4.ping_group_range, or CAP_NET_RAW)")
    here = World(SystemClock(), SystemResolver())
    found = await ping.measure(address, ping.Settings(count=3, interval=0.01, size=1000, pmtu=True), here)
    assert found.good, found.explain()
    assert (found.answered, found.duplicates, found.forged, found.wrong_source) == (3, 0, 0, 0)
    assert all(0 <= rtt < 1 for rtt in found.rtts)
    assert found.hops == 64
    assert found.mtu >= 1280


async def test_what_found_no_room_in_our_buffer_is_told_apart() -> None:
    def script(packet: Packet) -> Said:
        packet.wire.dropped = 3
        yield 0.01, packet.reply()

    found, _ = await run(script, ping.Settings(count=2))
    assert found.dropped == 3
    assert "3 dropped" in str(found)
