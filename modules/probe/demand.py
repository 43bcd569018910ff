"""What is asked on demand: each kind of probe once, to addresses, names or other sites (`@desy`), within hard limits.

A probe that fails is an answer like any other; refused is only what may not be asked. Everything that goes out passes
the fence (networks) and the caps (rate, time, number at once), whoever asks; the policy has decided before.
"""

import asyncio
import dataclasses
import math
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import aclosing
from random import Random, SystemRandom
from typing import Annotated, Any

from amon.command import Call, command
from amon.errors import Refused
from amon.fields import Field
from amon.module import Env, Module
from amon.units import age

from . import ping, trace
from .answers import Story
from .asn import TableFile
from .engines import EngineKeeper, ForProbes
from .fence import Caps, Fence, FencedResolver, networks
from .mtr import Picture, pictures
from .names import SystemResolver
from .peers import Known, PeerBook, address_of, tamed
from .settings import Settings
from .shape import Family, Measurement, Resolver, World

Word = Annotated[
    str, Field("address, name or @site", pattern=r"[@\[:A-Za-z0-9_][^\s\x00-\x1f]*", longest=253, sites=True)
]
Words = Annotated[tuple[Word, ...], Field("whom to probe", longest=16)]
Count = Annotated[int, Field("packets to each", least=1, most=1000, short="c")]
Interval = Annotated[float, Field("between two packets", unit="s", least=0.01, most=60, short="i")]
Timeout = Annotated[float, Field("lost after", unit="s", least=0.05, most=30, short="W")]
Size = Annotated[int, Field("bytes behind the ICMP header", unit="B", least=16, most=65_507, short="s")]
Tos = Annotated[int, Field("DS field and ECN bits, as a byte", least=0, most=255, short="Q")]
Explain = Annotated[bool, Field("tell the whole story of it", short="x")]
Ttl = Annotated[int, Field("hops it may take", least=1, most=255, short="t")]
Df = Annotated[bool, Field("no router may take it apart", short="D")]
Pmtu = Annotated[bool, Field("look for the largest packet that gets there, too", short="M")]
Hops = Annotated[int, Field("hops to go at most", least=1, most=255, short="m")]
Multipath = Annotated[bool, Field("look for all routers of each hop", short="P")]
Version = Annotated[Family, Field(short="V")]


