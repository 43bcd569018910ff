"""The engine itself: one turn after the other, each a little of everything, in the one order data flows.

    hear orders ─ fill (craft ahead) ─ publish what is due ─ drain ─ hand out ─ look after the rest

Ticks are absolute: a turn begins when something is due, at most one in `TICK`, and its lateness is measured. Nothing
here waits for anything but the next tick (or a word of a client, or of the kernel about its routes).
"""

import logging
import secrets
import select
import sys
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace

import numpy as np
from msgspec import structs

from amon.engine.desk.connection import Client
from amon.engine.desk.server import Desk, Said
from amon.engine.messages import VERSION, Ask, Capture, EndCapture, Hello, Limits, Sample, Spec, Tally, Welcome
from amon.engine.packets.table import Table
from amon.engine.packets.targets import Targets
from amon.engine.paths.paths import Paths
from amon.engine.rules.caps import Caps, Gate, TenantCap
from amon.engine.rules.guard import Guard, Lists
from amon.engine.shapes import U64
from amon.engine.stamps import STEP, clocks_apart, interpolate
from amon.engine.turn.aside import Aside
from amon.engine.turn.captures import Captures
from amon.engine.turn.hearing import Hearer
from amon.engine.turn.jobs import Edition, Job, Jobs, List
from amon.engine.turn.keeping import Keeper
from amon.engine.turn.monitor import Monitor
from amon.engine.turn.orders import Orders
from amon.engine.turn.outbox import Out
from amon.engine.turn.ports import Ports
from amon.engine.turn.schedule import SECOND
from amon.engine.turn.sending import Sender
from amon.engine.turn.spacing import Spacing

TICK = 1_000_000
TICK_MOST = 8_000_000
AT_A_TICK = 50
"""ns between two turns in which frames are published: so long that so many are due, within these bounds. More at a time
are cheaper, and come in bursts of that many; how good their stamps are `ways.outlet.FEW` says."""
DRAIN_AFTER = 2048
"""Frames sent after which the receivers are looked at, however soon."""
HEAR_EVERY = 20_000_000
"""ns between two looks at the desk where no turn ever rests."""
CRAFT_BURST = 0.2
GATE_BURST = 0.02
"""Seconds of a rate that may be crafted, or sent, at once: so late may a turn be, and a job that takes all of its rate
still loses nothing."""
LOOK_EVERY = 100_000_000
"""ns between two looks at routes, interfaces and what is over."""
REALIGNED_AFTER = 50_000_000
"""ns by which the wall clock is stepped before jobs that follow it do. Slewed, it takes CLOCK_MONOTONIC along
(clock_gettime(2)); what there is of it between two looks all the same is no step."""
EDITIONS_MOST = 4096
SWITCH = 0.0001
"""Seconds the thread of the lists may go on in Python while a turn is due: with Python's own 5 ms each turn would be as
much later while long lists are made ready."""


@dataclass(frozen=True, slots=True)
class Rules:
    """Who may have what probed, how much: what a reload may change. deny: networks that nobody may have probed."""

    limits: Limits
    tenants: Mapping[str, TenantCap]
    lists: Mapping[str, Lists]
    deny: tuple[str, ...] = ()


