"""UDP echo: datagrams that somebody sends back as they were; loss, duplicates, disorder and damage of them.

Sources: RFC 862 (echo); RFC 2681, RFC 5481, 4.1 for what is told of the times. `echoserver` answers on the other side.
"""

import asyncio
import struct
from dataclasses import dataclass, field
from typing import Annotated, Any

from amon.clock import Clock
from amon.fields import Field
from amon.units import format_quantity

from . import datagrams, icmp
from .ping import Wait, times_of
from .shape import Family, Measurement, Port, Stop, Trial, World

HEADER = struct.Struct("!8sQI")  # mark, nonce of this probe, number
MARK = b"amonecho"
ANSWERS_MOST = 4
"""Times the packets sent; whoever answers more is not listened to."""


@dataclass(frozen=True, slots=True)
class Settings:
    port: Port = 7
    count: Annotated[int, Field("datagrams, or bursts of them", least=1, most=10_000)] = 5
    interval: Annotated[float, Field("from one to the next", unit="s", least=0.01, most=3600)] = 0.2
    burst: Annotated[int, Field("datagrams at a time", least=1, most=100)] = 1
    size: Annotated[int, Field("bytes in each", unit="B", least=HEADER.size, most=65_000)] = 64
    timeout: Wait = 2.0
    loss_most: Annotated[float, Field("more loss is wrong", unit="%", least=0, most=100)] = 0.0
    family: Family = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Udp(Measurement):
    port: Annotated[int, Field("which")] = 0
    sent: Annotated[int, Field("datagrams", unit="1")] = 0
    answered: Annotated[int, Field("whole and in time", unit="1")] = 0
    loss: Annotated[float, Field("of those that were sent", unit="%")] = 0.0
    duplicates: Annotated[int, Field("answers more than datagrams", unit="1")] = 0
    disordered: Annotated[int, Field("that a later one overtook", unit="1")] = 0
    damaged: Annotated[int, Field("that came back different: lost, too", unit="1")] = 0
    foreign: Annotated[int, Field("that are no answers to this probe", unit="1")] = 0
    unsent: Annotated[int, Field("that this host did not send", unit="1")] = 0
    refused: Annotated[int, Field("times the host said that nobody listens", unit="1")] = 0
    rtt_least: Annotated[float | None, Field("round trip", unit="s")] = None
    rtt_mean: Annotated[float | None, Field("round trip", unit="s")] = None
    rtt_median: Annotated[float | None, Field("round trip", unit="s")] = None
    rtt_most: Annotated[float | None, Field("round trip", unit="s")] = None
    deviation: Annotated[float | None, Field("standard deviation of the round trips", unit="s")] = None
    jitter: Annotated[float | None, Field("mean difference of consecutive round trips", unit="s")] = None
    rtts: Annotated[tuple[float, ...], Field("every round trip, in order of sending", unit="s")] = ()

    def summary(self) -> str:
        parts = [f"{self.answered} of {self.sent} came back"] if self.sent else []
        if self.rtt_median is not None:
            times = (self.rtt_least, self.rtt_median, self.rtt_most)
            parts.append("rtt " + " / ".join(format_quantity(one, "s") for one in times if one is not None))
        if self.jitter is not None:
            parts.append(f"jitter {format_quantity(self.jitter, 's')}")
        for name in ("duplicates", "disordered", "damaged", "foreign", "unsent", "refused"):
            if getattr(self, name):
                parts.append(f"{getattr(self, name)} {name}")
        return ", ".join(parts)


async def measure(target: str, settings: Settings, world: World) -> Udp:
    trial = Trial(Udp(target=target, port=settings.port), world)
    within = settings.count * settings.interval + settings.timeout + 10
    return await trial.run(_echo(target, settings, trial), within)


