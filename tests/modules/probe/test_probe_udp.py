"""UDP echo from both sides: what is lost, doubled, changed or forged, and a server that can be used against nobody."""

import asyncio
import socket
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.clock import SystemClock
from amon.testing import FakeClock
from modules.probe.echoserver import PEERS_MOST, EchoServer
from modules.probe.udp import HEADER, Echoes, Settings, Udp, measure
from tests.modules.probe.probeworlds import udp_server, world
from tests.waiting import until

Change = Callable[[bytes], bytes]


async def ask(answer: Callable[[bytes], Sequence[bytes]], **settings: object) -> Udp:
    async with udp_server(answer) as port:
        given_ = {"count": 4, "interval": 0.01, "timeout": 0.2, **settings, "port": port}
        return await measure("127.0.0.1", Settings(**given_), world())  # type: ignore[arg-type]


async def test_what_comes_back_is_told_as_a_distribution() -> None:
    found = await ask(lambda data: [data], size=500, burst=2)
    assert found.good, found.explain()
    assert (found.sent, found.answered, found.loss, len(found.rtts)) == (8, 8, 0.0, 8)
    assert found.rtt_least is not None
    assert 0 < found.rtt_least <= (found.rtt_median or 0)
    assert "8 of 8 came back" in str(found)


async def test_the_datagrams_have_the_size_that_was_asked_for() -> None:
    sizes: list[int] = []

    def answer(data: bytes) -> list[bytes]:
        sizes.append(len(data))
        return [data]

    await ask(answer, size=HEADER.size, count=1)
    await ask(answer, size=1400, count=1)
    assert sizes == [HEADER.size, 1400]


async def test_loss_is_wrong_and_all_lost_is_a_failure() -> None:
    def half(data: bytes) -> list[bytes]:
        return [data] if HEADER.unpack_from(data)[2] % 2 else []

    found = await ask(half)
    assert (found.state, found.reason, found.answered) == ("wrong", "50 % lost", 2)
    assert (await ask(half, loss_most=50)).good
    found = await ask(lambda data: [])
    assert (found.state, found.reason, found.loss) == ("failed", "nothing came back in 0.2 s", 100.0)


async def test_duplicates_are_counted() -> None:
    def twice(data: bytes) -> list[bytes]:
        return [data, data] if HEADER.unpack_from(data)[2] < 3 else [data]

    found = await ask(twice)
    assert (found.good, found.answered, found.duplicates) == (True, 4, 3)


async def test_what_was_changed_on_the_way_is_damaged_and_lost() -> None:
    found = await ask(lambda data: [data[:-1] + b"\0"])
    assert (found.state, found.reason, found.damaged) == ("failed", "all that came back was different", 4)


def other_nonce(data: bytes) -> bytes:
    return data[:8] + bytes(8) + data[16:]


def other_number(data: bytes) -> bytes:
    return data[:16] + b"\xff\xff\xff\xff" + data[20:]


@pytest.mark.parametrize("change", [other_nonce, other_number, lambda data: data[:5], lambda data: b"\0" + data[1:]])
async def test_what_is_not_ours_is_foreign(change: Change) -> None:
    found = await ask(lambda data: [change(data)])
    assert (found.state, found.foreign, found.answered) == ("failed", 4, 0)


async def test_a_flood_of_answers_is_not_listened_to_for_ever() -> None:
    found = await ask(lambda data: [b"flood"] * 200, count=2)
    assert found.foreign <= 2 * 4 + 16


async def test_a_port_where_nobody_listens_is_told() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        port = sock.getsockname()[1]
    found = await measure("127.0.0.1", Settings(port=port, count=3, interval=0.02, timeout=0.1), world())
    assert (found.state, found.reason) == ("failed", f"nobody listens on port {port} there")
    assert found.refused >= 1


async def test_datagrams_that_overtake_are_counted() -> None:
    clock = FakeClock()
    echoes = Echoes(clock, 7, b"fill")
    sent = [echoes.make(number) for number in range(4)]
    clock.advance(0.5)
    assert [echoes.take(sent[number]) for number in (0, 2, 1, 3)] == ["answered"] * 4
    assert echoes.columns()["disordered"] == 1
    assert echoes.columns()["rtts"] == (0.5,) * 4


@given(st.binary(max_size=100))
def test_any_datagram_is_something(data: bytes) -> None:
    echoes = Echoes(SystemClock(), 7, b"")
    echoes.make(0)
    assert echoes.take(data) == "foreign"


# --- the other side


