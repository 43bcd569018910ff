"""Ping: bursts of ICMP echo with loss and the distribution of round-trip times; the path MTU, if that is asked for.

Sources: RFC 792, RFC 4443; RFC 2681 (round-trip delay), RFC 5481, 4.1 (delay variation between consecutive packets).
"""

import statistics
from collections.abc import Sequence
from contextlib import aclosing
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

from amon.engine.messages import Spec
from amon.fields import Field
from amon.units import format_quantity

from . import icmp
from .echo import Counts, replies
from .pmtu import search
from .shape import Family, Measurement, Stop, Trial, Verdict, World
from .volley import Reply

Size = Annotated[int, Field("bytes behind the ICMP header", unit="B", least=16, most=65_507)]
Tos = Annotated[int, Field("the DS field and ECN bits, as one byte", least=0, most=255)]
Wait = Annotated[float, Field("a packet is lost when nothing came for so long", unit="s", least=0.01, most=60)]


@dataclass(frozen=True, slots=True)
class Settings:
    count: Annotated[int, Field("packets, or bursts of them", least=1, most=10_000)] = 5
    interval: Annotated[float, Field("from one to the next", unit="s", least=0.01, most=3600)] = 0.2
    burst: Annotated[int, Field("packets at a time", least=1, most=1000)] = 1
    gap: Annotated[float, Field("within a burst", unit="s", least=0, most=10)] = 0.01
    timeout: Wait = 2.0
    size: Size = 56
    tos: Tos = 0
    df: Annotated[bool, Field("no router may take it apart")] = False
    ttl: Annotated[int, Field("hops it may take", least=1, most=255)] = 64
    pmtu: Annotated[bool, Field("look for the largest packet that gets there, too")] = False
    pmtu_most: Annotated[int, Field("largest IP packet to try for that", unit="B", least=1280, most=65_535)] = 9000
    family: Family = "any"
    loss_most: Annotated[float, Field("more loss is wrong", unit="%", least=0, most=100)] = 0.0
    rtt_most: Annotated[float | None, Field("a longer median is wrong", unit="s", least=0)] = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ping(Measurement):
    sent: Annotated[int, Field("packets", unit="1")] = 0
    answered: Annotated[int, Field("in time", unit="1")] = 0
    loss: Annotated[float, Field("of those that were sent", unit="%")] = 0.0
    rtt_least: Annotated[float | None, Field("round trip", unit="s")] = None
    rtt_mean: Annotated[float | None, Field("round trip", unit="s")] = None
    rtt_median: Annotated[float | None, Field("round trip", unit="s")] = None
    rtt_most: Annotated[float | None, Field("round trip", unit="s")] = None
    deviation: Annotated[float | None, Field("standard deviation of the round trips", unit="s")] = None
    jitter: Annotated[float | None, Field("mean difference of consecutive round trips", unit="s")] = None
    late: Annotated[int, Field("answered after the timeout: lost, too", unit="1")] = 0
    unreachable: Annotated[int, Field("answered by an ICMP error: lost, too", unit="1")] = 0
    unsent: Annotated[int, Field("that this host did not send", unit="1")] = 0
    duplicates: Annotated[int, Field("answers more than packets", unit="1")] = 0
    forged: Annotated[int, Field("answers with a wrong nonce", unit="1")] = 0
    wrong_source: Annotated[int, Field("answers from somebody else", unit="1")] = 0
    bad: Annotated[int, Field("answers that are broken, or too short to be told", unit="1")] = 0
    dropped: Annotated[int, Field("that came but found no room on this host: no loss of the way", unit="1")] = 0
    hops: Annotated[int, Field("TTL left in the last answer", unit="1")] = 0
    mtu: Annotated[int, Field("largest IP packet that gets there", unit="B")] = 0
    mtu_by: Annotated[str, Field("who says so")] = ""
    way: Annotated[str, Field("what sent it")] = ""
    rtts: Annotated[tuple[float, ...], Field("every round trip, in order of sending", unit="s")] = ()

    def summary(self) -> str:
        parts = [f"{self.answered} of {self.sent} answered"] if self.sent else []
        if self.rtt_median is not None:
            times = (self.rtt_least, self.rtt_median, self.rtt_most)
            parts.append("rtt " + " / ".join(format_quantity(one, "s") for one in times if one is not None))
        if self.jitter is not None:
            parts.append(f"jitter {format_quantity(self.jitter, 's')}")
        for name in ("late", "unreachable", "unsent", "duplicates", "forged", "wrong_source", "bad", "dropped"):
            if getattr(self, name):
                parts.append(f"{getattr(self, name)} {name.replace('_', ' ')}")
        if self.mtu:
            parts.append(f"MTU {self.mtu} ({self.mtu_by})")
        return ", ".join(parts)


async def measure(target: str, settings: Settings, world: World) -> Ping:
    trial = Trial(Ping(target=target), world)
    within = settings.count * (settings.interval + settings.burst * (settings.gap + 0.001)) + settings.timeout + 10
    return await trial.run(_ping(target, settings, trial), within + (120 if settings.pmtu else 0))


