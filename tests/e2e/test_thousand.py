"""A thousand sites of which ten each misbehave in every way there is: the real console program on a real server.

It ends on time and names each of them; a script can tell "some failed" from "some did not answer".
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from admin_console.server import PrivateServer
from amon.access.sshsig import SigningKey
from amon.job import ExitCode
from tests.bench.ground import raise_file_limit, server
from tests.bench.herds import herds
from tests.e2e.odd_sites import LARGE, Answers, Junk, fails, hangs, large, mute, odd_sites, refuses, twice
from tests.e2e.world import ALICE, OPS, PASSWORD, World

pytestmark = [pytest.mark.servers, pytest.mark.timeout(300)]

SITES, EACH = 1000, 10
KINDS = {
    "offline": "not-here",
    "refuses": "refused",
    "fails": "failed",
    "hangs": "lost",
    "dies": "lost",
    "twice": "done",
    "large": "done",
    "junk": "silent",
    "mute": "silent",
}
GOOD = [f"a-{number:03}" for number in range(SITES - EACH * len(KINDS))]
ACCEPT_BY, DEADLINE, GRACE = 4.0, 6.0, 2.0
SLACK = 25.0  # seconds: starting the program, logging in and seeing a thousand sites, beside other work


def of(kind: str) -> list[str]:
    return [f"{kind}-{number}" for number in range(EACH)]


@dataclass
class Ran:
    code: int
    took: float
    document: dict[str, Any]

    @property
    def states(self) -> dict[str, str]:
        return {row["site"]: row["state"] for row in self.document["sites"]}

    def row(self, site: str) -> dict[str, Any]:
        (found,) = [row for row in self.document["sites"] if row["site"] == site]
        assert isinstance(found, dict)
        return found


class Thousand:
    def __init__(self, running: PrivateServer, folder: Path) -> None:
        self._running, self._folder = running, folder
        where = {"jid": ALICE, "password": PASSWORD, "room": OPS, "host": running.host, "ca_file": running.ca_file}
        text = "".join(f'{key} = "{value}"\n' for key, value in where.items()) + f"port = {running.c2s_port}\n"
        (folder / "console.toml").write_text(text)
        (folder / "console.toml").chmod(0o600)

    def odd(self, kind: str, answers: Answers, *, dies: bool = False) -> Any:
        running = self._running
        jids = [f"{name}@{running.agents}" for name in of(kind)]
        return odd_sites(jids, answers, PASSWORD, running.host, running.c2s_port, running.ca_file, dies=dies)

    async def run(self, target: str, *options: str) -> Ran:
        """`amon run` as somebody types it; ten of the sites die of it."""
        async with self.odd("dies", hangs, dies=True):
            began = time.monotonic()
            process = await asyncio.create_subprocess_exec(
                str(Path(sys.executable).with_name("amon")),
                *("--config", str(self._folder / "console.toml"), "run", "--json"),
                *("--accept-by", f"{ACCEPT_BY:g}s", "--timeout", f"{DEADLINE:g}s", *options, target, "uptime"),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                env={**os.environ, **{f"XDG_{kind}_HOME": str(self._folder / kind) for kind in ("STATE", "CACHE")}},
            )
            out, notes = await process.communicate()
        assert process.returncode is not None
        assert out, notes.decode()
        return Ran(process.returncode, time.monotonic() - began, json.loads(out))


@pytest.fixture
async def thousand(tmp_path: Path) -> AsyncIterator[Thousand]:
    raise_file_limit()
    names = [*GOOD, *(name for kind in KINDS for name in of(kind))]
    jids = [f"{name}@agents.amon.test" for name in names]
    async with server("prosody", tmp_path, [ALICE, *jids]) as running, AsyncExitStack() as stack:
        assert isinstance(running, PrivateServer)
        async with World(running, tmp_path).console(settled=False) as fleet:
            await fleet.connection.create_room(OPS, members=jids, admins=[ALICE])
        good = [f"{name}@agents.amon.test" for name in GOOD]
        await stack.enter_async_context(herds(running, tmp_path / "sites", good, 2))
        made = Thousand(running, tmp_path)
        key = SigningKey.generate(tmp_path / "key", "nobody")
        odd: dict[str, Answers] = {"refuses": refuses, "fails": fails, "hangs": hangs, "twice": twice, "large": large}
        odd |= {"junk": Junk(key), "mute": mute}
        for kind, answers in odd.items():
            await stack.enter_async_context(made.odd(kind, answers))
        yield made


def named_each(ran: Ran) -> None:
    """Every site is in the table, and each that misbehaves with what is true of it."""
    expected = {**dict.fromkeys(GOOD, "done"), **{name: state for kind, state in KINDS.items() for name in of(kind)}}
    wrong = {name: (state, ran.states.get(name)) for name, state in expected.items() if ran.states.get(name) != state}
    assert wrong == {}
    assert len(ran.states) == SITES


async def test_a_thousand_sites_of_which_ninety_misbehave(thousand: Thousand) -> None:
    whole = await thousand.run("all")
    named_each(whole)
    assert whole.took < DEADLINE + GRACE + SLACK
    assert whole.code == ExitCode.failed
    assert {one["site"] for one in whole.document["unexpected"]} >= set(of("twice"))
    row = whole.row("large-0")
    assert (row["cut"], row["whole"]["size"]) == (True, LARGE)
    assert len(json.dumps(row)) < 100_000

    some_silent = await thousand.run("a-00* or mute-*")
    assert some_silent.code == ExitCode.no_answer
    some_failed = await thousand.run("a-00* or fails-*")
    assert some_failed.code == ExitCode.failed
    assert (await thousand.run("a-00*")).code == ExitCode.all_done

    batches = await thousand.run("all", "--batch", "50")
    named_each(batches)
    # Forty of them keep a place for the whole time, twenty until they should have accepted.
    assert batches.took < 4 * (DEADLINE + GRACE) + SLACK

    canaries = await thousand.run("all", "--canary", "5", "--batch", "50", "--max-failures", "3")
    counts = Counter(canaries.states.values())
    assert set(canaries.states) == set(whole.states)
    assert canaries.code in (ExitCode.failed, ExitCode.no_answer)
    assert counts["not-started"] > 0
    assert 3 < counts["failed"] + counts["lost"] + counts["silent"] + counts["refused"] <= 3 + 50

    dead_canary = await thousand.run("fails-* or twice-*", "--canary", "5", "--batch", "50")
    assert Counter(dead_canary.states.values()) == {"failed": 5, "not-started": 15}
