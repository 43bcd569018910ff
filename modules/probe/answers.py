"""What the commands of a probe instance give back, beside measurements themselves."""

from dataclasses import dataclass
from typing import Annotated

from amon.fields import Field


@dataclass(frozen=True, slots=True)
class Story:
    """Of one probe, line by line."""

    lines: Annotated[tuple[str, ...], Field("what happened, with the time since the start")]

    def __str__(self) -> str:
        return "\n".join(self.lines)


@dataclass(frozen=True, slots=True)
class Status:
    kind: Annotated[str, Field("what goes on by itself")]
    way: Annotated[str, Field("what sends it")]
    targets: Annotated[int, Field("how many it has", unit="1")]
    interval: Annotated[float, Field("between two visits of one", unit="s")]
    bad: Annotated[int, Field("that are not well", unit="1")]
    probed: Annotated[int, Field("visits, or packets of the engine, since it began", unit="1")]
    skipped: Annotated[int, Field("of them not made in time", unit="1")]
    results: Annotated[int, Field("rows kept in memory", unit="1")]
    let_go: Annotated[int, Field("older rows that made room for them", unit="1")]
    duplicates: Annotated[int, Field("targets that are in the list twice", unit="1")] = 0
    junk: Annotated[int, Field("lines that are no target", unit="1")] = 0
    denied: Annotated[int, Field("targets the engine must not probe", unit="1")] = 0
    paused: Annotated[str, Field("by whom and since when, if it is")] = ""
    notes: Annotated[tuple[str, ...], Field("what else there is to know")] = ()


@dataclass(frozen=True, slots=True)
class Target:
    target: Annotated[str, Field("as it is called")]
    address: Annotated[str, Field("where it is probed")]
    group: Annotated[str, Field("where it comes from")]
    level: Annotated[str, Field("ok, warn or crit")]
    loss: Annotated[float | None, Field("of its last probes", unit="%")]
    rtt: Annotated[float | None, Field("smoothed", unit="s")]
    last: Annotated[str, Field("what the newest came to")]
    age: Annotated[float | None, Field("of the newest", unit="s")]


@dataclass(frozen=True, slots=True)
class Place:
    """What is not probed."""

    place: Annotated[str, Field("file or list and line, or the target")]
    why: Annotated[str, Field("why not")]


@dataclass(frozen=True, slots=True)
class Latest:
    at: Annotated[str, Field("when it was sent, or began, UTC")]
    target: Annotated[str, Field("as it is called")]
    state: Annotated[str, Field("what it came to")]
    rtt: Annotated[float | None, Field("round trip, or how long it took", unit="s")]
    text: Annotated[str, Field("more of it")] = ""


@dataclass(frozen=True, slots=True)
class Site:
    site: Annotated[str, Field("another site of the fleet")]
    addresses: Annotated[tuple[str, ...], Field("where it is probed; none if it tells none")]
    told: Annotated[float, Field("how long ago this was told", unit="s")]
    by: Annotated[str, Field("who told it")]
    note: Annotated[str, Field("what is wrong with it")] = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What `peers` made of it, or would."""

    sites: Annotated[int, Field("with an address", unit="1")]
    version: Annotated[int, Field("of what is kept", unit="1")]
    new: Annotated[tuple[str, ...], Field("not known before")] = ()
    changed: Annotated[tuple[str, ...], Field("with other addresses than before")] = ()
    gone: Annotated[tuple[str, ...], Field("not in the fleet any more")] = ()
    absent: Annotated[tuple[str, ...], Field("that tell no probe address")] = ()
    odd: Annotated[tuple[str, ...], Field("left out: no address")] = ()

    def __str__(self) -> str:
        sites = "other site" if self.sites == 1 else "other sites"
        parts = [f"{self.sites} {sites} with an address, version {self.version}"]
        for name in ("new", "changed", "gone"):
            if getattr(self, name):
                parts.append(f"{name}: {_some(getattr(self, name))}")
        if self.absent:
            parts.append(f'no probe address: {_some(self.absent)} (next: [tags] probe = "ADDRESS" in its agent.toml)')
        if self.odd:
            parts.append(f"left out: {_some(self.odd)}")
        return "; ".join(parts)


@dataclass(frozen=True, slots=True)
class Monitor:
    """The monitor of the monitor."""

    way: Annotated[str, Field("what sends")]
    rate: Annotated[float, Field("packets or visits a second", unit="1")]
    received: Annotated[float, Field("packets a second", unit="1")]
    cpu: Annotated[float | None, Field("of one core, of the engine", unit="%")]
    memory: Annotated[int | None, Field("of the engine", unit="B")]
    late_p50: Annotated[float | None, Field("a tick after its time", unit="s")]
    late_p99: Annotated[float | None, Field("a tick after its time", unit="s")]
    late_most: Annotated[float | None, Field("a tick after its time", unit="s")]
    in_flight: Annotated[int, Field("sent and not at their end", unit="1")]
    ahead: Annotated[int, Field("crafted before their time", unit="1")]
    queued: Annotated[int, Field("results on their way here", unit="B")]
    kept: Annotated[int, Field("results in memory", unit="B")]
    skipped: Annotated[int, Field("not sent in time, in all", unit="1")]
    lost: Annotated[int, Field("without any answer, in all", unit="1")]
    drops: Annotated[dict[str, int], Field("packets we dropped ourselves, by place, since the engine's start")]
    stamps: Annotated[float | None, Field("99 % of send stamps are closer than this", unit="s")] = None
    notes: Annotated[tuple[str, ...], Field("what else there is to know")] = ()


@dataclass(frozen=True, slots=True)
class Caught:
    """A capture that is kept here."""

    name: Annotated[str, Field("`captured NAME` gives it")]
    packets: Annotated[int, Field("in it", unit="1")]
    size: Annotated[int, Field("of the file", unit="B")]
    left_out: Annotated[int, Field("packets that could not be written", unit="1")] = 0
    text: Annotated[str, Field("why it ended")] = ""


def _some(names: tuple[str, ...]) -> str:
    return ", ".join(names[:10]) + (f" and {len(names) - 10} more" if len(names) > 10 else "")
