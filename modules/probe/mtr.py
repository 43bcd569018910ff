"""mtr: a trace that goes on, drawn anew with each round: who is at each hop, how much is lost, how fast it answers.

Sources: mtr(8) for what people expect to see. Each picture takes the place of the one before; statistics are since the
beginning. The loss of a hop in the middle says little, as routers limit what they answer: the last hop counts.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Annotated

from amon.command.answer import aligned
from amon.fields import Field

from . import trace
from .hops import Hop
from .shape import World

_HEADS = ("hop", "address", "loss %", "sent", "last ms", "mean", "best", "worst", "dev", "network")


@dataclass(frozen=True, slots=True)
class Picture:
    """A path as it is known now."""

    target: Annotated[str, Field("as it was asked for")]
    address: Annotated[str, Field("what is really asked")]
    state: Annotated[str, Field("good, wrong, failed or unmeasured")]
    reason: Annotated[str, Field("why it is not good")]
    seconds: Annotated[float, Field("since the beginning", unit="s")]
    sent: Annotated[int, Field("packets to each hop", unit="1")]
    way: Annotated[str, Field("what sends")]
    hops: Annotated[tuple[Hop, ...], Field("one after the other")]

    def __str__(self) -> str:
        where = self.target if self.target == self.address or not self.address else f"{self.target} ({self.address})"
        said = f": {self.reason}" if self.reason else ""
        head = f"{where}, {self.seconds:.0f} s{said}"
        return "\n".join((head, drawn(self.hops))) if self.hops else head


async def pictures(target: str, name: str, settings: trace.Settings, world: World) -> AsyncGenerator[Picture, None]:
    """For ever. name: what the target is called."""
    async with aclosing(trace.watch(target, settings, world)) as stream:
        async for one in stream:
            sent = max((hop.sent for hop in one.hops), default=0)
            yield Picture(name, one.address, one.state, one.reason, round(one.seconds, 1), sent, one.way, one.hops)


def drawn(hops: Sequence[Hop]) -> str:
    """In columns, numbers to the right."""
    rows = [_HEADS, *map(_cells, hops)]
    right = (True, False, *(True,) * 7, False)
    return aligned(rows, right)


def _cells(hop: Hop) -> tuple[str, ...]:
    times = (hop.rtt_last, hop.rtt_mean, hop.rtt_least, hop.rtt_most, hop.deviation)
    return (
        str(hop.ttl), hop.who, f"{hop.loss:.3g}", str(hop.sent), *map(_ms, times),
        " ".join(word for word in (hop.whose, hop.note) if word),
    )  # fmt: skip


def _ms(seconds: float | None) -> str:
    return "" if seconds is None else f"{1000 * seconds:.1f}"
