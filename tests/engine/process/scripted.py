"""A desk with a loop that plays a script: it takes every job, and tells what the test wants told."""

import os
import select
import socket
import threading
import time
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from amon.engine.desk.connection import Client
from amon.engine.desk.server import Account, Bounds, Desk, Said
from amon.engine.messages import (
    AnyOrder,
    Ask,
    Batch,
    Begin,
    Capture,
    Captured,
    End,
    EndCapture,
    Ended,
    Hello,
    Limits,
    Ready,
    Refused,
    Sample,
    Spec,
    Taken,
    Tally,
    Targets,
    Welcome,
)

TENANT = "ops"
LIMITS = Limits(rate=1000, bytes=1e6, in_flight=1000)


def batch(job: int, seq: int, targets: Iterable[int], edition: int = 0) -> Batch:
    """Each target answered after 1 ms."""
    places = array("I", targets)
    columns = {"target": places.tobytes(), "rtt": array("q", [1_000_000]).tobytes(), "state": b"\x01"}
    return Batch(job, seq, len(places), columns, edition=edition)


@dataclass
class Doing:
    client: Client
    spec: Spec
    addresses: bytes = b""
    edition: int = -1
    fresh: bool = True


@dataclass
class Script:
    """What to answer besides the usual. taken: called in the loop's thread when a list has been taken."""

    refuse: str = ""
    taken: "Callable[[ScriptedLoop, Client, int, Doing], None] | None" = None
    rate: float = 100.0
    captured: bytes = b"a capture"
    captures: bool = True
    """Ends a capture at once."""


@dataclass
class ScriptedLoop:
    desk: Desk
    script: Script = field(default_factory=Script)
    name: str = "engine-1"
    heard: list[AnyOrder | None] = field(default_factory=list)
    doing: dict[tuple[Client, int], Doing] = field(default_factory=dict)
    deaf: bool = False
    open: dict[int, int] = field(default_factory=dict)

    def turn(self) -> None:
        if self.deaf:
            return
        for said in self.desk.read_orders(time.monotonic_ns()):
            self.heard.append(said.order)
            self.answer(said)

    def answer(self, said: Said) -> None:
        client, order = said.client, said.order
        if isinstance(order, Hello):
            self.desk.send(client, Welcome(1, self.name, {f"eth{self.name[-1]}": "raw"}, LIMITS, "probe of a test"))
        elif isinstance(order, Begin):
            self.doing.setdefault((client, order.job), Doing(client, order.spec)).spec = order.spec
        elif isinstance(order, Targets | Ready):
            self.list(client, order)
        elif isinstance(order, End) and (client, order.job) in self.doing:
            del self.doing[client, order.job]
            self.desk.send(client, Ended(order.job, Tally(scheduled=3, sent=3, answered=3)))
        elif isinstance(order, Ask):
            self.desk.send(client, self.sample())
        elif isinstance(order, Capture):
            os.write(said.descriptors[0], self.script.captured)
            if self.script.captures:
                os.close(said.descriptors[0])
                self.desk.send(client, Captured(order.capture, 1, len(self.script.captured)))
            else:
                self.open[order.capture] = said.descriptors[0]
        elif isinstance(order, EndCapture):
            os.close(self.open.pop(order.capture))
            self.desk.send(client, Captured(order.capture, 1, len(self.script.captured), text="ended"))

    def list(self, client: Client, order: Targets | Ready) -> None:
        doing = self.doing[client, order.job]
        if isinstance(order, Targets):
            doing.addresses = order.addresses if doing.fresh else doing.addresses + order.addresses
            doing.fresh = False
        elif self.script.refuse:
            del self.doing[client, order.job]
            self.desk.send(client, Refused(self.script.refuse, order.job))
        else:
            doing.edition, doing.fresh = doing.edition + 1, True
            count = len(doing.addresses) // 16
            self.desk.send(client, Taken(order.job, count, self.script.rate, edition=doing.edition))
            if self.script.taken is not None:
                self.script.taken(self, client, order.job, doing)

    def sample(self) -> Sample:
        return Sample(1.0, 1.0, sent=10, received=9, cpu=0.1, memory=1, tally=Tally(sent=10), drops={"eth0 full": 1})


class Engine:
    """A scripted loop at a socket, in a thread of its own."""

    def __init__(
        self, path: Path, script: Script | None = None, name: str = "engine-1", bounds: Bounds | None = None
    ) -> None:
        self.path = path
        self.listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.listener.bind(str(path))
        self.listener.listen(16)
        self.desk = Desk(self.listener, [Account(TENANT)], bounds)
        self.loop = ScriptedLoop(self.desk, script or Script(), name)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while not self._ended.is_set():
            select.select([self.desk.fileno()], [], [], 0.02)
            self.loop.turn()

    def stop(self) -> None:
        """As a process that ends: nobody says goodbye."""
        if not self._ended.is_set():
            self._ended.set()
            self._thread.join(10)
            self.desk.close()
            self.listener.close()
            self.path.unlink()
