"""What the tests of provisioning stand on: a real server, an admin's console with its book, sites as processes."""

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from admin_console.cache import Cache
from admin_console.provision.approving import approve, bringer, compare, look
from admin_console.provision.book import BookFile
from admin_console.provision.desk import Desk, shown_key
from admin_console.provision.enrolling import Wish, enroll
from admin_console.provision.keyring import SiteKeys
from admin_console.provision.steps import Steps
from admin_console.rooms import create_room
from admin_console.server import PrivateServer
from admin_console.session import Session, Setup, in_fleet, logged_in
from admin_console.settings import load
from amon.access.invitation import Invitation, read_token
from amon.clock import Clock, SystemClock
from amon.errors import Failed
from site_agent.enroll import Enrolled
from site_agent.enroll import enroll as enroll_site
from site_agent.place import Place
from tests.e2e.world import AgentProcess
from tests.servers.ejabberd import EjabberdServer

ALICE, BOB = "alice@amon.test", "bob@amon.test"
OPS = "ops@rooms.amon.test"
PASSWORD = "correct horse battery"
WEEK = 7 * 86_400.0

Server = PrivateServer | EjabberdServer


class Office:
    """An admin's desk and the places where sites are made. All that is started here ends with `close`."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.said: list[str] = []
        self.more = ""
        self.agents: dict[str, AgentProcess] = {}

    async def open(self) -> None:
        await self.server.add_account(ALICE, PASSWORD)
        await create_room(self.console(), [], [])

    async def close(self) -> None:
        await asyncio.gather(*(agent.kill() for agent in self.agents.values()))
        for agent in self.agents.values():
            agent.notices.close()

    def config(self, jid: str = ALICE, port: int | None = None) -> Path:
        """A console.toml, with what stands in `more` besides."""
        path = self.folder / f"{jid}.toml"
        path.write_text(
            f'jid = "{jid}"\npassword = "{PASSWORD}"\nroom = "{OPS}"\nagents = "agents.amon.test"\n'
            f'host = "{self.server.host}"\nport = {port or self.server.c2s_port}\nca_file = "{self.server.ca_file}"\n'
            f'book = "{self.folder}/book.json"\nsite_keys = "{self.folder}/site_keys"\n'
            f'policy = "{self.folder}/policy.toml"\n{self.more}'
        )
        path.chmod(0o600)
        return path

    def console(self, jid: str = ALICE, clock: Clock | None = None, port: int | None = None) -> Setup:
        path = self.config(jid, port)
        return Setup(load(path), path, Cache(self.folder / "cache.json"), clock or SystemClock())

    def desk(self, jid: str = ALICE, clock: Clock | None = None, port: int | None = None) -> Desk:
        return Desk(
            self.console(jid, clock, port),
            BookFile(self.folder / "book.json"),
            SiteKeys(self.folder / "site_keys"),
            self.folder,
            self.said.append,
        )

    @asynccontextmanager
    async def session(self, jid: str = ALICE) -> AsyncIterator[Session]:
        async with asyncio.timeout(30), logged_in(self.console(jid)) as session:
            yield session

    async def invite(self, name: str, *, again: bool = False, clock: Clock | None = None) -> Invitation:
        """As `amon enroll` does it; the token was written down and read again."""
        ((_, end),) = await enroll(self.desk(clock=clock), [name], Wish(WEEK, again=again))
        if isinstance(end, Failed):
            raise end
        return read_token(end.token())

    def place(self, name: str, *, force: bool = False) -> Place:
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Place(folder / "agent.toml", folder / "state", None, force)

    async def make_site(self, name: str) -> Enrolled:
        """From nothing to an enrolled site that has not been started."""
        return await enroll_site(await self.invite(name), self.place(name))

    async def start(self, name: str) -> AgentProcess:
        """Its agent, which shows its key when this returns."""
        agent = await self.run(name)
        await self.shows_key(name)
        return agent

    async def run(self, name: str) -> AgentProcess:
        """Its agent, which has begun when this returns."""
        agent = self.agents.get(name) or AgentProcess(self.folder / name, name)
        self.agents[name] = agent
        await agent.start()
        await agent.notices.wait("READY=1")
        return agent

    async def shows_key(self, name: str) -> None:
        """Until the site's agent is online and tells its key."""
        async with asyncio.timeout(20), logged_in(self.console()) as session:
            while await shown_key(session, f"{name}@agents.amon.test") is None:  # noqa: ASYNC110
                await asyncio.sleep(0.1)  # nothing tells of an agent that is in no contact list yet

    async def approve(self, name: str, fingerprint: str) -> Steps:
        """As `amon approve --fingerprint` does it."""
        desk = self.desk()
        entry = desk.book.site(name)
        async with asyncio.timeout(30), logged_in(desk.console) as session:
            key = await look(session, entry)
            compare(entry, key, fingerprint)
            return await approve(session, desk, entry, key, bringer(desk.console))

    async def fleet_of(self, *names: str) -> Enrolled:
        """Sites that are enrolled, started and approved; the last of them."""
        for name in names:
            made = await self.make_site(name)
            await self.start(name)
            steps = await self.approve(name, made.fingerprint)
            assert not steps.failed, steps.done
        await self.online(*names)
        return made

    async def members(self) -> set[str]:
        async with self.session() as session:
            return {member.jid for member in await session.connection.members(OPS)}

    async def online(self, *names: str, within: float = 30.0) -> None:
        """Until `amon sites` shows all of these, and nobody else, as there."""
        await self.fleet(lambda there: there == set(names), within)

    async def fleet(self, wanted: Callable[[set[str]], bool], within: float = 30.0) -> None:
        there: set[str] = set()
        try:
            async with asyncio.timeout(within), in_fleet(self.console()) as session:
                while True:
                    there = {site.name for site in session.sites() if site.online}
                    if wanted(there):
                        return
                    session.fleet.changed.clear()
                    await session.fleet.changed.wait()
        except TimeoutError:
            raise AssertionError(f"there are {there}\n" + "\n".join(a.said() for a in self.agents.values())) from None

    def said_by(self, name: str) -> str:
        return self.agents[name].said()


def lines(steps: Steps) -> Sequence[str]:
    return [str(step) for step in steps.done]


def nowhere() -> io.StringIO:
    return io.StringIO()
