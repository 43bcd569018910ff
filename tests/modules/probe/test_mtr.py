"""mtr: pictures of a path, one after the other, and what they look like."""

import asyncio
import re
from array import array
from contextlib import aclosing
from pathlib import Path
from random import Random
from typing import Any

import pytest

from amon.clock import SystemClock
from amon.engine.desk.connection import Client
from amon.engine.messages import SELF, STATES, Batch, Ended, Tally
from amon.errors import Failed
from amon.testing import stage
from modules.probe import ProbeModule, Settings
from modules.probe.hops import Hop, Router
from modules.probe.mtr import Picture, drawn
from modules.probe.settings import Demand
from tests.engine.process.scripted import TENANT, Doing, Engine, Script, ScriptedLoop
from tests.modules.probe.probeworlds import Names
from tests.waiting import until

MADE = Settings(allow=("127.0.0.0/8",))
HOPS = (
    Hop(1, "192.0.2.1", sent=10, answered=10, rtt_last=0.001, rtt_least=0.0005, rtt_mean=0.00111, rtt_most=0.02,
        deviation=0.0003),
    Hop(2, sent=10, loss=100.0),
    Hop(10, "2001:db8::10", 64500, "EXAMPLE-NET", sent=9, answered=6, loss=33.3333, rtt_last=0.1234, rtt_least=0.1,
        rtt_mean=0.11, rtt_most=0.2, deviation=0.01, others=(Router("2001:db8::11", 1, 0, ""),)),
)  # fmt: skip


def world(**more: Any) -> dict[str, Any]:
    return {"name": "probe", "resolver": Names(), "random": Random(1), "clock": SystemClock(), **more}


def test_a_path_is_drawn_in_columns() -> None:
    assert drawn(HOPS).splitlines() == [
        "hop  address          loss %  sent  last ms   mean   best  worst   dev  network",
        "  1  192.0.2.1             0    10      1.0    1.1    0.5   20.0   0.3",
        "  2  *                   100    10",
        " 10  2001:db8::10 +1    33.3     9    123.4  110.0  100.0  200.0  10.0  AS64500 EXAMPLE-NET",
    ]


def test_a_picture_says_what_is_traced_for_how_long_and_what_is_wrong() -> None:
    made = Picture("desy", "192.0.2.7", "failed", "silence behind hop 1", 12.4, 10, "raw socket", HOPS[:1])
    assert str(made).splitlines()[0] == "desy (192.0.2.7), 12 s: silence behind hop 1"
    assert str(Picture("192.0.2.7", "192.0.2.7", "good", "", 1.0, 0, "", ())) == "192.0.2.7, 1 s"


async def test_pictures_come_again_and_again_with_what_is_known_since_the_beginning() -> None:
    async with stage(ProbeModule, MADE, **world()) as site:
        async with asyncio.timeout(20), aclosing(site.follow("probe mtr 127.0.0.1 interval=0.5")) as pictures:
            first, second = await anext(pictures), await anext(pictures)
        assert (first["state"], first["address"], len(first["hops"])) == ("good", "127.0.0.1", 1)
        assert second["sent"] > first["sent"]
        assert second["seconds"] > first["seconds"]
        assert second["hops"][0]["rtt_least"] <= first["hops"][0]["rtt_least"]
        # Who stops it ends the packets, and gives back what it held.
        assert site.module.caps.under_way == 0


async def test_what_must_not_be_probed_is_one_picture_that_says_so() -> None:
    async with stage(ProbeModule, MADE, **world()) as site:
        async with asyncio.timeout(20):
            found = [one async for one in site.follow("probe mtr 192.0.2.1")]
        assert [(one["state"], one["hops"]) for one in found] == [("unmeasured", [])]
        assert "not in `allow`" in found[0]["reason"]


async def test_mtr_counts_as_one_of_those_that_are_under_way() -> None:
    made = Settings(allow=("127.0.0.0/8",), demand=Demand(at_once=1))
    async with stage(ProbeModule, made, **world()) as site:
        async with asyncio.timeout(20), aclosing(site.follow("probe mtr 127.0.0.1")) as pictures:
            await anext(pictures)
            outcome = await site.ask("probe ping 127.0.0.1 -c 1")
            assert (outcome.state, "1 probes are under way" in outcome.text) == ("refused", True)
        with pytest.raises(Failed, match="on demand at most 200"):
            async for _ in site.follow("probe mtr 127.0.0.1 interval=0.5 hops=255"):
                pass


def answers(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
    """The target itself, at the first hop."""
    columns = {
        "state": bytes([STATES.index("answered")]), "rtt": array("q", [1_000_000]).tobytes(), "ttl": b"\x01",
        "source": array("I", [SELF]).tobytes(),
    }  # fmt: skip
    loop.desk.send(client, Batch(job, 0, 1, columns, edition=doing.edition))


async def test_while_the_engine_is_away_the_picture_says_so_and_goes_on_when_it_is_back(tmp_path: Path) -> None:
    path = tmp_path / "engine"
    engine = Engine(path, Script(taken=answers))
    try:
        async with stage(ProbeModule, Settings(engine=path, tenant=TENANT), **world()) as site:
            await until(lambda: site.module.keeper.engine is not None)
            async with asyncio.timeout(20), aclosing(site.follow("probe mtr 192.0.2.1 interval=0.5")) as pictures:
                first = await anext(pictures)
                assert (first["state"], first["reason"], first["sent"]) == ("good", "", 1)
                engine.stop()
                away = await anext(pictures)
                assert re.fullmatch(r"engine away since \d\d:\d\d:\d\dZ, waiting", away["reason"])
                assert (away["state"], away["hops"]) == ("unmeasured", first["hops"])
                engine = Engine(path, Script(taken=answers))
                while (picture := await anext(pictures))["reason"]:
                    assert picture["reason"] == away["reason"]
                assert (picture["state"], picture["sent"]) == ("good", 2)
    finally:
        engine.stop()


async def test_an_engine_that_will_not_go_on_ends_the_pictures_and_says_why(tmp_path: Path) -> None:
    def refuses(loop: ScriptedLoop, client: Client, job: int, doing: Doing) -> None:
        loop.desk.send(client, Ended(job, Tally(), "its tenant is gone"))

    engine = Engine(tmp_path / "engine", Script(taken=refuses))
    try:
        async with stage(ProbeModule, Settings(engine=engine.path, tenant=TENANT), **world()) as site:
            await until(lambda: site.module.keeper.engine is not None)
            async with asyncio.timeout(20):
                found = [one async for one in site.follow("probe mtr 192.0.2.1 interval=0.5")]
            assert (found[-1]["state"], found[-1]["reason"]) == ("unmeasured", "its tenant is gone")
    finally:
        engine.stop()
