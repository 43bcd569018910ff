"""The agent's end, against a scripted loop at a real socket: one job over however many cores, and whatever happens."""

import asyncio
import os
import socket
import struct
import subprocess
import sys
import threading
from array import array
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

import pytest

from amon.engine.asking.client import Engine as Connected
from amon.engine.asking.client import Gap, Job, JobReport, Times, connect, packed, sockets
from amon.engine.asking.merging import Merged, merge
from amon.engine.asking.shares import NOWHERE, Listed, split
from amon.engine.asking.sums import denials, samples
from amon.engine.desk.connection import Client
from amon.engine.desk.server import Account, Bounds, Desk
from amon.engine.messages import (
    Batch,
    Begin,
    Capture,
    Denied,
    End,
    Ended,
    Hello,
    Limits,
    Pause,
    Resume,
    Sample,
    Spec,
    State,
    Taken,
    Tally,
    Targets,
)
from amon.errors import Failed, Invalid, Refused
from tests.engine.process.scripted import Doing, Engine, Script, ScriptedLoop, batch
from tests.waiting import until

Start = Callable[..., Engine]
QUICK = Times(answer=5, begin=10, first=0.02, most=0.1)
MANY = packed(f"10.0.{n // 256}.{n % 256}" for n in range(1000))


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    made: list[Engine] = []

    def start(script: Script | None = None, core: int | None = None, **more: object) -> Engine:
        path = tmp_path / ("socket" if core is None else f"socket.{core}")
        made.append(Engine(path, script, f"engine-{core or 0}", **more))  # type: ignore[arg-type]
        return made[-1]

    yield start
    for one in made:
        one.stop()


async def read_until(job: Job, kind: "type[JobReport]", within: float = 20) -> JobReport:
    async with asyncio.timeout(within):
        async for report in job:
            if isinstance(report, kind):
                return report
    raise AssertionError(f"it ended without {kind.__name__}")