class OnDemand(Module[Settings]):
    """resolver, random, icmp: the world of its probes; this host's if not given."""

    def __init__(
        self,
        env: Env[Settings],
        resolver: Resolver | None = None,
        random: Random | None = None,
        icmp: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(env)
        settings = env.settings
        self.resolver = resolver or SystemResolver()
        self.random = random or SystemRandom()
        self.book = PeerBook(env.state / "peers.json")
        self.keeper = EngineKeeper(settings.engine, settings.tenant, f"probe {env.name}", env.clock, env.changed)
        self._icmp = icmp
        self._fence = Fence(networks(settings.allow), networks(settings.deny))
        self.caps = Caps(settings.demand.rate, settings.demand.at_once, settings.demand.longest)
        self._networks = TableFile(settings.networks) if settings.networks is not None else None

    def world(self, *, fenced: bool = False) -> World:
        """What a probe is given. fenced: somebody asks for it, who may name any address."""
        return World(
            self.env.clock,
            FencedResolver(self.resolver, self._fence) if fenced else self.resolver,
            engine=None if self.keeper.engine is None else ForProbes(self.keeper.engine),
            random=self.random,
            sources=self.env.settings.sources,
            networks=self._networks,
            priority=0 if fenced else 1,
            icmp=self._icmp,
        )

    # --- the probes

    @command(role="operator", timeout=3700)
    async def ping(
        self,
        call: Call,
        targets: Words,
        count: Count = 5,
        interval: Interval = 0.2,
        size: Size = 56,
        timeout: Timeout = 2,
        ttl: Ttl = 64,
        tos: Tos = 0,
        df: Df = False,
        pmtu: Pmtu = False,
        family: Version = "any",
        explain: Explain = False,
    ) -> list[Measurement] | Story | Measurement:
        """ICMP echo: loss and round-trip times, of each target.

        probe ping 192.0.2.1 www.example.org -c 20; probe ping @desy --pmtu
        """
        settings = ping.Settings(
            count=count, interval=interval, timeout=timeout, size=size, tos=tos, df=df, ttl=ttl, pmtu=pmtu,
            family=family, loss_most=100,
        )  # fmt: skip
        lasts = count * interval + timeout + (30 if pmtu else 0)
        return await self._each(call, targets, family, ping.measure, settings, explain, 1 / interval, lasts)

    @command(role="operator", timeout=3700)
    async def trace(
        self,
        call: Call,
        targets: Words,
        count: Count = 3,
        interval: Annotated[Interval, Field(least=0.1)] = 0.5,
        hops: Hops = 30,
        timeout: Timeout = 2,
        size: Size = 56,
        tos: Tos = 0,
        multipath: Multipath = False,
        pmtu: Pmtu = False,
        family: Version = "any",
        explain: Explain = False,
    ) -> list[Measurement] | Story | Measurement:
        """Who is on the way, hop by hop, by one flow (Paris) or several; a line for each; --explain tells all."""
        settings = trace.Settings(
            count=count, interval=interval, timeout=timeout, last=hops, size=size, tos=tos, multipath=multipath,
            mtu=pmtu, family=family,
        )  # fmt: skip
        lasts = count * interval + timeout + (60 if multipath else 0) + (60 if pmtu else 0)
        return await self._each(call, targets, family, trace.measure, settings, explain, hops / interval, lasts)

    @command(role="operator", timeout=3600, replaces=True)
    async def mtr(
        self,
        call: Call,
        target: Word,
        interval: Annotated[Interval, Field(least=0.5)] = 1,
        hops: Hops = 30,
        timeout: Timeout = 2,
        size: Size = 56,
        tos: Tos = 0,
        family: Version = "any",
    ) -> AsyncIterator[Picture]:
        """A trace that goes on, with statistics of each hop since the beginning, until you stop it."""
        settings = trace.Settings(interval=interval, timeout=timeout, last=hops, size=size, tos=tos, family=family)
        ((name, host),) = self.meant(call, (target,), family)
        with self.caps.hold(hops / interval, 0):
            async with aclosing(pictures(host, name, settings, self.world(fenced=True))) as stream:
                async for picture in stream:
                    yield picture

    # --- what they share

    async def _each(
        self, call: Call, words: Sequence[str], family: Family, measure: Any, settings: Any, explain: bool,
        rate: float, lasts: float,
    ) -> list[Measurement] | Story | Measurement:  # fmt: skip
        """Measure each target, as many side by side as the caps have room for. rate: packets a second to one; lasts:
        seconds of one."""
        meant = self.meant(call, words, family)
        abreast = self.caps.abreast(rate, len(meant))
        room = asyncio.Semaphore(abreast)

        async def one(host: str) -> Measurement:
            async with room:
                made: Measurement = await measure(host, settings, self.world(fenced=True))
                return made

        with self.caps.hold(rate * abreast, lasts * math.ceil(len(meant) / abreast)):
            paced = "" if abreast == len(meant) else f", {abreast} at a time"
            call.note(f"{call.site or 'this site'} probes {', '.join(name for name, _ in meant)}{paced}")
            found = await asyncio.gather(*(one(host) for _, host in meant))
        made = [dataclasses.replace(one, target=name) for one, (name, _) in zip(found, meant, strict=True)]
        if explain:
            return Story(tuple(line for one in made for line in one.explain()))
        return made[0] if len(made) == 1 else made

    async def _one(
        self, call: Call, name: str, target: str, measure: Any, settings: Any, explain: bool, lasts: float
    ) -> Story | Measurement:
        """Measure one target that is called `name`."""
        with self.caps.hold(1, lasts):
            call.note(f"{call.site or 'this site'} probes {name}")
            found: Measurement = await measure(target, settings, self.world(fenced=True))
        made = dataclasses.replace(found, target=name)
        return Story(tuple(made.explain())) if explain else made

    def meant(self, call: Call, words: Sequence[str], family: Family) -> list[tuple[str, str]]:
        """Each target: what it is called, and the address or name to probe. `Refused` says what is missing."""
        found: dict[str, str] = {}
        for word in words:
            if not word.startswith("@"):
                found[word] = word
                continue
            for name, told in self.known(call).meant(word).items():
                if told or word.lower() == f"@{name}":  # of a whole group those without an address are left out
                    found[name] = address_of(name, told, family)
        found.pop(call.site, None) if len(found) > 1 else None
        if not found:
            raise Refused("none of these sites tells a probe address")
        if len(found) > _MOST:
            raise Refused(f"these are {len(found)} sites; at most {_MOST} are probed on demand, name fewer")
        return list(found.items())

    def known(self, call: Call) -> Known:
        """The other sites: as this line's console says, else as this site was told before."""
        if call.sites:
            return Known(tamed(call.sites)[0], True)
        told = self.book.of(call.account)
        old = age(max(0.0, self.env.clock.time() - told.at))
        return Known(told.sites, False, f"that {told.by} told of {old} ago")


_MOST = 16
