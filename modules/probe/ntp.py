"""A time server, asked as a client: offset, delay, stratum and what else it says. Nothing is ever set here.

Sources: RFC 5905 (7.3 packet, 8 on-wire protocol, 7.4 kiss codes, 10 dispersion), RFC 9109 (random port), and the
IETF's draft on data minimization: what we send as our time is a random number; who repeats it has seen the question.
"""

import asyncio
import socket
import statistics
import struct
from dataclasses import dataclass
from typing import Annotated

from amon.fields import Field
from amon.units import format_quantity

from . import datagrams
from .shape import Family, Measurement, Port, Stop, Trial, World, clean

PACKET = struct.Struct("!BBbbII4sQQQQ")  # flags, stratum, poll, precision, root delay and dispersion, id, four times
EPOCH = 2_208_988_800
"""Seconds from 1900 to 1970."""
ERA = 2**32
FREQUENCY = 15e-6
"""How fast a clock may go astray (RFC 5905, PHI)."""
BOGUS_MOST = 50
STEP = 0.01
"""Seconds by which our own clock may differ from its steady sister meanwhile, else somebody has set it."""

UNWILLING = ("RATE", "DENY", "RSTR", "NTSN")
"""Kiss codes of who may not ask, or not so often (RFC 5905, 7.4; RFC 8915). Others tell of a server that begins."""
LEAPS = ("", "a second more at the end of the day", "a second less at the end of the day", "not synchronised")


@dataclass(frozen=True, slots=True)
class Settings:
    port: Port = 123
    count: Annotated[int, Field("questions", least=1, most=16)] = 1
    interval: Annotated[float, Field("from one question to the next", unit="s", least=0.5, most=64)] = 2.0
    timeout: Annotated[float, Field("longest wait for an answer", unit="s", least=0.05, most=30)] = 2.0
    stratum_most: Annotated[int, Field("a higher stratum is wrong", least=1, most=15)] = 15
    offset_most: Annotated[float | None, Field("a larger offset, either way, is wrong", unit="s", least=0)] = None
    distance_most: Annotated[float, Field("a larger root distance is wrong (RFC 5905: 1.5 s)", unit="s", least=0)] = 1.5
    family: Family = "any"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ntp(Measurement):
    """Offset, delay and dispersion are those of the answer with the least delay (RFC 5905, 10)."""

    sent: Annotated[int, Field("questions", unit="1")] = 0
    answered: Annotated[int, Field("of them", unit="1")] = 0
    offset: Annotated[float | None, Field("what its clock is ahead of ours", unit="s")] = None
    delay: Annotated[float | None, Field("round trip without its time to answer", unit="s")] = None
    dispersion: Annotated[float | None, Field("what the offset may be wrong by beside the delay", unit="s")] = None
    jitter: Annotated[float | None, Field("root mean square of the other offsets to it", unit="s")] = None
    distance: Annotated[float | None, Field("to the reference clock: what it may be wrong by", unit="s")] = None
    stratum: Annotated[int | None, Field("steps to the reference clock")] = None
    leap: Annotated[str, Field("leap second, or not synchronised")] = ""
    reference: Annotated[str, Field("what it follows")] = ""
    reference_age: Annotated[float | None, Field("since it was set right", unit="s")] = None
    root_delay: Annotated[float | None, Field("from it to the reference clock", unit="s")] = None
    root_dispersion: Annotated[float | None, Field("from it to the reference clock", unit="s")] = None
    precision: Annotated[float | None, Field("of its clock", unit="s")] = None
    poll: Annotated[float | None, Field("what it wants between questions", unit="s")] = None
    version: Annotated[int | None, Field("of the protocol")] = None
    kiss: Annotated[str, Field("code of a server that gives no time")] = ""
    bogus: Annotated[int, Field("datagrams that were no answer", unit="1")] = 0

    def summary(self) -> str:
        if self.offset is None:
            return ""
        parts = [f"{'ahead' if self.offset >= 0 else 'behind'} by {format_quantity(abs(self.offset), 's')}"]
        for name in ("delay", "dispersion", "distance"):
            if getattr(self, name) is not None:
                parts.append(f"{name} {format_quantity(getattr(self, name), 's')}")
        parts.append(f"stratum {self.stratum}" + (f" ({self.reference})" if self.reference else ""))
        return ", ".join([*parts, *([self.leap] if self.leap else [])])


