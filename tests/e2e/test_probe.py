"""Probes between two sites, asked from a console and from a chat, through a real server and real agents."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from amon.ids import new_id
from amon.runtime.fleet import Fleet
from amon.xmpp.events import Received
from tests.admin_console.programs import Program, in_pipe, on_terminal
from tests.e2e.world import ALICE, OPS, PASSWORD, World, seen, until

PROBE = '[instance.probe]\n[instance.probe.settings]\nallow = ["127.0.0.0/8"]\nmesh = true\ninterval = 0.2\n'
TAGS = {"cern": 'tags = { probe = "127.0.0.11" }', "desy": 'tags = { probe = "127.0.0.12" }', "ral": ""}


async def sites(world: World, *names: str) -> None:
    for name in names:
        await (await world.add_site(name, PROBE, top=TAGS[name])).start()


def console(world: World, **more: str) -> str:
    """A configuration of Alice's console."""
    path = world.folder / "console.toml"
    said = {"jid": ALICE, "password": PASSWORD, "room": OPS, "host": world.server.host,
            "ca_file": str(world.server.ca_file), **more}  # fmt: skip
    lines = [f'{name} = "{value}"' for name, value in said.items()]
    path.write_text("\n".join([*lines, f"port = {world.server.c2s_port}"]) + "\n")
    path.chmod(0o600)
    return str(path)


async def run(world: World, *words: str, code: int = 0) -> str:
    """What `amon run` printed."""
    async with in_pipe("--config", console(world), "run", *words, folder=world.folder) as program:
        assert await program.ended(40) == code, program.text
        return program.text


@asynccontextmanager
async def online(world: World, *names: str) -> AsyncIterator[Fleet]:
    async with world.console() as fleet:
        for name in names:
            await seen(fleet, name, "away")  # a mesh that was told of nobody says so
        yield fleet


async def test_any_two_sites_probe_each_other_by_name(world: World) -> None:
    await sites(world, "cern", "desy", "ral")
    async with online(world, "cern", "desy", "ral"):
        there = await run(world, "cern", "probe", "ping", "@desy", "-c", "3", "-i", "0.05")
        assert re.search(r"cern: done: desy \(127\.0\.0\.12\): 3 of 3 answered", there)
        back = await run(world, "desy", "probe", "ping", "@cern", "-c", "3", "-i", "0.05")
        assert re.search(r"desy: done: cern \(127\.0\.0\.11\): 3 of 3 answered", back)
        both = await run(world, "all", "probe", "ping", "@all", "-c", "1")  # each all the others
        assert "cern: done: desy (127.0.0.12): 1 of 1 answered" in both
        assert "desy: done: cern (127.0.0.11): 1 of 1 answered" in both
        missing = await run(world, "cern", "probe", "ping", "@ral", code=13)
        assert 'ral tells no probe address; next: [tags] probe = "ADDRESS" in its agent.toml' in missing
        unknown = await run(world, "cern", "probe", "ping", "@desyy", code=13)
        assert "no site is named 'desyy'; did you mean desy?" in unknown
        story = await run(world, "cern", "probe", "ping", "@desy", "-c", "2", "--explain")
        assert story.count("answered by 127.0.0.12") == 2


async def test_a_mesh_begins_when_every_site_was_told_of_the_others_and_then_a_chat_knows_them_too(
    world: World,
) -> None:
    await sites(world, "cern", "desy")
    async with online(world, "cern", "desy") as fleet:
        assert "told of none" in await chat(fleet, world, "probe ping @desy -c 1")
        refused = await run(world, "all", "probe", "peers", "@all", code=13)
        assert "would" not in refused
        assert "new: desy" in refused  # nobody was there to say yes to this plan
        told = await run(world, "--yes", "all", "probe", "peers", "@all")
        assert "cern: done: 1 other site with an address, version 1; new: desy" in told
        for name in ("cern", "desy"):
            assert (await seen(fleet, name, "")).startswith("OK")
        status = await run(world, "cern", "probe", "targets")
        assert re.search(r"desy +127\.0\.0\.12 +mesh +ok", status)
        assert "desy (127.0.0.12): 1 of 1 answered" in await chat(fleet, world, "probe ping @desy -c 1")
        # Over a restart of the agent: what was told lies on its disk.
        site = world.sites["cern"]
        await site.stop()
        await until(fleet, lambda: not fleet.sites["cern"].online)
        await site.start()
        await seen(fleet, "cern", "")
        assert "127.0.0.12" in await run(world, "cern", "probe", "sites")


async def test_mtr_is_drawn_in_place_until_ctrl_c(world: World) -> None:
    await sites(world, "cern", "desy")
    async with online(world, "cern", "desy"):
        words = ("--config", console(world), "run", "cern", "probe", "mtr", "@desy", "-i", "0.5")
        async with on_terminal(*words, folder=world.folder) as program:
            await program.wait_for("desy (127.0.0.12), 2 s")
            program.type(b"\x03")
            assert await program.ended(20) == 0, program.text
        assert_drawn(program)
        piped = await run(world, "--for", "3s", "cern", "probe", "mtr", "127.0.0.12", "-i", "0.5")
        assert 1 <= piped.count("hop  address") <= 2  # now and then, and the last


def assert_drawn(program: Program) -> None:
    """Each picture over the last one; at the end one of them stays, with the outcome below it."""
    assert program.text.count("\x1b[2K\x1b[1A") > 2
    last = program.text.rpartition("\x1b[2K")[2]
    assert last.count("hop  address") == 1
    assert re.search(r"127\.0\.0\.12 +0 ", last)
    assert "stopped by you" in last


async def chat(fleet: Fleet, world: World, line: str) -> str:
    """What cern says to a line that Alice types."""
    heard: asyncio.Queue[str] = asyncio.Queue()
    received = fleet.received

    def listen(message: Received) -> None:
        if message.sender == f"cern@{world.server.agents}" and message.text:
            heard.put_nowait(message.text)
        received(message)

    fleet.received = listen  # type: ignore[method-assign]
    try:
        fleet.connection.say(fleet.sites["cern"].jid, line, id=new_id(world.clock.time()))
        async with asyncio.timeout(20):
            return await heard.get()
    finally:
        fleet.received = received  # type: ignore[method-assign]
