"""The packet engine as an instance uses it: found, lost, its batches, its word about itself, its captures."""

import asyncio
import base64
from array import array
from pathlib import Path
from random import Random
from typing import Any

import pytest
from msgspec import structs

from amon.clock import SystemClock
from amon.engine.desk.connection import Client
from amon.engine.messages import SELF, STATES, Batch, Capture, Ended, Pause, Resume, Sample, State, Tally
from amon.health import Level
from amon.testing import stage
from modules.probe import ProbeModule, Settings
from modules.probe.monitor import Watch
from modules.probe.settings import Limits
from tests.engine.process.scripted import TENANT, Doing, Engine, Script, ScriptedLoop
from tests.modules.probe.probeworlds import Names
from tests.waiting import until

ANSWERED, LOST, UNSENT = STATES.index("answered"), STATES.index("lost"), STATES.index("unsent")


def world(**more: Any) -> dict[str, Any]:
    names = Names({"good.example": ("192.0.2.9",)})
    return {"name": "probe", "resolver": names, "random": Random(1), "clock": SystemClock(), **more}


def settings(path: Path, *targets: str, **more: Any) -> Settings:
    return Settings(
        targets=targets, interval=1, engine=path, tenant=TENANT, **{"limits": Limits(window=1, hold=0), **more}
    )


def rows(job: int, doing: Doing, states: list[int]) -> Batch:
    """One packet of each target."""
    count = len(states)
    columns = {
        "target": array("I", range(count)).tobytes(),
        "state": bytes(states),
        "rtt": array("q", [2_000_000] * count).tobytes(),
        "sent": array("q", [10**18] * count).tobytes(),
        "ttl": b"\x40",
        "source": array("I", [SELF]).tobytes(),
    }
    return Batch(job, 0, count, columns, edition=doing.edition)