@dataclass(frozen=True, slots=True)
class Answer:
    """A packet of mode 4, in seconds; times are epoch seconds, None where the server does not know."""

    leap: int
    version: int
    stratum: int
    poll: float
    precision: float
    root_delay: float
    root_dispersion: float
    reference: bytes
    set_at: float | None
    received: float | None
    sent: float | None


@dataclass(frozen=True, slots=True)
class Sample:
    offset: float
    delay: float
    dispersion: float
    answer: Answer


async def measure(target: str, settings: Settings, world: World) -> Ntp:
    trial = Trial(Ntp(target=target), world)
    within = settings.count * (settings.interval + settings.timeout) + 10
    return await trial.run(_ask(target, settings, trial), within)


def question(token: int) -> bytes:
    """Version 4, client; nothing about us but a number."""
    return PACKET.pack(4 << 3 | 3, 0, 0, 0, 0, 0, b"", 0, 0, 0, token)


def read(data: bytes, token: int, now: float) -> Answer | None:
    """What a server says; None for what is no answer to the question with this token. now: tells the era."""
    if len(data) < PACKET.size:
        return None
    flags, stratum, poll, precision, delay, dispersion, reference, *times = PACKET.unpack_from(data)
    set_at, origin, received, sent = times
    version, mode = flags >> 3 & 7, flags & 7
    if mode != 4 or not 1 <= version <= 4 or origin != token:
        return None
    return Answer(
        leap=flags >> 6,
        version=version,
        stratum=stratum,
        poll=2.0 ** max(0, min(17, poll)),
        precision=2.0 ** max(-32, min(16, precision)),
        root_delay=delay / 65536,
        root_dispersion=dispersion / 65536,
        reference=reference,
        set_at=_seconds(set_at, now),
        received=_seconds(received, now),
        sent=_seconds(sent, now),
    )


def _seconds(stamp: int, now: float) -> float | None:
    """Epoch seconds, in the era that is nearest to ours (RFC 5905, 6); 0 is unknown."""
    if not stamp:
        return None
    seconds = (stamp >> 32) - EPOCH
    return seconds + round((now - seconds) / ERA) * ERA + (stamp & 0xFFFFFFFF) / ERA


def sample(answer: Answer, left: float, came: float, precision: float) -> Sample | None:
    """left, came: epoch seconds by our clock. precision: of our clock. None where it has no times."""
    if answer.received is None or answer.sent is None:
        return None
    offset = ((answer.received - left) + (answer.sent - came)) / 2
    # Clocks of two hosts may show less than nothing on a short way (RFC 5905, 8).
    delay = max((came - left) - (answer.sent - answer.received), precision)
    return Sample(offset, delay, answer.precision + precision + FREQUENCY * (came - left), answer)


async def _ask(target: str, settings: Settings, trial: Trial[Ntp]) -> None:
    address = await trial.resolve(target, settings.family)
    samples: list[Sample] = []
    try:
        for number in range(settings.count):
            if number:
                await trial.world.clock.sleep(settings.interval)
            trial.know(sent=number + 1)
            found = await _once(address, settings, trial)
            if found is not None:
                samples.append(found)
    finally:
        if samples:
            _know(samples, address, trial)
    if not samples:
        raise Stop("failed", f"no answer in {settings.timeout:g} s")
    _judge(settings, trial)


