"""Whole calls at one agent: authorised, journalled in a file on this disk, run, audited, answered; no network.

Budget: 500 a second, 64 in flight (design, section 9). What changes is synced to the disk before it starts.
"""

import asyncio
import itertools
import os
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from amon.access import Authority, Policy
from amon.clock import SystemClock
from amon.command import Call, command
from amon.fields import Field
from amon.ids import new_id
from amon.module import Module
from amon.runtime.incoming import Door, Incoming, Output
from amon.runtime.node import Node, Spec
from amon.store import Journal
from amon.wire import Ended, encode
from amon.words import Asker, Effect
from tests.bench.ground import folder
from tests.bench.rows import Row, middle, spread

_BUDGET = 500.0  # calls a second
_IN_FLIGHT = 64
_ADMIN = "alice@people.example"
# A policy of the size that a site really has.
_POLICY = Policy(
    observer=("*@people.example", *(f"guest{n}@partner.example" for n in range(20))),
    operator=tuple(f"operator{n}@people.example" for n in range(20)),
    admin=(_ADMIN,),
    rate=0,
)
What = Annotated[str, Field("which", pattern=r"\w+", longest=32)]
_DOOR = Door("bench", Authority(_POLICY, "agents.example"))


@dataclass(frozen=True, slots=True)
class Reading:
    name: Annotated[str, Field("what was looked at")]
    seconds: Annotated[float, Field("a time", unit="s")]
    size: Annotated[int, Field("a size", unit="B")]


class CallsModule(Module[None]):
    """Nothing but the way there and back."""

    @command()
    async def look(self, call: Call, what: What) -> Reading:
        """Look."""
        return Reading(what, 3.25, 65_536)

    @command(role="operator", effect="change")
    async def alter(self, call: Call, what: What) -> Reading:
        """Alter."""
        return Reading(what, 3.25, 65_536)

    @alter.plan
    async def alter_plan(self, call: Call, what: What) -> Reading:
        return Reading(what, 0.0, 0)


class _Ear:
    """Makes of the outcome what would be sent."""

    def __init__(self) -> None:
        self.sent = ""
        self.state = ""

    def accepted(self, what: str) -> None: ...

    def progress(self, text: str, fraction: float | None) -> None: ...

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None: ...

    def output(self, session: Output) -> None: ...

    def ended(self, outcome: Ended) -> None:
        self.state, self.sent = outcome.state, encode(outcome)


async def measure(quick: bool = False) -> list[Row]:
    runs, count = (1, 500) if quick else (5, 3000)
    with folder() as inside:
        async with Journal.open(inside / "journal.db") as journal, asyncio.TaskGroup() as tasks:
            node = Node(tasks, journal, SystemClock(), inside)
            await node.start([Spec("calls", "calls", CallsModule)])
            await node.wait_settled()
            rows = [
                await _rate(node, "reading", "look httpd", runs, count),
                await _rate(node, "changing, synced", "alter httpd", runs, count),
                *await _one(node, runs, 50 if quick else 300),
            ]
            await node.stop()
        rows.append(_sync(inside, 20 if quick else 200))
    return rows


async def _rate(node: Node, what: str, line: str, runs: int, count: int) -> Row:
    rates, shares = [], []
    for _ in range(runs):
        before = node.journal.transactions
        rates.append(count / await timed(node, line, count, _IN_FLIGHT))
        shares.append(count / (node.journal.transactions - before))
    note = f"{spread(rates, '{:.0f}')}; {middle(shares):.0f} calls to a transaction"
    return Row(f"calls, {what}, {_IN_FLIGHT} in flight", middle(rates), "1/s", _BUDGET, "more", note)


async def _one(node: Node, runs: int, count: int) -> Iterable[Row]:
    rows = []
    for what, line in (("reading", "look httpd"), ("changing, synced", "alter httpd")):
        times = [1000 * await timed(node, line, count, 1) / count for _ in range(runs)]
        rows.append(Row(f"call, {what}, alone", middle(times), "ms", None, "less", spread(times)))
    return rows


async def timed(node: Node, line: str, count: int, window: int) -> float:
    """Seconds for so many calls with so many in flight."""
    left = itertools.repeat(None, count)

    async def caller() -> None:
        for _ in left:
            ear = _Ear()
            incoming = Incoming(new_id(time.time()), Asker(_ADMIN, f"{_ADMIN}/desk"), line, _DOOR)
            await node.dispatch.handle(incoming, ear)
            if ear.state != "done":
                raise RuntimeError(f"{line}: {ear.state}: {ear.sent}")

    began = time.perf_counter()
    async with asyncio.TaskGroup() as callers:
        for _ in range(window):
            callers.create_task(caller())
    return time.perf_counter() - began


def _sync(inside: Path, count: int) -> Row:
    """What the disk itself takes for a page and a sync, without which the figures above mean little."""
    with (inside / "sync").open("wb", buffering=0) as file:
        times = []
        for _ in range(count):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append(1000 * (time.perf_counter() - began))
    return Row("sync of 4 KiB on this disk", middle(times), "ms", None, "less", spread(times))
