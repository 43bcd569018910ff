"""A stage for the engine's loop: desk, guard, caps, table, crafting, decoding are real; time and packets ours."""

import socket
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Executor, Future
from ipaddress import ip_address
from typing import Any, cast

from amon.engine.desk.server import Account, Bounds, Desk
from amon.engine.messages import (
    COLUMNS,
    STATES,
    VERSION,
    AnyReport,
    Batch,
    Begin,
    End,
    Ended,
    Hello,
    Limits,
    Message,
    Ready,
    Refused,
    Sample,
    Spec,
    Taken,
    Tally,
    Targets,
    encode,
    read_report,
)  # fmt: skip
from amon.engine.paths.paths import Paths
from amon.engine.rules.caps import TenantCap
from amon.engine.rules.guard import Lists
from amon.engine.turn.loop import Loop, Rules
from amon.engine.turn.ports import ROUTED, Ports, Wanted
from tests.engine.mirror import Ground, Network

SECOND, MS = 1_000_000_000, 1_000_000
LIMITS = Limits(rate=10_000, bytes=10e6, in_flight=4096)
OPEN = Lists(allow=("0.0.0.0/0", "::/0"))


def packed(*addresses: str) -> bytes:
    found = [ip_address(address) for address in addresses]
    return b"".join((b"\0" * 10 + b"\xff\xff" if one.version == 4 else b"") + one.packed for one in found)


class Later(Executor):
    """A thread that works when it is told to."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, do: Callable[..., Any], /, *args: Any, **more: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        self.waiting.append((future, lambda: do(*args, **more)))
        return future

    def work(self) -> None:
        for future, do in self.waiting:
            if future.set_running_or_notify_cancel():
                future.set_result(do())
        self.waiting.clear()


class AtOnce(Later):
    """No thread at all, so that a test goes the same way each time."""

    def submit(self, do: Callable[..., Any], /, *args: Any, **more: Any) -> "Future[Any]":
        future = super().submit(do, *args, **more)
        self.work()
        return future


class Stage:
    """A loop whose time goes on as a test says, and a client at its desk. threaded: lists are made ready in the thread
    that is shipped."""

    def __init__(
        self, limits: Limits = LIMITS, lists: Lists = OPEN, executor: Executor | None = None, *, threaded: bool = False
    ) -> None:
        self.now = 1000 * SECOND
        self.apart = 1_700_000_000 * SECOND
        """The wall clock minus this one."""
        self.network = Network(self.clock)
        self.ground = Ground()
        self.samples: list[Sample] = []
        self.desk = Desk(None, [Account("t"), Account("other")], Bounds(full=64 * 1024))
        rules = Rules(limits, {"t": TenantCap(limits), "other": TenantCap(limits)}, {"t": lists, "other": OPEN})
        self.ports = Ports([Wanted(ROUTED)], self.ground.hops, b"amon test", self.network.open)
        self.loop = Loop(
            "E1", "amon test", rules, self.desk, cast(Paths, self.ground), self.ports, self.samples.append, self.clock,
            executor or (None if threaded else AtOnce()), lambda: self.apart,
        )  # fmt: skip
        self.clients: list[Peer] = []
        self.others: list[Stage] = []

    def clock(self) -> int:
        return self.now

    def client(self, tenant: str = "t") -> "Peer":
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.desk.admit(theirs, self.now)
        peer = Peer(self, ours)
        self.clients.append(peer)
        peer.say(Hello(VERSION, tenant))
        self.turn()
        return peer

    def another(self, limits: Limits = LIMITS, lists: Lists = OPEN) -> "Stage":
        """Closed with this one."""
        self.others.append(Stage(limits, lists))
        return self.others[-1]

    def turn(self, ns: int = 0) -> None:
        self.now += ns
        self.loop.turn(self.now)
        for client in self.clients:
            client.read()

    def go_on(self, seconds: float, step: int = MS) -> None:
        for _ in range(round(seconds * SECOND / step)):
            self.turn(step)

    def until(self, condition: object, seconds: float = 30.0) -> None:
        assert callable(condition)
        for _ in range(round(seconds * 1000)):
            if condition():
                return
            self.turn(MS)
        raise AssertionError("it did not come to that")

    def close(self) -> None:
        for other in self.others:
            other.close()
        for client in self.clients:
            client.socket.close()
        self.ports.close()
        self.desk.close()
        self.ground.close()


class Peer:
    def __init__(self, stage: Stage, sock: socket.socket) -> None:
        self.stage, self.socket = stage, sock
        sock.setblocking(False)
        self.heard: list[AnyReport] = []
        self.reads = True

    def say(self, message: Message) -> None:
        self.socket.send(encode(message))

    def read(self) -> None:
        while self.reads:
            try:
                data = self.socket.recv(1 << 18)
            except BlockingIOError:
                return
            if not data:
                return
            self.heard.append(read_report(data))

    def begin(self, spec: Spec, *addresses: str, job: int = 1) -> None:
        self.say(Begin(job, spec))
        whole = packed(*addresses)
        for first in range(0, len(whole), 16 * 4096):
            self.say(Targets(job, whole[first : first + 16 * 4096]))
            self.stage.turn()
        self.say(Ready(job))
        before = len([one for one in self.heard if isinstance(one, Taken | Refused)])
        self.stage.until(lambda: len([one for one in self.heard if isinstance(one, Taken | Refused)]) > before)

    def end(self, job: int = 1) -> Tally:
        if not any(isinstance(one, Ended) and one.job == job for one in self.heard):
            self.say(End(job))
        self.stage.until(lambda: any(isinstance(one, Ended) and one.job == job for one in self.heard))
        (ended,) = [one for one in self.heard if isinstance(one, Ended) and one.job == job]
        return ended.tally

    def batches(self, job: int = 1) -> list[Batch]:
        return [one for one in self.heard if isinstance(one, Batch) and one.job == job]

    def rows(self, job: int = 1) -> list[dict[str, int]]:
        """All rows of all batches, by column."""
        found = []
        for batch in self.batches(job):
            columns = {name: batch.column(name).tolist() for name in COLUMNS}
            columns = {name: column * batch.rows if len(column) == 1 else column for name, column in columns.items()}
            found += [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        return found

    def states(self, job: int = 1) -> Counter[str]:
        return Counter(STATES[row["state"]] for row in self.rows(job))


def check(tally: Tally) -> None:
    """What must hold of every job at its end."""
    assert tally.scheduled == tally.skipped + tally.sent + tally.unsent
    assert tally.sent == tally.answered + tally.unreachable + tally.hops + tally.lost + tally.late
    assert not tally.ahead
    assert not tally.in_flight
