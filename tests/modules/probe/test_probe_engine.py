"""An instance and a real engine process beside it, on loopback: standing jobs, single probes, captures, a restart."""

import base64
import re
import struct
from collections.abc import AsyncIterator
from pathlib import Path
from random import Random
from typing import Any

import pytest

from amon.clock import SystemClock
from amon.testing import stage
from modules.probe import ProbeModule, Settings
from modules.probe.settings import Limits
from tests.engine.process.test_process import TEXT, Program
from tests.modules.probe.probeworlds import Names
from tests.waiting import until


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[Program]:
    program = Program(tmp_path)
    await program.start(TEXT.replace('way = "ping"', 'way = "auto"'))
    yield program
    program.notices.close()
    if program.process.returncode is None:
        program.process.kill()
        await program.process.communicate()


def settings(engine: Program, *targets: str, **more: Any) -> Settings:
    return Settings(
        targets=targets, interval=0.2, allow=("127.0.0.0/8",), engine=engine.socket, tenant="ops",
        limits=Limits(window=5, hold=0), **more,
    )  # fmt: skip


def world() -> dict[str, Any]:
    return {"name": "probe", "resolver": Names(), "random": Random(1), "clock": SystemClock()}


async def can_send(site: Any) -> None:
    """Where the engine has no way at all there is nothing to look at."""
    await until(lambda: site.module.keeper.engine is not None)
    if not site.module.keeper.engine.welcome.ways:
        pytest.skip("no right to send ICMP here: neither CAP_NET_RAW nor net.ipv4.ping_group_range")


async def test_targets_are_probed_by_the_engine_and_a_restart_of_it_is_survived(
    engine: Program, caplog: pytest.LogCaptureFixture
) -> None:
    targets = [f"127.0.0.{n} t{n}" for n in range(1, 101)]
    async with stage(ProbeModule, settings(engine, *targets), **world()) as site:
        await can_send(site)
        course = site.module.course
        # On a busy machine this agent begins by itself, and hands over when it has found the engine.
        await until(lambda: course.by_engine and all(course.standing.seen))
        status = (await site.ask("probe status")).data
        assert status["way"].startswith("packet engine")
        assert (status["targets"], status["bad"]) == (100, 0)
        assert 0 <= course.standing.rtt[0] < 1
        monitor = (await site.ask("probe monitor")).data
        assert monitor["memory"] > 0
        await engine.end()
        await until(lambda: "engine" in site.health.parts)
        seen = course.window.taken
        await engine.start(engine.path.read_text())
        await until(lambda: course.window.taken > seen + 100)
        await until(lambda: "engine" not in site.health.parts)
        (gap,) = course.window.gaps
        assert 0 < gap.end - gap.begin < 60
        assert re.search(r"probed nothing from \d\d:\d\d:\d\dZ to \d\d:\d\d:\d\dZ", caplog.text)


async def test_single_probes_and_mtr_go_through_the_engine(engine: Program) -> None:
    async with stage(ProbeModule, settings(engine), **world()) as site:
        await can_send(site)
        outcome = await site.ask("probe ping 127.0.0.1 -c 3 -i 0.05")
        assert (outcome.data["way"], outcome.data["answered"]) == ("packet engine", 3)
        trace = await site.ask("probe trace 127.0.0.1 -c 1")
        assert (trace.data["way"], trace.data["reached"]) == ("packet engine", True)
        pictures = site.follow("probe mtr 127.0.0.1 interval=0.5")
        picture = await anext(pictures)
        await pictures.aclose()
        assert picture["hops"][-1]["address"] == "127.0.0.1"


async def test_a_capture_is_a_pcap_of_the_packets_that_went_and_came(engine: Program) -> None:
    async with stage(ProbeModule, settings(engine, "127.0.0.1"), **world()) as site:
        await can_send(site)
        outcome = await site.ask("probe capture 2 packets=6")
        assert outcome.state == "done", outcome.text
        assert outcome.data["packets"] == 6
        text = (await site.ask(f"probe captured {outcome.data['name']}")).text
        data = base64.b64decode(text)
        magic, _, _, _, _, _, link = struct.unpack_from("<IHHiIII", data)
        assert (magic, link) == (0xA1B23C4D, 101)  # nanoseconds; raw IP
        assert data[24 + 16] >> 4 == 4
        assert (await site.ask("probe captured")).data[0]["packets"] == 6


async def test_what_the_engine_must_not_probe_is_told_and_the_rest_is_probed(engine: Program) -> None:
    targets = ("missing.example", "224.0.0.1 many", "127.0.0.1", "192.0.2.1 far")
    async with stage(ProbeModule, settings(engine, *targets), **world()) as site:
        await can_send(site)
        await until(lambda: "denied" in site.health.parts)
        assert site.health.parts["denied"].text.startswith("the engine does not probe 2 of 4: ")
        rows = (await site.ask("probe targets denied")).data
        assert [row["place"] for row in rows] == ["many", "far"]
        assert all(row["why"] for row in rows)
        await until(lambda: site.module.course.standing.seen[2])
        assert (await site.ask("probe status")).data["denied"] == 2
