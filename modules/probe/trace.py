"""Trace: who is on the way, by ICMP echo of one flow (Paris) or of many, with statistics, networks and MTU of each hop.

Sources: RFC 792; Augustin et al., "Avoiding traceroute anomalies with Paris traceroute", IMC 2006; mtr(8) and
tracepath(8). All hops are asked at once, TTL after TTL: a trace lasts as long as its slowest answer.
"""

import asyncio
import hashlib
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import groupby
from typing import Annotated

from amon.engine.messages import Spec
from amon.fields import Field
from amon.tasks import wait_event
from amon.units import format_quantity

from .echo import Counts, replies
from .hops import Hop, Path, shown
from .multipath import explore, volley
from .ping import Size, Tos, Wait
from .pmtu import along
from .shape import Family, Measurement, Stop, Trial, Verdict, World, said


@dataclass(frozen=True, slots=True)
class Settings:
    count: Annotated[int, Field("packets to each hop", least=1, most=1000)] = 3
    interval: Annotated[float, Field("from one packet to a hop to the next", unit="s", least=0.1, most=3600)] = 0.5
    timeout: Wait = 2.0
    first: Annotated[int, Field("hop to begin with", least=1, most=255)] = 1
    last: Annotated[int, Field("hops to go at most", least=1, most=255)] = 30
    size: Size = 56
    tos: Tos = 0
    multipath: Annotated[bool, Field("look for all routers of each hop")] = False
    failure: Annotated[float, Field("chance of missing one of them", unit="%", least=0.1, most=20)] = 5.0
    flows_most: Annotated[int, Field("different flows to a hop for that", least=2, most=256)] = 96
    mtu: Annotated[bool, Field("look for the largest packet that gets to each hop, too")] = False
    mtu_most: Annotated[int, Field("largest IP packet to try for that", unit="B", least=1280, most=65_535)] = 1500
    family: Family = "any"

    def __post_init__(self) -> None:
        if self.first > self.last:
            raise ValueError(f"first ({self.first}) must not be above last ({self.last})")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trace(Measurement):
    reached: Annotated[bool, Field("whether the target itself answered")] = False
    length: Annotated[int, Field("hops to it, or to the last that answers", unit="1")] = 0
    silent: Annotated[int, Field("hops on the way that never answer", unit="1")] = 0
    rtt: Annotated[float | None, Field("least round trip to the target", unit="s")] = None
    loss: Annotated[float | None, Field("of the packets to the target", unit="%")] = None
    mtu: Annotated[int, Field("largest IP packet that gets to the end, 0 if not known", unit="B")] = 0
    route: Annotated[str, Field("the same as long as the same routers answer")] = ""
    networks: Annotated[str, Field("AS numbers on the way")] = ""
    way: Annotated[str, Field("what sent it")] = ""
    forged: Annotated[int, Field("answers with a wrong nonce", unit="1")] = 0
    hops: Annotated[tuple[Hop, ...], Field("one after the other")] = ()

    def summary(self) -> str:
        if not self.hops:
            return ""
        parts = [f"{self.length} hop{'' if self.length == 1 else 's'}"]
        if self.rtt is not None:
            parts.append(f"rtt {format_quantity(self.rtt, 's')}")
        if self.loss:
            parts.append(f"{self.loss:.3g} % lost")
        if self.silent:
            parts.append(f"{self.silent} silent")
        if self.mtu:
            parts.append(f"MTU {self.mtu}")
        wide = sum(bool(hop.others) for hop in self.hops)
        if wide:
            parts.append(f"{wide} with several routers")
        return ", ".join([*parts, *([self.networks] if self.networks else [])])

    def __str__(self) -> str:
        return "\n".join((said(self, self.summary()), *(f"  {line}" for line in shown(self.hops))))

    def explain(self) -> list[str]:
        # Not super(): it does not work in a dataclass with slots.
        _, *story = Measurement.explain(self)
        return [said(self, self.summary()), *map(str, self.hops), *story]


async def measure(target: str, settings: Settings, world: World) -> Trace:
    trial = Trial(Trace(target=target), world)
    within = settings.count * settings.interval + settings.timeout + 15
    within += 300 if settings.multipath else 0
    return await trial.run(_trace(target, settings, trial), within + (120 if settings.mtu else 0))


