"""What an operator writes under `[instance.NAME.settings]`: what is probed, how, how often, and when it is not well."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

from amon.errors import Problem
from amon.fields import Field

from .dns import Settings as Dns
from .fence import NETWORKS_MOST, networks
from .http import Settings as Http
from .ntp import Settings as Ntp
from .ping import Settings as Ping
from .standing import HISTORY
from .targets import LINE_MOST, Draft
from .tcp import Settings as Tcp
from .trace import Settings as Trace
from .udp import Settings as Udp

_TRACE, _DNS, _HTTP, _TCP, _UDP, _NTP = Trace(), Dns(), Http(), Tcp(), Udp(), Ntp()

Kind = Literal["ping", "trace", "dns", "http", "tcp", "udp", "ntp"]
Line = Annotated[
    str, Field("an address or a name, perhaps a label behind it", pattern=r"[^\x00-\x1f]+", longest=LINE_MOST)
]
Group = Annotated[str, Field("a group", pattern=r"[a-z0-9][a-z0-9_.-]*", longest=32)]
Network = Annotated[str, Field("a network like 192.0.2.0/24", pattern=r"[0-9A-Fa-f:.]+(/[0-9]+)?", longest=64)]
Address = Annotated[str, Field("an address of this host", pattern=r"[0-9A-Fa-f:.]+", longest=45)]
Percent = Annotated[float, Field("of the last probes", unit="%", least=0, most=100)]
Seconds = Annotated[float | None, Field("smoothed; not looked at if not given", unit="s", least=0)]


@dataclass(frozen=True, slots=True)
class Limits:
    """When a target is not well. One that was bad is well again when it was good for `hold`."""

    loss_warn: Percent = 5
    loss_crit: Percent = 50
    rtt_warn: Seconds = None
    rtt_crit: Seconds = None
    window: Annotated[int, Field("probes of a target that its loss is told from", least=1, most=HISTORY)] = 20
    hold: Annotated[float, Field("it must be better for so long to be told better", unit="s", least=0, most=86400)] = 60
    parts: Annotated[int, Field("targets that each have a part of health; of more their groups", least=0, most=200)] = (
        32
    )

    def __post_init__(self) -> None:
        if self.loss_warn > self.loss_crit:
            raise ValueError(f"loss_warn ({self.loss_warn:g}) must not be above loss_crit ({self.loss_crit:g})")
        if self.rtt_warn is not None and self.rtt_crit is not None and self.rtt_warn > self.rtt_crit:
            raise ValueError(f"rtt_warn ({self.rtt_warn:g}) must not be above rtt_crit ({self.rtt_crit:g})")


@dataclass(frozen=True, slots=True)
class Demand:
    """What may be asked on demand, by everybody together."""

    rate: Annotated[float, Field("packets or questions a second", unit="1", least=1, most=10_000)] = 200
    at_once: Annotated[int, Field("probes under way", least=1, most=64)] = 8
    longest: Annotated[float, Field("how long one may take", unit="s", least=1, most=3600)] = 600


@dataclass(frozen=True, slots=True)
class Echo:
    """UDP echo for others: only those of these networks, and the other sites that `peers` told of, are answered."""

    port: Annotated[int, Field("to answer on; 0: nobody is answered", least=0, most=65_535)] = 0
    allow: Annotated[tuple[Network, ...], Field("who is answered besides", longest=NETWORKS_MOST)] = ()


@dataclass(frozen=True, slots=True)
class Visit(Ping):
    """One packet, where many targets are visited again and again."""

    count: Annotated[int, Field("packets, or bursts of them", least=1, most=1000)] = 1


_PING = Visit()


@dataclass(frozen=True, slots=True)
class Settings:
    """Without targets it probes on demand only."""

    kind: Annotated[Kind, Field("what kind of probe goes on by itself")] = "ping"
    interval: Annotated[float, Field("from one visit of a target to the next", unit="s", least=0.1, most=86400)] = 10
    jitter: Annotated[
        float, Field("a visit is later by up to this share of the interval", unit="%", least=0, most=50)
    ] = 0
    targets: Annotated[tuple[Line, ...], Field("what is probed", longest=10_000)] = ()
    files: Annotated[
        tuple[Path, ...], Field("files with a target on each line, read again when they change", longest=20)
    ] = ()
    groups: Annotated[dict[Group, tuple[Line, ...]], Field("more targets, by group", longest=200)] = field(
        default_factory=dict
    )
    mesh: Annotated[bool, Field("all other sites of the fleet as well; `peers` tells which these are")] = False
    account: Annotated[
        str, Field("mesh: only sites that this account was told of; all if not given", pattern=r"[\w.-]*", longest=64)
    ] = ""
    resolve: Annotated[float, Field("names are looked up again after", unit="s", least=10, most=86400)] = 600
    engine: Annotated[Path | None, Field("socket of the packet engine; the usual one if there is one")] = None
    tenant: Annotated[
        str, Field("on whose account the engine probes", pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*", longest=64)
    ] = "site"
    sources: Annotated[tuple[Address, ...], Field("addresses to probe from, else the system's choice", longest=8)] = ()
    networks: Annotated[Path | None, Field("table of AS numbers and names, for traces")] = None
    allow: Annotated[
        tuple[Network, ...], Field("if given, nothing else is probed on demand", longest=NETWORKS_MOST)
    ] = ()
    deny: Annotated[tuple[Network, ...], Field("never probed on demand", longest=NETWORKS_MOST)] = ()
    demand: Annotated[Demand, Field("limits of what is asked on demand")] = Demand()
    echo: Annotated[Echo, Field("answer the UDP probes of others")] = Echo()
    limits: Annotated[Limits, Field("when a target is not well")] = Limits()
    keep: Annotated[int, Field("results kept in memory", unit="B", least=65_536, most=2**30)] = 16 * 2**20
    ping: Annotated[Visit, Field("each visit of kind `ping`")] = _PING
    trace: Annotated[Trace, Field("each visit of kind `trace`")] = _TRACE
    dns: Annotated[Dns, Field("each visit of kind `dns`")] = _DNS
    http: Annotated[Http, Field("each visit of kind `http`")] = _HTTP
    tcp: Annotated[Tcp, Field("each visit of kind `tcp`")] = _TCP
    udp: Annotated[Udp, Field("each visit of kind `udp`")] = _UDP
    ntp: Annotated[Ntp, Field("each visit of kind `ntp`")] = _NTP


def problems(settings: Settings) -> Iterator[Problem]:
    """What is wrong though its types are right."""
    for name in ("allow", "deny"):
        yield from _no_network(name, getattr(settings, name))
    yield from _no_network("echo.allow", settings.echo.allow)
    yield from _no_address("sources", settings.sources)
    for path, lines in _lists(settings):
        draft = Draft()
        draft.read("", "", lines, urls=True)
        yield from (Problem(f"{path}[{int(one.place[1:]) - 1}]", one.why) for one in draft.junk)


def _no_network(path: str, texts: Iterable[str]) -> Iterator[Problem]:
    for place, text in enumerate(texts):
        try:
            networks([text])
        except ValueError as wrong:
            yield Problem(f"{path}[{place}]", str(wrong))


def _no_address(path: str, texts: Iterable[str]) -> Iterator[Problem]:
    for place, text in enumerate(texts):
        try:
            ip_address(text)
        except ValueError:
            yield Problem(f"{path}[{place}]", f"{text!r} is no address of a host")


def _lists(settings: Settings) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield "targets", settings.targets
    for name, lines in settings.groups.items():
        yield f"groups.{name}", lines
