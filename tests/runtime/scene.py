"""A site without a server: a node with one module that does what the test says, and ears that remember."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from amon.access import Authority, Policy, Signers
from amon.command import Call, command
from amon.errors import Refused
from amon.fields import Field
from amon.health import Health
from amon.ids import new_id
from amon.module import Env, Module
from amon.runtime.incoming import Door, Incoming, Output
from amon.runtime.node import Node, Spec
from amon.store import Journal
from amon.testing import FakeClock
from amon.wire import Ended
from amon.words import Asker, Effect

AGENTS = "agents.example.org"
ALICE, BOB, EVE = "alice@example.org", "bob@example.org", "eve@example.org"
FLEET = "ops@rooms.example.org"
POLICY = Policy(observer=(BOB,), admin=(ALICE,), confirm=(), rate=0)


def door(policy: Policy = POLICY, account: str = "lab", signers: Signers | None = None, agents: str = AGENTS) -> Door:
    """A door of the site `cern`."""
    return Door(account, Authority(policy, agents, signers), f"cern@{AGENTS}", frozenset({FLEET}))


DOOR = door()

Unit = Annotated[str, Field("which", pattern=r"[\w@.-]+", longest=64)]
Token = Annotated[str, Field("a password", pattern=r".*", longest=64, secret=True)]


@dataclass(frozen=True, slots=True)
class Said:
    text: Annotated[str, Field("what it says")]

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Row:
    name: Annotated[str, Field("its name")]
    state: Annotated[str, Field("one word")]


class Lab(Module[None]):
    """Reads and changes by doing what `body` says; counts what it did."""

    def __init__(self, env: Env[None], log: list[str]) -> None:
        super().__init__(env)
        self.log = log
        self.body: Callable[[Call], Any] = lambda call: None
        self.now = Health.good("fine")

    def health(self) -> Health:
        return self.now

    @command(timeout=0.2)
    async def look(self, call: Call, what: Unit = "all") -> Any:
        """Look at something."""
        self.log.append(f"look {what}")
        made = self.body(call)
        return await made if asyncio.iscoroutine(made) else made

    @command(role="operator", effect="change")
    async def restart(self, call: Call, what: Unit) -> Any:
        """Restart something."""
        self.log.append(f"restart {what}")
        made = self.body(call)
        return await made if asyncio.iscoroutine(made) else made

    @restart.plan
    async def _restart(self, call: Call, what: Unit) -> Said:
        self.log.append(f"plan {what}")
        if what == "ghost":
            raise Refused("there is no ghost here")
        return Said(f"would restart {what}")

    @command(role="owner", effect="danger")
    async def wipe(self, call: Call, token: Token) -> Said:
        """Wipe all."""
        return Said("wiped")

    @wipe.plan
    async def _wipe(self, call: Call, token: Token) -> Said:
        return Said("would wipe")

    @command()
    async def unlock(self, call: Call, token: Token, what: Unit = "door") -> Said:
        """Unlock something."""
        made = self.body(call)
        return Said("unlocked") if made is None else await made


class Ear:
    """A `Replies` that remembers."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.outcomes: list[Ended] = []
        self.plan = ""
        self.changed = asyncio.Event()

    def accepted(self, what: str) -> None:
        self._heard("accepted")

    def progress(self, text: str, fraction: float | None) -> None:
        self._heard(f"progress {text}")

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None:
        self.plan = plan
        self._heard(f"needs a {'signature' if signature else 'yes'} for {effect}")

    def output(self, session: Output) -> None:
        self._heard("output")

    def ended(self, outcome: Ended) -> None:
        self.outcomes.append(outcome)
        self._heard(outcome.state)

    def _heard(self, what: str) -> None:
        self.heard.append(what)
        self.changed.set()

    @property
    def last(self) -> Ended:
        return self.outcomes[-1]

    async def wait(self, what: str) -> None:
        """Until this was heard."""
        async with asyncio.timeout(5):
            while what not in self.heard:
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Site:
    """One node and its journal; `log` is what its module did."""

    node: Node
    journal: Journal
    clock: FakeClock
    log: list[str]

    @property
    def lab(self) -> Lab:
        module = self.node.find("lab")
        assert isinstance(module, Lab)
        return module

    def incoming(
        self, line: str, *, by: str = ALICE, ident: str = "", door: Door = DOOR, key: str = "", **more: Any
    ) -> Incoming:
        asker = Asker(by, f"{by}/desk", key=key)
        return Incoming(ident or new_id(self.clock.time()), asker, line, door, **more)

    async def ask(self, line: str, **more: Any) -> Ear:
        ear = Ear()
        await self.node.dispatch.handle(self.incoming(line, **more), ear)
        return ear

    def begin(self, line: str, **more: Any) -> "tuple[Ear, asyncio.Task[None]]":
        """The same, under way."""
        ear = Ear()
        return ear, asyncio.create_task(self.node.dispatch.handle(self.incoming(line, **more), ear))

    async def audit(self) -> list[str]:
        """The lines of the audit, oldest first."""
        lines = [f"{one.asker} {one.line}: {one.outcome}" for one in await self.journal.recent(1000)]
        return lines[::-1]


@asynccontextmanager
async def site(
    folder: Path, *, clock: FakeClock | None = None, specs: tuple[Spec, ...] = (), file: str = ":memory:"
) -> AsyncIterator[Site]:
    """A node with the instance `lab`. file: the journal's name in `folder`."""
    clock = clock or FakeClock()
    log: list[str] = []
    path = file if file == ":memory:" else folder / file
    async with Journal.open(path) as journal, asyncio.TaskGroup() as tasks:
        node = Node(tasks, journal, clock, folder)
        await node.start([Spec("lab", "lab", Lab, make=lambda env: Lab(env, log)), *specs])
        await node.wait_settled()
        try:
            yield Site(node, journal, clock, log)
        finally:
            await node.stop()


def gate(answer: Any = None) -> "tuple[Callable[[Call], Any], asyncio.Event]":
    """A body that waits until the event is set."""
    event = asyncio.Event()

    async def wait() -> Any:
        await event.wait()
        return answer

    return lambda call: wait(), event


def raises(error: BaseException) -> Callable[[Call], Any]:
    async def body() -> None:
        raise error

    return lambda call: body()
