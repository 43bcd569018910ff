"""All routers of each hop, found by sending further flows until no new ones are to be expected.

Sources: Augustin, Friedman, Teixeira, "Multipath tracing with Paris traceroute", E2EMON 2007 (the rule and its table);
Veitch et al., "Failure control in multipath route tracing", INFOCOM 2009; Vermeulen et al., "Multilevel MDA-Lite Paris
traceroute", IMC 2018: flows are used again at each hop, and a hop as a whole is asked, not each of its routers. Beyond
MDA-Lite's simple case (hops whose routers are meshed unevenly) it may therefore miss some.
"""

import asyncio
from contextlib import aclosing
from typing import Any

import msgspec

from amon.engine.messages import Spec

from .echo import Counts, replies
from .hops import Path
from .ping import line
from .shape import Trial

ROUNDS_MOST = 12
TRIES = 3
"""Volleys at a hop that tell nothing new because answers are missing."""


def flows_for(routers: int, failure: float) -> int:
    """How many answered flows rule out that there are `routers` of them, when fewer were seen.

    The least n such that n flows, spread evenly over them, miss one with a probability of at most `failure`: at 5 %
    6, 11, 16, 21, 27, 33, ... for 2, 3, 4, ... routers, as in the paper's table.
    """
    seen = [1.0] + [0.0] * routers  # probability of having met so many of them
    flows = 0
    while 1.0 - seen[routers] > failure:
        for count in range(routers, 0, -1):
            again, new = seen[count] * count / routers, seen[count - 1] * (routers - count + 1) / routers
            seen[count] = again + new
        seen[0] = 0.0
        flows += 1
    return flows


async def explore(path: Path, spec: Spec, failure: float, most: int, trial: Trial[Any], counts: Counts) -> None:
    """Fill the path. spec: of a visit of all hops; most: flows at one hop."""
    asked = min(most, flows_for(2, failure))
    await volley(path, msgspec.structs.replace(spec, flows=asked, rounds=1), trial, counts)
    tries: dict[int, int] = {}
    for _ in range(ROUNDS_MOST):
        wanted = _wanted(path, failure, most, tries)
        if not wanted:
            return
        trial.say("more flows at " + ", ".join(f"hop {ttl}: {flows}" for ttl, flows in wanted.items()))
        one = msgspec.structs.replace(spec, rounds=1)
        async with asyncio.TaskGroup() as group:
            for ttl, flows in wanted.items():
                here = msgspec.structs.replace(one, ttl=ttl, last_ttl=ttl, flows=flows)
                group.create_task(volley(path, here, trial, counts))


def _wanted(path: Path, failure: float, most: int, tries: dict[int, int]) -> dict[int, int]:
    """Flows by hop that the rule still asks for."""
    wanted = {}
    for ttl in path.ttls():
        width = path.width(ttl)
        need = min(most, flows_for(width + 1, failure)) if width else 0
        if need > path.flows(ttl) and not path.is_per_packet(ttl) and tries.get(ttl, 0) < TRIES + width:
            tries[ttl] = tries.get(ttl, 0) + 1
            wanted[ttl] = need
    return wanted


async def volley(path: Path, spec: Spec, trial: Trial[Any], counts: Counts) -> None:
    stream = replies(path.address, spec, trial.world, counts)
    async with aclosing(stream):
        async for reply in stream:
            path.add(reply)
            trial.say(f"hop {reply.ttl}, flow {reply.flow}, {line(reply, path.version)}")
