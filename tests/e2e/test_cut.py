"""A network cut silently: no closed socket but a link that is down, in a network namespace of the test's own."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from amon.words import State
from tests.e2e.world import ALICE, World, seen

pytestmark = [
    pytest.mark.lab,
    pytest.mark.skipif(os.geteuid() != 0 or shutil.which("ip") is None, reason="needs root and iproute2"),
]

HERE, THERE = "10.213.77.1", "10.213.77.2"


async def ip(*words: str) -> None:
    process = await asyncio.create_subprocess_exec("ip", *words, stderr=asyncio.subprocess.PIPE)
    _, said = await process.communicate()
    assert process.returncode == 0, f"ip {' '.join(words)}: {said.decode()}"


@asynccontextmanager
async def cable(name: str) -> AsyncIterator[None]:
    """A namespace of this name with one cable to us."""
    await ip("netns", "add", name)
    try:
        await ip("link", "add", f"{name}-a", "type", "veth", "peer", "name", f"{name}-b", "netns", name)
        await ip("address", "add", f"{HERE}/30", "dev", f"{name}-a")
        await ip("link", "set", f"{name}-a", "up")
        await ip("-n", name, "address", "add", f"{THERE}/30", "dev", f"{name}-b")
        await ip("-n", name, "link", "set", f"{name}-b", "up")
        await ip("-n", name, "link", "set", "lo", "up")
        yield
    finally:
        await ip("netns", "delete", name)


async def test_a_site_cut_off_is_silent_and_answers_late_when_the_link_is_back(tmp_path: Path) -> None:
    name = f"amon{os.getpid() % 10_000}"
    async with cable(name), PrivateServer(tmp_path / "server", admins=(ALICE,), host=HERE) as server:
        world = World(server, tmp_path)
        await world.set_up()
        site = await world.add_site("cern")
        await site.start(prefix=("ip", "netns", "exec", name))
        try:
            async with world.console() as fleet:
                await seen(fleet, "cern", "")
                before = site.memory()
                await ip("-n", name, "link", "set", f"{name}-b", "down")
                with world.asking(fleet, "uptime") as job:
                    job.send()
                    await job.collect()
                    assert str(job.book["cern"].state) == "silent"
                    await ip("-n", name, "link", "set", f"{name}-b", "up")
                    async with asyncio.timeout(40):
                        await job.until(lambda: job.book["cern"].late)
                    assert job.book["cern"].state is State.done
                assert site.process is not None
                assert site.process.returncode is None
                assert site.memory() < before + 4_000_000
        finally:
            await world.stop()
            server.kill()