def answer_all(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
    """One batch, and the end."""
    loop.desk.send(client, batch(job, 0, range(len(doing.addresses) // 16), doing.edition))
    loop.desk.send(client, Ended(job, Tally(scheduled=5, sent=5, answered=5)))


def answer_on(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
    """One batch, and how it is; it goes on."""
    loop.desk.send(client, batch(job, 0, range(len(doing.addresses) // 16), doing.edition))
    loop.desk.send(client, msg_state(job))


def msg_state(job: int) -> State:
    return State(job, Tally(scheduled=5, sent=5, answered=3, in_flight=2))


def test_addresses_are_sixteen_bytes_whatever_they_were() -> None:
    mapped = bytes(10) + b"\xff\xff" + bytes([192, 0, 2, 1])
    assert (
        packed(["192.0.2.1", IPv4Address("192.0.2.1"), "::1", IPv6Address(1)]) == mapped * 2 + (bytes(15) + b"\1") * 2
    )


def test_what_is_no_address_is_told() -> None:
    with pytest.raises(Invalid, match=r"'example\.org' is no IP address; next: resolve names first"):
        packed(["192.0.2.1", "example.org"])


async def test_a_job_tells_batches_and_its_end(start: Start, tmp_path: Path) -> None:
    start(Script(taken=answer_all))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        assert engine.welcome.limits == Limits(rate=1000, bytes=1e6, in_flight=1000)
        job = await engine.begin(Spec(rounds=1), ["192.0.2.1", "2001:db8::1"])
        assert (job.targets, job.rate, job.denied) == (2, 100, ())
        reports = [report async for report in job]
    assert reports == [batch(job.number, 0, range(2)), Ended(job.number, Tally(scheduled=5, sent=5, answered=5))]


async def test_a_long_list_arrives_whole_and_in_order(start: Start, tmp_path: Path) -> None:
    engine_side = start()
    addresses = os.urandom(16 * 20_000)
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), addresses)
        assert job.targets == 20_000
    lists = [one.addresses for one in engine_side.loop.heard if isinstance(one, Targets)]
    assert b"".join(lists) == addresses
    assert max(map(len, lists)) == 16 * 4096


async def test_no_engine_there_is_said_with_what_to_look_at(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"no engine at .*socket: No such file or directory; next: systemctl status"):
        async with connect(tmp_path / "socket", "ops", times=QUICK):
            pass


async def test_a_tenant_that_is_refused_is_told_why(start: Start, tmp_path: Path) -> None:
    start()
    with pytest.raises(Refused, match=r"may not speak for tenant 'other'"):
        async with connect(tmp_path / "socket", "other", times=QUICK):
            pass


async def test_an_engine_that_says_nothing_is_given_up(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as silent:
        silent.bind(str(tmp_path / "socket"))
        silent.listen()
        with pytest.raises(Failed, match=r"does not answer within 0\.1 s"):
            async with connect(tmp_path / "socket", "ops", times=Times(answer=0.1)):
                pass


@pytest.mark.parametrize("addresses", [b"", b"x" * 17])
async def test_a_list_that_is_none_is_refused_here(start: Start, tmp_path: Path, addresses: bytes) -> None:
    start()
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        with pytest.raises(Invalid):
            await engine.begin(Spec(), addresses)


async def test_a_job_the_engine_refuses_is_refused_with_its_words(start: Start, tmp_path: Path) -> None:
    start(Script(refuse="the cap is 10 packets per second"))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        with pytest.raises(Refused, match="the cap is 10 packets per second"):
            await engine.begin(Spec(), MANY)
        assert not engine._jobs


async def test_an_engine_that_does_not_take_a_list_is_given_up(start: Start, tmp_path: Path) -> None:
    engine_side = start()
    engine_side.loop.list = lambda client, order: None  # type: ignore[method-assign]
    async with connect(tmp_path / "socket", "ops", times=Times(begin=0.1)) as engine:
        with pytest.raises(Failed, match=r"not taken the targets within 0\.1 s"):
            await engine.begin(Spec(), MANY)


async def test_orders_wait_for_an_engine_that_does_not_read_within_bounds(start: Start, tmp_path: Path) -> None:
    engine_side = start()
    async with connect(tmp_path / "socket", "ops", times=Times(begin=1.0)) as engine:
        engine_side.loop.deaf = True
        (link,) = engine._links
        beginning = asyncio.create_task(engine.begin(Spec(), bytes(range(16)) * 1_000_000))
        await until(lambda: link._bytes > 1_000_000)
        assert link._bytes < 1_200_000
        with pytest.raises(Failed, match="not taken the targets within 1 s"):
            await beginning
        assert link._bytes < 1_200_000
        assert not engine._jobs[1]._items


async def test_a_refusal_of_one_core_is_one_of_the_job_and_the_others_end(start: Start, tmp_path: Path) -> None:
    start(Script(refuse="too fast"), 1)
    other = start(None, 0)
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        with pytest.raises(Refused, match="too fast"):
            await engine.begin(Spec(), MANY)
        await until(lambda: any(isinstance(one, End) for one in other.loop.heard))
        await until(lambda: not engine._jobs)


async def test_how_long_an_engine_has_said_nothing_is_known(start: Start, tmp_path: Path) -> None:
    start()
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        await until(lambda: engine.silent_for > 0.05)
        before = engine.silent_for
        await engine.sample()
        assert engine.silent_for < before


async def test_pause_resume_change_and_end_reach_the_engine(start: Start, tmp_path: Path) -> None:
    engine_side = start()
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), ["192.0.2.1"])
        await job.pause()
        await job.resume()
        await job.change(spec=Spec(interval=5), targets=["192.0.2.2", "192.0.2.3"])
        assert job.targets == 2
        await job.end()
        reports = [report async for report in job]
    assert [type(one) for one in reports] == [Taken, Ended]
    kinds = [type(one) for one in engine_side.loop.heard]
    assert kinds.index(Pause) < kinds.index(Resume) < kinds.index(End)
    assert [one.spec.interval for one in engine_side.loop.heard if isinstance(one, Begin)] == [1, 5]


async def test_batches_of_an_old_list_say_so_after_a_change(start: Start, tmp_path: Path) -> None:
    engine_side = start(Script(taken=answer_on))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), ["192.0.2.1"])
        first = await read_until(job, Batch)
        await job.change(targets=["192.0.2.2", "192.0.2.3"])
        taken, second = await read_until(job, Taken), await read_until(job, Batch)
    assert isinstance(first, Batch)
    assert isinstance(second, Batch)
    assert isinstance(taken, Taken)
    assert (first.edition, taken.edition, second.edition) == (0, 1, 1)
    assert (first.seq, second.seq, list(second.column("target"))) == (0, 1, [0, 1])
    assert engine_side.loop.heard


async def test_a_change_that_is_refused_leaves_the_job_as_it_was(start: Start, tmp_path: Path) -> None:
    engine_side = start()
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(interval=2), ["192.0.2.1"])
        engine_side.loop.script.refuse = "too many"
        with pytest.raises(Refused, match="too many"):
            await job.change(spec=Spec(interval=1), targets=["192.0.2.2"])
        assert (job.spec.interval, job.addresses) == (2, packed(["192.0.2.1"]))


async def test_who_leaves_the_block_has_ended_the_job(start: Start, tmp_path: Path) -> None:
    engine_side = start(Script(taken=answer_on))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        async with await engine.begin(Spec(), ["192.0.2.1"]) as job:
            await read_until(job, Batch)
        await until(lambda: any(isinstance(one, End) for one in engine_side.loop.heard))
        await until(lambda: not engine._jobs)


async def test_a_sample_is_asked_for_and_told(start: Start, tmp_path: Path) -> None:
    start()
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        sample = await engine.sample()
    assert (sample.sent, sample.drops) == (10, {"eth0 full": 1})


async def test_a_sample_nobody_asked_for_is_told_to_who_wants_it(start: Start, tmp_path: Path) -> None:
    told: list[Sample] = []
    start(Script(taken=lambda loop, client, job, doing: loop.desk.send(client, loop.sample())))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        engine.on_sample = told.append
        await engine.begin(Spec(), ["192.0.2.1"])
        await until(lambda: told)


async def test_samples_of_all_cores_are_told_as_one(start: Start, tmp_path: Path) -> None:
    told: list[Sample] = []

    def tell(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
        loop.desk.send(client, loop.sample())

    for core in (1, 0):
        start(Script(taken=tell), core)
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        engine.on_sample = told.append
        for _ in range(2):
            await engine.begin(Spec(), MANY)
        await until(lambda: len(told) == 2)
    assert told[-1].sent == 20


async def test_a_capture_goes_into_the_file_that_was_given(start: Start, tmp_path: Path) -> None:
    start()
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        with (tmp_path / "pcap").open("wb") as out:
            done = await engine.capture(out.fileno(), seconds=1)
    assert (done.packets, (tmp_path / "pcap").read_text()) == (1, "a capture")


# --- an engine that goes and comes back


async def test_a_job_with_an_end_is_over_when_its_engine_goes(start: Start, tmp_path: Path) -> None:
    engine_side = start(Script(taken=answer_on))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(rounds=100), ["192.0.2.1"])
        await read_until(job, State)
        engine_side.stop()
        ended = await read_until(job, Ended)
        assert isinstance(ended, Ended)
        assert ended.text.startswith("the engine went away: ")
        assert ended.tally == msg_state(0).tally
        assert "is gone" in engine.trouble or "no engine" in engine.trouble


async def test_a_job_without_an_end_goes_on_behind_a_gap(start: Start, tmp_path: Path) -> None:
    changes: list[str] = []
    first = start(Script(taken=answer_on))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        engine.on_change = changes.append
        job = await engine.begin(Spec(), ["192.0.2.1", "192.0.2.2"])
        await read_until(job, State)
        first.stop()
        await until(lambda: changes)
        second = start(Script(taken=answer_on))
        gap, more = await read_until(job, Gap), await read_until(job, Batch)
        assert isinstance(gap, Gap)
        assert isinstance(more, Batch)
        assert (gap.tally, gap.begin <= gap.end) == (msg_state(0).tally, True)
        assert (more.seq, list(more.column("target"))) == (1, [0, 1])
        await until(lambda: len(changes) == 2)
        assert (bool(changes[0]), changes[1], engine.trouble) == (True, "", "")
        assert [one.addresses for one in second.loop.heard if isinstance(one, Targets)] == [job.addresses]


async def test_a_paused_job_comes_back_paused(start: Start, tmp_path: Path) -> None:
    first = start()
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), ["192.0.2.1"])
        await job.pause()
        first.stop()
        second = start()
        await until(lambda: any(isinstance(one, Pause) for one in second.loop.heard))


