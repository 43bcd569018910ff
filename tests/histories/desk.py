"""The console of a history: the real fleet, runs and book of jobs, on a connection that is a history's to break."""

import asyncio
import shutil
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import cast

from admin_console.jobs.earlier import taken_up
from admin_console.keeping import Keeping
from admin_console.run import Question, Run
from admin_console.session import Session
from admin_console.wish import Report, Wish
from amon.errors import Failed
from amon.runtime.fleet import Fleet
from amon.store.ledger import KeptRow, Ledger
from amon.testing import FakeClock
from amon.wire import HealthReport, encode_health
from amon.words import Outcome
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.roster import Contact
from tests.histories.site import AGENTS, ALICE, ROOM

HEALTH = encode_health(HealthReport("ok", 1))

Post = Callable[[str, str, str], bool]
"""To, payload, id -> whether the server took it."""


class Wire:
    """What a `Connection` is to a console, as far as it uses it."""

    def __init__(self, post: Post) -> None:
        self.account, self.online = ALICE, True
        self._post = post

    async def roster(self) -> list[Contact]:
        return []

    async def subscribe(self, address: str, name: str, groups: Iterable[str]) -> None: ...

    async def unsubscribe(self, address: str) -> None: ...

    async def facts(self, address: str) -> dict[str, tuple[str, ...]]:
        raise Failed("nobody is asked for tags here")

    def send_payload(self, to: str, payload: str, *, id: str, body: str | None = None) -> bool:  # noqa: A002
        return self.online and self._post(to, payload, id)


class Desk:
    """up: the program runs. told: how often each site's outcome came out of a run of this life, by job."""

    def __init__(self, names: Iterable[str], folder: Path, clock: FakeClock, post: Post) -> None:
        self.names, self.clock = tuple(names), clock
        self.up = False
        self.jobs: list[str] = []
        self.running: dict[str, asyncio.Task[Report]] = {}
        self.runs: dict[str, Run] = {}
        self.told: dict[tuple[str, str], int] = {}
        self._folder, self._post = folder / "desk", post
        self._folder.mkdir()
        self._life = 0
        self._over = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.fleet: Fleet
        self.ledger: Ledger
        self._session: Session

    @property
    def address(self) -> str:
        return f"{ALICE}/console-{self._life}"

    async def start(self, connected: bool) -> None:
        """Jobs that were begun and not closed are taken up and followed."""
        self.fleet = Fleet(self.clock)
        wire = Wire(self._post)
        self.fleet.connection = cast(Connection, wire)
        await self.fleet.enter(f"{name}@{AGENTS}" for name in self.names)
        wire.online = connected
        if connected:
            self._joined()
        self._session = Session(self.fleet, ROOM, self.clock, _unsigned)
        ready = asyncio.get_running_loop().create_future()
        self._over = asyncio.Event()
        self._task = asyncio.create_task(self._keep(ready))
        await ready
        self.up = True
        for kept in await self.ledger.recent(100):
            if kept.ended is None:
                run: Run = await taken_up(self._session, self.ledger, kept.id, follow=True)
                self._begin(run, kept.id)

    async def begin(self, wish: Wish) -> None:
        begun = asyncio.Event()
        run = Run(self._session, wish, Keeping(self.ledger, self._session))
        run.ask = _yes
        run.on_begin = begun.set
        task = self._drive(run)
        waiting = asyncio.ensure_future(begun.wait())
        await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        self.jobs.append(run.id)
        self.running[run.id], self.runs[run.id] = task, run

    async def kill(self) -> None:
        self.up = False
        before = self._file()
        self._life += 1
        for end in ("", "-wal"):
            if before.with_name(before.name + end).exists():
                shutil.copyfile(before.with_name(before.name + end), self._file().with_name(self._file().name + end))
        for task in self.running.values():
            task.cancel()
        if self.running:
            await asyncio.wait(self.running.values())
        self.running.clear()
        self.runs.clear()
        self.told.clear()
        self._over.set()
        if self._task is not None:
            await self._task

    def cancel(self, ident: str) -> None:
        self.runs[ident].cancel()

    def hear(self, sender: str, text: str, ident: str, to: str) -> None:
        if self.up and to == self.address:
            self.fleet.received(Received(sender, f"{sender}/agent", "", payload=text, id=ident))

    def bounce(self, to: str, ident: str) -> None:
        if self.up:
            self.fleet.bounced(Bounced(to, ident, "service-unavailable"))

    def see(self, name: str, there: bool) -> None:
        if self.up:
            health = HEALTH if there else None
            self.fleet.seen(Seen(f"{name}@{AGENTS}", "agent", there, "", "OK", health, None))

    def lose(self) -> None:
        """The server stopped."""
        cast(Wire, self.fleet.connection).online = False
        self.fleet.offline(Offline("closed", 5.0))

    def find(self) -> None:
        """The server is back, and knows nothing of the session before."""
        cast(Wire, self.fleet.connection).online = True
        self._joined()
        self.fleet.online(Online(False, self.address))

    async def quiet(self) -> None:
        if self.up:
            await self.ledger.ids()

    async def look(self, ident: str) -> tuple[Report, list[KeptRow]]:
        """As `amon job ID` shows it: every site is asked once more that has not said its end."""
        report = await (await taken_up(self._session, self.ledger, ident)).finish()
        return report, await self.ledger.rows(ident)

    def _joined(self) -> None:
        self.fleet.room(RoomState(ROOM, True, "alice", safe=True))

    def _file(self) -> Path:
        return self._folder / f"{self._life}.db"

    def _begin(self, run: Run, ident: str) -> None:
        run.ask = _yes
        self.running[ident], self.runs[ident] = self._drive(run), run

    def _drive(self, run: Run) -> "asyncio.Task[Report]":
        async def drive() -> Report:
            async for outcome in run:
                self._count(run.id, outcome)
            assert run.report is not None
            return run.report

        return asyncio.create_task(drive())

    def _count(self, ident: str, outcome: Outcome) -> None:
        self.told[ident, outcome.site] = self.told.get((ident, outcome.site), 0) + 1

    async def _keep(self, ready: "asyncio.Future[None]") -> None:
        async with Ledger.open(self._file()) as self.ledger:
            ready.set_result(None)
            await self._over.wait()


async def _yes(question: Question) -> bool:
    return True


async def _unsigned(message: bytes, namespace: str) -> str:
    raise Failed("there is no key here")
