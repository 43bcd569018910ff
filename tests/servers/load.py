"""What the limits of `amon server config` cost: `python -m tests.servers.load [prosody|ejabberd]`; no test.

Two servers run beside each other, with the printed configuration and with the same less what limits the sending. A
broadcast to a hundred agents and round trips of 10 KiB, 64 in flight, go to one and the other in turns.
"""

import asyncio
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

from admin_console.server import PrivateServer
from admin_console.server.writing import fleet_text
from amon.ids import new_id
from amon.runtime.fleet import Fleet
from amon.runtime.gather import Job, gathering
from amon.words import State
from tests.bench.fleet import READ
from tests.bench.ground import ROOT, Server, folder
from tests.bench.herds import herds, names
from tests.bench.rows import middle
from tests.e2e.world import ALICE, OPS, PASSWORD, World, until
from tests.servers.ejabberd import EjabberdServer
from tests.servers.printed import ejabberd_with, prosody_with

_SITES, _REPEATS = 100, 9
_SECONDS = 0.3  # nine times that stay within what a connection may send at once; beyond it the limit is felt
_ENDS = ("echo@amon.test", "drive@amon.test")


def _without(text: str) -> str:
    text = text.replace("filters.add_filter_hook(function", "local _ = (function")
    return re.sub(r"    shaper: c2s_shaper\n", "", text)


async def _server(program: str, inside: Path, limited: bool) -> Server:
    text = fleet_text(program, domain="amon.test", admins=[ALICE], sites=_SITES)
    text = text if limited else _without(text)
    server: Server
    if program == "prosody":
        server = PrivateServer(inside, configure=prosody_with(text), iterations=4096)
    else:
        server = EjabberdServer(inside, configure=ejabberd_with(text))
    for jid in (ALICE, *_ENDS, *(f"{name}@agents.amon.test" for name in names(_SITES))):
        await server.add_account(jid, PASSWORD)
    return server


@asynccontextmanager
async def _partner(server: Server, role: str) -> AsyncIterator[asyncio.subprocess.Process]:
    me, peer = (f"{role}@amon.test/bench", f"{'drive' if role == 'echo' else 'echo'}@amon.test/bench")
    argv = (role, server.host, str(server.tls_port), str(server.ca_file), me, peer, PASSWORD)
    pipe = subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.partner", *argv, stdin=pipe, stdout=pipe, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield process
    finally:
        assert process.stdin is not None
        process.stdin.close()  # which ends it
        async with asyncio.timeout(10):
            await process.wait()


async def _tell(process: asyncio.subprocess.Process, line: str) -> str:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.write(f"{line}\n".encode())
    return (await process.stdout.readline()).decode()


async def _trips(servers: dict[str, Server]) -> None:
    async with AsyncExitStack() as stack:
        pairs = {}
        for name, server in servers.items():
            echo = await stack.enter_async_context(_partner(server, "echo"))
            pairs[name] = echo, await stack.enter_async_context(_partner(server, "drive"))
        for window in (64, 1):
            rates: dict[str, list[float]] = {name: [] for name in pairs}
            for _ in range(_REPEATS):
                for name, (echo, drive) in pairs.items():
                    await _tell(echo, "10240")
                    count, took = (await _tell(drive, f"10240 {window} {_SECONDS}")).split()
                    rates[name].append(int(count) / float(took))
            for name, got in rates.items():
                shown = " ".join(f"{rate:.0f}" for rate in sorted(got))
                print(f"10 KiB, {window} in flight, {name}: {middle(got):.0f}/s ({shown})")


def _all_online(fleet: Fleet) -> bool:
    return all(site.online for site in fleet.sites.values())


async def _broadcasts(servers: dict[str, Server], inside: Path) -> None:
    jids = [f"{name}@agents.amon.test" for name in names(_SITES)]
    async with AsyncExitStack() as stack:
        fleets: dict[str, tuple[Fleet, World]] = {}
        for name, server in servers.items():
            world = World(server, inside)
            async with world.console(settled=False) as first:
                await first.connection.create_room(OPS, members=jids, admins=[ALICE])
            await stack.enter_async_context(herds(server, inside / f"sites-{name}", jids, 1, OPS))
            fleet = await stack.enter_async_context(world.console(settled=True))
            await fleet.enter(jids)
            await until(fleet, partial(_all_online, fleet), 60)
            fleets[name] = fleet, world
        took: dict[str, list[float]] = {name: [] for name in fleets}
        for _ in range(_REPEATS):
            for name, (fleet, world) in fleets.items():
                took[name].append(await _asked(fleet, world))
        for name, got in took.items():
            print(
                f"broadcast to {_SITES}, {name}: {middle(got):.3f} s ({' '.join(f'{one:.3f}' for one in sorted(got))})"
            )


async def _asked(fleet: Fleet, world: World) -> float:
    """Seconds from sending to the closed book, in which every site must be done."""
    job = Job(new_id(world.clock.time()), READ, tuple(sorted(fleet.sites)), 30, confirmed=True)
    with gathering(fleet, OPS, job, world.clock) as under_way:
        began = time.perf_counter()
        under_way.send()
        await under_way.collect()
        took = time.perf_counter() - began
    if under_way.book.counts() != {State.done: _SITES}:
        raise RuntimeError(under_way.book.summary())
    return took


async def main(program: str) -> None:
    with folder() as inside:
        servers = {name: await _server(program, inside / name, name == "limited") for name in ("limited", "free")}
        async with AsyncExitStack() as stack:
            for server in servers.values():
                await stack.enter_async_context(server)
            print(program)
            await _trips(servers)
            await _broadcasts(servers, inside)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:] or ["prosody"]))
