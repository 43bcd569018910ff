"""The one shape of all probes: settings, a world, and one coroutine whose every end is a measurement.

A probe is a file of this folder with a frozen dataclass `Settings` and
`async def measure(target: str, settings: Settings, world: World) -> Measurement`. That nobody answers is a result like
any other: `state` and `reason` say so, what was learnt until then stands in the columns, and the story tells the whole
of it. What still comes out as an exception is a bug of ours, or somebody who stopped the probe (CancelledError).
"""

import asyncio
import errno
import importlib
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from random import Random, SystemRandom
from types import ModuleType
from typing import Annotated, Any, Generic, Literal, Protocol, TypeVar, cast

from amon.clock import Clock
from amon.convert import fields_of
from amon.engine.messages import Denied, Spec
from amon.fields import Field
from amon.text import visible

STEPS_MOST = 500
"""Lines of one story."""
LINE_MOST = 300
"""Characters of a line that a stranger may have written."""

Family = Annotated[Literal["any", 4, 6], Field("which of a name's addresses: the first, or only IPv4 or IPv6")]
Timeout = Annotated[float, Field("longest wait for the whole probe", unit="s", least=0.05, most=300)]
Port = Annotated[int, Field("which port there", least=1, most=65535)]
Host = Annotated[str, Field("name or address", pattern=r"[A-Za-z0-9_][A-Za-z0-9_.:%-]*|::[0-9a-fA-F:.%]*", longest=253)]

Verdict = Literal["good", "wrong", "failed", "unmeasured"]
"""good: answered as wanted. wrong: answered, but not so. failed: no answer, or a refusal. unmeasured: it could not be
asked (no rights, no name service, forbidden): says nothing about the target."""


@dataclass(frozen=True, slots=True)
class Step:
    """A line of a story."""

    after: Annotated[float, Field("since the start", unit="s")]
    text: str

    def __str__(self) -> str:
        return f"{self.after * 1000:10.3f} ms  {self.text}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """What one probe found out; each kind adds its columns. `str()` is read at a glance: one line, and of
    a trace one for each hop."""

    target: Annotated[str, Field("as it was asked for")]
    state: Annotated[Verdict, Field("good, wrong, failed or unmeasured")] = "good"
    reason: Annotated[str, Field("why it is not good")] = ""
    at: Annotated[float, Field("when it began, since the epoch", unit="s")] = 0.0
    seconds: Annotated[float, Field("how long all of it took", unit="s")] = 0.0
    address: Annotated[str, Field("what was really asked")] = ""
    story: Annotated[tuple[Step, ...], Field("what happened, in order")] = field(default=(), repr=False, compare=False)

    @property
    def good(self) -> bool:
        return self.state == "good"

    def explain(self) -> list[str]:
        """The whole of it, line by line with milliseconds since the start, and at the end the verdict."""
        end = Step(self.seconds, f"{self.state}: {self.reason}" if self.reason else self.state)
        return [str(self), *map(str, self.story), str(end)]

    def __str__(self) -> str:
        return said(self, self.summary())

    def summary(self) -> str:
        """The columns in words, whatever the verdict; empty where nothing was learnt."""
        return ""


def said(one: Measurement, summary: str, behind: str = "") -> str:
    """`www.example.org (192.0.2.1) port 25: wrong: ...; ...`."""
    where = (one.target if one.address in ("", one.target) else f"{one.target} ({one.address})") + behind
    verdict = "" if one.good else f"{one.state}: {one.reason}"
    return f"{where}: {'; '.join(part for part in (verdict, summary) if part) or one.state}"


@dataclass(frozen=True, slots=True)
class Column:
    """A field that is one value: what a table of measurements has of it."""

    name: str
    type: type
    unit: str
    about: str


def columns_of(kind: type[Measurement]) -> tuple[Column, ...]:
    """The plain values of a kind of measurement, in order; lists, tables and the story are left out."""
    hints = ((name, hint) for name, (hint, _) in fields_of(cast(type, kind)).items())
    plain = [(name, hint, str if hint.origin is Literal else hint.bare) for name, hint in hints]
    return tuple(
        Column(name, bare, hint.field.unit or "", hint.field.about)
        for name, hint, bare in plain
        if bare in (bool, int, float, str)
    )


class Job(Protocol):
    """A job of the packet engine, see `amon.engine.asking.client`."""

    @property
    def denied(self) -> Sequence[Denied]: ...

    @property
    def away(self) -> float | None:
        """Since when (epoch seconds) its engine is away; a job without an end goes on when that is back."""

    def __aiter__(self) -> AsyncIterator[object]:
        """`Batch`, `State`, `Ended`; others are passed over."""

    async def end(self) -> None: ...


class Engine(Protocol):
    """The packet engine. addresses: 16 bytes each, IPv4 mapped."""

    async def begin(self, spec: Spec, addresses: bytes) -> Job: ...


class Resolver(Protocol):
    async def addresses(self, name: str, family: Family) -> Sequence[str]:
        """At least one, best first; an address is itself. Raises `Stop` with the reason."""


class Networks(Protocol):
    """Whose an address is; see `asn`."""

    async def ready(self) -> None:
        """The table is read, if there is one."""

    def of(self, address: str) -> tuple[int, str]:
        """Number (0 where nobody knows) and name of the autonomous system."""
        ...


@dataclass(frozen=True, slots=True)
class World:
    """What a probe is given. sources: own addresses to ask from, the first of the right family; empty: the system's
    choice. engine: the packet engine, None where there is none. networks: AS numbers and names of hops.
    identity: stands in each ICMP payload. priority: 0 on demand, 1 by schedule. icmp: makes ICMP sockets (an
    `icmpsocket.Wire`), the system's if not given."""

    clock: Clock
    resolver: Resolver
    engine: Engine | None = None
    random: Random = field(default_factory=SystemRandom)
    sources: tuple[str, ...] = ()
    networks: Networks | None = None
    identity: str = "amon probe"
    priority: int = 1
    icmp: Callable[..., Any] | None = None

    def source(self, address: str) -> str | None:
        """The own address to use towards this one."""
        return next((one for one in self.sources if (":" in one) == (":" in address)), None)


