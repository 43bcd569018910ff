"""One instance of a module on a stage: no server, no waiting, but the real grammar, policy, journal and chat front."""

import asyncio
import re
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import asynccontextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amon.access import Authority, Policy
from amon.clock import Clock
from amon.errors import Failed
from amon.health import Health, Picture
from amon.ids import new_id
from amon.module import Module
from amon.runtime.chat import Chat
from amon.runtime.incoming import Door, Incoming, Output, Part
from amon.runtime.node import Node, Spec
from amon.store import Journal
from amon.target import Facts
from amon.testing.clock import FakeClock
from amon.wire import Ended
from amon.words import Asker, Effect, State
from amon.xmpp.events import Received

OWNER = "owner@example.org"
SITE = "stage"
POLICY = Policy(owner=(OWNER,), observer=("*@watchers.example.org",), signed=(), confirm=())
DOOR = Door("stage", Authority(POLICY, "agents.example.org"), "stage@agents.example.org")


class _Ear:
    """A `Replies` that only remembers."""

    def __init__(self) -> None:
        self.outcomes: list[Ended] = []
        self.notes: list[str] = []
        self.plan = ""

    def accepted(self, what: str) -> None:
        pass

    def progress(self, text: str, fraction: float | None) -> None:
        self.notes.append(text)

    def needs_word(self, effect: Effect, plan: str, signature: bool) -> None:
        self.plan = plan

    def output(self, session: Output) -> None:
        session.gone("it goes on and on: nobody follows it, see Stage.follow")

    def ended(self, outcome: Ended) -> None:
        self.outcomes.append(outcome)


class _Reader(_Ear):
    """Lets one read a session item by item."""

    def __init__(self) -> None:
        super().__init__()
        self.session: Output | None = None
        self.stirred = asyncio.Event()

    def output(self, session: Output) -> None:
        self.session = session
        session.heard()
        self.stirred.set()

    def ended(self, outcome: Ended) -> None:
        super().ended(outcome)
        self.stirred.set()

    async def next(self) -> Part | None:
        """One item; None when there is no more."""
        while True:
            self.stirred.clear()
            part = self.session.take(1, 2**20) if self.session is not None else None
            if part is not None or self.outcomes:
                return part
            await self.stirred.wait()


@dataclass(frozen=True, slots=True)
class Shown:
    """Presence as a contact list would show it."""

    show: str
    status: str


class Stage:
    """What a test does with the instance: `say` as a person would, `ask` for the whole outcome, look at its health."""

    def __init__(self, node: Node, name: str, clock: Clock) -> None:
        self.node = node
        self.name = name
        self.clock = clock
        self.said: list[str] = []
        voice, patient = _Voice(self.said), 10**9
        self._chat = Chat(SITE, DOOR, node.dispatch, voice, clock, lambda: Facts(SITE), mistakes=patient, same=patient)

    async def say(self, line: str, by: str = OWNER) -> str:
        """Type `line` one to one and read the answer, fences taken off."""
        self.said.clear()
        await self._chat.received(Received(by, f"{by}/test", line, id=new_id(self.clock.time())))
        return re.sub(r"^```\n?", "", "\n".join(self.said), flags=re.MULTILINE).rstrip()

    async def ask(self, line: str, by: str = OWNER, *, dry_run: bool = False, ident: str = "", sites: int = 1) -> Ended:
        """The last outcome of `line`: state, text and data."""
        ear = _Ear()
        ident = ident or new_id(self.clock.time())
        await self.node.dispatch.handle(Incoming(ident, Asker(by), line, DOOR, dry_run=dry_run, sites=sites), ear)
        if not ear.outcomes:
            raise Failed(f"no outcome but a question: {ear.plan}")
        return ear.outcomes[-1]

    async def follow(self, line: str, by: str = OWNER) -> AsyncGenerator[Any, None]:
        """What the session of `line` says, as data, item by item; to close this stops it, as its asker would.

        Ends when the session has told all; `Failed` with state and text where it did not end well. What is not read
        waits in the session's buffer, which drops the oldest beyond a thousand.
        """
        reader, incoming = _Reader(), Incoming(new_id(self.clock.time()), Asker(by), line, DOOR)
        task = asyncio.create_task(self.node.dispatch.handle(incoming, reader), name=f"follow {line}")
        try:
            while (part := await reader.next()) is not None:
                for item in part.items:
                    yield item
            outcome = reader.outcomes[-1]
            if outcome.state != State.done:
                raise Failed(f"{outcome.state}: {outcome.text}")
        finally:
            self.node.dispatch.cancel(incoming.key)
            await task

    @property
    def module(self) -> Any:
        """The running module itself."""
        return self.node.find(self.name)

    @property
    def health(self) -> Health:
        return self.node.healths()[self.name]

    @property
    def picture(self) -> Picture:
        return self.node.picture()

    @property
    def presence(self) -> Shown:
        picture = self.node.picture()
        return Shown(picture.show, picture.status)

    async def wait_health(self, wanted: Callable[[Health], bool]) -> Health:
        """Until the instance's health is as wanted; it is looked at whenever the instance says it changed."""
        changed = asyncio.Event()
        quiet = self.node.listen(changed.set)
        try:
            while not wanted(self.health):
                changed.clear()
                await changed.wait()
        finally:
            quiet()
        return self.health


class _Voice:
    def __init__(self, said: list[str]) -> None:
        self._said = said

    def say(self, to: str, text: str, *, unstyled: bool = False, id: str = "", replaces: str = "") -> bool:  # noqa: A002
        self._said.append(text)
        return True

    async def ping(self, to: str) -> bool:
        return True

    def say_room(self, room: str, text: str) -> bool:
        return self.say(room, text)

    def composing(self, to: str, on: bool) -> bool:
        return True


@asynccontextmanager
async def stage(
    cls: type[Module[Any]],
    settings: Any = None,
    *,
    name: str = "",
    clock: Clock | None = None,
    state: Path | None = None,
    **world: Any,
) -> AsyncIterator[Stage]:
    """The module running under `name` (its class's name without `Module`, in small letters).

    state: its directory; a temporary one if not given. world: handed to the module's constructor. The instance is
    settled when the block begins and gone when it ends.
    """
    clock = clock or FakeClock()
    name = name or cls.__name__.removesuffix("Module").lower()
    broken: BaseException | None = None
    with nullcontext(state) if state else tempfile.TemporaryDirectory(prefix="amon-stage-") as folder:
        async with Journal.open() as journal, asyncio.TaskGroup() as tasks:
            node = Node(tasks, journal, clock, Path(folder))
            await node.start([Spec(name, name, cls, settings, make=lambda env: cls(env, **world))])
            await node.wait_settled()
            try:
                yield Stage(node, name, clock)
            except asyncio.CancelledError:
                raise
            except BaseException as fault:  # of the test; the group would wrap it, and it would read badly
                broken = fault
            finally:
                await node.stop()
    if broken is not None:
        raise broken