async def test_a_job_the_engine_does_not_take_back_ends_with_its_words(start: Start, tmp_path: Path) -> None:
    first = start()
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), ["192.0.2.1"])
        other = await engine.begin(Spec(), ["192.0.2.2"])
        first.stop()
        start(Script(refuse="not any more"))
        for one in (job, other):
            ended = await read_until(one, Ended)
            assert isinstance(ended, Ended)
            assert ended.text == "not any more"
        await until(lambda: not engine.trouble)


async def test_who_asks_while_the_engine_is_away_is_told(start: Start, tmp_path: Path) -> None:
    engine_side = start()
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        engine_side.stop()
        await until(lambda: engine.trouble)
        for ask in (engine.sample(), engine.begin(Spec(), ["192.0.2.1"])):
            with pytest.raises(Failed):
                await ask
        with pytest.raises(Failed):
            _ = engine.welcome


# --- who reads slowly


def pour(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
    """More than anybody keeps: 6 MiB."""
    if job == 1:
        for seq in range(120):
            loop.desk.send(client, batch(job, seq, range(12_000)))


async def test_who_reads_slowly_has_his_job_paused_and_no_other_one(start: Start, tmp_path: Path) -> None:
    engine_side = start(Script(taken=pour), bounds=Bounds(full=2**26, most=2**27))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        slow = await engine.begin(Spec(), ["192.0.2.1"])
        await until(lambda: Pause(1) in engine_side.loop.heard)
        other = await engine.begin(Spec(), ["192.0.2.2"])
        assert other.targets == 1
        assert Pause(2) not in engine_side.loop.heard
        assert Resume(1) not in engine_side.loop.heard
        for seq in range(120):
            report = await read_until(slow, Batch)
            assert isinstance(report, Batch)
            assert report.seq == seq
        await until(lambda: Resume(1) in engine_side.loop.heard)
        assert slow.buffered == 0


async def test_of_states_that_nobody_reads_the_newest_is_kept(start: Start, tmp_path: Path) -> None:
    def many(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
        for sent in range(500):
            loop.desk.send(client, State(job, Tally(sent=sent)))
        loop.desk.send(client, Ended(job, Tally(sent=500)))

    start(Script(taken=many))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(rounds=1), ["192.0.2.1"])
        await until(lambda: job.over)
        reports = [report async for report in job]
    assert [type(one) for one in reports] == [State, Ended]
    assert isinstance(reports[0], State)
    assert reports[0].tally.sent == 499


# --- several cores


async def test_targets_are_shared_by_address_and_their_places_put_back(start: Start, tmp_path: Path) -> None:
    cores = [start(Script(taken=answer_all), core) for core in (2, 1, 0)]
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        assert engine.welcome.limits.rate == 3000
        assert engine.welcome.ways == {"eth0": "raw", "eth1": "raw", "eth2": "raw"}
        job = await engine.begin(Spec(rounds=1, rate=100), MANY)
        assert (job.targets, job.rate) == (1000, 300)
        reports = [report async for report in job]
    batches = [one for one in reports if isinstance(one, Batch)]
    assert sorted(place for one in batches for place in one.column("target")) == list(range(1000))
    assert [one.seq for one in batches] == [0, 1, 2]
    assert reports[-1] == Ended(job.number, Tally(scheduled=15, sent=15, answered=15))
    begun = [one.spec.rate or 0 for core in cores for one in core.loop.heard if isinstance(one, Begin)]
    assert sum(begun) == pytest.approx(100)
    assert min(begun) > 20


async def test_a_place_put_back_is_that_of_the_same_address() -> None:
    for addresses, index in await split(MANY, 4):
        assert index is not None
        assert addresses == b"".join(MANY[16 * place : 16 * place + 16] for place in index)
    assert await split(MANY, 1) == [(MANY, None)]


def test_a_place_that_cannot_be_is_nowhere() -> None:
    assert Listed(0, array("I", [5, 7])).places([0, 1, 2]) == [5, 7, NOWHERE]


async def test_one_core_that_goes_is_a_gap_for_its_targets_only(start: Start, tmp_path: Path) -> None:
    _, gone, _ = (start(Script(taken=answer_on), core) for core in (2, 1, 0))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), MANY)
        places = [set[int](), set[int]()]
        for _ in range(3):
            one = await read_until(job, Batch)
            assert isinstance(one, Batch)
            places[0] |= set(one.column("target"))
        assert len(places[0]) == 1000
        listener = gone.listener
        gone._ended.set()
        gone._thread.join()
        gone.desk.close()  # the process is gone; its socket is its parent's
        await until(lambda: engine.trouble)
        again = Engine.__new__(Engine)
        again.listener, again.path = listener, gone.path
        revive(again, Script(taken=answer_on))
        await read_until(job, Gap)
        one = await read_until(job, Batch)
        assert isinstance(one, Batch)
        assert 200 < len(one.column("target")) < 500
        await until(lambda: not engine.trouble)
        again.stop()


