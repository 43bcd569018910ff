"""Echo requests to one address by a socket of this process: sent in time, matched, each to its one end.

For low rates, where no packet engine is. A reply must have our id, a number that is under way and its nonce; errors may
quote too little for the nonce (RFC 792: 8 bytes), so there the number and the quoted destination are the proof.
"""

import asyncio
import errno
import heapq
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from typing import Protocol

from amon.engine.messages import Spec
from amon.tasks import wait_event

from . import icmp
from .icmpsocket import Heard, IcmpSocket, Wire
from .shape import Stop, World

UNDER_WAY_MOST = 4096
"""Packets that may wait for their reply at a time; the next ones wait until there is room."""
SPACING, SPACING_OF_HOPS = 0.001, 0.01
"""Least seconds between two packets: nobody's rate limit must be met by a burst of ours. The second is between the TTLs
of a trace: its end should be known before many packets went beyond it."""


class Tally(Protocol):
    """What is counted beside the replies; see `echo.Counts`."""

    way: str
    duplicates: int
    forged: int
    wrong_source: int
    bad: int
    dropped: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What became of one packet. state: one of `amon.engine.messages.STATES`. rtt: seconds; None where nothing came.

    hops: TTL left in the answer. kind, code: of the ICMP answer. mtu: of the next link, where it says so. sent: epoch.
    """

    number: int
    ttl: int
    flow: int
    state: str
    source: str = ""
    rtt: float | None = None
    hops: int = 0
    kind: int = 0
    code: int = 0
    mtu: int = 0
    sent: float = 0.0


@dataclass(slots=True)
class _Shot:
    number: int
    ttl: int
    flow: int
    nonce: int = 0
    wall: float = 0.0
    steady: float = 0.0
    closed: str = ""


def plan(spec: Spec) -> Iterator[tuple[float, int, int, int]]:
    """When (seconds from the start), number, TTL and flow of each packet, in order of time.

    TTL after TTL within a visit, so that a router sees a target's packets spread out.
    """
    ttls = range(spec.ttl, max(spec.ttl, spec.last_ttl) + 1)
    free, spacing = 0.0, SPACING if len(ttls) == 1 else SPACING_OF_HOPS
    for visit in range(spec.rounds or 2**31):
        for place in range(spec.burst):
            due = max(visit * spec.interval + place * spec.gap, free)
            for ttl in ttls:
                for flow in range(spec.flows):
                    yield due, visit * spec.burst + place, ttl, flow
                    due += spacing
            free = due


async def volley(address: str, spec: Spec, world: World, tally: Tally) -> AsyncGenerator[Reply, None]:
    """All of the spec to one address. Raises `Stop` where nothing can be sent."""
    make = world.icmp or IcmpSocket
    try:
        wire = make(address, world.random.getrandbits(16), source=world.source(address), tos=spec.tos, df=spec.df)
    except OSError as fault:
        raise Stop("unmeasured", f"no ICMP socket: {(fault.strerror or str(fault)).lower()}") from None
    tally.way = f"{wire.name} socket"
    one = Volley(address, spec, world, wire, tally)
    try:
        async for reply in one.run():
            yield reply
    finally:
        one.close()


class Volley:
    """wire: closed by `close`."""

    def __init__(self, address: str, spec: Spec, world: World, wire: Wire, tally: Tally) -> None:
        self._address = address
        self._spec = spec
        self._world = world
        self._wire = wire
        self._tally = tally
        self._fill = icmp.fill_of(world.identity, spec.size)
        self._shots: dict[int, _Shot] = {}
        self._timeouts: list[tuple[float, int]] = []
        self._under_way = 0
        self._next = world.random.getrandbits(16)
        self._reached = 256
        self._woken = asyncio.Event()
        asyncio.get_running_loop().add_reader(wire.fileno(), self._woken.set)

    def close(self) -> None:
        self._tally.dropped = self._wire.dropped
        asyncio.get_running_loop().remove_reader(self._wire.fileno())
        self._wire.close()

    async def run(self) -> AsyncGenerator[Reply, None]:
        clock = self._world.clock
        began = clock.monotonic()
        todo = plan(self._spec)
        following = next(todo, None)
        while following is not None or self._under_way:
            self._woken.clear()
            for reply in self._hear():
                yield reply
            now = clock.monotonic() - began
            for reply in self._expire(now):
                yield reply
            while following is not None and following[0] <= now and self._under_way < UNDER_WAY_MOST:
                _, number, ttl, flow = following
                unsent = self._send(number, ttl, flow, now) if ttl <= self._reached else None
                following = next(todo, None)
                if unsent is not None:
                    yield unsent
            if following is not None or self._under_way:
                await self._wait(None if following is None else following[0], clock.monotonic() - began)

    async def _wait(self, due: float | None, now: float) -> None:
        """Until something came, or it is time for the next packet or timeout."""
        while self._timeouts and self._is_closed(self._timeouts[0][1]):
            heapq.heappop(self._timeouts)
        times = [self._timeouts[0][0]] if self._timeouts else []
        if due is not None and self._under_way < UNDER_WAY_MOST:
            times.append(due)
        if not self._woken.is_set() and times and min(times) > now:
            await wait_event(self._woken, self._world.clock, min(times) - now)
        else:
            await asyncio.sleep(0)

    def _send(self, number: int, ttl: int, flow: int, now: float) -> Reply | None:
        """None, or the reply that says why it was not sent."""
        seq = self._next = (self._next + 1) & 0xFFFF
        self._shots.pop((seq - 2 * UNDER_WAY_MOST) & 0xFFFF, None)  # closed long ago: timeouts come in order
        shot = _Shot(number, ttl, flow, self._world.random.getrandbits(64))
        message = icmp.request(self._wire.version, self._wire.ident, seq, seq, shot.nonce, flow, self._fill)
        shot.wall, shot.steady = self._world.clock.time(), self._world.clock.monotonic()
        try:
            self._wire.send(message, ttl)
        except OSError as fault:
            return self._not_sent(shot, fault)
        self._shots[seq] = shot
        self._under_way += 1
        heapq.heappush(self._timeouts, (now + self._spec.timeout, seq))
        return None

    def _not_sent(self, shot: _Shot, fault: OSError) -> Reply:
        if fault.errno in (errno.EPERM, errno.EACCES, errno.EINVAL, errno.ENETUNREACH, errno.EADDRNOTAVAIL):
            reason = (fault.strerror or str(fault)).lower()
            raise Stop("unmeasured", f"this host does not send it: {reason}")
        mtu = 0
        if fault.errno == errno.EMSGSIZE:
            list(self._wire.heard())  # there it says how much would fit
            mtu = self._wire.local_mtu
        return Reply(shot.number, shot.ttl, shot.flow, "unsent", mtu=mtu, sent=shot.wall)

    def _is_closed(self, seq: int) -> bool:
        shot = self._shots.get(seq)
        return shot is None or bool(shot.closed)

    def _expire(self, now: float) -> Iterator[Reply]:
        while self._timeouts and self._timeouts[0][0] <= now:
            _, seq = heapq.heappop(self._timeouts)
            if not self._is_closed(seq):
                shot = self._shots[seq]
                yield self._close(shot, Reply(shot.number, shot.ttl, shot.flow, "lost", sent=shot.wall))

    def _close(self, shot: _Shot, reply: Reply) -> Reply:
        if not shot.closed:
            self._under_way -= 1
        shot.closed = reply.state
        return reply

    def _hear(self) -> Iterator[Reply]:
        for heard in self._wire.heard():
            reply = self._match(heard, self._world.clock.monotonic())
            if reply is not None:
                yield reply

    def _match(self, heard: Heard, now: float) -> Reply | None:
        """The reply it makes; None for what is not ours, not true or not the first."""
        version = self._wire.version
        echo = icmp.read_echo(version, heard.data, reply=heard.error is None)
        if echo is None or echo.ident != self._wire.ident:
            self._tally.bad += echo is None
            return None
        shot = self._shots.get(echo.seq)
        if heard.error is None and echo.nonce is None:  # errors may quote too little; a reply may not
            self._tally.bad += 1
            return None
        if shot is None or echo.nonce not in (shot.nonce, None):
            self._tally.forged += 1
            return None
        target = heard.source if heard.error is None else heard.to
        if target != self._address.partition("%")[0]:
            self._tally.wrong_source += 1
            return None
        if shot.closed not in ("", "lost"):
            self._tally.duplicates += 1
            return None
        return self._close(shot, self._reply(shot, heard, now))

    def _reply(self, shot: _Shot, heard: Heard, now: float) -> Reply:
        kind, code = heard.error or (icmp.ECHO_REPLY[self._wire.version], 0)
        if shot.closed:
            state = "late"
        elif heard.error is None:
            state = "answered"
        else:
            state = "hop" if kind == icmp.TIME_EXCEEDED[self._wire.version] else "unreachable"
        if heard.error is None or heard.source == self._address:
            self._reached = min(self._reached, shot.ttl)
        # The kernel's stamp leaves out how long this process slept; not if its clock was set meanwhile.
        whole, stamped = now - shot.steady, heard.stamp / 1e9 - shot.wall
        rtt = stamped if 0 <= stamped <= whole + 0.001 else whole
        return Reply(
            shot.number, shot.ttl, shot.flow, state, heard.source, rtt, heard.hops, kind, code, heard.mtu,
            shot.wall,
        )  # fmt: skip
