"""A path as it is learnt reply by reply: per hop who answers, how often and how fast.

Sources: mtr(8) for what people expect to read; Welford 1962 for the running deviation. A hop's loss is not the path's:
routers limit how many errors they send (RFC 1812, 4.3.2.8).
"""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Annotated

from amon.command.answer import aligned
from amon.fields import Field
from amon.units import format_quantity

from . import icmp
from .shape import Networks
from .volley import Reply

ROUTERS_MOST = 64
"""Addresses kept of one hop; whoever answers with ever new ones fills no memory."""
_SHOWN_MOST, _SHOWN_LAST = 32, 8  # rows of a path that are shown, and how many of them are its end
_NETWORK_MOST = 32  # characters of a network in such a row


@dataclass(frozen=True, slots=True)
class Router:
    """One of those that answer at a hop."""

    address: str
    answered: Annotated[int, Field("times it answered", unit="1")]
    asn: Annotated[int, Field("of its network, 0 if not known")] = 0
    network: Annotated[str, Field("name of that")] = ""
    flows: Annotated[tuple[int, ...], Field("flows that pass it")] = ()

    def __str__(self) -> str:
        whose = f" AS{self.asn} {self.network}".rstrip() if self.asn else ""
        return f"{self.address}{whose}"


@dataclass(frozen=True, slots=True)
class Hop:
    """A row of a trace. address: who answers most, empty if nobody does."""

    ttl: Annotated[int, Field("hops from here")]
    address: Annotated[str, Field("who answers most")] = ""
    asn: Annotated[int, Field("number of its network, 0 if not known")] = 0
    network: Annotated[str, Field("name of that")] = ""
    sent: Annotated[int, Field("packets", unit="1")] = 0
    answered: Annotated[int, Field("of them", unit="1")] = 0
    loss: Annotated[float, Field("of those that were sent: routers may limit what they answer", unit="%")] = 0.0
    rtt_last: Annotated[float | None, Field("round trip", unit="s")] = None
    rtt_least: Annotated[float | None, Field("round trip", unit="s")] = None
    rtt_mean: Annotated[float | None, Field("round trip", unit="s")] = None
    rtt_most: Annotated[float | None, Field("round trip", unit="s")] = None
    deviation: Annotated[float | None, Field("standard deviation of the round trips", unit="s")] = None
    jitter: Annotated[float | None, Field("mean difference of consecutive round trips", unit="s")] = None
    mtu: Annotated[int, Field("largest IP packet that gets this far, 0 if not known", unit="B")] = 0
    note: Annotated[str, Field("what else it says")] = ""
    others: Annotated[tuple[Router, ...], Field("who answers beside it")] = ()

    def __str__(self) -> str:
        if not self.answered and not self.address:
            return f"{self.ttl:3}  *  ({self.sent} sent)"
        main = Router(self.address, self.answered, self.asn, self.network)
        names = " | ".join(str(one) for one in (main, *self.others))
        times = [format_quantity(one, "s") for one in (self.rtt_least, self.rtt_mean, self.rtt_most) if one is not None]
        mtu = f"MTU {self.mtu}" if self.mtu else ""
        loss = f"{self.loss:.0f} % lost"
        return f"{self.ttl:3}  " + "  ".join(part for part in (names, loss, " / ".join(times), mtu, self.note) if part)

    @property
    def who(self) -> str:
        """`192.0.2.1 +2` where two more answer; `*` where nobody does."""
        return (self.address or "*") + (f" +{len(self.others)}" if self.others else "")

    @property
    def whose(self) -> str:
        """`AS64500 EXAMPLE-NET`, empty where nobody knows."""
        return f"AS{self.asn} {self.network}".rstrip() if self.asn else ""


def shown(hops: Sequence[Hop]) -> list[str]:
    """A line for each, as of traceroute(8): who, whose, the least round trip, what is odd. Of very many both ends."""
    rows = [_cells(hop) for hop in hops]
    used = [place for place in range(5) if any(row[place] for row in rows)]
    right = (True, False, False, True, False)
    lines = aligned([[row[place] for place in used] for row in rows], [right[place] for place in used]).splitlines()
    more = len(lines) - _SHOWN_MOST
    if more > 0:
        lines[_SHOWN_MOST - _SHOWN_LAST : -_SHOWN_LAST] = [f"... {more} more hops, all of them with --explain"]
    return lines


def _cells(hop: Hop) -> tuple[str, ...]:
    loss = f"{hop.loss:.0f} % lost" if hop.loss and hop.address else ""
    odd = ", ".join(word for word in (loss, f"MTU {hop.mtu}" if hop.mtu else "", hop.note) if word)
    rtt = "" if hop.rtt_least is None else format_quantity(hop.rtt_least, "s")
    return str(hop.ttl), hop.who, hop.whose[:_NETWORK_MOST], rtt, odd


