"""A site of a history: the real node, dispatch, front and journal; it can be stopped, or killed between two writes."""

import asyncio
import shutil
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Annotated

from amon.access import Authority, Policy
from amon.command import Call, command
from amon.fields import Field
from amon.module import Env, Module
from amon.runtime.incoming import Door
from amon.runtime.node import Node, Spec
from amon.runtime.payload import PayloadFront
from amon.store import Journal, Record
from amon.testing import FakeClock
from amon.wire import encode
from amon.xmpp.events import Received

AGENTS, ALICE, ROOM = "agents.example.org", "alice@example.org", "ops@rooms.example.org"
POLICY = Policy(admin=(ALICE,), rate=0)  # what changes several sites wants a yes

Send = Callable[[str, str, str], bool]
Number = Annotated[int, Field("which job", least=0, most=1000)]


@dataclass(slots=True)
class Diary:
    """What methods really did, beside all journals: how often each began, by site and job."""

    began: Counter[tuple[str, int]] = field(default_factory=Counter)
    ended: Counter[tuple[str, int]] = field(default_factory=Counter)
    takes: dict[tuple[str, int], float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Did:
    what: Annotated[str, Field("what was done")]

    def __str__(self) -> str:
        return self.what


class Work(Module[None]):
    """Takes its time, and writes down in the diary that it did."""

    def __init__(self, env: Env[None], site: str, diary: Diary, clock: FakeClock) -> None:
        super().__init__(env)
        self._site, self._diary, self._clock = site, diary, clock

    @command(role="operator", effect="change", timeout=3600)
    async def do(self, call: Call, job: Number) -> Did:
        """Do it."""
        self._diary.began[self._site, job] += 1
        seconds = self._diary.takes.get((self._site, job), 0.0)
        if seconds:
            await self._clock.sleep(seconds)
        self._diary.ended[self._site, job] += 1
        return Did(f"{self._site} did {job}")

    @do.plan
    async def _do(self, call: Call, job: Number) -> Did:
        return Did(f"would do {job}")


class Site:
    """up: the agent runs. Its journal is a file, of which a kill leaves what was committed by then."""

    def __init__(self, name: str, folder: Path, diary: Diary, clock: FakeClock, send: Send) -> None:
        self.name, self.folder, self.diary, self.clock = name, folder / name, diary, clock
        self.folder.mkdir()
        self.up = False
        self.journal: Journal
        self._send_on = send
        self._life = 0
        self._front: PayloadFront
        self._task: asyncio.Task[None] | None = None
        self._over = asyncio.Event()
        self._handling: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        ready = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._live(ready))
        await ready
        self.up = True

    async def stop(self) -> None:
        """As a service manager asks for it."""
        self.up = False
        self._over.set()
        await self._ended()

    async def kill(self) -> None:
        """Nothing of it runs on: what the dying one still writes goes into a file that nobody opens again."""
        self.up = False
        before = self._file()
        self._life += 1
        for end in ("", "-wal"):
            if before.with_name(before.name + end).exists():
                shutil.copyfile(before.with_name(before.name + end), self._file().with_name(self._file().name + end))
        self._over.set()
        await self._ended()

    def hear(self, text: str, ident: str, reply_to: str, room: str | None) -> None:
        if self.up:
            told = Received(ALICE, reply_to, "", room=room, payload=text, id=ident)
            task = asyncio.create_task(self._front.received(told))
            self._handling.add(task)
            task.add_done_callback(self._handling.discard)

    async def quiet(self) -> None:
        """All that was to be written by now is."""
        if self.up:
            await self.journal.interrupted()

    async def records(self, ident: str) -> Record | None:
        return await self.journal.find(ALICE, ident)

    def _file(self) -> Path:
        return self.folder / f"{self._life}.db"

    async def _ended(self) -> None:
        for task in list(self._handling):
            task.cancel()
        if self._handling:
            await asyncio.wait(list(self._handling))
        if self._task is not None:
            await self._task

    async def _live(self, ready: "asyncio.Future[None]") -> None:
        life = self._life
        door = Door("vo", Authority(POLICY, AGENTS), f"{self.name}@{AGENTS}", frozenset({ROOM}))

        def send(to: str, text: str, ident: str) -> bool:
            return self._life == life and self._send_on(to, text, ident)

        async with Journal.open(self._file()) as self.journal, asyncio.TaskGroup() as tasks:
            node = Node(tasks, self.journal, self.clock, self.folder)
            make = lambda env: Work(env, self.name, self.diary, self.clock)  # noqa: E731
            await node.start([Spec("work", "work", Work, make=make)])
            await node.wait_settled()
            self._front = PayloadFront(self.name, door, node.dispatch, send, self.clock, Random(1))
            for record, outcome in node.take_interrupted("vo"):
                send(record.reply_to, encode(outcome), f"{outcome.id}-interrupted")
            ready.set_result(None)
            await self._over.wait()
            await node.stop()
