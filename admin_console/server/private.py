"""A private XMPP server for the demo, for tests and for a first fleet: Prosody with its own folder and certificate."""

import asyncio
import ipaddress
import os
import resource
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from admin_console.server.accounts import ITERATIONS, account_file, accounts, write_account
from admin_console.server.certificate import Certificate, certificate
from admin_console.server.child import Child, PortTaken, free_port
from admin_console.server.files import write_private
from admin_console.server.prosody import Setup, configuration, group
from admin_console.server.recipe import is_domain
from amon.errors import Failed, Invalid

_TRIES = 5
# What Prosody 0.12 and 13 log when they go on without a port.
_TAKEN = "Failed to open server port"


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of a server; 0 is a free one, chosen at the first start and kept over restarts."""

    c2s: int
    direct_tls: int


class PrivateServer:
    """A private Prosody, from `async with` to its end; the folder keeps accounts and rooms for the next one.

    With `contacts`, people have the sites in their contact lists and the sites have the people, no site another: all
    accounts there are at a start, so that presence flows without anybody's subscription.
    """

    def __init__(
        self,
        folder: Path,
        *,
        domain: str = "amon.test",
        agents: str = "agents.amon.test",
        rooms: str = "rooms.amon.test",
        admins: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        ports: Ports = Ports(0, 0),
        contacts: bool = False,
        iterations: int = ITERATIONS,
        program: str = "prosody",
        configure: Callable[[Setup], str] = configuration,
        choose: Callable[[str], int] = free_port,
    ) -> None:
        for name in (domain, agents, rooms):
            if not is_domain(name):
                raise Invalid(f"'{name}' is no domain name in lower case, such as agents.example.org")
        if ports.c2s and ports.c2s == ports.direct_tls:
            raise Invalid(f"port {ports.c2s} cannot serve both STARTTLS and direct TLS")
        self.folder = folder.absolute()
        self.domain, self.agents, self.rooms, self.admins = domain, agents, rooms, admins
        self.host = str(ipaddress.ip_address(host))
        self.ca_file = self.folder / "certs" / "ca.pem"
        self.log_file = self.folder / "prosody.log"
        self._ports, self._contacts, self._iterations, self._program = ports, contacts, iterations, program
        self._configure, self._choose = configure, choose
        self._child = Child("prosody", self.log_file)

    @property
    def c2s_port(self) -> int:
        return self._ports.c2s

    @property
    def tls_port(self) -> int:
        return self._ports.direct_tls

    @property
    def pid(self) -> int | None:
        """Prosody's process while it runs."""
        return self._child.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def add_account(self, jid: str, password: str) -> None:
        """Makes the account, or gives it this password; works before the start and while the server runs."""
        path = account_file(self._private_folder("data"), jid, (self.domain, self.agents))
        # PBKDF2 takes some ms and lets other threads run.
        await asyncio.to_thread(write_account, path, password, self._iterations)

    def installed(self) -> str:
        """Where Prosody is; `Failed`, with the next step, if it is nowhere. Asked before anything is written."""
        program = shutil.which(self._program)
        if program is None:
            raise Failed("prosody is not installed; next: apt-get install prosody")
        return program

    async def start(self) -> None:
        """Starts Prosody and waits until it listens on both ports; nothing to do when it runs."""
        if self.pid is not None:
            return
        program = self.installed()
        _allow_many_files()
        shown = certificate(self._private_folder("certs"), (self.domain, self.agents, self.rooms), self.host)
        for left in reversed(range(_TRIES)):
            ports = self._filled()
            try:
                await self._start_on(ports, program, shown)
            except PortTaken:
                # Ports that were asked for, or had before, are not exchanged for others.
                if ports == self._ports or not left:
                    raise
            else:
                self._ports = ports
                return

    async def stop(self) -> None:
        """SIGTERM, then the wait for its end."""
        await self._child.stop()

    async def restart(self) -> None:
        """Stop and start, with the same ports, certificate and accounts."""
        await self.stop()
        await self.start()

    def kill(self) -> None:
        """SIGKILL, as a crash; `start` or `stop` comes after."""
        self._child.kill()

    def _filled(self) -> Ports:
        c2s = self._ports.c2s or self._choose(self.host)
        direct_tls = self._ports.direct_tls or self._choose(self.host)
        while direct_tls == c2s:
            direct_tls = self._choose(self.host)
        return Ports(c2s, direct_tls)

    async def _start_on(self, ports: Ports, program: str, shown: Certificate) -> None:
        self._private_folder("data")
        setup = self._setup(ports, shown)
        write_private(setup.sites, group("Sites", self.agents, accounts(setup.data, self.agents)))
        write_private(setup.people, group("People", self.domain, accounts(setup.data, self.domain)))
        file = self.folder / "prosody.cfg.lua"
        write_private(file, self._configure(setup))
        await self._child.start([program, "--config", str(file), "-F"])
        try:
            await self._child.wait_listening({ports.c2s, ports.direct_tls}, _TAKEN)
        except BaseException:
            await self._child.stop()
            raise

    def _setup(self, ports: Ports, shown: Certificate) -> Setup:
        return Setup(
            folder=self.folder,
            domain=self.domain,
            agents=self.agents,
            rooms=self.rooms,
            admins=self.admins,
            host=self.host,
            c2s=ports.c2s,
            direct_tls=ports.direct_tls,
            certificate=shown,
            as_root=os.geteuid() == 0,
            contacts=self._contacts,
        )

    def _private_folder(self, name: str) -> Path:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        held = self.folder.stat()
        # Who may write here may put his own authority in place of ours.
        if held.st_mode & 0o022 or held.st_uid not in (0, os.geteuid()):
            raise Failed(f"{self.folder} can be changed by others; next: chmod 700, or another folder")
        inside = self.folder / name
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside


def _allow_many_files() -> None:
    """Every client is an open file: with the usual soft limit of 1,024 a server ends below a thousand sites."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
