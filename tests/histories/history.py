"""One history: a console, three sites and a network between them, which anything may happen to at any step.

What has to hold whatever happens: a method runs at most once for a request; every book closes; a site's outcome comes
out of a run once; and in the end, when all is mended and the sites are asked again, the console knows of every site
what that site's own journal knows.
"""

import asyncio
import json
from functools import partial
from pathlib import Path

from admin_console.wish import Rolling, Wish
from amon.errors import Failed
from amon.target import parse
from amon.testing import FakeClock
from amon.words import State
from tests.histories.desk import Desk
from tests.histories.net import Net
from tests.histories.site import ROOM, Diary, Site

NAMES = ("cern", "desy", "nikhef")
_OPEN = (State.pending, State.accepted)
_STEPS = 200  # of ten seconds each until all books are closed, when nothing is broken any more


class History:
    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock(1_795_000_000.0)
        self.net, self.diary = Net(), Diary()
        self.sites = {name: Site(name, folder, self.diary, self.clock, partial(self._back, name)) for name in NAMES}
        self.desk = Desk(NAMES, folder, self.clock, self._order)
        self.asked = 0
        self.queued: set[str] = set()

    async def begin(self) -> None:
        for site in self.sites.values():
            await site.start()
        await self.desk.start(connected=True)
        for name in NAMES:
            self.desk.see(name, True)

    # What may happen

    async def ask(self, yes: bool, rolling: Rolling, queue: float, takes: tuple[float, ...]) -> None:
        self.asked += 1
        for name, seconds in zip(NAMES, takes, strict=True):
            self.diary.takes[name, self.asked] = seconds
        until = self.clock.time() + queue if queue else None
        await self.desk.begin(Wish(parse("all"), f"work do {self.asked}", yes=yes, rolling=rolling, queue_until=until))
        await self.quiet()

    async def deliver(self, number: int) -> None:
        if self.net.letters:
            self.net.deliver(number)
        await self.quiet()

    async def double(self, number: int) -> None:
        if self.net.letters:
            self.net.double(number)
        await self.quiet()

    async def cancel(self, number: int) -> None:
        runs = list(self.desk.runs)
        if runs:
            self.desk.cancel(runs[number % len(runs)])
        await self.quiet()

    async def pass_time(self, seconds: float) -> None:
        for _ in range(4):
            self.clock.advance(seconds / 4)
            await self.quiet()

    async def kill_site(self, name: str) -> None:
        await self.sites[name].kill()
        self._shown(name)
        await self.quiet()

    async def stop_site(self, name: str) -> None:
        await self.sites[name].stop()
        self._shown(name)
        await self.quiet()

    async def start_site(self, name: str) -> None:
        await self.sites[name].start()
        self._shown(name)
        await self.quiet()

    async def kill_desk(self) -> None:
        await self.desk.kill()
        await self.quiet()

    async def start_desk(self) -> None:
        await self.desk.start(self.net.up)
        if self.net.up:
            for name in NAMES:
                self._shown(name)
        await self.quiet()

    async def stop_server(self) -> None:
        self.net.stop()
        if self.desk.up:
            self.desk.lose()
        await self.quiet()

    async def start_server(self) -> None:
        self.net.up = True
        if self.desk.up:
            self.desk.find()
        for name in NAMES:
            self._shown(name)
        await self.quiet()

    async def quiet(self) -> None:
        """Nothing moves any more by itself, but what sleeps or lies in the network."""
        for _ in range(3):
            for site in self.sites.values():
                await site.quiet()
            await self.desk.quiet()
            for _ in range(10):
                await asyncio.sleep(0)

    # What has to hold

    def check(self) -> None:
        twice = {key: count for key, count in self.diary.began.items() if count > 1}
        assert not twice, f"ran more than once: {twice}"
        told = {key: count for key, count in self.desk.told.items() if count > 1}
        assert not told, f"outcomes that came more than once: {told}"
        for ident, task in self.desk.running.items():
            if task.done():
                self._check_closed(ident, task)

    def _check_closed(self, ident: str, task: "asyncio.Task[object]") -> None:
        fault = task.exception()
        if fault is not None:
            assert isinstance(fault, Failed), fault
            return
        book = self.desk.runs[ident].book
        assert book.closed, book.summary()
        told = {site for job, site in self.desk.told if job == ident}
        assert told == set(NAMES), f"of {ident} only {told} came out"

    async def mend(self) -> None:
        """All is well again, and time passes: every book has to close."""
        if not self.net.up:
            await self.start_server()
        for name, site in self.sites.items():
            if not site.up:
                await self.start_site(name)
        if not self.desk.up:
            await self.start_desk()
        for step in range(_STEPS):
            await self.deliver_all()
            if all(task.done() for task in self.desk.running.values()):
                break
            # Who follows a job waits a day for a site that is at it.
            await self.pass_time(10.0 if step < _STEPS - 4 else 90_000.0)
        self.check()
        never = [ident for ident, task in self.desk.running.items() if not task.done()]
        assert not never, f"did not close: {[self.desk.runs[ident].book.summary() for ident in never]}"

    async def compare(self) -> None:
        """The console against the sites' journals, from a new start of the console, as `amon job ID` looks."""
        await self.desk.kill()
        await self.desk.start(True)
        for name in NAMES:
            self.desk.see(name, True)
        await self.mend()
        await self.pass_time(100.0)  # what is at it still, of a job that nobody waits for any more, comes to its end
        await self.deliver_all()
        for kept in await self.desk.ledger.recent(100):
            looking = asyncio.create_task(self.desk.look(kept.id))
            for _ in range(_STEPS):
                await self.quiet()
                await self.deliver_all()
                if looking.done():
                    break
                await self.pass_time(1.0)
            report, rows = await looking
            for row in rows:
                await self._compare(row.site, kept.id, str(row.state), row.outcome, row.text)
                assert report.book[row.site].state == row.state
        self.check()

    async def _compare(self, name: str, ident: str, state: str, outcome: str | None, text: str) -> None:
        record = await self.sites[name].records(ident)
        where = f"{name} of {ident}: the console has {state} ({text})"
        if record is None:
            assert state not in (State.done, State.failed, State.lost, State.running, *_OPEN), f"{where}, nobody did it"
            return
        assert record.state is not None, f"{where}, and the site never ended it"
        assert state == record.state, f"{where}, the site has {record.outcome}"
        assert outcome is not None, where
        assert record.outcome is not None
        ours, theirs = (json.loads(json.loads(one)["body"])["text"] for one in (outcome, record.outcome))
        assert ours == theirs, where

    async def deliver_all(self) -> None:
        while self.net.letters:
            self.net.deliver(0)
            await self.quiet()

    async def end(self) -> None:
        for site in self.sites.values():
            if site.up:
                await site.kill()
        if self.desk.up:
            await self.desk.kill()

    # The ways

    def _order(self, to: str, text: str, ident: str) -> bool:
        """From the console, to one site or through the room to all of them."""
        desk, by = self.desk, self.desk.address
        room = to == ROOM
        for name in NAMES if room else (to.partition("@")[0],):
            arrive = partial(self._reach, desk, name, to, text, ident, by, ROOM if room else None)
            # What bounced was not delivered a second time.
            self.net.send(f"{ident} to {name}", arrive, once=partial(self._away, name))
        return self.net.up

    def _away(self, name: str) -> bool:
        return not self.sites[name].up

    def _reach(self, desk: Desk, name: str, to: str, text: str, ident: str, by: str, room: str | None) -> None:
        site = self.sites[name]
        if site.up:
            site.hear(text, ident, by, room)
        elif room is None and self.net.up:
            self.net.send(f"bounce of {ident}", partial(desk.bounce, to, ident))

    def _back(self, name: str, to: str, text: str, ident: str) -> bool:
        desk = self.desk
        return self.net.send(f"{ident} from {name}", partial(desk.hear, f"{name}@agents.example.org", text, ident, to))

    def _shown(self, name: str) -> None:
        """Presence arrives some time, and says then how it is by then: a server never tells it in a wrong order."""
        self.net.send(f"presence of {name}", lambda: self.desk.see(name, self.sites[name].up))