async def watch(target: str, settings: Settings, world: World) -> AsyncGenerator[Trace, None]:
    """Again and again, as mtr does: after each `interval` what is known since the beginning. `count` means nothing."""
    trial = Trial(Trace(target=target), world)
    try:
        address = await trial.resolve(target, settings.family)
        path, counts = Path(address), Counts()
        await _ready(world)
        spec = spec_of(settings, world, rounds=None)
        async with aclosing(_heard(path, spec, world, counts)) as looks:
            async for news in looks:
                away = counts.away()
                if away is not None:
                    _know(path, counts, trial)
                    since = datetime.fromtimestamp(away, UTC)
                    yield trial.told("unmeasured", f"engine away since {since:%H:%M:%SZ}, waiting")
                elif news:
                    _know(path, counts, trial)
                    yield trial.told(*_verdict(path, settings))
    except Stop as stop:
        yield trial.told(stop.state, stop.reason)


async def _heard(path: Path, spec: Spec, world: World, counts: Counts) -> AsyncGenerator[bool, None]:
    """Fills the path; after each `interval` whether there is news. By the clock: who is silent is looked at, too."""
    news, over = False, asyncio.Event()

    async def hear() -> None:
        nonlocal news
        async with aclosing(replies(path.address, spec, world, counts)) as stream:
            async for reply in stream:
                path.add(reply)
                news = True

    # No TaskGroup: around a `yield` it would cancel whoever happens to ask for the next picture (PEP 789).
    hearing = asyncio.create_task(hear(), name="hear")
    hearing.add_done_callback(lambda _: over.set())
    try:
        while not hearing.done():
            await wait_event(over, world.clock, spec.interval)
            told, news = news, False
            yield told
        await hearing
    finally:
        hearing.cancel()
        await asyncio.gather(hearing, return_exceptions=True)


def spec_of(settings: Settings, world: World, rounds: int | None) -> Spec:
    return Spec(
        interval=settings.interval,
        rounds=rounds,
        timeout=settings.timeout,
        size=settings.size,
        tos=settings.tos,
        ttl=settings.first,
        last_ttl=settings.last,
        priority=world.priority,
    )


async def _trace(target: str, settings: Settings, trial: Trial[Trace]) -> None:
    address = await trial.resolve(target, settings.family)
    path, counts = Path(address), Counts()
    await _ready(trial.world)
    try:
        await volley(path, spec_of(settings, trial.world, settings.count), trial, counts)
        if settings.multipath:
            spec = spec_of(settings, trial.world, 1)
            await explore(path, spec, settings.failure / 100, settings.flows_most, trial, counts)
        if settings.mtu:
            await along(path, settings.mtu_most, settings.tos, settings.timeout, trial)
    finally:
        _know(path, counts, trial)
    state, reason = _verdict(path, settings)
    trial.know(state=state, reason=reason)


async def _ready(world: World) -> None:
    if world.networks is not None:
        await world.networks.ready()


def _know(path: Path, counts: Counts, trial: Trial[Trace]) -> None:
    hops = path.hops(trial.world.networks)
    last = hops[-1] if hops and path.reached is not None else None
    trial.know(
        reached=path.reached is not None,
        length=hops[-1].ttl if hops else 0,
        silent=sum(not hop.address for hop in hops),
        rtt=last.rtt_least if last else None,
        loss=last.loss if last else None,
        mtu=hops[-1].mtu if hops else 0,
        route=route_of(hops),
        networks=_networks(hops),
        way=counts.way,
        forged=counts.forged,
        hops=hops,
    )


def route_of(hops: tuple[Hop, ...]) -> str:
    """A short name for this sequence of routers; silent hops count as such."""
    text = " ".join(",".join(sorted((hop.address, *(one.address for one in hop.others)))) or "*" for hop in hops)
    return hashlib.sha256(text.encode()).hexdigest()[:12] if hops else ""


def _networks(hops: tuple[Hop, ...]) -> str:
    """`AS64500 AS64501`: those that are known, each once where it goes on over several hops."""
    return " ".join(f"AS{asn}" for asn, _ in groupby(hop.asn for hop in hops if hop.asn))


def _verdict(path: Path, settings: Settings) -> tuple[Verdict, str]:
    if path.reached is not None and (path.refused is None or path.reached <= path.refused):
        return "good", ""
    hops = path.hops(None)
    if not hops:
        return "failed", "nobody on the way answers"
    last = hops[-1]
    if path.refused is not None:
        return "failed", f"{last.address} says {last.note}"
    if last.ttl >= settings.last:
        return "failed", f"not reached in {settings.last} hops"
    return "failed", f"silence behind hop {last.ttl} ({last.address})"
