"""A private XMPP server: Prosody as a child process with its own folder, certificate, accounts and ports.

For the demo, for tests and for a first fleet. It ends with its `async with` block. Should this process die without
reaching the end of the block, the kernel sends Prosody SIGTERM: prctl(2), PR_SET_PDEATHSIG, set by setpriv(1) of
util-linux. That signal follows the *thread* that started the child, so start a server from the main thread; where
setpriv is missing a crash of ours leaves Prosody running.
"""

import asyncio
import ipaddress
import os
import random
import re
import shutil
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from admin_console.server.accounts import ITERATIONS, account_file, write_account
from admin_console.server.certificate import Certificate, certificate
from admin_console.server.files import write_private
from admin_console.server.prosody import Setup, configuration
from amon.errors import Failed, Invalid

_START_WITHIN = 15.0
_STOP_WITHIN = 10.0
_LOOK_EVERY = 0.02
_TRIES = 5
_NAME = re.compile(r"(?=.{1,253}\Z)[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?(\.[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)+")


@dataclass(frozen=True, slots=True)
class Ports:
    """TCP ports of a server; 0 is a free one, chosen at the first start and kept over restarts."""

    c2s: int
    direct_tls: int


class PrivateServer:
    """A private Prosody, from `async with` to its end; the folder keeps accounts and rooms for the next one."""

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
        iterations: int = ITERATIONS,
        program: str = "prosody",
        configure: Callable[[Setup], str] = configuration,
        choose: Callable[[str], int] | None = None,
    ) -> None:
        for name in (domain, agents, rooms):
            if not _NAME.fullmatch(name):
                raise Invalid(f"'{name}' is no domain name in lower case, such as agents.example.org")
        if ports.c2s and ports.c2s == ports.direct_tls:
            raise Invalid(f"port {ports.c2s} cannot serve both STARTTLS and direct TLS")
        self.folder = folder.absolute()
        self.domain, self.agents, self.rooms = domain, agents, rooms
        self.admins = admins
        self.host = str(ipaddress.ip_address(host))
        self._ports = ports
        self._iterations, self._program = iterations, program
        self._configure, self._choose = configure, choose or free_port
        self._process: asyncio.subprocess.Process | None = None
        self._killed = False

    @property
    def c2s_port(self) -> int:
        return self._ports.c2s

    @property
    def tls_port(self) -> int:
        return self._ports.direct_tls

    @property
    def ca_file(self) -> Path:
        return self.folder / "certs" / "ca.pem"

    @property
    def log_file(self) -> Path:
        return self.folder / "prosody.log"

    @property
    def pid(self) -> int | None:
        """Prosody's process while it runs."""
        if self._process is None or self._killed or self._process.returncode is not None:
            return None
        return self._process.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def add_account(self, jid: str, password: str) -> None:
        """Makes the account, or gives it this password; works before the start and while the server runs."""
        data = self._private_folder("data")
        path = account_file(data, jid, (self.domain, self.agents))
        # PBKDF2 takes some ms and lets other threads run.
        await asyncio.to_thread(write_account, path, password, self._iterations)

    async def start(self) -> None:
        """Starts Prosody and waits until it accepts on both ports."""
        if self.pid is not None:
            return
        program = shutil.which(self._program)
        if program is None:
            raise Failed("prosody is not installed; next: apt-get install prosody")
        names = (self.domain, self.agents, self.rooms)
        shown = certificate(self._private_folder("certs"), names, self.host)
        for _ in range(_TRIES):
            ports = self._filled(self._ports)
            if await self._started(program, shown, ports):
                self._ports = ports
                return
            if ports == self._ports:
                break
        raise Failed(f"port {ports.c2s} or {ports.direct_tls} of {self.host} is taken; next: ss -ltnp")

    async def stop(self) -> None:
        """SIGTERM, then the wait for its end; SIGKILL for one that does not end."""
        process, self._process = self._process, None
        if process is None:
            return
        if process.returncode is None:
            process.terminate()
        try:
            async with asyncio.timeout(_STOP_WITHIN):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def restart(self) -> None:
        """Stop and start, with the same ports, certificate and accounts."""
        await self.stop()
        await self.start()

    def kill(self) -> None:
        """SIGKILL, as a crash: its ports are closed when this returns; `start` or `stop` comes after."""
        if self._process is None or self.pid is None:
            return
        self._process.kill()
        self._killed = True
        try:
            # waitid(2): waits some ms for its end and leaves the exit status for asyncio, which learns of it later.
            os.waitid(os.P_PID, self._process.pid, os.WEXITED | os.WNOWAIT)
        except ChildProcessError:
            pass  # asyncio was quicker

    def _filled(self, asked: Ports) -> Ports:
        c2s = asked.c2s or self._choose(self.host)
        direct_tls = asked.direct_tls or self._choose(self.host)
        while direct_tls == c2s:
            direct_tls = self._choose(self.host)
        return Ports(c2s, direct_tls)

    async def _started(self, program: str, shown: Certificate, ports: Ports) -> bool:
        await self.stop()
        setup = Setup(
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
        )
        file = self._private_folder() / "prosody.cfg.lua"
        write_private(file, self._configure(setup))
        self._private_folder("data")
        said = self.log_file.stat().st_size if self.log_file.exists() else 0
        self._process, self._killed = await self._spawn(program, file), False
        try:
            return await self._accepts(self._process, ports, said)
        except BaseException:
            await self.stop()
            raise

    async def _spawn(self, program: str, file: Path) -> asyncio.subprocess.Process:
        setpriv = shutil.which("setpriv")
        bound = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        descriptor = os.open(self.log_file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *bound,
                program,
                "--config",
                str(file),
                "-F",
                stdin=asyncio.subprocess.DEVNULL,
                stdout=descriptor,
                stderr=descriptor,
                # Ctrl-C at the terminal is ours to handle: those who are connected say goodbye first.
                start_new_session=True,
            )
        finally:
            os.close(descriptor)

    async def _accepts(self, process: asyncio.subprocess.Process, ports: Ports, said: int) -> bool:
        """Waits until this very process listens; False when somebody else has one of the ports."""
        wanted = {ports.c2s, ports.direct_tls}
        try:
            async with asyncio.timeout(_START_WITHIN):
                while not wanted <= _listening(process.pid):
                    if process.returncode is not None:
                        raise Failed(f"prosody ended at its start:\n{self._last_lines()}")
                    # Prosody goes on without a port that it could not have.
                    if "Failed to open server port" in self._said_since(said):
                        await self.stop()
                        return False
                    await asyncio.sleep(_LOOK_EVERY)
        except TimeoutError:
            raise Failed(f"prosody does not listen after {_START_WITHIN:g} s:\n{self._last_lines()}") from None
        return True

    def _said_since(self, offset: int) -> str:
        with self.log_file.open(errors="replace") as file:
            file.seek(offset)
            return file.read()

    def _last_lines(self, count: int = 8) -> str:
        size = self.log_file.stat().st_size
        return "\n".join(self._said_since(max(0, size - 8192)).splitlines()[-count:])

    def _private_folder(self, name: str = "") -> Path:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made by somebody else, with other rights perhaps: there are keys in it.
        self.folder.chmod(0o700)
        inside = self.folder / name
        inside.mkdir(mode=0o700, exist_ok=True)
        return inside


