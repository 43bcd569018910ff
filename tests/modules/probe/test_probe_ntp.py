"""Time servers that are right, wrong, unsynchronised, unwilling, or none."""

import struct
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amon.clock import SystemClock
from modules.probe import ntp
from modules.probe.ntp import EPOCH, ERA, PACKET, Ntp, Settings, measure, question, read, sample
from tests.modules.probe.probeworlds import udp_server, world


def stamp(seconds: float) -> int:
    return int((seconds + EPOCH) * 2**32) % 2**64


class Server:
    """Answers questions; `ahead` seconds before the real time."""

    def __init__(self, ahead: float = 0.0, **fields: Any) -> None:
        self.ahead = ahead
        self.fields = fields
        self.asked: list[bytes] = []

    def __call__(self, data: bytes) -> list[bytes]:
        self.asked.append(data)
        return [self.reply(data, **self.fields)]

    def reply(
        self, data: bytes, *, leap: int = 0, version: int = 4, mode: int = 4, stratum: int = 2, poll: int = 6,
        precision: int = -20, delay: int = 655, dispersion: int = 655, reference: bytes = bytes((192, 0, 2, 7)),
        origin: int | None = None, received: int | None = None, sent: int | None = None,
    ) -> bytes:  # fmt: skip
        now = stamp(SystemClock().time() + self.ahead)
        token = PACKET.unpack_from(data)[-1]
        return PACKET.pack(
            leap << 6 | version << 3 | mode, stratum, poll, precision, delay, dispersion, reference, now,
            token if origin is None else origin, now if received is None else received, now if sent is None else sent,
        )  # fmt: skip


async def ask(server: Callable[[bytes], list[bytes]], **settings: object) -> Ntp:
    async with udp_server(server) as port:
        return await measure("127.0.0.1", Settings(**{"timeout": 0.3, **settings, "port": port}), world())  # type: ignore[arg-type]


@pytest.mark.parametrize("ahead", [0.0, 100.0, -3600.0])
async def test_the_offset_is_what_the_server_is_ahead(ahead: float) -> None:
    found = await ask(Server(ahead))
    assert found.good, found.explain()
    assert found.offset == pytest.approx(ahead, abs=0.1)
    assert found.delay is not None
    assert 0 < found.delay < 0.3
    assert (found.stratum, found.version, found.reference, found.leap) == (2, 4, "192.0.2.7", "")
    assert found.root_delay == pytest.approx(0.01, abs=0.001)
    assert f"{'ahead' if (found.offset or 0) >= 0 else 'behind'} by" in str(found)


async def test_the_question_tells_nothing_about_us() -> None:
    server = Server()
    await ask(server)
    first = PACKET.unpack(server.asked[0])
    assert first[:-1] == (0x23, 0, 0, 0, 0, 0, bytes(4), 0, 0, 0)
    await ask(server)
    assert len({data[-8:] for data in server.asked}) >= 1
    assert len(server.asked[0]) == 48


async def test_of_several_answers_the_quickest_counts() -> None:
    def slow_then_quick(data: bytes) -> list[bytes]:
        now = SystemClock().time() + 5.0
        asked.append(data)
        if len(asked) == 1:  # it left there before it came: that much longer was the way
            return [Server().reply(data, received=stamp(now + 0.1), sent=stamp(now - 0.1))]
        return Server(7.0)(data)

    asked: list[bytes] = []
    found = await ask(slow_then_quick, count=2, interval=0.5)
    assert (found.sent, found.answered) == (2, 2)
    assert found.offset == pytest.approx(7.0, abs=0.1)
    assert found.jitter == pytest.approx(2.0, abs=0.1)


async def test_silence_is_a_failure() -> None:
    found = await ask(lambda data: [], timeout=0.1)
    assert (found.state, found.reason, found.offset) == ("failed", "no answer in 0.1 s", None)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"leap": 3}, "the server is not synchronised"),
        ({"stratum": 16}, "the server is not synchronised"),
        ({"stratum": 9}, "stratum 9 is above 8"),
        ({"dispersion": 3 * 65536}, "its root distance is"),
    ],
)
async def test_a_server_that_is_not_right_is_wrong(fields: dict[str, Any], reason: str) -> None:
    found = await ask(Server(**fields), stratum_most=8)
    assert found.state == "wrong"
    assert found.reason.startswith(reason)
    assert found.offset is not None


async def test_a_large_offset_is_wrong_where_that_is_asked_for() -> None:
    found = await ask(Server(-30.0), offset_most=1)
    assert (found.state, found.reason[:21]) == ("wrong", "the clocks differ by ")


@pytest.mark.parametrize("code", [b"RATE", b"DENY", b"RSTR"])
async def test_a_kiss_of_death_ends_the_asking(code: bytes) -> None:
    server = Server(stratum=0, reference=code)
    found = await ask(server, count=5, interval=0.5)
    assert found.state == "failed"
    assert found.reason.startswith("the server does not want to be asked")
    assert found.kiss == code.decode()
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    ("code", "told"), [(b"INIT", "INIT"), (b"STEP", "STEP"), (b"\x1b[2J", "\ufffd[2J"), (bytes(4), "no code")]
)
async def test_a_server_that_has_no_time_yet_is_not_synchronised(code: bytes, told: str) -> None:
    found = await ask(Server(stratum=0, leap=3, reference=code), count=3, interval=0.5)
    assert (found.state, found.reason) == ("wrong", f"the server is not synchronised: {told}")