class Stop(Exception):
    """Ends a probe with a verdict."""

    def __init__(self, state: Verdict, reason: str) -> None:
        super().__init__(reason)
        self.state = state
        self.reason = reason


M = TypeVar("M", bound=Measurement)


class Trial(Generic[M]):
    """A probe under way: what is known so far, and the story. `blank` is the measurement of which nothing is known."""

    def __init__(self, blank: M, world: World) -> None:
        self.world = world
        self.began = world.clock.monotonic()
        self.known: M = replace(blank, at=world.clock.time())
        self._steps: list[Step] = []
        self._left_out = 0

    @property
    def elapsed(self) -> float:
        return self.world.clock.monotonic() - self.began

    def say(self, text: str, after: float | None = None) -> None:
        """The next line of the story. after: seconds since the start, now if not given."""
        if len(self._steps) >= STEPS_MOST:
            self._left_out += 1
            return
        self._steps.append(Step(self.elapsed if after is None else after, clean(text)))

    def know(self, **columns: Any) -> None:
        """Fill columns in."""
        self.known = replace(self.known, **columns)

    async def resolve(self, name: str, family: Family) -> str:
        """The address to ask, told and noted."""
        found = await self.world.resolver.addresses(name, family)
        if found[0] != name:
            more = f" (and {len(found) - 1} more)" if len(found) > 1 else ""
            self.say(f"{name} is {found[0]}{more}")
        self.know(address=found[0])
        return found[0]

    async def run(self, body: Coroutine[Any, Any, None], within: float) -> M:
        """Do it, and tell how it ended. within: seconds; after them it has failed."""
        try:
            async with asyncio.timeout(within) as limit:
                await body
        except Stop as stop:
            return self.told(stop.state, stop.reason)
        except TimeoutError:  # ours, or ETIMEDOUT of a socket
            return self.told("failed", f"no answer in {within:g} s" if limit.expired() else "timed out")
        except OSError as fault:
            return self.told(*verdict_of(fault))
        return self.told(self.known.state, self.known.reason)

    def told(self, state: Verdict, reason: str) -> M:
        """What is known, with this verdict, and the story until now."""
        more = (Step(self.elapsed, f"{self._left_out} more lines left out"),) if self._left_out else ()
        seconds, story = max(0.0, self.elapsed), (*self._steps, *more)
        return replace(self.known, state=state, reason=clean(reason), seconds=seconds, story=story)


_OURS = {errno.EPERM, errno.EACCES, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EADDRNOTAVAIL}


def verdict_of(fault: OSError) -> tuple[Verdict, str]:
    """What an error of a socket says about the target; nothing, where it is this host that will not."""
    # asyncio's own words hide the system's: "Connect call failed ('192.0.2.1', 80)".
    number = fault.errno or 0
    text = os.strerror(number) if number in errno.errorcode else fault.strerror
    reason = (text or str(fault) or type(fault).__name__).lower()
    return ("unmeasured", f"this host does not allow it: {reason}") if fault.errno in _OURS else ("failed", reason)


def clean(text: str) -> str:
    """A stranger's words on one line of bounded length."""
    return visible(text[:LINE_MOST], lines=False)[:LINE_MOST]  # tabs have grown


def need(name: str) -> ModuleType:
    """A library of the extra `probe`, imported when it is first used: the agent starts without it."""
    try:
        return importlib.import_module(name)
    except ImportError:
        raise Stop("unmeasured", f"{name.partition('.')[0]} is not installed: pip install 'amon[probe]'") from None


Measure = Callable[[str, Any, World], Coroutine[Any, Any, Measurement]]
