"""The hub as a program of its own, beside real agents: typed once, answered once; killed, and nobody is silent."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.clients.profanity import NeverCame
from tests.e2e.test_answers import SLEEPER
from tests.e2e.test_client import person as client
from tests.e2e.world import ALICE, OPS, PASSWORD, Notices, World, seen
from tests.hub.stage import person

HUB = "hub@amon.test"
POLICY = f'admin = ["{ALICE}"]\nobserver = ["{HUB}"]\ngatherer = "{HUB}"'
SITES = ("cern", "desy", "ral")


class HubProcess:
    """`amon hub`, started as a service manager would."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.notices = Notices(folder / "notify")
        self.process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        words = [str(Path(sys.executable).with_name("amon")), "hub", "--config", str(self.folder / "hub.toml")]
        with (self.folder / "hub.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *words,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(self.notices.path)},
            )
        await self.notices.wait("READY=1")

    async def shows(self, status: str) -> None:
        """Until it has told so, perhaps before it was ready."""
        if not any(status in notice for notice in self.notices.heard):
            await self.notices.wait(status)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def end(self, number: int) -> int:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(number)
        return await self.process.wait()


@asynccontextmanager
async def hub(world: World, *names: str, instances: str = "") -> AsyncIterator[HubProcess]:
    """A hub that sees these sites, which let it gather."""
    folder = world.folder / "hub"
    folder.mkdir()
    await world.server.add_account(HUB, PASSWORD)
    async with world.console(settled=False) as fleet:
        await fleet.connection.create_room(OPS, admins=[HUB])
    config = folder / "hub.toml"
    config.write_text(
        f'jid = "{HUB}"\npassword = "{PASSWORD}"\nroom = "{OPS}"\nhost = "{world.server.host}"\n'
        f'port = {world.server.c2s_port}\nca_file = "{world.server.ca_file}"\nstate = "state"\n'
    )
    config.chmod(0o600)
    for name in names:
        site = await world.add_site(name, instances)
        site.config.write_text(world.configuration(name, instances, policy=POLICY))
        await site.start()
    async with world.console() as fleet:
        for name in names:
            await seen(fleet, name, "")
    made = HubProcess(folder)
    await made.start()
    try:
        await made.shows(f"STATUS=OK {len(names)}/{len(names)}")
        yield made
    finally:
        await made.end(signal.SIGTERM)
        made.notices.close()


async def test_a_line_is_answered_once_and_the_program_ends_in_order(world: World) -> None:
    async with hub(world, *SITES) as program, person(world, ALICE, PASSWORD) as alice:
        alice.type("!status @all")
        assert "cern, desy, ral: OK 1/1" in await alice.told("all 3 done")
        await world.sites["ral"].stop()
        await program.shows("STATUS=CRIT 1/3: ral offline")
        alice.type("!status @all")
        assert "ral: not-here" in await alice.told("2 of 3 done, 1 not-here")
        assert alice.tellers == {"hub"}
        assert await program.end(signal.SIGTERM) == 0


async def test_a_hub_that_is_killed_before_it_heard_leaves_it_to_the_sites(world: World) -> None:
    async with hub(world, *SITES) as program, person(world, ALICE, PASSWORD) as alice:
        program.signal(signal.SIGSTOP)
        alice.type("!status @all")
        await program.end(signal.SIGKILL)
        await program.start()
        await alice.wait(lambda: alice.tellers == set(SITES))
        assert {text for _, text in alice.heard} == {f"{name}: OK 1/1" for name in SITES}


async def test_a_hub_that_is_killed_while_somebody_thinks_goes_on_after_its_next_start(world: World) -> None:
    async with hub(world, "cern", "desy", instances=SLEEPER) as program, person(world, ALICE, PASSWORD) as alice:
        alice.type("!service restart httpd @all")
        asked = await alice.told("would change all 2 sites")
        await program.end(signal.SIGKILL)
        await program.start()
        alice.type(f"!yes {asked.partition('!yes ')[2][:3]}")
        text = await alice.told("all 2 done")
        assert "cern, desy: httpd up" in text
        assert alice.tellers == {"hub"}


@pytest.mark.timeout(120)
async def test_a_hub_comes_back_by_itself_after_its_server_did(world: World) -> None:
    async with hub(world, *SITES) as program:
        await world.server.restart()
        async with world.console() as fleet:
            for name in SITES:
                await seen(fleet, name, "", within=60)
            async with asyncio.timeout(60):
                while not any(one.jid == HUB for one in fleet.connection.occupants(OPS)):  # noqa: ASYNC110
                    await asyncio.sleep(0.1)
        async with person(world, ALICE, PASSWORD) as alice:
            for _ in range(20):  # until the sites see it in the room, they answer themselves
                alice.heard.clear()
                alice.type("!status @all")
                await alice.wait(lambda: len(alice.heard) == 3 or "hub" in alice.tellers)
                if alice.tellers == {"hub"}:
                    break
            assert "all 3 done" in alice.heard[0][1]
        log = (program.folder / "hub.log").read_text()
        assert "Traceback" not in log


@pytest.mark.clients
async def test_a_person_with_a_real_client_types_once_and_reads_one_answer(world: World) -> None:
    async with hub(world, *SITES), client(world, ALICE) as alice:
        await alice.connect()
        await alice.join(OPS)
        await alice.say("!status @all")
        await alice.wait_for(
            r"RECV: <message [^\n]*from=.hub@amon.test(?s:.*?)all 3 done(?s:.*?)cern, desy, ral: OK 1/1"
        )
        with pytest.raises(NeverCame):
            await alice.wait_for(r"RECV: <message [^\n]*from=.(cern|desy|ral)@agents", within=1)
        await alice.message(HUB, "status")
        await alice.wait_for(r"RECV: <message [^\n]*from=.hub@amon.test[^\n]*<body>OK 3/3")
