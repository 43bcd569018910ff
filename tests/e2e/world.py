"""A whole fleet on this machine for tests: a real server, agents as processes of their own, and a console's eyes."""

import asyncio
import contextlib
import os
import socket
import sys
import textwrap
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Protocol

import psutil

from amon.clock import SystemClock
from amon.ids import new_id
from amon.job import Book
from amon.runtime.fleet import Fleet
from amon.runtime.gather import Gathering, Job, gathering
from amon.xmpp.connection import Connection
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context

ALICE, BOB = "alice@amon.test", "bob@amon.test"
OPS = "ops@rooms.amon.test"
PASSWORD = "correct horse battery"
POLICY = f'admin = ["{ALICE}"]\nobserver = ["{BOB}"]'


class Server(Protocol):
    """What a fleet needs of an XMPP server; Prosody and ejabberd both have it."""

    host: str
    domain: str
    agents: str
    rooms: str

    @property
    def c2s_port(self) -> int: ...
    @property
    def ca_file(self) -> Path: ...
    async def add_account(self, jid: str, password: str) -> None: ...
    async def restart(self) -> None: ...


class Notices:
    """What a program tells its service manager (sd_notify(3)), on a socket of our own."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._socket.bind(str(path))

    async def wait(self, text: str, within: float = 20.0) -> str:
        """The next notice with `text` in it that was not waited for before."""
        async with asyncio.timeout(within):
            while True:
                notice = (await asyncio.get_running_loop().sock_recv(self._socket, 65536)).decode()
                self.heard.append(notice)
                if text in notice:
                    return notice

    def close(self) -> None:
        self._socket.close()


class AgentProcess:
    """One `amon-agent run`, started as a service manager would."""

    def __init__(self, folder: Path, name: str) -> None:
        self.notices = Notices(folder / "notify")
        self.name = name
        self.folder = folder
        self.config = folder / "agent.toml"
        self.log = folder / "agent.log"
        self.process: asyncio.subprocess.Process | None = None

    async def start(self, env: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()) -> None:
        program = str(Path(sys.executable).with_name("amon-agent"))
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *prefix,
                program,
                "run",
                "--config",
                str(self.config),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "NOTIFY_SOCKET": str(self.notices.path), **(env or {})},
            )

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def memory(self) -> int:
        """Resident bytes."""
        return int(psutil.Process(self.pid).memory_info().rss)

    def signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    async def wait(self) -> int:
        assert self.process is not None
        return await self.process.wait()

    async def kill(self) -> None:
        """As a power loss would, as far as a process can have one."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def services(self) -> list[psutil.Process]:
        """Processes this site supervises: their log lies in its state, and they outlive the agent."""
        state = str(self.folder / "state")
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(OSError):
                if process.pid != self._pid and str(Path(f"/proc/{process.pid}/fd/1").readlink()).startswith(state):
                    found.append(process)
        return found

    def end_services(self) -> None:
        for process in self.services():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()

    @property
    def _pid(self) -> int:
        return self.process.pid if self.process is not None else 0

    async def stop(self) -> int:
        if self.process is None or self.process.returncode is not None:
            return 0
        self.process.terminate()
        return await self.process.wait()

    def said(self) -> str:
        return self.log.read_text(errors="replace")


class World:
    """A server, its room, and the sites one has set up; `console` looks at them all."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.sites: dict[str, AgentProcess] = {}
        self.clock = SystemClock()

    async def set_up(self) -> None:
        for jid in (ALICE, BOB):
            await self.server.add_account(jid, PASSWORD)
        async with self.console(settled=False) as fleet:
            await fleet.connection.create_room(OPS, admins=[ALICE, BOB])

    async def add_site(self, name: str, instances: str = "", *, account: str = "", top: str = "") -> AgentProcess:
        """Account, membership and configuration of a site; it is not started."""
        folder = self.folder / name
        folder.mkdir()
        jid = f"{name}@{self.server.agents}"
        await self.server.add_account(jid, PASSWORD)
        async with self.console(settled=False) as fleet:
            await fleet.connection.create_room(OPS, members=[jid])
        site = AgentProcess(folder, name)
        site.config.write_text(self.configuration(name, instances, account=account, top=top))
        site.config.chmod(0o600)
        self.sites[name] = site
        return site

    def configuration(
        self, name: str, instances: str = "", *, account: str = "", top: str = "", policy: str = ""
    ) -> str:
        parts = [
            f'state = "{self.folder / name / "state"}"',
            textwrap.dedent(top),
            "[account.vo]",
            f'jid = "{name}@{self.server.agents}"',
            f'password = "{PASSWORD}"',
            f'rooms = ["{OPS}"]',
            f'host = "{self.server.host}"\nport = {self.server.c2s_port}\nca_file = "{self.server.ca_file}"',
            textwrap.dedent(account),
            f"[account.vo.policy]\n{policy or POLICY}",
            textwrap.dedent(instances) or "[instance.uptime]",
        ]
        return "\n".join(parts) + "\n"

    async def stop(self) -> None:
        await asyncio.gather(*(site.stop() for site in self.sites.values()))
        for site in self.sites.values():
            site.end_services()
            site.notices.close()

    @asynccontextmanager
    async def console(self, jid: str = ALICE, *, settled: bool = True, port: int = 0) -> AsyncIterator[Fleet]:
        """A console's fleet: connected, in the room, and knowing who belongs to it. port: of a relay to the server."""
        fleet = Fleet(self.clock)
        login = Login(
            jid,
            PASSWORD,
            resource=f"console-{new_id(self.clock.time())[-6:]}",
            host=self.server.host,
            port=port or self.server.c2s_port,
            rooms=(OPS,) if settled else (),
        )
        context = tls_context(self.server.ca_file)
        fleet.connection = Connection(login, fleet, context=context, random=Random())
        life = asyncio.create_task(fleet.connection.run())
        try:
            async with asyncio.timeout(20):
                await fleet.connection.wait_online()
            if settled:
                await until(fleet, lambda: OPS in fleet.rooms and fleet.rooms[OPS].joined)
                await fleet.enter(member.jid for member in await fleet.connection.members(OPS))
                await fleet.settle()
            yield fleet
        finally:
            life.cancel()
            await asyncio.wait([life])

    async def ask(self, fleet: Fleet, line: str, *names: str, yes: bool = True, deadline: float = 20.0) -> Book:
        """The closed book of a command for these sites (all if none is named)."""
        with self.asking(fleet, line, *names, yes=yes, deadline=deadline) as job:
            job.send()
            async with asyncio.timeout(deadline + 10):
                await job.collect()
            return job.book

    def asking(
        self, fleet: Fleet, line: str, *names: str, yes: bool = True, deadline: float = 20.0
    ) -> contextlib.AbstractContextManager[Gathering]:
        job = Job(new_id(self.clock.time()), line, names or tuple(sorted(fleet.sites)), deadline, confirmed=yes)
        return gathering(fleet, OPS, job, self.clock)


async def until(fleet: Fleet, condition: Callable[[], bool], within: float = 20.0) -> None:
    """Looks at the condition whenever the fleet hears something."""
    async with asyncio.timeout(within):
        while not condition():
            fleet.changed.clear()
            await fleet.changed.wait()


async def seen(fleet: Fleet, name: str, show: str, within: float = 20.0) -> str:
    """Until a site shows itself so; its status line."""
    await until(fleet, lambda: fleet.sites[name].online and fleet.sites[name].show == show, within)
    return fleet.sites[name].status