@dataclass(slots=True)
class Times:
    """Round trips, one after the other, in constant memory."""

    count: int = 0
    last: float = 0.0
    least: float = math.inf
    most: float = -math.inf
    mean: float = 0.0
    _squares: float = 0.0
    _steps: float = 0.0

    def add(self, rtt: float) -> None:
        if self.count:
            self._steps += abs(rtt - self.last)
        self.count += 1
        self.last, self.least, self.most = rtt, min(self.least, rtt), max(self.most, rtt)
        away = rtt - self.mean
        self.mean += away / self.count
        self._squares += away * (rtt - self.mean)

    def columns(self) -> dict[str, float | None]:
        if not self.count:
            return {}
        return {
            "rtt_last": self.last,
            "rtt_least": self.least,
            "rtt_mean": self.mean,
            "rtt_most": self.most,
            "deviation": math.sqrt(max(0.0, self._squares / self.count)),
            "jitter": self._steps / (self.count - 1) if self.count > 1 else None,
        }


@dataclass(slots=True)
class _At:
    """One hop so far."""

    sent: int = 0
    unsent: int = 0
    times: Times = field(default_factory=Times)
    routers: dict[str, set[int]] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    left_out: int = 0
    errors: dict[str, tuple[int, int]] = field(default_factory=dict)
    mtu: int = 0
    told_mtu: int = 0


class Path:
    """All that is known of the way to `address`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.version = 6 if ":" in address else 4
        self._hops: dict[int, _At] = {}
        self.reached: int | None = None
        """TTL at which the target itself answers."""
        self.refused: int | None = None
        """TTL at which a router says that it does not go on."""

    @property
    def end(self) -> int | None:
        return min((one for one in (self.reached, self.refused) if one is not None), default=None)

    def add(self, reply: Reply) -> None:
        at = self._hops.setdefault(reply.ttl, _At())
        if reply.state == "unsent":
            at.unsent += 1
            return
        if reply.state != "late":  # it was counted when it was lost
            at.sent += 1
        if not reply.source:
            return
        if reply.state != "late" and reply.rtt is not None:
            at.times.add(reply.rtt)
        self._note_source(at, reply)
        if reply.state == "answered" or reply.source == self.address:
            self.reached = min(self.reached or 255, reply.ttl)
        elif reply.state == "unreachable":
            at.told_mtu = reply.mtu or at.told_mtu
            if not icmp.is_too_big(self.version, reply.kind, reply.code):
                self.refused = min(self.refused or 255, reply.ttl)

    def _note_source(self, at: _At, reply: Reply) -> None:
        if reply.source not in at.routers and len(at.routers) >= ROUTERS_MOST:
            at.left_out += 1
            return
        at.routers.setdefault(reply.source, set()).add(reply.flow)
        at.counts[reply.source] += 1
        if reply.state == "unreachable":
            at.errors[reply.source] = (reply.kind, reply.code)

    def note_mtu(self, ttl: int, mtu: int) -> None:
        self._hops.setdefault(ttl, _At()).mtu = mtu

    def width(self, ttl: int) -> int:
        """How many answer there."""
        return len(self._hops[ttl].routers) if ttl in self._hops else 0

    def flows(self, ttl: int) -> int:
        """How many different flows were answered there."""
        return len(set().union(*self._hops[ttl].routers.values())) if ttl in self._hops else 0

    def is_per_packet(self, ttl: int) -> bool:
        """Whether one flow met several routers there: then no flow keeps to a way."""
        sets = list(self._hops[ttl].routers.values()) if ttl in self._hops else []
        return sum(map(len, sets)) > len(set().union(*sets))

    def ttls(self) -> Iterator[int]:
        """From the first to the end; where the end was not reached, to the last that answers."""
        heard = [ttl for ttl, at in self._hops.items() if at.routers]
        last = self.end if self.end is not None else max(heard, default=0)
        return (ttl for ttl in sorted(self._hops) if ttl <= last)

    def hops(self, networks: Networks | None) -> tuple[Hop, ...]:
        return tuple(self._hop(ttl, self._hops[ttl], networks) for ttl in self.ttls())

    def _hop(self, ttl: int, at: _At, networks: Networks | None) -> Hop:
        ranked = [address for address, _ in at.counts.most_common()]
        routers = [self._router(one, at, networks) for one in ranked]
        main = routers[0] if routers else Router("", 0)
        lost = 100 * (at.sent - at.times.count) / at.sent if at.sent else 0.0
        return Hop(
            ttl=ttl,
            address=main.address,
            asn=main.asn,
            network=main.network,
            sent=at.sent,
            answered=at.times.count,
            loss=lost,
            mtu=at.mtu,
            note=self._note(ttl, at),
            others=tuple(routers[1:]),
            **at.times.columns(),
        )

    def _router(self, address: str, at: _At, networks: Networks | None) -> Router:
        asn, network = networks.of(address) if networks is not None else (0, "")
        return Router(address, at.counts[address], asn, network, tuple(sorted(at.routers[address])))

    def _note(self, ttl: int, at: _At) -> str:
        said = [icmp.text_of(self.version, kind, code) for kind, code in dict.fromkeys(at.errors.values())]
        if at.told_mtu:
            said.append(f"next link {at.told_mtu} B")
        if self.is_per_packet(ttl):
            said.append("one flow, several routers")
        if at.left_out:
            said.append(f"and answers of more than {ROUTERS_MOST} addresses")
        if at.unsent:
            said.append(f"{at.unsent} not sent")
        return ", ".join(said)
