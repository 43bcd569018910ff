"""Sessions through a real server: lines per second from one site to one console, and what open ones cost an agent."""

import asyncio
import sys
import time
from dataclasses import dataclass, field

import psutil

from amon.runtime.fleet import Fleet
from amon.wire import Output
from tests.bench.ground import cpu_seconds, folder, resident, server
from tests.bench.rows import Row
from tests.e2e.world import ALICE, AgentProcess, World, until

_RATE = 1000  # lines a second
_IDLE = 8  # sessions; as many as one person may have
_INSTANCES = """
[instance.host]
[instance.service.settings.services.steady]
driver = "process"
settle = 0
argv = ["{python}", "-c", {steady}]
[instance.service.settings.services.flood]
driver = "process"
settle = 0
begin = false
log_limit = "1 MiB"
argv = ["{python}", "-c", {flood}]
"""
_LINE = "'%08d ' % n + 'x' * 91"  # a hundred characters with its end
_STEADY = f"""'''
import time
n, began = 0, time.monotonic()
while True:
    while n < (time.monotonic() - began) * {_RATE}:
        print({_LINE})
        n += 1
    print(end="", flush=True)
    time.sleep(0.01)
'''"""
_FLOOD = f"""'''
n = 0
while True:
    print({_LINE})
    n += 1
'''"""


@dataclass(slots=True)
class _Ear:
    lines: int = 0
    missed: int = 0
    stirred: asyncio.Event = field(default_factory=asyncio.Event)

    def hear(self, site: str, part: Output) -> None:
        self.lines += len(part.items)
        self.missed += part.missed
        self.stirred.set()


async def measure(quick: bool) -> list[Row]:
    seconds = 2.0 if quick else 30.0
    with folder() as inside:
        async with server("prosody", inside, [ALICE]) as running:
            world = World(running, inside)
            await world.set_up()
            instances = _INSTANCES.format(python=sys.executable, steady=_STEADY, flood=_FLOOD)
            site = await world.add_site("bench", instances)
            await site.start()
            try:
                async with world.console() as fleet:
                    await until(fleet, lambda: fleet.sites["bench"].online)
                    rows = await _idle(world, fleet, site, 1.0 if quick else 20.0)
                    rows += await _told(world, fleet, site, "steady", seconds)
                    await world.ask(fleet, "service start flood")
                    rows += await _told(world, fleet, site, "flood", seconds / 3)
                    await world.ask(fleet, "service stop flood")
                    return rows
            finally:
                await world.stop()


async def _told(world: World, fleet: Fleet, site: AgentProcess, name: str, seconds: float) -> list[Row]:
    """One session for so long, after a moment for everything to be loaded."""
    ear, me = _Ear(), psutil.Process()
    with world.asking(fleet, f"service follow {name} lines=0") as job:
        job.on_output = ear.hear
        job.send()
        following = asyncio.create_task(job.collect())
        await ear.stirred.wait()
        await asyncio.sleep(min(3.0, seconds))
        lines, missed, began = ear.lines, ear.missed, time.monotonic()
        before, mine = resident(site.pid), me.memory_info().rss / 2**20
        cpu, my_cpu = cpu_seconds(site.pid), time.process_time()
        await asyncio.sleep(seconds)
        took = time.monotonic() - began
        lines, missed = ear.lines - lines, ear.missed - missed
        grown = resident(site.pid) - before, me.memory_info().rss / 2**20 - mine
        share = 100 * (cpu_seconds(site.pid) - cpu) / took, 100 * (time.process_time() - my_cpu) / took
        job.cancel()
        await following
    note = f"{missed:,} left out; CPU: agent {share[0]:.0f} %, console {share[1]:.0f} %; over {took:.0f} s"
    budget = 0.95 * _RATE if name == "steady" else None
    return [
        Row(f"session: lines heard, {name}", lines / took, "1/s", budget, "more", note),
        Row(f"session: growth of the agent, {name}", max(0.0, grown[0]), "MB", 2, "less"),
        Row(f"session: growth of the console, {name}", max(0.0, grown[1]), "MB", 2, "less"),
    ]


async def _idle(world: World, fleet: Fleet, site: AgentProcess, seconds: float) -> list[Row]:
    """Sessions that say something once an hour. The first also loads what a session needs."""
    ear = _Ear()
    jobs = [world.asking(fleet, "host watch every=1h") for _ in range(_IDLE)]
    following = []
    memory = [resident(site.pid)]
    opened = []
    for one in jobs:
        job = one.__enter__()
        opened.append(job)
        job.on_output = ear.hear
        job.send()
        following.append(asyncio.create_task(job.collect()))
        while ear.lines < len(following):
            ear.stirred.clear()
            await ear.stirred.wait()
        memory.append(resident(site.pid))
    before, began = cpu_seconds(site.pid), time.monotonic()
    await asyncio.sleep(seconds)
    share = 100 * (cpu_seconds(site.pid) - before) / (time.monotonic() - began)
    for job in opened:
        job.cancel()
    await asyncio.gather(*following)
    for one in jobs:
        one.__exit__(None, None, None)
    first, more = memory[1] - memory[0], (memory[-1] - memory[1]) / (_IDLE - 1)
    note = f"the first {first:.2f} MB, which loads what all need; {_IDLE} open take {share:.2f} % of a core at rest"
    return [Row("session: one more that is idle", max(0.0, more), "MB", 0.05, "less", note)]
