"""A line typed in the room for a hundred and a thousand agents: from the key to the one summary that the hub says."""

import asyncio
import os
import sys
import time
from pathlib import Path

from admin_console.hub.run import living
from admin_console.hub.settings import load
from amon.notify import Notify
from tests.bench.ground import cpu_seconds, folder, raise_file_limit, resident, server
from tests.bench.herds import herds, names
from tests.bench.rows import Row, middle, spread
from tests.e2e.world import ALICE, OPS, PASSWORD, World
from tests.hub.stage import Person, person

HUB = "hub@amon.test"


async def measure(quick: bool) -> list[Row]:
    sizes = (10,) if quick else (100, 1000)
    return [row for size in sizes for row in await ask(size, 1 if quick else 7)]


async def ask(size: int, repeats: int) -> list[Row]:
    with folder() as inside:
        sites = names(size)
        jids = [f"{name}@agents.amon.test" for name in sites]
        async with server("prosody", inside, [ALICE, HUB, *jids]) as running:
            world = World(running, inside)
            async with world.console(settled=False) as fleet:
                await fleet.connection.create_room(OPS, members=jids, admins=[ALICE, HUB])
            config = _configured(inside, running.host, running.c2s_port, running.ca_file)
            async with (
                herds(running, inside / "sites", jids, 3 if size > 100 else 2, OPS, HUB) as pids,
                living(load(config), Notify()) as hub,
                person(world, ALICE, PASSWORD) as alice,
            ):
                async with asyncio.timeout(120):
                    await hub.ready.wait()
                    while not all(name in hub.fleet.sites and hub.fleet.gathers(name) for name in sites):  # noqa: ASYNC110
                        await asyncio.sleep(0.2)
                await _once(alice, size)
                before = cpu_seconds(os.getpid())
                took = [await _once(alice, size) for _ in range(repeats)]
                worked = (cpu_seconds(os.getpid()) - before) / repeats
                told = f"{spread(took)} s; {worked:.2g} s of CPU of the hub and the person"
                told += f"; {resident(os.getpid()):.0f} MB the hub; {len(pids)} processes of agents"
                what = f"prosody, `!uptime @all` typed to {size:,} agents, one summary"
                return [Row(what, middle(took), "s", None, "less", told)]


async def _once(alice: Person, size: int) -> float:
    alice.heard.clear()
    began = time.perf_counter()
    alice.type("!uptime @all")
    await alice.told(f"all {size} done", within=60)
    took = time.perf_counter() - began
    assert alice.tellers == {"hub"}, alice.tellers
    return took


def _configured(inside: Path, host: str, port: int, ca_file: Path) -> Path:
    config = inside / "hub.toml"
    config.write_text(
        f'jid = "{HUB}"\npassword = "{PASSWORD}"\nroom = "{OPS}"\nhost = "{host}"\nport = {port}\n'
        f'ca_file = "{ca_file}"\nstate = "hub-state"\n'
    )
    config.chmod(0o600)
    return config


if __name__ == "__main__":
    raise_file_limit()
    for row in asyncio.run(ask(int(sys.argv[1]), 5)):
        print(f"{row.what}: {row.value:.3g} {row.unit} ({row.note})")
