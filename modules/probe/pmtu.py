"""The largest IP packet that reaches a host whole: what routers say, and a search where they say nothing.

Sources: RFC 1191 and RFC 8201 (fragmentation needed, packet too big), RFC 4821 and RFC 8899 (search by packets of our
own, since the messages get lost or lie: a value they tell is believed when a packet of that size gets there, and one
that is a byte larger does not).
"""

from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

from amon.engine.messages import Spec

from . import icmp
from .echo import ENGINE_SIZE_MOST, Counts, replies
from .hops import Path
from .shape import Stop, Trial

LEAST = {4: 68, 6: 1280}
"""Each link carries these (RFC 791, 3.2; RFC 8200, 5)."""
TRIES = 40
STEPS_AT_A_HOP = 8


@dataclass(frozen=True, slots=True)
class Found:
    """mtu: 0 where it is not known. by: who told, or how it was found."""

    mtu: int
    by: str


@dataclass(frozen=True, slots=True)
class Answer:
    """To packets of one size. mtu: what a router says its next link takes, 0 if none does."""

    fits: bool
    mtu: int = 0
    by: str = ""


async def search(address: str, most: int, tos: int, timeout: float, trial: Trial[Any]) -> Found:
    """Between what every link carries and `most` bytes."""
    version = 6 if ":" in address else 4
    low, high = LEAST[version], most
    size, by, claimed = high, "", ""
    if not (await _ask(address, version, low, tos, timeout, trial)).fits:
        trial.say(f"not even {low} B get there with DF")
        return Found(0, "no answer with DF")
    for _ in range(TRIES):
        try:
            answer = await _ask(address, version, size, tos, timeout, trial)
        except Stop as stop:
            size = most = high = _by_engine(version, size, trial, stop)
            continue
        if answer.fits:
            low, claimed = size, by
            # One byte more must not get there, else it was a lie.
            size, by = (low + 1, "") if by else _following(low, high, answer)
        else:
            high = size - 1
            size, by = _following(low, high, answer)
        if low >= high:
            break
    return Found(low, claimed or ("at least" if low == most else "by search: the routers say nothing"))


async def along(path: Path, most: int, tos: int, timeout: float, trial: Trial[Any]) -> None:
    """Note for each hop of the path how large a packet gets there, as tracepath(8) does: the first router that cannot
    pass it on says what it could."""
    size = most
    for ttl in list(path.ttls()):
        for _ in range(STEPS_AT_A_HOP):
            try:
                answer = await _ask(path.address, path.version, size, tos, timeout, trial, ttl)
            except Stop as stop:
                size = _by_engine(path.version, size, trial, stop)
                continue
            if answer.fits:
                path.note_mtu(ttl, size)
            if answer.fits or not LEAST[path.version] <= answer.mtu < size:
                break
            size = answer.mtu


def _by_engine(version: int, size: int, trial: Trial[Any], stop: Stop) -> int:
    """Where no socket may send, the largest size that the engine does. Raises `stop` where that is no way out."""
    most = ENGINE_SIZE_MOST + icmp.OVERHEAD[version]
    if trial.world.engine is None or size <= most:
        raise stop
    trial.say(f"only the packet engine may send here: nothing above {most} B is tried")
    return most


def _following(low: int, high: int, answer: Answer) -> tuple[int, str]:
    """The size to try next, and who says that it fits. A word that cannot be true is not listened to."""
    if low < answer.mtu <= high:
        return answer.mtu, answer.by
    return (low + high + 1) // 2, ""


async def _ask(
    address: str, version: int, size: int, tos: int, timeout: float, trial: Trial[Any], ttl: int = 64
) -> Answer:
    """Whether one of two packets of this size gets there, or as far as its TTL lets it."""
    spec = Spec(
        rounds=2, interval=0.05, timeout=min(timeout, 2.0), size=size - icmp.OVERHEAD[version], tos=tos, df=True,
        ttl=ttl, priority=trial.world.priority,
    )  # fmt: skip
    stream = replies(address, spec, trial.world, Counts())
    told = Answer(fits=False)
    async with aclosing(stream):
        async for reply in stream:
            if reply.state in ("answered", "late", "hop"):
                trial.say(f"{size} B get to {reply.source}")
                return Answer(fits=reply.state != "hop" or ttl < 64)
            if reply.mtu and not told.mtu:
                told = Answer(False, reply.mtu, reply.source or "the own link")
                trial.say(f"{size} B are too many: {told.by} takes {reply.mtu} B")
    if not told.mtu:
        trial.say(f"{size} B do not get there, and nobody says why")
    return told
