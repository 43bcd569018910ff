"""One agent as a service manager starts it: its memory, its cost at rest, how soon it is seen; and one more of it."""

import asyncio
import time
from dataclasses import dataclass

from tests.bench.ground import cpu_seconds, folder, resident, server
from tests.bench.herds import herds, names
from tests.bench.rows import Row, middle, spread
from tests.e2e.world import ALICE, AgentProcess, World, until

MODULES = """
[instance.uptime]
[instance.host]
[instance.service.settings.services.sleeper]
driver = "process"
argv = ["/bin/sleep", "infinity"]
[instance.service.settings.services.sleeper.check]
tcp = "{host}:{port}"
"""


@dataclass(frozen=True, slots=True)
class Plan:
    """rest: seconds that it is watched doing nothing. more: agents added to a process that has one."""

    starts: int
    rest: float
    more: int


async def measure(quick: bool) -> list[Row]:
    plan = Plan(1, 1.0, 2) if quick else Plan(5, 25.0, 50)
    return [*await _one(plan), await _one_more(plan)]


async def _one(plan: Plan) -> list[Row]:
    with folder() as inside:
        async with server("prosody", inside, [ALICE]) as running:
            world = World(running, inside)
            await world.set_up()
            modules = MODULES.format(host=running.host, port=running.c2s_port)
            site = await world.add_site("bench", modules)
            try:
                took = [await _start(world, site) for _ in range(plan.starts)]
                await asyncio.sleep(min(3.0, plan.rest))  # the first look at everything is no rest
                before, began = cpu_seconds(site.pid), time.monotonic()
                await asyncio.sleep(plan.rest)
                idle = 100 * (cpu_seconds(site.pid) - before) / (time.monotonic() - began)
                memory = resident(site.pid)
            finally:
                await world.stop()
    loaded = "TLS, room; uptime, host, service (one, checked by TCP every 10 s)"
    return [
        Row("agent: memory", memory, "MB", 45, "less", loaded),
        Row("agent: CPU at rest", idle, "% of a core", 0.1, "less", f"over {plan.rest:g} s; {loaded}"),
        Row("agent: start to presence", middle(took), "s", 1, "less", f"as a console sees it; {spread(took)} s"),
    ]


async def _start(world: World, site: AgentProcess) -> float:
    """Seconds from starting the process to its presence on a console; one that runs is stopped first."""
    await site.stop()
    async with world.console() as fleet:
        await until(fleet, lambda: not fleet.sites[site.name].online)
        began = time.perf_counter()
        await site.start()
        try:
            await until(fleet, lambda: fleet.sites[site.name].online)
        except TimeoutError:
            raise RuntimeError(f"the agent is not seen; it said: {site.said()[-1000:]}") from None
        return time.perf_counter() - began


async def _one_more(plan: Plan) -> Row:
    """The difference between a process with one agent and a process with many."""
    with folder() as inside:
        jids = [f"{name}@agents.amon.test" for name in names(plan.more + 2)]
        async with (
            server("prosody", inside, [ALICE, *jids]) as running,
            herds(running, inside / "one", jids[:1], 1) as alone,
            herds(running, inside / "many", jids[1:], 1) as many,
        ):
            one, all_ = resident(alone[0]), resident(many[0])
    note = f"one {one:.1f} MB, {plan.more + 1} in one process {all_:.1f} MB; each with its journal"
    return Row("agent: one more in its process", (all_ - one) / plan.more, "MB", 0.5, "less", note)
