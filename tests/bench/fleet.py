"""A command to a hundred and to a thousand agents: from sending it, on a connected console, to the closed book."""

import os
import time
from dataclasses import dataclass

from amon.ids import new_id
from amon.job import ALL_AT_ONCE
from amon.job import Plan as Rolling
from amon.runtime.fleet import Fleet
from amon.runtime.gather import Job, gathering
from amon.words import State
from tests.bench.ground import Kind, Server, cpu_seconds, folder, has_ejabberd, resident, server
from tests.bench.herds import herds, names
from tests.bench.rows import Row, middle, spread
from tests.e2e.world import ALICE, OPS, World, until

READ, CHANGE = "uptime", "maintenance begin 1h bench"
_DEADLINE = 30.0


@dataclass(frozen=True, slots=True)
class Plan:
    """One fleet and what is asked of it. budgets: seconds by command; room: through it, else direct."""

    kind: Kind
    sites: int
    processes: int
    room: bool
    budgets: dict[str, float]
    repeats: int


async def measure(quick: bool) -> list[Row]:
    if quick:
        return await ask(Plan("prosody", 10, 2, True, {READ: 0.15}, 1))
    rows = await ask(Plan("prosody", 100, 2, True, {READ: 0.15}, 9))
    thousand = {READ: 1.0, CHANGE: 2.0}
    rows += await ask(Plan("prosody", 1000, 3, False, thousand, 5))
    if has_ejabberd():
        rows += await ask(Plan("ejabberd", 1000, 3, False, thousand, 5))
    return rows


async def ask(plan: Plan) -> list[Row]:
    with folder() as inside:
        sites = names(plan.sites)
        jids = [f"{name}@agents.amon.test" for name in sites]
        async with server(plan.kind, inside, [ALICE, *jids]) as running:
            world = World(running, inside)
            if plan.room:
                async with world.console(settled=False) as fleet:
                    await fleet.connection.create_room(OPS, members=jids, admins=[ALICE])
            began = time.perf_counter()
            room = OPS if plan.room else ""
            async with herds(running, inside / "sites", jids, plan.processes, room) as pids:
                online = time.perf_counter() - began
                async with world.console(settled=plan.room) as fleet:
                    await fleet.enter(jids)
                    await until(fleet, lambda: all(site.online for site in fleet.sites.values()), 60)
                    all_ = [os.getpid(), running.pid or 0, *pids]
                    rows = [await _row(plan, fleet, world, line, all_) for line in plan.budgets]
                    rows.append(await _rolled(plan, fleet, world))
                    return [*rows, _memory(plan, running, pids, online)]


async def _row(plan: Plan, fleet: Fleet, world: World, line: str, pids: list[int]) -> Row:
    await _once(plan, fleet, world, line)
    before = sum(map(cpu_seconds, pids))
    took = [await _once(plan, fleet, world, line) for _ in range(plan.repeats)]
    worked = (sum(map(cpu_seconds, pids)) - before) / plan.repeats
    way = "through the room" if plan.room else "direct"
    what = f"{plan.kind}, `{line.partition(' 1h')[0]}` to {plan.sites:,} agents"
    note = f"{way}, {plan.processes} processes; {spread(took)} s; {worked:.2g} s of CPU by all"
    if line == CHANGE:
        note += "; every journal synced"
    return Row(what, middle(took), "s", plan.budgets[line], "less", note)


async def _rolled(plan: Plan, fleet: Fleet, world: World) -> Row:
    """The same in turns: two first, then so many at a time."""
    rolling = Rolling(batch=max(1, plan.sites // 20), canary=2)
    took = [await _once(plan, fleet, world, READ, rolling) for _ in range(plan.repeats)]
    what = f"{plan.kind}, `{READ}` to {plan.sites:,} agents, {rolling.batch} at a time"
    return Row(what, middle(took), "s", None, "less", f"two canaries; {spread(took)} s")


async def _once(plan: Plan, fleet: Fleet, world: World, line: str, rolling: Rolling = ALL_AT_ONCE) -> float:
    """Seconds from sending to the closed book, in which every site must be done."""
    names = tuple(sorted(fleet.sites))
    job = Job(new_id(world.clock.time()), line, names, _DEADLINE, confirmed=True, plan=rolling)
    with gathering(fleet, OPS if plan.room else None, job, world.clock) as under_way:
        began = time.perf_counter()
        under_way.send()
        await under_way.collect()
        took = time.perf_counter() - began
        if under_way.book.counts() != {State.done: plan.sites}:
            raise RuntimeError(f"{line}: {under_way.book.summary()}")
    return took


def _memory(plan: Plan, running: Server, pids: list[int], online: float) -> Row:
    herd = sum(map(resident, pids))
    served = resident(running.pid) if running.pid is not None else 0.0
    note = f"whole processes; {plan.kind} {served:.0f} MB, this console {resident(os.getpid()):.0f} MB"
    note += f"; all online after {online:.1f} s"
    return Row(f"{plan.kind}, {plan.sites:,} agents: memory of one", herd / plan.sites, "MB", None, "less", note)
