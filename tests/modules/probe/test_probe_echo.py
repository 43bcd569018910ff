"""ICMP by the packet engine: its batches become the same replies, and what it refuses is not the target's fault."""

import struct
from array import array
from collections.abc import AsyncIterator, Sequence

import pytest

from amon.engine.messages import COLUMNS, SELF, STATES, Batch, Denied, Ended, Spec, State, Tally
from amon.errors import Failed, Refused
from modules.probe import ping, trace
from modules.probe.echo import packed, unpacked
from tests.modules.probe.probeworlds import world

HOST = "192.0.2.9"
Row = dict[str, int]


def batch(rows: Sequence[Row], sources: Sequence[str] = ()) -> Batch:
    """Columns with the same value in all rows are sent as one."""
    columns = {}
    for name, code in COLUMNS.items():
        values = array(code, [row.get(name, SELF if name == "source" else 0) for row in rows])
        columns[name] = (values[:1] if len(set(values)) == 1 else values).tobytes()
    return Batch(1, 0, len(rows), columns, b"".join(map(packed, sources)))


class Job:
    def __init__(self, reports: Sequence[object], denied: Sequence[Denied]) -> None:
        self.denied = denied
        self.away: float | None = None
        self.ended = 0
        self._reports = reports

    async def __aiter__(self) -> AsyncIterator[object]:
        for report in self._reports:
            yield report

    async def end(self) -> None:
        self.ended += 1


class Engine:
    """Answers each job with the same reports."""

    def __init__(self, *reports: object, denied: Sequence[Denied] = (), fault: Exception | None = None) -> None:
        self.specs: list[tuple[Spec, bytes]] = []
        self.jobs: list[Job] = []
        self._reports, self._denied, self._fault = reports, denied, fault

    async def begin(self, spec: Spec, addresses: bytes) -> Job:
        self.specs.append((spec, addresses))
        if self._fault is not None:
            raise self._fault
        self.jobs.append(Job(self._reports, self._denied))
        return self.jobs[-1]


ANSWERED, LOST, HOP = STATES.index("answered"), STATES.index("lost"), STATES.index("hop")


async def test_batches_of_the_engine_become_a_ping() -> None:
    rows = [{"number": n, "rtt": (n + 1) * 1_000_000, "state": ANSWERED, "hops": 57, "ttl": 64} for n in range(3)]
    lost = {"number": 3, "state": LOST, "ttl": 64}
    engine = Engine(
        State(1, Tally()), batch(rows), batch([lost]), Ended(1, Tally(duplicate=2, forged=1, wrong_source=1))
    )
    found = await ping.measure(HOST, ping.Settings(count=4, size=100, tos=8, loss_most=30), world(engine=engine))
    assert found.good
    assert (found.sent, found.answered, found.rtts) == (4, 3, (0.001, 0.002, 0.003))
    assert (found.duplicates, found.forged, found.wrong_source, found.hops) == (2, 1, 1, 57)
    assert found.way == "packet engine"
    spec, addresses = engine.specs[0]
    assert (spec.rounds, spec.size, spec.tos, spec.priority, addresses) == (4, 100, 8, 1, packed(HOST))
    assert engine.jobs[0].ended == 0


async def test_batches_of_the_engine_become_a_trace() -> None:
    rows = [
        {"ttl": 1, "state": HOP, "rtt": 10**6, "type": 11, "source": 0},
        {"ttl": 2, "state": LOST},
        {"ttl": 3, "state": HOP, "rtt": 3 * 10**6, "type": 11, "source": 1},
        {"ttl": 4, "state": ANSWERED, "rtt": 4 * 10**6},
    ]
    engine = Engine(batch(rows, ["10.0.0.1", "10.0.0.3"]), Ended(1, Tally()))
    found = await trace.measure(HOST, trace.Settings(count=1), world(engine=engine))
    assert found.good
    assert [hop.address for hop in found.hops] == ["10.0.0.1", "", "10.0.0.3", HOST]
    assert (engine.specs[0][0].ttl, engine.specs[0][0].last_ttl) == (1, 30)


async def test_a_denied_target_is_unmeasured_with_the_engine_s_words() -> None:
    engine = Engine(Ended(1, Tally()), denied=[Denied("192.0.2.0/24 is denied to tenant ops", 1, (0,))])
    found = await ping.measure(HOST, ping.Settings(), world(engine=engine))
    assert found.state == "unmeasured"
    assert found.reason == "the packet engine must not probe it: 192.0.2.0/24 is denied to tenant ops"
    assert engine.jobs[0].ended == 1


