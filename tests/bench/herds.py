"""Fleets on this machine: herds of agents in processes of their own, and a console that counts them."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from tests.bench.ground import ROOT, Server
from tests.bench.herd import Herd
from tests.e2e.world import ALICE, PASSWORD

_ONLINE_WITHIN = 90.0
_END_WITHIN = 30.0


def names(count: int) -> list[str]:
    return [f"site-{number:04}" for number in range(count)]


@asynccontextmanager
async def herds(
    running: Server, inside: Path, jids: Sequence[str], processes: int, room: str = "", hub: str = ""
) -> AsyncIterator[list[int]]:
    """These agents, online, shared out among so many processes; their pids."""
    async with AsyncExitStack() as stack:
        started = [
            await stack.enter_async_context(_herd(running, inside, jids[number::processes], room, hub))
            for number in range(processes)
        ]
        async with asyncio.timeout(_ONLINE_WITHIN):
            for process in started:
                assert process.stdout is not None
                if await process.stdout.readline() != b"online\n":
                    raise RuntimeError(f"a herd ended with {await process.wait()}")
        yield [process.pid for process in started]


@asynccontextmanager
async def _herd(
    running: Server, inside: Path, jids: Sequence[str], room: str, hub: str
) -> AsyncIterator[asyncio.subprocess.Process]:
    herd = Herd(
        jids=tuple(jids),
        host=running.host,
        port=running.c2s_port,
        ca_file=str(running.ca_file),
        folder=str(inside),
        admin=ALICE,
        password=PASSWORD,
        room=room,
        hub=hub,
    )
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.herd", stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdin is not None
    try:
        process.stdin.write(herd.to_json())
        yield process
    finally:
        process.stdin.close()
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    try:
        async with asyncio.timeout(_END_WITHIN):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