async def serve(
    folder: Path,
    *,
    domain: str = "amon.test",
    agents: str = "agents.amon.test",
    rooms: str = "rooms.amon.test",
    admins: tuple[str, ...] = (),
    host: str = "127.0.0.1",
    ports: Ports = Ports(5222, 5223),
) -> PrivateServer:
    """The running server of this folder, with the accounts and rooms it had; the caller stops it."""
    server = PrivateServer(folder, domain=domain, agents=agents, rooms=rooms, admins=admins, host=host, ports=ports)
    await server.start()
    return server


def free_port(host: str) -> int:
    """A port that nobody has at this moment."""
    # Below Linux' default ip_local_port_range: up there somebody's outgoing connection may take the port between a
    # stop and a start, and a client that retries while nobody listens may connect to itself (RFC 9293, 3.5).
    for port in random.SystemRandom().sample(range(15_000, 32_000), 200):
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as held:
            try:
                held.bind((host, port))
            except OSError:
                continue
        return port
    raise Failed(f"no free port found on {host}; next: ss -ltn")


def _listening(pid: int) -> set[int]:
    try:
        connections = psutil.Process(pid).net_connections("tcp")
    except psutil.Error:
        return set()
    return {held.laddr.port for held in connections if held.status == psutil.CONN_LISTEN}