def revive(engine: Engine, script: Script) -> None:
    """Another process at the same listener."""
    engine.desk = Desk(engine.listener, [Account("ops")])
    engine.loop = ScriptedLoop(engine.desk, script, "engine-1")
    engine._ended = threading.Event()
    engine._thread = threading.Thread(target=engine._run, daemon=True)
    engine._thread.start()


async def test_an_engine_that_comes_back_with_more_cores_gets_all_targets_anew(start: Start, tmp_path: Path) -> None:
    only = start(Script(taken=answer_on))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        job = await engine.begin(Spec(), MANY)
        await read_until(job, State)
        cores = [start(Script(taken=answer_on), core) for core in (1, 0)]
        only.stop()
        await read_until(job, Gap)
        seen: set[int] = set()
        while len(seen) < 1000:
            one = await read_until(job, Batch)
            assert isinstance(one, Batch)
            seen |= set(one.column("target"))
        assert [len([one for one in core.loop.heard if isinstance(one, Begin)]) for core in cores] == [1, 1]


def record(packet: bytes) -> bytes:
    return struct.pack("<IIII", 1, 2, len(packet), len(packet)) + packet


PCAP = struct.pack("<IHHiIII", 0xA1B2_3C4D, 2, 4, 0, 0, 65535, 101)


