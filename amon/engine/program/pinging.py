"""`amon-engine ping`: the whole engine in one process, for a look by hand: no daemon, no agent, no configuration.

The loop turns in a thread and this end talks to it as any client does. Only the addresses that were asked for may be
probed, with rights given up before the first packet.
"""

import asyncio
import json as json_text
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from errno import ENXIO
from ipaddress import ip_address
from pathlib import Path

from msgspec import structs

from amon.engine.asking.client import Engine, Job, connect, packed
from amon.engine.desk.server import Account, Desk
from amon.engine.linux.netlink import Netlink
from amon.engine.messages import SELF, STATES, Batch, End, Ended, Limits, Sample, Spec
from amon.engine.paths.paths import Paths
from amon.engine.program import privileges
from amon.engine.program.process import ROUTED_WAYS, Opener, interfaces_of
from amon.engine.program.settings import EngineSettings
from amon.engine.rules.caps import TenantCap
from amon.engine.rules.guard import Lists
from amon.engine.turn.loop import Loop, Rules
from amon.engine.turn.ports import Ports, Wanted
from amon.errors import Failed, Invalid, Refused
from amon.text import visible

ANSWERED, NOT_ALL, USAGE = 0, 1, 2
TENANT = "here"
LIMITS = Limits(rate=10_000, bytes=20_000_000, in_flight=20_000)
_PCAP_MOST = 2**31
_UNWAITED = os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_READER_WITHIN = 2.0
"""Seconds in which somebody has to open a FIFO for reading."""
_ANSWERED = STATES.index("answered")


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked for, in the words of ping(8). Times in seconds. count: 0 until somebody says Ctrl-C."""

    addresses: Sequence[str]
    count: int = 4
    interval: float = 1.0
    timeout: float = 2.0
    size: int = 56
    ttl: int = 64
    df: bool = False
    quiet: bool = False
    pcap: Path | None = None
    way: str = "auto"
    interface: str | None = None
    json: bool = False


@dataclass(slots=True)
class Told:
    """What was heard of one target. rtts: seconds."""

    name: str
    address: str
    rtts: list[float] = field(default_factory=list)
    ends: dict[str, int] = field(default_factory=dict)
    denied: str = ""

    @property
    def sent(self) -> int:
        return sum(count for state, count in self.ends.items() if state not in ("unsent", "late"))


def ping(wish: Wish) -> int:
    """Exit code 0: all answered. 1: not all. 2: it cannot be done as asked, or not every packet is in the file."""
    try:
        targets = [Told(name, _resolve(name)) for name in wish.addresses]
        with engine(wish, [one.address for one in targets]) as connected:
            sample, unwritten = asyncio.run(_ping(wish, targets, connected))
    except (Failed, Refused) as error:
        print(f"amon-engine ping: {visible(str(error))}", file=sys.stderr)
        return USAGE
    _summary(wish, targets, sample)
    if unwritten:
        print(visible(f"amon-engine ping: {wish.pcap}: {unwritten}"), file=sys.stderr)
        return USAGE
    whole = all(one.ends.keys() == {"answered"} and one.sent >= wish.count for one in targets)
    return ANSWERED if whole else NOT_ALL


def _resolve(name: str) -> str:
    try:
        return str(ip_address(name))
    except ValueError:
        pass
    try:
        return str(socket.getaddrinfo(name, None, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        raise Invalid(f"{name!r}: {error.strerror or error}") from None


@contextmanager
def engine(wish: Wish, addresses: Sequence[str]) -> Iterator[socket.socket]:
    """An engine of our own, at the other end of this socket."""
    rules = Rules(LIMITS, {TENANT: TenantCap(LIMITS)}, {TENANT: Lists(tuple(addresses))})
    with ExitStack() as closing:
        paths = Paths(Netlink())
        closing.callback(paths.close)
        identity = f"amon-engine ping of {socket.gethostname()}"
        ports = Ports(_wanted(wish), paths.hops, identity.encode(), Opener())
        closing.callback(ports.close)
        if not ports.ports:
            raise Failed(f"no way to the network: {'; '.join(ports.notes)}")
        privileges.drop({privileges.NET_RAW})
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        closing.callback(ours.close)
        desk = Desk(None, [Account(TENANT)])
        desk.admit(theirs, time.monotonic_ns())
        loop = Loop("ping", identity, rules, desk, paths, ports)

        def turn() -> None:
            try:
                loop.run()
            finally:
                desk.close()

        thread = threading.Thread(target=turn, name="engine")
        thread.start()
        closing.callback(thread.join)
        closing.callback(loop.stop)
        yield ours


def _wanted(wish: Wish) -> list[Wanted]:
    if wish.interface:
        return [Wanted(wish.interface, wish.way)]
    if wish.way in ("auto", *ROUTED_WAYS):
        return [Wanted("", wish.way)]
    return [Wanted(one, wish.way) for one in interfaces_of(EngineSettings())]


async def _ping(wish: Wish, targets: Sequence[Told], connected: socket.socket) -> tuple[Sample, str]:
    """How the engine is at the end, and what is wrong with the file."""
    async with connect(connected, TENANT, client="ping") as engine:
        asked, done = asyncio.Event(), asyncio.Event()
        capture = asyncio.create_task(_capture(wish, engine, asked, done))
        try:
            await asked.wait()
            job = await engine.begin(_spec(wish), packed(one.address for one in targets))
            asyncio.get_running_loop().add_signal_handler(signal.SIGINT, _end, job)
            for denied in job.denied:
                for row in denied.rows:
                    targets[row].denied = denied.text
            await _read(wish, targets, job)
            sample = await engine.sample()
            notes = tuple(note for note in sample.notes if note not in engine.welcome.notes)
            sample = structs.replace(sample, notes=notes)
        finally:
            done.set()
            unwritten = await capture
        return sample, unwritten


def _end(job: Job) -> None:
    """What is under way is still waited for, and then all of it is summed up."""
    for part in job.parts:
        part.link.post(End(job.number))


def _spec(wish: Wish) -> Spec:
    return Spec(
        wish.interval, wish.count or None, timeout=wish.timeout, size=wish.size, df=wish.df, ttl=wish.ttl, priority=0
    )


async def _capture(wish: Wish, engine: Engine, asked: asyncio.Event, done: asyncio.Event) -> str:
    """Why not every packet is in the file; empty if each is. asked: set when packets may go."""
    try:
        descriptor = await _opened(wish.pcap) if wish.pcap is not None else None
    except OSError as error:
        return f"cannot be written: {error.strerror}"
    finally:
        asked.set()
    if descriptor is None:
        return ""
    try:
        captured = await engine.capture(descriptor, seconds=3600, packets=10_000_000, size=_PCAP_MOST, until=done)
    except Failed as error:
        return f"may lack packets: {error}"
    finally:
        os.close(descriptor)
    left_out = [f"{captured.left_out} are left out"] if captured.left_out else []
    why = "; ".join([*filter(None, [captured.text]), *left_out])
    return f"lacks packets: {why}" if why else ""


async def _opened(path: Path) -> int:
    """Without O_NONBLOCK a FIFO that nobody reads would be waited for, and Ctrl-C would not end that."""
    until = time.monotonic() + _READER_WITHIN
    while True:
        try:
            return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | _UNWAITED, 0o644)
        except OSError as error:
            if error.errno != ENXIO or not path.is_fifo():
                raise
            if time.monotonic() > until:
                raise OSError(ENXIO, "nobody reads it") from None
        await asyncio.sleep(0.05)


async def _read(wish: Wish, targets: Sequence[Told], job: Job) -> None:
    async for report in job:
        if isinstance(report, Batch):
            for row in range(report.rows):
                _row(wish, targets, report, row)
            sys.stdout.flush()
        elif isinstance(report, Ended) and report.text:
            raise Failed(report.text)


def _row(wish: Wish, targets: Sequence[Told], batch: Batch, row: int) -> None:
    def at(name: str) -> int:
        column = batch.column(name)
        return column[row] if len(column) > 1 else column[0]

    told, state, rtt = targets[at("target")], STATES[at("state")], at("rtt") / 1e9
    told.ends[state] = told.ends.get(state, 0) + 1
    if at("state") == _ANSWERED:
        told.rtts.append(rtt)
    source = told.address
    if at("source") != SELF:
        whole = ip_address(batch.sources[16 * at("source") : 16 * at("source") + 16])
        source = str(getattr(whole, "ipv4_mapped", None) or whole)
    if wish.json:
        more = {"rtt_seconds": rtt, "hops": at("hops")} if rtt else {}
        said = {"target": told.name, "number": at("number"), "state": state, "source": source, **more}
        print(json_text.dumps({**said, "type": at("type"), "code": at("code")}))
    elif not wish.quiet:
        heard = f" from {source}" if state not in ("lost", "unsent") else ""
        # A reply can be faster than two clocks of one machine agree.
        took = f", {max(rtt, 0) * 1e3:.3f} ms, ttl {at('hops')}" if state in ("answered", "hop", "late") else ""
        why = f", type {at('type')} code {at('code')}" if state == "unreachable" else ""
        print(visible(f"{told.name} {at('number')}: {state}{heard}{took}{why}"))


def _summary(wish: Wish, targets: Sequence[Told], sample: Sample) -> None:
    drops = {name: count for name, count in sample.drops.items() if count}
    for one in targets:
        if wish.json:
            data = {"target": one.name, "address": one.address, "ends": one.ends, "denied": one.denied}
            print(json_text.dumps({**data, "drops": drops, "notes": sample.notes, "ways": sample.ways}))
        else:
            print(visible(_sentence(one)))
    if wish.json:
        return
    if any("unsent" in one.ends for one in targets):
        print("".join(f"{visible(note)}\n" for note in sample.notes), end="")
    if drops:
        print(f"dropped on this host: {', '.join(f'{count} {name}' for name, count in drops.items())}")


def _sentence(one: Told) -> str:
    name = one.name if one.name == one.address else f"{one.name} ({one.address})"
    if one.denied:
        return f"{name}: not probed: {one.denied}"
    ends = ", ".join(f"{count} {state}" for state, count in sorted(one.ends.items()))
    if not one.rtts:
        return f"{name}: {one.sent} sent, {ends}"
    least, most, mean = min(one.rtts), max(one.rtts), sum(one.rtts) / len(one.rtts)
    times = "/".join(f"{1e3 * max(value, 0):.3f}" for value in (least, mean, most))
    return f"{name}: {one.sent} sent, {ends}; rtt {times} ms (least/mean/most)"
