"""An agent of the first wire version and a console of today, and the reverse: real processes, on a real server.

The old ones run from the repository's history, with the libraries that are installed for today's.
"""

import asyncio
import json
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from amon.access.sshsig import SigningKey
from tests.e2e.either import Asked
from tests.e2e.world import ALICE, OPS, PASSWORD, AgentProcess, World, seen

ROOT = Path(__file__).parents[2]
FIRST = "feb847b"  # the last state that spoke wire 1.0
INSTANCES = """
[instance.uptime]
[instance.service.settings.services.talker]
driver = "process"
argv = ["/bin/sh", "-c", "echo said; exec sleep 1000"]
"""
SITES = ("cern", "nikhef")

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The tree of that time."""
    folder = tmp_path_factory.mktemp("first")
    made = subprocess.run(["git", "archive", "-o", str(folder / "tree.tar"), FIRST], cwd=ROOT, capture_output=True)
    if made.returncode:
        pytest.skip(f"the history of this checkout does not reach back to {FIRST} (a shallow clone?)")
    subprocess.run(["tar", "xf", "tree.tar"], cwd=folder, check=True)
    return folder


async def site(world: World, name: str, tree: Path, key: SigningKey) -> AgentProcess:
    signers = world.folder / f"{name}-signers"
    signers.write_text(f"{ALICE} {key.public.line}\n")
    made = await world.add_site(name, INSTANCES, account=f'signers = "{signers}"')
    await made.start({"PYTHONPATH": str(tree)})
    return made


async def console(world: World, tree: Path, key: Path, *lines: tuple[str, str], seconds: float = 15.0) -> list[Any]:
    server = world.server
    where = (server.host, server.c2s_port, str(server.ca_file))
    path = world.folder / "asked.json"
    path.write_text(json.dumps(asdict(Asked(ALICE, PASSWORD, *where, OPS, SITES, str(key), lines, seconds))))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, str(ROOT / "tests" / "e2e" / "either.py"), str(path)),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": str(tree), "PYTHONSAFEPATH": "1", "PATH": "/usr/bin:/bin"},
    )
    said, _ = await process.communicate()
    assert process.returncode == 0
    told: list[Any] = json.loads(said)
    return told


async def asked(world: World, agents: Path, consoles: Path) -> dict[str, list[str]]:
    """How a session ended, which only today's version knows."""
    key = SigningKey.generate(world.folder / "key", "alice")
    for name in SITES:
        await site(world, name, agents, key)
    async with world.console() as fleet:
        for name in SITES:
            await seen(fleet, name, "")
        versions = {fleet.sites[name].status for name in SITES}
    assert len(versions) == 1
    reading, changing, signing, wrong, session = await console(
        world,
        consoles,
        world.folder / "key",
        ("uptime", "plain"),
        ("maintenance begin 1h versions", "yes"),
        ("maintenance end", "signed"),
        ("service no-such-command", "plain"),
        ("service follow talker", "plain"),
        seconds=10.0,
    )
    for told in (reading, changing, signing):
        assert {name: state for name, (state, _) in told["ends"].items()} == dict.fromkeys(SITES, "done"), told
    assert reading["plans"] == {}
    assert set(changing["plans"]) == set(SITES)
    assert {state for state, _ in wrong["ends"].values()} == {"invalid"}
    ends: dict[str, list[str]] = session["ends"]
    return ends


async def test_an_agent_of_1_0_does_what_a_console_of_today_asks(world: World, first: Path) -> None:
    ends = await asked(world, agents=first, consoles=ROOT)
    assert all(state == "invalid" and "follow" in text for state, text in ends.values()), ends


async def test_an_agent_of_today_does_what_a_console_of_1_0_asks(world: World, first: Path) -> None:
    """Of a session it reads nothing, and its book closes all the same when the time it gave is up."""
    ends = await asked(world, agents=ROOT, consoles=first)
    assert {name: state for name, (state, _) in ends.items()} == dict.fromkeys(SITES, "lost"), ends