@pytest.mark.parametrize(
    "fields", [{"origin": 1}, {"mode": 3}, {"mode": 5}, {"mode": 6}, {"version": 7}, {"version": 0}]
)
async def test_what_is_no_answer_to_our_question_is_bogus(fields: dict[str, Any]) -> None:
    found = await ask(Server(**fields))
    assert (found.state, found.bogus, found.answered) == ("failed", 1, 0)


async def test_a_true_answer_behind_a_forged_one_counts() -> None:
    server, liar = Server(), Server(9999.0, origin=1)
    found = await ask(lambda data: [*liar(data), b"x", *server(data)])
    assert found.good
    assert found.bogus == 2
    assert found.offset == pytest.approx(0, abs=0.1)


async def test_a_flood_of_lies_ends() -> None:
    liar = Server(origin=1)
    found = await ask(lambda data: liar(data) * 200, timeout=2)
    assert found.state == "failed"
    assert found.bogus <= ntp.BOGUS_MOST


@pytest.mark.parametrize("fields", [{"received": 0}, {"sent": 0}])
async def test_an_answer_without_times_is_wrong(fields: dict[str, Any]) -> None:
    found = await ask(Server(**fields))
    assert (found.state, found.reason) == ("wrong", "the answer has no times")


async def test_a_clock_that_is_set_meanwhile_spoils_the_measurement() -> None:
    class Stepped(SystemClock):
        ahead = 0.0

        def time(self) -> float:
            return super().time() + self.ahead

    clock, server = Stepped(), Server()

    def answer(data: bytes) -> list[bytes]:
        clock.ahead = 60.0
        return server(data)

    async with udp_server(answer) as port:
        found = await measure("127.0.0.1", Settings(port=port), world(clock=clock))
    assert (found.state, found.reason) == ("unmeasured", "the clock of this host was set meanwhile")


def answer_of(token: int, received: float, sent: float) -> bytes:
    return PACKET.pack(0x24, 1, 6, -20, 0, 0, b"GPS\0", stamp(received), token, stamp(received), stamp(sent))


def test_offset_and_delay_are_those_of_rfc_5905() -> None:
    # It left at 1000, came there at 1010.1 of a clock 10 s ahead, left there 0.3 later, was back at 1000.6.
    found = read(answer_of(7, 1010.1, 1010.4), 7, 1000.0)
    assert found is not None
    made = sample(found, 1000.0, 1000.6, 2.0**-20)
    assert made is not None
    assert made.offset == pytest.approx(((1010.1 - 1000.0) + (1010.4 - 1000.6)) / 2)
    assert made.delay == pytest.approx(0.6 - 0.3)


def test_a_delay_is_never_negative() -> None:
    found = read(answer_of(7, 1000.0, 1005.0), 7, 1000.0)
    assert found is not None
    made = sample(found, 1000.0, 1000.1, 0.001)
    assert made is not None
    assert made.delay == 0.001


@pytest.mark.parametrize("now", [0.0, 1_000_000_000.0, 2_085_978_496.0 + 10, 4_000_000_000.0, 7_000_000_000.0])
def test_times_are_of_the_era_nearest_to_ours(now: float) -> None:
    found = read(answer_of(7, now + 5, now + 5), 7, now)
    assert found is not None
    assert found.received == pytest.approx(now + 5, abs=1e-3)
    assert abs((found.sent or 0) - now) < ERA / 2


@given(st.binary(max_size=100), st.integers(0, 2**64 - 1))
def test_any_bytes_are_an_answer_or_none(data: bytes, token: int) -> None:
    assert read(data, token, 1e9) is None or struct.unpack_from("!Q", data, 24)[0] == token


@given(st.binary(min_size=48, max_size=48), st.floats(0, 1e10))
def test_whatever_an_answer_says_its_numbers_are_finite(data: bytes, now: float) -> None:
    token = struct.unpack_from("!Q", data, 24)[0]
    found = read(bytes([0x24]) + data[1:], token, now)
    assert found is not None
    assert 0 < found.precision <= 2.0**16
    assert found.poll <= 2.0**17
    made = sample(found, now, now + 0.1, 1e-6)
    assert made is None or abs(made.offset) <= ERA


def test_the_reference_is_told_as_its_stratum_means_it() -> None:
    primary, other = read(answer_of(7, 0, 0), 7, 0), read(Server().reply(question(7)), 7, 0)
    assert primary is not None
    assert other is not None
    assert ntp.reference_of(primary, "192.0.2.1") == "GPS"
    assert ntp.reference_of(other, "192.0.2.1") == "192.0.2.7"
    assert ntp.reference_of(other, "2001:db8::1") == "c0000207"