def telling(states: dict[int, int]) -> Script:
    """An engine that tells each list once: all answered, but those in `states` by their place."""

    def taken(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
        count = len(doing.addresses) // 16
        loop.desk.send(client, rows(job, doing, [states.get(n, ANSWERED) for n in range(count)]))
        loop.desk.send(client, State(job, Tally(scheduled=count, sent=count, answered=count - len(states))))

    return Script(taken=taken)


async def test_all_targets_become_one_standing_job_and_its_batches_results(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine", telling({1: LOST}))
    try:
        made = settings(engine.path, "192.0.2.1 gw", "192.0.2.2", "lost.example", "good.example")
        async with stage(ProbeModule, made, **world()) as site:
            await until(lambda: "192.0.2.2" in site.health.parts and site.health.parts["192.0.2.2"].level > Level.ok)
            ((_, doing),) = engine.loop.doing.items()
            assert doing.spec.rounds is None
            assert (doing.spec.interval, doing.spec.aligned) == (1, True)
            assert len(doing.addresses) == 3 * 16  # the name without an address is not in it
            assert site.health.parts["gw"].text == "no loss, rtt 2 ms"
            assert site.health.parts["good.example"].level is Level.ok  # its place is the fourth of ours
            assert "lost.example has no address" in site.health.parts["list"].text
            status = (await site.ask("probe status")).data
            assert (status["way"], status["probed"], status["targets"]) == ("packet engine (eth1 raw)", 3, 4)
            latest = (await site.ask("probe latest gw")).data
            assert (latest[0]["state"], latest[0]["rtt"], latest[0]["text"]) == ("answered", 0.002, "gw")
    finally:
        engine.stop()


async def test_a_changed_list_goes_into_the_same_job_and_old_rows_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.write_text("192.0.2.1\n192.0.2.2\n")
    engine = Engine(tmp_path / "engine", telling({}))
    try:
        async with stage(ProbeModule, settings(engine.path, files=(path,)), **world()) as site:
            course = site.module.course
            await until(lambda: course.window.rows == 2)
            path.write_text("192.0.2.2\n192.0.2.3\n192.0.2.4\n")
            course.stir.set()
            await until(lambda: course.window.rows == 5)
            assert len(engine.loop.doing) == 1
            revisions = [one.revision for one, _ in course.window.newest()]
            assert revisions == [2, 2, 2, 1, 1]
            assert course.standing.seen[0] == 2  # what was known of it went with it
    finally:
        engine.stop()


async def test_a_pause_reaches_the_engine_and_so_does_its_end(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine", telling({}))
    try:
        async with stage(ProbeModule, settings(engine.path, "192.0.2.1"), **world()) as site:
            await until(lambda: site.module.course.window.rows)
            await site.ask("probe pause")
            await until(lambda: any(isinstance(one, Pause) for one in engine.loop.heard))
            await site.ask("probe resume")
            await until(lambda: any(isinstance(one, Resume) for one in engine.loop.heard))
    finally:
        engine.stop()


async def test_an_engine_that_is_not_there_is_bad_news_where_one_is_wanted_and_found_when_it_comes(
    tmp_path: Path,
) -> None:
    async with stage(ProbeModule, settings(tmp_path / "engine", "192.0.2.1"), **world()) as site:
        await until(lambda: "engine" in site.health.parts)
        assert site.health.parts["engine"].level is Level.critical
        assert "systemctl status amon-engine" in site.health.parts["engine"].text
        engine = Engine(tmp_path / "engine", telling({}))
        try:
            await until(lambda: site.module.course.window.rows)
            await until(lambda: "engine" not in site.health.parts)
        finally:
            engine.stop()
        await until(lambda: "engine" in site.health.parts)
        for line in ("probe status", "probe monitor"):  # just now somebody looks
            outcome = await site.ask(line)
            assert (outcome.state, outcome.data["way"]) == ("done", "packet engine (away)")


async def test_without_a_word_about_it_nobody_minds_that_there_is_no_engine(tmp_path: Path) -> None:
    made = Settings(targets=("127.0.0.1",), interval=0.2)
    async with stage(ProbeModule, made, **world()) as site:
        await until(lambda: site.module.course.runner.begun)
        assert set(site.health.parts) == {"127.0.0.1"}


async def test_targets_that_the_engine_cannot_send_to_are_not_said_to_be_well(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine", telling({1: UNSENT}))
    try:
        async with stage(ProbeModule, settings(engine.path, "192.0.2.1 gw", "192.0.2.2 gone"), **world()) as site:
            course = site.module.course
            await until(lambda: course.standing.count("unsent") == 1)
            course.stir.set()  # it looks every ten seconds by itself
            await until(lambda: "unmeasured" in site.health.parts)
            assert site.health.parts["unmeasured"].text.startswith("1 of 2 cannot be probed from here: the engine")
            last = {row["target"]: row["last"] for row in (await site.ask("probe targets")).data}
            assert last == {"gw": "answered", "gone": "unsent"}
    finally:
        engine.stop()


async def test_packets_that_the_engine_cannot_send_are_told_until_it_can_again(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine", telling({}))
    try:
        async with stage(ProbeModule, settings(engine.path, "192.0.2.1", "192.0.2.2"), **world()) as site:
            course = site.module.course
            await until(lambda: course.job.now.tally.sent)
            for unsent, is_told in ((0, False), (7, True), (7, False), (9, True), (0, False)):
                course.job.now.tally = Tally(scheduled=20, sent=20 - unsent, unsent=unsent)
                course.stir.set()  # it looks every ten seconds by itself
                await until(lambda: ("unmeasured" in site.module.health().parts) is is_told)  # noqa: B023
                course.stir.set()  # nothing new was heard: nothing else is told
                await asyncio.sleep(0)
                assert ("unmeasured" in site.module.health().parts) is is_told
            course.job.now.tally = Tally(scheduled=20, sent=13, unsent=7)
            course.stir.set()
            await until(lambda: "unmeasured" in site.module.health().parts)
            assert "could not send 7 packets" in site.module.health().parts["unmeasured"].text
    finally:
        engine.stop()


async def test_what_the_engine_refuses_is_told(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine", Script(refuse="over your share of 100 packets a second"))
    try:
        async with stage(ProbeModule, settings(engine.path, "192.0.2.1"), **world()) as site:
            await until(lambda: "engine" in site.health.parts)
            assert site.health.parts["engine"].text == "over your share of 100 packets a second"
    finally:
        engine.stop()


async def test_the_engine_tells_of_itself_as_data_and_growing_drops_as_health(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine", telling({}))
    try:
        async with stage(ProbeModule, settings(engine.path, "192.0.2.1"), **world()) as site:
            await until(lambda: site.module.course.window.rows)
            told = (await site.ask("probe monitor")).data
            assert (told["rate"], told["received"], told["cpu"], told["drops"]) == (10.0, 9.0, 10.0, {"eth0 full": 1})
            assert "drops" not in site.module.health().parts  # of before our time
            sample = engine.loop.sample()
            for count, told_bad in ((5, True), (5, False)):
                site.module.keeper.sample = structs.replace(sample, drops={"eth0 full": count})
                assert ("drops" in site.module.health().parts) is told_bad
    finally:
        engine.stop()


def test_late_ticks_and_results_that_wait_are_parts_of_health() -> None:
    sample = Sample(1.0, 1.0, 10, 9, 0.1, 1, Tally(), {}, late=(1000, 60_000_000, 90_000_000), queued=2**26)
    parts = dict(Watch().look(sample))
    assert parts["pace"].text == "1 tick of 100 is 0.06 s late"
    assert parts["queue"].text == "64 MiB of results wait in the engine until they are taken"
    assert dict(Watch().look(structs.replace(sample, late=(1000, 2000, 3000), queued=0))) == {}
    assert dict(Watch().look(None)) == {}


async def test_a_single_probe_goes_through_the_engine_at_the_highest_priority(tmp_path: Path) -> None:
    def taken(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
        loop.desk.send(client, rows(job, doing, [ANSWERED]))
        loop.desk.send(client, Ended(job, Tally(scheduled=1, sent=1, answered=1)))
        specs.append(doing.spec)

    specs: list[Any] = []
    engine = Engine(tmp_path / "engine", Script(taken=taken))
    try:
        async with stage(ProbeModule, settings(engine.path), **world()) as site:
            await until(lambda: site.module.keeper.engine is not None)
            outcome = await site.ask("probe ping 192.0.2.1 -c 1")
            assert (outcome.data["way"], outcome.data["rtt_median"]) == ("packet engine", 0.002)
            assert (specs[0].priority, specs[0].rounds) == (0, 1)
    finally:
        engine.stop()


async def test_a_capture_is_a_file_here_and_comes_as_text_that_makes_the_same_file(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine", telling({}))
    try:
        async with stage(ProbeModule, settings(engine.path), **world()) as site:
            await until(lambda: site.module.keeper.engine is not None)
            outcome = await site.ask("probe capture 1 target=192.0.2.1 --no-received")
            written = engine.loop.script.captured
            assert (outcome.state, outcome.data["packets"], outcome.data["size"]) == ("done", 1, len(written))
            order = next(one for one in engine.loop.heard if isinstance(one, Capture))
            assert (order.address, order.sent, order.received) == (bytes(10) + b"\xff\xff\xc0\x00\x02\x01", True, False)
            name = outcome.data["name"]
            assert [row["name"] for row in (await site.ask("probe captured")).data] == [name]
            text = (await site.ask(f"probe captured {name}")).text
            assert base64.b64decode(text) == written
            assert (await site.ask("probe captured ZZZZ")).state == "refused"
            missing = await site.ask("probe capture 1 target=missing.example")
            assert (missing.state, "missing.example" in missing.text) == ("refused", True)
            path = site.module.env.state / "captures" / f"{name}.pcap"
            assert path.stat().st_mode & 0o777 == 0o600
    finally:
        engine.stop()


async def test_captures_of_before_make_room(tmp_path: Path) -> None:
    engine = Engine(tmp_path / "engine")
    try:
        async with stage(ProbeModule, settings(engine.path), **world()) as site:
            await until(lambda: site.module.keeper.engine is not None)
            for _ in range(10):
                assert (await site.ask("probe capture 1")).state == "done"
                await asyncio.sleep(0)
            assert len((await site.ask("probe captured")).data) == 8
    finally:
        engine.stop()


async def test_without_an_engine_there_is_nothing_to_capture(tmp_path: Path) -> None:
    async with stage(ProbeModule, Settings(), **world()) as site:
        outcome = await site.ask("probe capture")
        assert (outcome.state, "there is no packet engine here" in outcome.text) == ("refused", True)


@pytest.mark.parametrize(
    "columns",
    [
        {"target": b"\0\0\0"},  # of no whole number
        {"target": b""},
        {"target": array("I", [0]).tobytes(), "state": b"\xff", "rtt": b"\0"},
        {"target": array("I", [0, 0]).tobytes(), "state": b"\x01", "rtt": array("q", [2**62]).tobytes(), "sent": b""},
        {"what": b"ever"},
    ],
)
async def test_a_batch_that_makes_no_sense_is_passed_over_and_the_next_one_is_not(
    tmp_path: Path, columns: dict[str, bytes]
) -> None:
    def taken(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
        loop.desk.send(client, Batch(job, 0, 3, columns, edition=doing.edition))
        loop.desk.send(client, rows(job, doing, [ANSWERED]))

    engine = Engine(tmp_path / "engine", Script(taken=taken))
    try:
        async with stage(ProbeModule, settings(engine.path, "192.0.2.1"), **world()) as site:
            await until(lambda: site.module.course.window.rows)
            assert site.node.instances()[-1].restarts == 0
            assert "1 batches of the engine made no sense" in str((await site.ask("probe status")).data["notes"])
            for line in ("status", "latest", "latest 192.0.2.1", "targets"):
                assert (await site.ask(f"probe {line}")).state == "done", line
    finally:
        engine.stop()