async def test_captures_of_several_cores_become_one_file(start: Start, tmp_path: Path) -> None:
    for core in (1, 0):
        start(Script(captured=PCAP + record(b"core%d" % core)), core)
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        with (tmp_path / "pcap").open("wb") as out:
            done = await engine.capture(out.fileno())
    written = (tmp_path / "pcap").read_bytes()
    assert written in (PCAP + record(b"core0") + record(b"core1"), PCAP + record(b"core1") + record(b"core0"))
    assert (done.packets, done.bytes, done.left_out, done.text) == (2, len(written), 0, "")


async def test_a_capture_is_ended_when_who_wants_it_says_so(start: Start, tmp_path: Path) -> None:
    cores = [start(Script(captured=PCAP + record(b"x"), captures=False), core) for core in (1, 0)]
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        with (tmp_path / "pcap").open("wb") as out:
            enough = asyncio.Event()
            capturing = asyncio.create_task(engine.capture(out.fileno(), until=enough))
            await until(lambda: all(core.loop.open for core in cores))
            enough.set()
            done = await capturing
    assert (done.packets, done.text) == (2, "ended")


async def test_a_capture_nobody_waits_for_any_more_is_ended(start: Start, tmp_path: Path) -> None:
    cores = [start(Script(captured=PCAP, captures=False), core) for core in (1, 0)]
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        with (tmp_path / "pcap").open("wb") as out:
            capturing = asyncio.create_task(engine.capture(out.fileno()))
            await until(lambda: all(core.loop.open for core in cores))
            for core in cores:
                core.loop.deaf = True  # also where an engine is stuck
            capturing.cancel()
            with pytest.raises(asyncio.CancelledError):
                await capturing
            for core in cores:
                core.loop.deaf = False
            await until(lambda: not any(core.loop.open for core in cores))


async def test_a_capture_of_an_engine_that_goes_has_failed(start: Start, tmp_path: Path) -> None:
    core = start(Script(captured=PCAP, captures=False))
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        with (tmp_path / "pcap").open("wb") as out:
            capturing = asyncio.create_task(engine.capture(out.fileno()))
            await until(lambda: core.loop.open)
            core.stop()
            with pytest.raises(Failed, match="went away"):
                await capturing
    os.close(core.loop.open.popitem()[1])


async def test_a_capture_of_one_address_is_asked_of_the_core_that_probes_it(start: Start, tmp_path: Path) -> None:
    cores = [start(None, core) for core in (1, 0)]
    async with connect(tmp_path / "socket", "ops", times=QUICK) as engine:
        with (tmp_path / "pcap").open("wb") as out:
            done = await engine.capture(out.fileno(), address=packed(["192.0.2.1"]))
    assert done.packets == 1
    assert sum(isinstance(one, Capture) for core in cores for one in core.loop.heard) == 1