class Peer(asyncio.DatagramProtocol):
    def __init__(self) -> None:
        self.heard: list[bytes] = []

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.heard.append(data)


async def tell(server: EchoServer, *data: bytes) -> list[bytes]:
    """What comes back to a peer on loopback, until the server has judged all of it."""
    loop = asyncio.get_running_loop()
    before, answered_before = sum(server.statistics().values()), server.statistics()["answered"]
    transport, peer = await loop.create_datagram_endpoint(Peer, remote_addr=("127.0.0.1", server.port))
    try:
        for one in data:
            transport.sendto(one)
        await until(lambda: sum(server.statistics().values()) == before + len(data))
        await until(lambda: len(peer.heard) == server.statistics()["answered"] - answered_before)
    finally:
        transport.close()
    return peer.heard


async def test_a_probe_and_the_server_understand_each_other() -> None:
    server = EchoServer(SystemClock(), lambda host: host in ("127.0.0.1", "::1"))
    await server.start(("127.0.0.1", "::1"))
    try:
        for address in ("127.0.0.1", "::1"):
            found = await measure(address, Settings(port=server.port, count=3, interval=0.01), world())
            assert (found.good, found.answered) == (True, 3), found.explain()
        assert server.statistics() == {"answered": 6, "stranger": 0, "too_many": 0, "service_port": 0, "unsent": 0}
    finally:
        server.close()


async def test_a_host_with_several_addresses_answers_from_the_one_that_was_asked() -> None:
    server = EchoServer(SystemClock(), lambda host: True)
    await server.start()
    try:
        for address in ("127.0.0.1", "127.0.0.9", "::1"):
            found = await measure(address, Settings(port=server.port, count=2, interval=0.01), world())
            assert (found.good, found.answered) == (True, 2), found.explain()
    finally:
        server.close()


async def test_never_more_bytes_go_out_than_came_in() -> None:
    server = EchoServer(SystemClock(), lambda host: True)
    await server.start(("127.0.0.1",))
    try:
        heard = await tell(server, b"x", b"y" * 1400)
    finally:
        server.close()
    assert heard == [b"x", b"y" * 1400]


async def test_a_stranger_gets_nothing() -> None:
    server = EchoServer(SystemClock(), lambda host: host == "192.0.2.1")
    await server.start(("127.0.0.1",))
    try:
        assert await tell(server, b"hello") == []
        assert server.statistics()["stranger"] == 1
    finally:
        server.close()


async def test_a_peer_that_floods_is_answered_at_its_rate() -> None:
    clock = FakeClock()
    server = EchoServer(clock, lambda host: True, each=10)
    await server.start(("127.0.0.1",))
    try:
        assert len(await tell(server, *[b"x"] * 50)) == 10
        clock.advance(0.5)
        assert len(await tell(server, *[b"x"] * 50)) == 5
    finally:
        server.close()
    assert server.statistics()["too_many"] == 85


def test_all_peers_together_are_answered_at_the_whole_rate() -> None:
    server = EchoServer(FakeClock(), lambda host: True, each=10, all_=25)
    verdicts = [server.verdict(f"10.0.0.{peer}", 40_000) for peer in range(10) for _ in range(10)]
    assert verdicts.count("answered") == 25


@pytest.mark.parametrize("port", [0, 7, 19, 53, 123, 1023])
def test_the_port_of_another_service_is_never_answered(port: int) -> None:
    assert EchoServer(FakeClock(), lambda host: True).verdict("10.0.0.1", port) == "service_port"


def test_another_echo_server_is_never_answered() -> None:
    server = EchoServer(FakeClock(), lambda host: True, port=8007)
    assert server.verdict("10.0.0.1", 8007) == "service_port"
    assert server.verdict("10.0.0.1", 8008) == "answered"


def test_peers_without_number_fill_no_memory() -> None:
    server = EchoServer(FakeClock(), lambda host: True, all_=1e9)
    for one in range(PEERS_MOST + 500):
        server.verdict(f"2001:db8::{one:x}", 40_000)
    assert len(server._peers) == PEERS_MOST


async def test_a_port_that_is_taken_is_told_and_nothing_stays_open() -> None:
    first = EchoServer(SystemClock(), lambda host: True)
    await first.start(("127.0.0.1",))
    second = EchoServer(SystemClock(), lambda host: True, port=first.port)
    try:
        with pytest.raises(OSError, match="in use"):
            await second.start(("127.0.0.2", "127.0.0.1"))
        assert second._sockets == []
    finally:
        first.close()
