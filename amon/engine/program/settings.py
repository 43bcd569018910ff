"""The engine's configuration as types: what may be written, in which unit, and what it means. TOML is read into these.

The commented example (`amon-engine example`) and every message about a mistake are made from here.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from amon.fields import Field

TenantName = Annotated[str, Field("a name", pattern=r"[A-Za-z0-9][A-Za-z0-9._-]*", longest=64)]
Network = Annotated[str, Field("a network like 192.0.2.0/24 or 2001:db8::/32, or an address", longest=64)]
Who = Annotated[str, Field("a name or a number", pattern=r"[A-Za-z0-9_][A-Za-z0-9_.-]*\$?", longest=64)]
Interface = Annotated[str, Field("a network interface", pattern=r"[^\s/:]+", longest=15)]
Core = Annotated[int, Field("the number of a core", least=0, most=1023)]
Way = Literal["auto", "xdp", "xsk+ring", "packet+ring", "raw", "ping"]

EVERYWHERE = ("0.0.0.0/0", "::/0")


@dataclass(frozen=True, slots=True)
class TenantSettings:
    """On whose account packets go. What nobody may have probed and what the engine denies is denied to all of them."""

    users: Annotated[
        tuple[Who, ...],
        Field(
            "users that may speak for it; root and the engine's own user may always", longest=1000, example=("amon",)
        ),
    ] = ()
    groups: Annotated[tuple[Who, ...], Field("groups that may speak for it", longest=1000, example=("noc",))] = ()
    allow: Annotated[
        tuple[Network, ...],
        Field("what it may have probed; loopback and 169.254.0.0/16 only if they are named here", longest=100_000),
    ] = EVERYWHERE
    deny: Annotated[
        tuple[Network, ...],
        Field("what it may not, whatever `allow` says", longest=100_000, example=("198.51.100.0/24",)),
    ] = ()
    rate: Annotated[float, Field("packets per second at most", least=0.01, most=1e7)] = 1_000
    bytes: Annotated[int, Field("bytes of whole frames per second at most", unit="B", least=1000, most=1e11)] = (
        1_000_000
    )
    in_flight: Annotated[int, Field("packets whose answer is waited for at most", least=1, most=2**24)] = 10_000
    weight: Annotated[float, Field("its part where all tenants together want too much", least=0.01, most=1000)] = 1.0


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """All of `engine.toml`."""

    socket: Annotated[Path, Field("where clients connect; with several cores one for each, .0, .1 and so on")] = Path(
        "/run/amon-engine/socket"
    )
    group: Annotated[
        Who | None, Field("group that may connect; the engine's own if not given", example="amon-engine")
    ] = None
    log: Annotated[Literal["debug", "info", "warning", "error"], Field("how much is logged")] = "info"
    identity: Annotated[
        str,
        Field(
            "stands in each packet, for whoever wonders who probes: a name, an address to complain to",
            pattern=r"[ -~]*",
            longest=256,
            example="probes of example.org, noc@example.org",
        ),
    ] = ""
    rate: Annotated[float, Field("packets per second at most, of all tenants together", least=0.01, most=1e7)] = 10_000
    bytes: Annotated[
        int, Field("bytes of whole frames per second at most, of all together", unit="B", least=1000, most=1e11)
    ] = 10_000_000
    in_flight: Annotated[
        int, Field("packets whose answer is waited for at most, of all together; 64 bytes each", least=1, most=2**24)
    ] = 50_000
    deny: Annotated[
        tuple[Network, ...],
        Field("networks nobody may have probed", longest=100_000, example=("203.0.113.0/24", "2001:db8:dead::/48")),
    ] = ()
    interfaces: Annotated[
        tuple[Interface, ...],
        Field(
            "interfaces to send through by their link layer; those of the default routes if not given; all others are"
            " reached by the system's routing",
            longest=16,
            example=("eth0",),
        ),
    ] = ()
    way: Annotated[
        Way,
        Field("how packets are sent and received there: the best that can be had, or this one and no other"),
    ] = "auto"
    dedicated: Annotated[
        bool,
        Field(
            "this host is there to probe: `auto` may attach a program to the interface (XDP) and take all it can;"
            " not with several `cores`"
        ),
    ] = False
    cores: Annotated[
        tuple[Core, ...],
        Field("cores to work on, a process for each; one process on any core if not given", longest=64, example=(2, 3)),
    ] = ()
    lock_memory: Annotated[bool, Field("keep all memory out of swap; needs CAP_IPC_LOCK or LimitMEMLOCK=")] = False
    keep_rights: Annotated[
        bool,
        Field(
            "keep CAP_NET_ADMIN and CAP_BPF after the start, so that `xdp` can be had again when an interface has gone"
            " and come back; else the next best way is taken then"
        ),
    ] = False
    tenants: Annotated[
        dict[TenantName, TenantSettings],
        Field("who may have what probed, how much, by a name of your choice", longest=100, example="site"),
    ] = field(default_factory=dict)