async def _once(address: str, settings: Settings, trial: Trial[Ntp]) -> Sample | None:
    """One question from a port of its own; None where nothing came."""
    clock, token = trial.world.clock, trial.world.random.getrandbits(64) | 1
    with datagrams.talk(address, settings.port, trial.world) as sock:
        left, steady = clock.time(), clock.monotonic()
        await datagrams.send(sock, question(token))
        try:
            answer, came, waited = await _answer(sock, token, settings, trial, steady)
        except TimeoutError:
            trial.say(f"no answer in {settings.timeout:g} s")
            return None
    if abs((came - left) - waited) > STEP:
        raise Stop("unmeasured", "the clock of this host was set meanwhile")
    _check_kiss(answer, trial)
    found = sample(answer, left, came, 2.0**-20)
    if found is None:
        raise Stop("wrong", "the answer has no times")
    offset, delay = format_quantity(found.offset, "s"), format_quantity(found.delay, "s")
    trial.say(f"offset {offset}, delay {delay}, stratum {answer.stratum}")
    return found


async def _answer(
    sock: datagrams.Socket, token: int, settings: Settings, trial: Trial[Ntp], began: float
) -> tuple[Answer, float, float]:
    """With epoch seconds and steady seconds of its arrival."""
    clock = trial.world.clock
    async with asyncio.timeout(settings.timeout):
        while trial.known.bogus < BOGUS_MOST:
            data = await datagrams.receive(sock)
            came, waited = clock.time(), clock.monotonic() - began
            answer = read(data, token, came)
            if answer is not None:
                trial.know(answered=trial.known.answered + 1)
                return answer, came, waited
            trial.know(bogus=trial.known.bogus + 1)
            trial.say(f"{len(data)} B that are no answer to it")
    raise Stop("failed", f"{BOGUS_MOST} datagrams came, and none of them answers")


def _check_kiss(answer: Answer, trial: Trial[Ntp]) -> None:
    """Stratum 0 is no time: the server says what it wants, and is not asked again (RFC 5905, 7.4)."""
    if answer.stratum == 0:
        code = clean(answer.reference.rstrip(b"\0").decode("ascii", "replace"))
        trial.know(kiss=code, stratum=0, version=answer.version)
        if code in UNWILLING:
            raise Stop("failed", f"the server does not want to be asked: {code}")
        raise Stop("wrong", f"the server is not synchronised: {code or 'no code'}")


def _know(samples: list[Sample], address: str, trial: Trial[Ntp]) -> None:
    best = min(samples, key=lambda one: one.delay)
    answer = best.answer
    others = [(one.offset - best.offset) ** 2 for one in samples if one is not best]
    # RFC 5905, 11.2 root distance, without what grows with time since.
    distance = (answer.root_delay + best.delay) / 2 + answer.root_dispersion + best.dispersion
    now = trial.world.clock.time()
    trial.know(
        offset=best.offset,
        delay=best.delay,
        dispersion=best.dispersion,
        jitter=statistics.fmean(others) ** 0.5 if others else None,
        distance=distance,
        stratum=answer.stratum,
        leap=LEAPS[answer.leap],
        reference=reference_of(answer, address),
        reference_age=None if answer.set_at is None else now + best.offset - answer.set_at,
        root_delay=answer.root_delay,
        root_dispersion=answer.root_dispersion,
        precision=answer.precision,
        poll=answer.poll,
        version=answer.version,
    )


def reference_of(answer: Answer, address: str) -> str:
    """`GPS`, or the IPv4 address of the server above; over IPv6 it is a hash of one."""
    if answer.stratum <= 1:
        return clean(answer.reference.rstrip(b"\0").decode("ascii", "replace"))
    return answer.reference.hex() if ":" in address else socket.inet_ntop(socket.AF_INET, answer.reference)


def _judge(settings: Settings, trial: Trial[Ntp]) -> None:
    known = trial.known
    stratum, offset, distance = known.stratum or 0, known.offset or 0.0, known.distance or 0.0
    if known.leap == LEAPS[3] or stratum >= 16:
        reason = "the server is not synchronised"
    elif stratum > settings.stratum_most:
        reason = f"stratum {stratum} is above {settings.stratum_most}"
    elif distance > settings.distance_most:
        reason = f"its root distance is {format_quantity(distance, 's')}"
    elif settings.offset_most is not None and abs(offset) > settings.offset_most:
        reason = f"the clocks differ by {format_quantity(abs(offset), 's')}"
    else:
        return
    trial.know(state="wrong", reason=reason)
