"""What the journal costs a call: the same calls at one agent with it, in a file on this disk, and without any.

Budget: 1 ms for each reading call, alone (asked one after the other, so that nothing is shared). The ways take turns,
so that other work on the machine hits both alike.
"""

from asyncio import TaskGroup
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from amon.access import AuditRecord
from amon.clock import SystemClock
from amon.runtime.node import Node, Spec
from amon.store import Journal, Record
from tests.bench.calls import CallsModule, timed
from tests.bench.ground import folder
from tests.bench.rows import Row, middle, spread

_BUDGET = 1.0  # ms
_LINE = "look httpd"


class Nothing(Journal):
    """Keeps nothing of calls, at once: what is left is all the rest of the path."""

    async def accept(self, record: Record, *, durable: bool, audit: AuditRecord | None = None) -> Record | None:
        return None

    async def end(self, record: Record, audit: AuditRecord) -> None: ...


async def measure(quick: bool = False) -> list[Row]:
    rounds, count = (1, 50) if quick else (15, 300)
    with folder() as inside:
        async with _node(inside / "with", Journal) as kept, _node(inside / "without", Nothing) as free:
            alone: dict[Node, list[float]] = {kept: [], free: []}
            many: dict[Node, list[float]] = {kept: [], free: []}
            for _ in range(rounds):
                for node in (kept, free):
                    alone[node].append(1000 * await timed(node, _LINE, count, 1) / count)
                    many[node].append(1000 * await timed(node, _LINE, 5 * count, 64) / (5 * count))
    return [
        _row("alone", alone[kept], alone[free]),
        _row("64 in flight", many[kept], many[free]),
    ]


def _row(how: str, with_it: list[float], without: list[float]) -> Row:
    added = [one - other for one, other in zip(with_it, without, strict=True)]
    note = f"{middle(with_it):.2f} ms with it, {middle(without):.2f} without; {spread(added)}"
    return Row(f"journal: more for a reading call, {how}", middle(added), "ms", _BUDGET, "less", note)


@asynccontextmanager
async def _node(inside: Path, kind: type[Journal]) -> AsyncIterator[Node]:
    inside.mkdir()
    async with kind.open(inside / "journal.db") as journal, TaskGroup() as tasks:
        node = Node(tasks, journal, SystemClock(), inside)
        await node.start([Spec("calls", "calls", CallsModule)])
        await node.wait_settled()
        yield node
        await node.stop()