@pytest.mark.parametrize("fault", [Refused("too many jobs"), Failed("too many jobs"), OSError(32, "too many jobs")])
async def test_an_engine_that_refuses_says_nothing_about_the_target(fault: Exception) -> None:
    found = await ping.measure(HOST, ping.Settings(), world(engine=Engine(fault=fault)))
    assert found.state == "unmeasured"
    assert "too many jobs" in found.reason


async def test_an_engine_that_goes_away_is_not_the_target_s_loss() -> None:
    engine = Engine(batch([{"state": LOST}]))
    found = await ping.measure(HOST, ping.Settings(), world(engine=engine))
    assert (found.state, found.reason) == ("unmeasured", "the packet engine went away")
    assert engine.jobs[0].ended == 1


async def test_packets_that_the_engine_skipped_are_told() -> None:
    engine = Engine(batch([{"state": ANSWERED, "rtt": 1}]), Ended(1, Tally(skipped=3), "the tenant's rate"))
    found = await ping.measure(HOST, ping.Settings(), world(engine=engine))
    told = [step.text for step in found.story]
    assert "3 packets were not sent in time: a limit of the engine" in told
    assert "the tenant's rate" in told


async def test_a_probe_that_the_engine_left_in_the_middle_says_how_much_of_it_was_not_sent() -> None:
    rows = [{"number": n, "state": ANSWERED, "rtt": 10**6} for n in range(3)]
    engine = Engine(batch(rows), Ended(1, Tally(), "the engine has closed"))
    found = await ping.measure(HOST, ping.Settings(count=5, burst=2), world(engine=engine))
    assert (found.sent, found.answered, found.unsent, found.loss) == (3, 3, 7, 0.0)
    assert "3 of 3 answered" in str(found)
    assert "7 unsent" in str(found)


async def test_what_the_engine_cannot_carry_goes_by_a_socket() -> None:
    engine = Engine(Ended(1, Tally()))

    def no_socket(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    found = await ping.measure(HOST, ping.Settings(size=8000), world(engine=engine, icmp=no_socket))
    assert (found.state, found.reason) == ("unmeasured", "no ICMP socket: operation not permitted")
    assert engine.specs == []


async def test_sizes_that_only_a_socket_could_send_are_left_out_where_none_may() -> None:
    def no_socket(*_: object, **__: object) -> None:
        raise OSError(1, "Operation not permitted")

    row = {"ttl": 1, "state": ANSWERED, "rtt": 5}
    here = world(engine=Engine(batch([row]), Ended(1, Tally())), icmp=no_socket)
    traced = await trace.measure(HOST, trace.Settings(count=1, mtu=True, mtu_most=9000), here)
    assert (traced.state, traced.mtu) == ("good", 2000), traced.explain()
    pinged = await ping.measure(HOST, ping.Settings(count=1, pmtu=True), here)
    assert (pinged.state, pinged.mtu, pinged.mtu_by) == ("good", 2000, "at least"), pinged.explain()


async def test_no_round_trip_is_shorter_than_nothing() -> None:
    engine = Engine(batch([{"state": ANSWERED, "rtt": -700}, {"state": ANSWERED, "rtt": 900}]), Ended(1, Tally()))
    found = await ping.measure(HOST, ping.Settings(count=2), world(engine=engine))
    assert found.rtts == (0.0, 9e-07)


async def test_columns_of_another_length_than_the_rows_are_no_crash() -> None:
    whole = batch([{"state": ANSWERED, "rtt": 5, "source": 7}])
    engine = Engine(whole, Ended(1, Tally()))
    found = await ping.measure(HOST, ping.Settings(), world(engine=engine))
    assert found.answered == 1


@pytest.mark.parametrize("address", ["192.0.2.1", "2001:db8::1", "::1"])
def test_addresses_travel_as_16_bytes(address: str) -> None:
    assert len(packed(address)) == 16
    assert unpacked(packed(address)) == address


def test_mapped_addresses_are_those_of_rfc_4291() -> None:
    assert packed("192.0.2.1") == bytes(10) + b"\xff\xff" + struct.pack("4B", 192, 0, 2, 1)