class Loop:
    """name: of this run of the engine, new each time. desk, paths, ports: open, and closed by whoever opened them.

    on_sample: told each second of the sample that clients get. executor: a thread in which lists are made ready.
    apart: CLOCK_REALTIME minus CLOCK_MONOTONIC, ns.
    """

    def __init__(
        self,
        name: str,
        identity: str,
        rules: Rules,
        desk: Desk,
        paths: Paths,
        ports: Ports,
        on_sample: Callable[[Sample], None] = lambda sample: None,
        monotonic: Callable[[], int] = time.monotonic_ns,
        executor: Executor | None = None,
        apart: Callable[[], int] = clocks_apart,
    ) -> None:
        self._monotonic, self._clocks_apart = monotonic, apart
        now = monotonic()
        self._name, self._identity, self._rules = name, identity, rules
        self._desk, self._paths, self._ports, self._on_sample = desk, paths, ports, on_sample
        self._log = logging.getLogger("amon.engine.turn.loop")
        self._in_flight_most = rules.limits.in_flight
        self._targets, self._table = Targets(), Table(_cells(rules.limits.in_flight), secrets.randbits(32))
        self._caps = Caps(rules.limits, rules.tenants, CRAFT_BURST)
        self._gate = Gate(rules.limits, rules.tenants, GATE_BURST)
        self._broadcasts = paths.broadcasts()
        self._guard: Future[Guard] = Future()
        self._guard.set_result(Guard(rules.lists, rules.deny, self._broadcasts))
        self._jobs = Jobs(EDITIONS_MOST)
        self._captures = Captures(desk, self._jobs, lambda: self._apart)
        self._sender = Sender(
            self._jobs, self._targets, self._table, paths, ports, self._caps, self._gate,
            Spacing(lambda tenant: self._rules.tenants[tenant].limits, GATE_BURST / 2), self._is_held,
        )  # fmt: skip
        self._hearer = Hearer(self._jobs, self._targets, self._table, ports, desk, self._captures)
        self._keeper = Keeper(self._jobs, self._targets, self._table, paths, desk, self._hearer, self._begun, monotonic)
        self._executor = executor or Aside()
        self._orders = Orders(
            desk, self._jobs, lambda: self._guard, self._executor, self._begin, self._keeper.give_up, self._resume,
            self._other,
        )  # fmt: skip
        self._monitor = Monitor(now)
        self._held: set[int] = set()
        self._apart = apart()
        self._out: list[Out] = []
        self._drained = self._heard = self._looked = self._turned = self._clocked = now
        self._sent = self._stepped = 0
        self._stopping = False

    def run(self) -> None:
        """Until `stop`; then what is under way is given up, and a list that is being made ready is not waited for."""
        sys.setswitchinterval(SWITCH)
        waiter = select.epoll()
        for one in (self._desk, self._paths):
            waiter.register(one.fileno(), select.EPOLLIN)
        try:
            while not self._stopping:
                self.turn(self._monotonic())
                self._rest(waiter)
        finally:
            waiter.close()
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._captures.close()

    def stop(self) -> None:
        """May be called by a signal's handler."""
        self._stopping = True

    def reload(self, rules: Rules) -> None:
        """Other rules from now on; what runs is judged anew. Of packets under way there can be no more than at the
        start."""
        # What a tenant that is gone has under way, or crafted, ends by its last rules.
        tenants = {job.client.tenant: self._rules.tenants[job.client.tenant] for job in self._jobs}
        self._rules = replace(rules, limits=self._fitting(rules.limits), tenants={**tenants, **rules.tenants})
        for one in (self._caps, self._gate):
            one.change(self._rules.limits, self._rules.tenants)
        # Long lists take seconds: they are made aside, and what is judged from now on waits for them there.
        self._guard = self._executor.submit(Guard, rules.lists, rules.deny, self._broadcasts)
        for job in self._jobs:
            if job.client.tenant not in rules.tenants:
                self._jobs.stop(job)
        self._orders.judge_again()

    def turn(self, now: int) -> None:
        """One turn, at this moment (monotonic ns)."""
        if now - self._heard >= HEAR_EVERY or self._idles():
            self._heard = now
            self._hear(now)
        self._sender.fill(now)
        sent = self._sender.publish(self._monotonic(), self._published)
        self._sent += sent
        if self._sent >= DRAIN_AFTER or now >= self._drained + self._hearer.every:
            self._take_in(now)
        if now - self._looked >= LOOK_EVERY or self._keeper.is_resolving or self._orders.is_preparing:
            self._look(now)
        if self._monitor.is_due(now):
            self._tell(self._described(self._monitor.sample, now))

    def sample(self, now: int) -> Sample:
        """How the engine is: totals of this moment, rates of the last whole second."""
        return self._described(self._monitor.between, now)

    def _described(self, make: Callable[[int, int, Tally, dict[str, int]], Sample], now: int) -> Sample:
        for box in self._ports.outboxes:
            self._monitor.off(box.transmitter.errors())
        drops = {**self._ports.counters(), **{f"table {name}": count for name, count in self._table.strays.items()}}
        sample = make(now, now + self._apart, self._keeper.whole, drops)
        editions = self._jobs.editions.values()
        return structs.replace(
            sample,
            stamped_by=self._ports.stamped_by,
            jobs=len(self._jobs),
            targets=sum(edition.count for edition in editions),
            in_flight=self._table.busy,
            ahead=self._sender.ahead,
            queued=self._desk.queued,
            ways=self._ports.ways,
            notes=(*self._ports.notes, *self._paths.notes()),
        )

    # --- clients

    def _hear(self, now: int) -> None:
        for said in self._desk.read_orders(now):
            self._orders.hear(said)
        for client in self._desk.clients:
            if self._desk.is_full(client):
                self._held.add(id(client))
            elif id(client) in self._held:
                self._held.discard(id(client))
                self._sender.stir()

    def _other(self, said: Said) -> None:
        """What is not about a job."""
        client, now = said.client, self._monotonic()
        match said.order:
            case Hello():
                self._desk.send(client, self._welcome(client))
            case Ask():
                self._desk.send(client, self.sample(now))
            case Capture():
                self._captures.begin(client, said.order, said.descriptors[0], now)
            case EndCapture():
                self._captures.end(client, said.order)
            case _:
                self._held.discard(id(client))
                self._captures.gone(client)

    def _welcome(self, client: Client) -> Welcome:
        limits = self._rules.tenants[client.tenant].limits
        return Welcome(VERSION, self._name, self._ports.ways, limits, self._identity, self._ports.notes)

    def _is_held(self, edition: Edition) -> bool:
        return id(edition.job.client) in self._held

    # --- jobs

    def _begin(self, job: Job, spec: Spec, targets: List) -> bool:
        limits = self._rules.tenants[job.client.tenant].limits
        return self._keeper.begin(job, spec, targets, limits, self._apart)

    def _begun(self, edition: Edition) -> None:
        self._sender.begins(edition)
        self._captures.choose()

    def _resume(self, job: Job) -> None:
        if job.current is not None:
            now = self._monotonic()
            if job.current.spec.rounds is None:
                job.current.skip(now)
            else:
                job.current.slip(now)
            self._sender.stir()

    # --- packets

    def _published(self, out: Out) -> None:
        self._out.append(out)
        if out.spans:
            self._monitor.sent(len(out.slots))
        if out.spans and len(self._captures):
            self._captures.note_sent(out)  # now: the rows will be used again

    def _tell_table(self) -> None:
        """Of what went out since the last time. Answers that are seen before that find their probes all the same."""
        out, self._out = self._out, []
        sent = [one for one in out if one.spans]
        if sent:
            slots = np.concatenate([one.slots for one in sent])
            self._table.sent(slots, interpolate([span for one in sent for span in one.spans]))
        for one in out:
            if not one.spans:
                self._table.unsent(one.slots)

    def _take_in(self, now: int) -> None:
        self._drained, self._sent = now, 0
        self._tell_table()
        self._monitor.received(self._hearer.drain())
        self._hearer.hand(self._monotonic(), self._apart)

    # --- the rest

    def _look(self, now: int) -> None:
        self._know_clock(now)
        self._orders.poll()
        if self._paths.refresh(now):
            self._know_broadcasts()
            self._keeper.resolve_again()
        if self._keeper.resolve():
            self._sender.stir()
        self._ports.refresh(now, self._published)
        if now - self._looked >= LOOK_EVERY:
            self._looked = now
            self._captures.check(now)
            self._take_in(now)
            if self._keeper.tidy(now, self._held):
                self._captures.choose()

    def _know_clock(self, now: int) -> None:
        before, self._apart = self._apart, self._clocks_apart()
        moved, slewed = self._apart - before, STEP + (now - self._clocked) // 1000
        self._clocked = now
        if abs(moved) > slewed:
            self._stepped += moved
        if abs(self._stepped) > REALIGNED_AFTER:
            self._keeper.realign(self._apart, self._stepped)
            self._stepped = 0
            self._sender.stir()

    def _fitting(self, limits: Limits) -> Limits:
        """With no more packets under way than at the start: the table was made for these."""
        return structs.replace(limits, in_flight=min(limits.in_flight, self._in_flight_most))

    def _know_broadcasts(self) -> None:
        """Of our own networks, which may be others now."""
        before, now = self._broadcasts, self._paths.broadcasts()
        if not all(np.array_equal(one, other) for one, other in zip(before, now, strict=True)):
            self._broadcasts = now
            self._guard = self._executor.submit(_with_broadcasts, self._guard, now)
            self._orders.judge_again()

    def _tell(self, sample: Sample) -> None:
        self._on_sample(sample)
        for client in self._desk.clients:
            if not self._desk.is_full(client):
                self._desk.send(client, sample)

    def _idles(self) -> bool:
        return not self._sender.ahead

    def _tick(self) -> int:
        rate = sum(edition.schedule.rate for edition in self._jobs.probed)
        return min(TICK_MOST, max(TICK, int(AT_A_TICK * SECOND / rate))) if rate else TICK

    def _rest(self, waiter: "select.epoll") -> None:
        """Until the next tick, or until somebody says something."""
        now = self._monotonic()
        due = [self._looked + LOOK_EVERY]
        if (moment := self._sender.next_due()) is not None:
            due.append(max(moment, self._turned + self._tick()))
        if self._table.busy or len(self._captures):
            # Where a tick follows soon it drains, too: each time a process wakes costs it what it has in the caches.
            every = self._hearer.every
            due.append(max(self._drained + every, min(due[-1], self._drained + every * 5 // 4)))
        if self._keeper.is_resolving or self._orders.is_preparing:
            due.append(self._turned + TICK)
        wake = min(due)
        if wake > now:
            # poll(2) and epoll_wait(2) count in milliseconds; select(2) in microseconds.
            if select.select((waiter.fileno(),), (), (), (wake - now) / 1e9)[0]:
                self._heard = 0
            now = self._monotonic()
        self._monitor.woke(max(0, now - wake))
        self._turned = now


def _with_broadcasts(making: "Future[Guard]", broadcasts: tuple[U64, U64]) -> Guard:
    return making.result().with_broadcasts(broadcasts)


def _cells(in_flight: int) -> int:
    """Of the table: twice as many as may be under way, so that late replies find their probe."""
    return max(1024, 1 << (2 * in_flight - 1).bit_length())