@dataclass(slots=True)
class Echoes:
    """What was sent and what came back; decides, and waits for nothing."""

    clock: Clock
    nonce: int
    fill: bytes
    sent: dict[int, float] = field(default_factory=dict)
    rtts: dict[int, float] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    heard: int = 0
    _highest: int = -1

    def make(self, number: int) -> bytes:
        self.sent[number] = self.clock.monotonic()
        return HEADER.pack(MARK, self.nonce, number) + self.fill

    def take(self, data: bytes) -> str:
        """What a datagram is: answered, duplicates, damaged or foreign. Counts it."""
        now = self.clock.monotonic()
        self.heard += 1
        kind = self._kind(data)
        if kind == "answered":
            number = HEADER.unpack_from(data)[2]
            self.rtts[number] = now - self.sent[number]
            if number < self._highest:
                self.count("disordered")
            self._highest = max(self._highest, number)
        else:
            self.count(kind)
        return kind

    def _kind(self, data: bytes) -> str:
        if len(data) < HEADER.size:
            return "foreign"
        mark, nonce, number = HEADER.unpack_from(data)
        if mark != MARK or nonce != self.nonce or number not in self.sent:
            return "foreign"
        if data[HEADER.size :] != self.fill:
            return "damaged"
        return "duplicates" if number in self.rtts else "answered"

    def count(self, what: str) -> None:
        self.counts[what] = self.counts.get(what, 0) + 1

    @property
    def whole(self) -> bool:
        return len(self.rtts) == len(self.sent)

    def columns(self) -> dict[str, Any]:
        sent, rtts = len(self.sent), [self.rtts[number] for number in sorted(self.rtts)]
        loss = 100 * (sent - len(rtts)) / sent if sent else 0.0
        return {
            "sent": sent, "answered": len(rtts), "loss": loss, "rtts": tuple(rtts), **times_of(rtts), **self.counts,
        }  # fmt: skip


async def _echo(target: str, settings: Settings, trial: Trial[Udp]) -> None:
    address = await trial.resolve(target, settings.family)
    fill = icmp.fill_of(trial.world.identity, settings.size - HEADER.size + icmp.TOKEN.size)
    echoes = Echoes(trial.world.clock, trial.world.random.getrandbits(64), fill)
    with datagrams.talk(address, settings.port, trial.world) as sock:
        hearing = asyncio.create_task(_hear(sock, echoes, settings.count * settings.burst, trial))
        try:
            await _send(sock, echoes, settings, trial)
            trial.say(f"{len(echoes.sent)} datagrams of {settings.size} B sent")
            await asyncio.wait([hearing], timeout=settings.timeout)
        finally:
            hearing.cancel()
            await asyncio.wait([hearing])
            trial.know(**echoes.columns())
        if not hearing.cancelled():
            hearing.result()
    _judge(settings, trial)


async def _send(sock: datagrams.Socket, echoes: Echoes, settings: Settings, trial: Trial[Udp]) -> None:
    clock, began = trial.world.clock, trial.elapsed
    for number in range(settings.count * settings.burst):
        due = began + number // settings.burst * settings.interval
        if due > trial.elapsed:
            await clock.sleep(due - trial.elapsed)
        await _send_one(sock, echoes, number, trial)


async def _send_one(sock: datagrams.Socket, echoes: Echoes, number: int, trial: Trial[Udp]) -> None:
    for again in (True, False):
        try:
            await datagrams.send(sock, echoes.make(number))
        except ConnectionRefusedError:  # of an earlier one; this one was not sent
            echoes.count("refused")
            if again:
                continue
            fault = "nobody listens"
        except OSError as wrong:
            fault = (wrong.strerror or str(wrong)).lower()
        else:
            return
        del echoes.sent[number]
        echoes.count("unsent")
        trial.say(f"datagram {number} not sent: {fault}")
        return


async def _hear(sock: datagrams.Socket, echoes: Echoes, count: int, trial: Trial[Udp]) -> None:
    """Until all came back, or far more than all."""
    while len(echoes.rtts) < count and echoes.heard < count * ANSWERS_MOST + 16:
        try:
            data = await datagrams.receive(sock)
        except ConnectionRefusedError:
            echoes.count("refused")
            trial.say("the host says that nobody listens there")
            continue
        kind = echoes.take(data)
        number = HEADER.unpack_from(data)[2] if kind != "foreign" else None
        rtt = f" after {format_quantity(echoes.rtts[number], 's')}" if kind == "answered" and number is not None else ""
        trial.say(f"{len(data)} B came{'' if number is None else f' for datagram {number}'}: {kind}{rtt}")


def _judge(settings: Settings, trial: Trial[Udp]) -> None:
    known = trial.known
    if not known.sent:
        raise Stop("unmeasured", "this host sent nothing")
    if not known.answered:
        raise Stop("failed", _silence(known, settings))
    if known.loss > settings.loss_most:
        trial.know(state="wrong", reason=f"{known.loss:.3g} % lost")


def _silence(known: Udp, settings: Settings) -> str:
    if known.refused:
        return f"nobody listens on port {known.port} there"
    if known.damaged:
        return "all that came back was different"
    return f"nothing came back in {settings.timeout:g} s"