async def _ping(target: str, settings: Settings, trial: Trial[Ping]) -> None:
    address = await trial.resolve(target, settings.family)
    counts, heard = Counts(), list[Reply]()
    stream = replies(address, spec_of(settings, trial.world), trial.world, counts)
    version = 6 if ":" in address else 4
    try:
        async with aclosing(stream):
            async for reply in stream:
                heard.append(reply)
                trial.say(line(reply, version))
    finally:  # stopped on the way, what is known stays
        trial.know(**columns(heard), way=counts.way, duplicates=counts.duplicates)
        trial.know(forged=counts.forged, wrong_source=counts.wrong_source)
        trial.know(bad=counts.bad, dropped=counts.dropped)
        for note in counts.notes:
            trial.say(note)
    _cut_short(heard, settings, trial)
    _judge(heard, settings, trial, version)
    if settings.pmtu and trial.known.answered:
        found = await search(address, settings.pmtu_most, settings.tos, settings.timeout, trial)
        trial.know(mtu=found.mtu, mtu_by=found.by)


def spec_of(settings: Settings, world: World) -> Spec:
    return Spec(
        interval=settings.interval,
        rounds=settings.count,
        burst=settings.burst,
        gap=settings.gap,
        timeout=settings.timeout,
        size=settings.size,
        tos=settings.tos,
        df=settings.df,
        ttl=settings.ttl,
        priority=world.priority,
    )


def columns(heard: Sequence[Reply]) -> dict[str, object]:
    """Counts and times of packets. One that came late was said to be lost before."""
    states = [reply.state for reply in heard]
    late, unsent = states.count("late"), states.count("unsent")
    times = sorted((one.sent, one.rtt) for one in heard if one.state == "answered" and one.rtt is not None)
    rtts = tuple(rtt for _, rtt in times)
    sent = len(states) - late - unsent
    return {
        "sent": sent,
        "answered": len(rtts),
        "loss": 100 * (sent - len(rtts)) / sent if sent else 0.0,
        "late": late,
        "unsent": unsent,
        "unreachable": states.count("unreachable") + states.count("hop"),
        "hops": next((one.hops for one in reversed(heard) if one.state == "answered"), 0),
        **times_of(rtts),
        "rtts": rtts,
    }


def times_of(rtts: Sequence[float]) -> dict[str, float | None]:
    if not rtts:
        return {}
    steps = [abs(later - earlier) for earlier, later in pairwise(rtts)]
    return {
        "rtt_least": min(rtts),
        "rtt_mean": statistics.fmean(rtts),
        "rtt_median": statistics.median(rtts),
        "rtt_most": max(rtts),
        "deviation": statistics.pstdev(rtts),
        "jitter": statistics.fmean(steps) if steps else None,
    }


def line(reply: Reply, version: int) -> str:
    """What became of a packet."""
    who = f"packet {reply.number}"
    if reply.state == "lost":
        return f"{who}: nothing came in time"
    if reply.state == "unsent":
        return f"{who}: not sent{f', the own link takes {reply.mtu} B' if reply.mtu else ''}"
    rtt = format_quantity(reply.rtt or 0.0, "s")
    if reply.state in ("answered", "late"):
        return f"{who}: {reply.state} by {reply.source} in {rtt}, TTL {reply.hops}"
    mtu = f", next link {reply.mtu} B" if reply.mtu else ""
    return f"{who}: {reply.source} says {icmp.text_of(version, reply.kind, reply.code)} after {rtt}{mtu}"


def _cut_short(heard: Sequence[Reply], settings: Settings, trial: Trial[Ping]) -> None:
    """Packets that were asked for and of which nothing was heard: the engine went away, or had no room for them."""
    missing = settings.count * settings.burst - sum(one.state != "late" for one in heard)
    if missing > 0:
        trial.know(unsent=trial.known.unsent + missing)


def _judge(heard: Sequence[Reply], settings: Settings, trial: Trial[Ping], version: int) -> None:
    known = trial.known
    if not known.answered:
        raise Stop(*_silence(heard, settings, version))
    if known.loss > settings.loss_most:
        trial.know(state="wrong", reason=f"{known.loss:.3g} % lost")
    elif settings.rtt_most is not None and known.rtt_median is not None and known.rtt_median > settings.rtt_most:
        trial.know(state="wrong", reason=f"the median is above {format_quantity(settings.rtt_most, 's')}")


def _silence(heard: Sequence[Reply], settings: Settings, version: int) -> tuple[Verdict, str]:
    """Verdict and reason where nothing was answered."""
    error = next((one for one in reversed(heard) if one.state in ("unreachable", "hop")), None)
    if error is not None:
        return "failed", f"{error.source} says {icmp.text_of(version, error.kind, error.code)}"
    if heard and all(one.state == "unsent" for one in heard):
        mtu = max(one.mtu for one in heard)
        return "unmeasured", f"this host sent nothing{f': the own link takes {mtu} B' if mtu else ''}"
    if not heard:
        return "unmeasured", "nothing was sent"
    late = sum(one.state == "late" for one in heard)
    return "failed", f"no answer in {settings.timeout:g} s" + (f", {late} came later" if late else "")