def merged(*files: bytes, packets: int = 100, size: int = 10_000, out: Path) -> Merged:
    sources = []
    for data in files:
        source, end = os.pipe()
        os.write(end, data)
        os.close(end)
        sources.append(source)
    enough, tell = os.pipe()
    try:
        with out.open("wb") as file:
            return merge(sources, file.fileno(), packets, size, enough)
    finally:
        os.close(enough)
        os.close(tell)


def test_records_stay_whole_up_to_the_limits(tmp_path: Path) -> None:
    out = tmp_path / "out"
    one = PCAP + record(b"first") + record(b"second")
    assert merged(one, out=out, packets=1) == Merged(1, len(PCAP + record(b"first")), "the limit of 1 packets")
    assert merged(one, out=out, size=60) == Merged(1, len(PCAP + record(b"first")), "the limit of 60 bytes")
    assert out.read_bytes() == PCAP + record(b"first")
    assert merged(one[:-2], PCAP[:3], b"", out=out).packets == 1
    assert merged(one, one, out=out) == Merged(4, len(PCAP) + 4 * 16 + 22)


def test_what_is_no_pcap_ends_the_file(tmp_path: Path) -> None:
    assert merged(PCAP + b"\xff" * 40, out=tmp_path / "out").text == "an engine wrote no pcap"


def test_a_full_disk_ends_it_with_the_reason() -> None:
    assert merged(PCAP, out=Path("/dev/full")).text == "it cannot be written: No space left on device"


async def test_the_end_of_a_capture_of_several_cores_comes_though_nobody_reads_it(start: Start, tmp_path: Path) -> None:
    for core in (1, 0):
        start(Script(captured=PCAP + record(bytes(984)) * 60), core)
    reader, writer = os.pipe()
    os.write(writer, bytes(61_440))  # one page of the 64 KiB is left (pipe(7))
    async with connect(tmp_path / "socket", "ops", times=Times(answer=1, first=0.02)) as engine:
        done = await engine.capture(writer)
    assert done.text == "its reader takes nothing"
    assert (done.packets, done.bytes) == (4, 4096)
    os.close(reader)
    os.close(writer)


def test_sockets_of_an_engine_are_one_or_one_for_each_core(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    assert sockets(path) == [path]
    for core in (0, 1, 3):
        (tmp_path / f"socket.{core}").touch()
    assert sockets(path) == [tmp_path / "socket.0", tmp_path / "socket.1"]
    path.touch()
    assert sockets(path) == [path]


def test_reasons_of_denied_targets_are_told_once() -> None:
    both = denials([Denied("multicast", 2, (1, 5)), Denied("loopback", 1, (2,)), Denied("multicast", 1, (3,))])
    assert both == (Denied("multicast", 3, (1, 3, 5)), Denied("loopback", 1, (2,)))


def test_samples_of_several_cores_are_added_and_the_worst_shown() -> None:
    one = Sample(1, 1, 10, 9, 0.5, 100, Tally(sent=10), {"a": 1}, late=(1, 2, 30), stamps=(1, 5), jobs=2, queued=3)
    two = Sample(2, 1, 20, 18, 0.25, 100, Tally(sent=20), {"a": 1, "b": 2}, late=(2, 1, 3), jobs=1, queued=4)
    both = samples([one, two])
    assert (both.sent, both.received, both.cpu, both.memory, both.tally.sent) == (30, 27, 0.75, 200, 30)
    assert (both.drops, both.late, both.stamps, both.jobs, both.queued) == ({"a": 2, "b": 2}, (2, 2, 30), (1, 5), 2, 7)
    assert samples([one]) is one


def test_each_way_that_cores_have_at_one_interface_is_told() -> None:
    one = Sample(1, 1, 10, 9, 0.5, 100, Tally(), {}, ways={"eth0": "xsk+ring", "routed": "raw"})
    two = Sample(1, 1, 10, 9, 0.5, 100, Tally(), {}, ways={"eth0": "packet+ring", "routed": "raw"})
    assert samples([one, two]).ways == {"eth0": "xsk+ring, packet+ring", "routed": "raw"}


def test_the_client_needs_no_numpy() -> None:
    look = "import sys, amon.engine.asking.client; print('numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, timeout=30).stdout == "False\n"


def test_an_engine_closed_twice_is_closed(tmp_path: Path) -> None:
    async def twice() -> None:
        one = Connected(tmp_path / "socket", Hello(1, "ops"), QUICK)
        await one.close()
        await one.close()

    asyncio.run(twice())
