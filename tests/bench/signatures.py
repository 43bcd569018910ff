"""What a signature costs an agent, and what a refusal does: payloads through the whole front, one after the other.

Budgets: 1 ms more for a signed command than for an unsigned one (verified among the keys of many people, its answer
signed by the site); a refused one costs less than one that is done. What a person waits for ssh-keygen counts for
nothing. The ways take turns, so that other work on the machine hits all of them alike.
"""

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from random import Random

from amon.access import COMMAND, Authority, Policy, read_signers
from amon.access.sshsig import SigningKey
from amon.clock import SystemClock
from amon.ids import new_id
from amon.runtime.incoming import Door
from amon.runtime.node import Node, Spec
from amon.runtime.payload import PayloadFront
from amon.store import Journal
from amon.wire import Ended, Envelope, Request, body_of, decode, encode, read_proof, seal, unseal
from amon.xmpp.events import Received
from tests.bench.calls import CallsModule
from tests.bench.ground import folder
from tests.bench.rows import Row, middle

_BUDGET = 1.0  # ms
_PEOPLE = 200
_ALICE, _EVE = "person199@people.example", "eve@people.example"
_SITE, _FLEET = "bench@agents.example", "ops@rooms.example"
_POLICY = Policy(operator=(_ALICE,), rate=0)

_DONE = {  # a refusal, and what would have been done
    "signed by nobody known": "signed, its answer too",
    "of a stranger": "unsigned",
    "without the right": "unsigned",
}

Make = Callable[[str], tuple[str, str]]
"""The request's id -> the payload, and who sends it."""


async def measure(quick: bool = False) -> list[Row]:
    rounds, each = (3, 10) if quick else (60, 50)
    with folder() as inside:
        async with Journal.open(inside / "journal.db") as journal, asyncio.TaskGroup() as tasks:
            node = Node(tasks, journal, SystemClock(), inside)
            await node.start([Spec("calls", "calls", CallsModule)])
            await node.wait_settled()
            bench = _Bench(node, inside)
            took: dict[str, list[float]] = {what: [] for what in bench.ways}
            for _ in range(rounds):
                for what, (make, state) in bench.ways.items():
                    took[what].append(await bench.milliseconds(make, state, each))
            await node.stop()
    return _rows({what: middle(times) for what, times in took.items()})


def _rows(took: dict[str, float]) -> list[Row]:
    rows = [Row(f"request, {what}", value, "ms", None, "less") for what, value in took.items()]
    more = took["signed, its answer too"] - took["unsigned"]
    note = f"{_PEOPLE} people's keys"
    rows.append(Row("signed command: more than an unsigned one", more, "ms", _BUDGET, "less", note))
    for refused, accepted in _DONE.items():
        row = Row(f"refused, {refused}: of one that is done", took[refused] / took[accepted], "x", 1.0, "less")
        rows.append(row)
    return rows


class _Bench:
    """A site with a key of its own that knows the keys of many people. ways: how a request comes, and how it ends."""

    def __init__(self, node: Node, inside: Path) -> None:
        keys = [SigningKey.generate(inside / f"key{number}", "bench") for number in range(_PEOPLE)]
        lines = (f"person{number}@people.example {key.public.line}\n" for number, key in enumerate(keys))
        signers, _ = read_signers("".join(lines), "signers")
        authority = Authority(_POLICY, "agents.example", signers)
        door = Door("bench", authority, _SITE, frozenset({_FLEET}))
        site, stranger = (SigningKey.generate(inside / name, "bench") for name in ("site", "eve"))
        self._sent = ""
        self._fronts = {
            signs: PayloadFront("bench", door, node.dispatch, self._send, SystemClock(), Random(1), sign)
            for signs, sign in ((False, None), (True, site.sign))
        }
        self.ways: dict[str, tuple[Make, str]] = {
            "unsigned": (lambda ident: (encode(_request(ident)), _ALICE), "done"),
            "signed, its answer too": (lambda ident: (_signed(ident, keys[-1]), _ALICE), "done"),
            "signed by nobody known": (lambda ident: (_signed(ident, stranger), _ALICE), "refused"),
            "of a stranger": (lambda ident: (encode(_request(ident)), _EVE), "refused"),
            "without the right": (lambda ident: (encode(_request(ident, "audit")), _ALICE), "refused"),
        }

    def _send(self, to: str, payload: str, ident: str) -> bool:
        self._sent = payload
        return True

    async def milliseconds(self, make: Make, state: str, count: int) -> float:
        """Of one request, the mean of so many. What their askers do to make them is not counted."""
        ids = [new_id(time.time()) for _ in range(count)]
        made = [(f"{ident}-ask", *make(ident)) for ident in ids]
        front = self._fronts[unseal(made[0][1]).sig is not None]
        began = time.perf_counter()
        for ident, payload, by in made:
            await front.received(Received(by, f"{by}/desk", "", payload=payload, id=ident))
        took = 1000 * (time.perf_counter() - began) / count
        sealed = unseal(self._sent)
        ended = read_proof(sealed.body).ended if sealed.sig is not None else decode(self._sent)
        if not isinstance(ended, Ended) or ended.state != state:
            raise RuntimeError(f"{ended} where {state} was expected")
        return took


def _request(ident: str, line: str = "look httpd") -> Request:
    return Request(ident, ("bench",), line, 30.0)


def _signed(ident: str, key: SigningKey) -> str:
    now = time.time()
    body = body_of(Envelope(_ALICE, _FLEET, now, now + 60, _request(ident)))
    return seal(body, key.sign(body.encode(), COMMAND))
