"""Whatever is asked, repeated, cancelled and broken at random: every asker hears one end, and nothing runs twice."""

import asyncio
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from amon.command import Call
from amon.errors import Failed, Refused
from tests.runtime.scene import ALICE, BOB, EVE, Ear, Said, Site, site

LINES = (
    "look",
    "look x",
    "restart httpd",
    "restart ghost",
    "restart",
    "nonsense",
    "look --dry-run",
    "help",
    "unlock pw",
)
ENDS = {"done", "failed", "refused", "invalid", "cancelled"}


class Storm:
    def __init__(self, lab: Site, random: Random) -> None:
        self.lab, self.random = lab, random
        self.ran: Counter[str] = Counter()
        self.ears: list[Ear] = []
        lab.lab.body = self.body

    async def body(self, call: Call) -> Said:
        self.ran[f"{call.asker.jid} {call.id}"] += 1
        for _ in range(self.random.randrange(4)):
            call.note("at it")
            await asyncio.sleep(0)
        fate = self.random.randrange(8)
        if fate == 0:
            raise Refused("no")
        if fate == 1:
            raise Failed("not possible")
        if fate == 2:
            raise SystemExit(3)
        if fate == 3:
            raise asyncio.CancelledError
        return Said("x" * self.random.choice((1, 100, 50_000)))

    async def one(self, n: int) -> None:
        by, ident = self.random.choice((ALICE, ALICE, BOB, EVE)), f"01J{n % 60:023d}"
        for _ in range(self.random.randrange(5)):
            await asyncio.sleep(0)
        if self.random.random() < 0.2:
            self.lab.node.dispatch.cancel(("lab", ALICE, ident))
        ear = Ear()
        self.ears.append(ear)
        line, sites = self.random.choice(LINES), self.random.choice((1, 1, 2))
        confirmed = self.random.random() < 0.5
        incoming = self.lab.incoming(line, by=by, ident=ident, sites=sites, confirmed=confirmed)
        await self.lab.node.dispatch.handle(incoming, ear)


@pytest.mark.parametrize("seed", range(8))
async def test_every_asker_hears_exactly_one_end_and_no_id_runs_twice(tmp_path: Path, seed: int) -> None:
    async with site(tmp_path, file="j") as lab:
        storm = Storm(lab, Random(seed))
        async with asyncio.timeout(20):
            await asyncio.gather(*(storm.one(n) for n in range(200)))
        for ear in storm.ears:
            ends = [what for what in ear.heard if what in ENDS or what.startswith("needs")]
            assert len(ends) == 1, ear.heard
            assert ear.heard[-1] == ends[0]
        assert storm.ran.most_common(1)[0][1] == 1
        assert lab.node.dispatch.under_way() == 0
        assert await lab.journal.interrupted() == []
        begun = await lab.journal._writer.do(lambda db: db.execute("SELECT count(*) FROM calls").fetchone()[0])
        assert begun >= len(storm.ran)
