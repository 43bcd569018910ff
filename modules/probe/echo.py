"""ICMP echo to one address as a stream of replies, whoever sends: the packet engine, or a socket of this process.

What is to be sent is said by the engine's `Spec` in both cases; what comes is a `Reply` for each packet, and counts.
"""

import ipaddress
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, field

from amon.engine.messages import SELF, STATES, Batch, Ended, Spec
from amon.engine.messages import State as Progress
from amon.errors import Failed, Refused

from .shape import Engine, Stop, World, clean
from .volley import Reply, volley

ENGINE_SIZE_MOST = 1972
"""Payload bytes that the engine sends; larger ones go through a socket."""


@dataclass(slots=True)
class Counts:
    """What came beside the replies, and by which way all of it went."""

    way: str = ""
    duplicates: int = 0
    forged: int = 0
    wrong_source: int = 0
    bad: int = 0
    skipped: int = 0
    dropped: int = 0
    notes: list[str] = field(default_factory=list)
    away: Callable[[], float | None] = lambda: None
    """Since when (epoch seconds) the packet engine is away. To be asked: then nothing comes that could tell."""


async def replies(address: str, spec: Spec, world: World, counts: Counts) -> AsyncGenerator[Reply, None]:
    """One for each packet when its end is known, lost ones included; `counts` is filled in on the way.

    Raises `Stop` where nothing can be sent: forbidden, no rights, no route.
    """
    if world.engine is not None and spec.size <= ENGINE_SIZE_MOST and "%" not in address:
        stream = _by_engine(address, spec, world.engine, counts)
    else:
        stream = volley(address, spec, world, counts)
    async with aclosing(stream):
        async for reply in stream:
            yield reply


def packed(address: str) -> bytes:
    """16 bytes, IPv4 mapped into IPv6 (RFC 4291, 2.5.5.2)."""
    found = ipaddress.ip_address(address)
    return found.packed if found.version == 6 else bytes(10) + b"\xff\xff" + found.packed


def unpacked(data: bytes) -> str:
    found = ipaddress.IPv6Address(data)
    return str(found.ipv4_mapped or found)


async def _by_engine(address: str, spec: Spec, engine: Engine, counts: Counts) -> AsyncGenerator[Reply, None]:
    counts.way = "packet engine"
    try:
        job = await engine.begin(spec, packed(address))
    except (Refused, Failed, OSError) as fault:
        raise Stop("unmeasured", f"the packet engine does not take it: {fault}") from None
    ended = False
    counts.away = lambda: job.away
    try:
        if job.denied:
            raise Stop("unmeasured", f"the packet engine must not probe it: {clean(job.denied[0].text)}")
        async for report in job:
            if isinstance(report, Batch):
                for reply in _rows(report, address):
                    yield reply
            elif isinstance(report, Ended):
                ended = True
                _note(report, counts)
                if spec.rounds is None:
                    raise Stop("unmeasured", clean(report.text) or "the packet engine has ended it")
            elif isinstance(report, Progress):
                _held(report, counts)
        if not ended:
            raise Stop("unmeasured", "the packet engine went away")
    finally:
        if not ended:
            await job.end()


def _rows(batch: Batch, address: str) -> list[Reply]:
    columns = {name: batch.column(name) for name in batch.columns}
    sources = [unpacked(batch.sources[start : start + 16]) for start in range(0, len(batch.sources) // 16 * 16, 16)]

    def value(name: str, row: int) -> int:
        column = columns.get(name)
        return 0 if not column else column[row if len(column) > 1 else 0]

    made = []
    for row in range(batch.rows):
        place = value("source", row)
        source = address if place == SELF else sources[place] if place < len(sources) else ""
        state = STATES[value("state", row)]
        heard = state not in ("lost", "unsent")
        made.append(
            Reply(
                number=value("number", row),
                ttl=value("ttl", row),
                flow=value("flow", row),
                state=state,
                source=source if heard else "",
                # Raw, it may be below nothing where the way is shorter than the error of a stamp.
                rtt=max(0, value("rtt", row)) / 1e9 if heard else None,
                hops=value("hops", row),
                kind=value("type", row),
                code=value("code", row),
                mtu=value("mtu", row),
                sent=value("sent", row) / 1e9,
            )
        )
    return made


def _note(ended: Ended, counts: Counts) -> None:
    tally = ended.tally
    counts.duplicates += tally.duplicate
    counts.forged += tally.forged
    counts.wrong_source += tally.wrong_source
    counts.bad += tally.truncated + tally.bad_checksum
    counts.skipped += tally.skipped
    if tally.skipped:
        counts.notes.append(f"{tally.skipped} packets were not sent in time: a limit of the engine")
    if ended.text:
        counts.notes.append(clean(ended.text))


def _held(progress: Progress, counts: Counts) -> None:
    if progress.held and not any("held" in note for note in counts.notes):
        counts.notes.append("the engine held this job for a while: its results were not taken")
