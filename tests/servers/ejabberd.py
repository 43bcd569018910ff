"""An ejabberd of our own for tests, of the shape of the private Prosody: Debian's package, started through `erl`.

`ejabberdctl` insists on its system user, an Erlang node name and epmd; `erl` needs none of them, so that nothing stays
behind. Source: ejabberd 23.01's ejabberd.yml.example and `ejabberdctl`; docs.ejabberd.im, "Configuring".
"""

import asyncio
import json
import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from types import TracebackType
from typing import Self

from admin_console.server.certificate import Certificate, certificate
from admin_console.server.child import Child, PortTaken, free_port
from admin_console.server.ejabberd import Recipe, text
from admin_console.server.recipe import Served
from amon.errors import Failed

_TRIES = 5


@dataclass(frozen=True, slots=True)
class Setup:
    """All that differs between one ejabberd of the tests and another."""

    folder: Path
    domain: str
    agents: str
    rooms: str
    admins: tuple[str, ...]
    host: str
    c2s: int
    direct_tls: int
    api: int
    certificate: Certificate


def configuration(setup: Setup) -> str:
    """The whole of ejabberd.yml: that of a fleet, on other ports and paths, without limits."""
    names = (setup.domain, setup.agents, setup.rooms, setup.admins)
    return text(
        Recipe(
            Served(*names, starttls=setup.c2s, direct_tls=setup.direct_tls),
            head="# Written at each start by a test.",
            ip=setup.host,
            chain=str(setup.certificate.chain),
            key=str(setup.certificate.key),
            limits=None,
            fenced=False,
            keeps=False,
            contacts=False,
            api=setup.api,
        )
    )


class EjabberdServer:
    """A private ejabberd, from `async with` to its end; used as a PrivateServer is used."""

    def __init__(
        self,
        folder: Path,
        *,
        domain: str = "amon.test",
        agents: str = "agents.amon.test",
        rooms: str = "rooms.amon.test",
        admins: tuple[str, ...] = (),
        host: str = "127.0.0.1",
        configure: Callable[[Setup], str] = configuration,
    ) -> None:
        self.folder, self.host, self.admins = folder.absolute(), host, admins
        self.domain, self.agents, self.rooms = domain, agents, rooms
        self.ca_file = self.folder / "certs" / "ca.pem"
        self.log_file = self.folder / "ejabberd.log"
        self.c2s_port = self.tls_port = self._api_port = 0
        self._configure = configure
        self._child = Child("ejabberd", self.folder / "console.log")
        self._waiting: dict[str, str] = {}

    @property
    def pid(self) -> int | None:
        """The Erlang machine's process while it runs."""
        return self._child.pid

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def add_account(self, jid: str, password: str) -> None:
        """Makes the account, or gives it this password; before the start it is kept in memory until then."""
        if self.pid is None:
            self._waiting[jid] = password
        else:
            await asyncio.to_thread(self._register, jid, password)

    async def start(self) -> None:
        """Starts it, waits until it listens on all ports, and makes the accounts that wait for it."""
        if self.pid is not None:
            return
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shown = certificate(self.folder / "certs", (self.domain, self.agents, self.rooms), self.host)
        for left in reversed(range(_TRIES)):
            ports = (self.c2s_port, self.tls_port, self._api_port)
            chosen = ports if all(ports) else (free_port(self.host), free_port(self.host), free_port(self.host))
            try:
                await self._start_on(chosen, shown)
                break
            except PortTaken:
                if all(ports) or not left:
                    raise
        self.c2s_port, self.tls_port, self._api_port = chosen
        while self._waiting:
            await self.add_account(*self._waiting.popitem())

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

    async def _start_on(self, ports: tuple[int, int, int], shown: Certificate) -> None:
        c2s, direct_tls, api = ports
        setup = Setup(
            folder=self.folder,
            domain=self.domain,
            agents=self.agents,
            rooms=self.rooms,
            admins=self.admins,
            host=self.host,
            c2s=c2s,
            direct_tls=direct_tls,
            api=api,
            certificate=shown,
        )
        (self.folder / "ejabberd.yml").write_text(self._configure(setup))
        await self._child.start(self._argv(), self._environment())
        try:
            await self._child.wait_listening(set(ports), "eaddrinuse")
        except BaseException:
            await self._child.stop()
            raise

    def _argv(self) -> list[str]:
        erl = shutil.which("erl")
        programs = sorted(Path("/usr/lib").glob("*/ejabberd-*/ebin"))
        if erl is None or not programs:
            raise Failed("ejabberd is not installed; next: apt-get install ejabberd")
        mnesia = ["-mnesia", "dir", f'"{self.folder / "db"}"']
        return [
            erl,
            "+K",
            "true",
            "-boot",
            "start_sasl",
            "-noinput",
            *mnesia,
            "-pa",
            str(programs[-1]),
            "-s",
            "ejabberd",
        ]

    def _environment(self) -> dict[str, str]:
        own = {
            "EJABBERD_CONFIG_PATH": str(self.folder / "ejabberd.yml"),
            "EJABBERD_LOG_PATH": str(self.log_file),
            "ERL_CRASH_DUMP": str(self.folder / "crash.dump"),
            "HOME": str(self.folder),
        }
        return dict(os.environ) | own

    def _register(self, jid: str, password: str) -> None:
        user, _, host = jid.partition("@")
        if self.ask("register", {"user": user, "host": host, "password": password}) == 409:
            changed = self.ask("change_password", {"user": user, "host": host, "newpass": password})
            if changed != 200:
                raise Failed(f"ejabberd does not change the password of {jid}: HTTP {changed}")

    def ask(self, command: str, words: dict[str, str]) -> int:
        """One command of its administration, as `ejabberdctl` gives it; the HTTP status, 200 or 409 (it exists)."""
        connection = HTTPConnection("127.0.0.1", self._api_port, timeout=10)
        try:
            connection.request("POST", f"/api/{command}", json.dumps(words), {"Content-Type": "application/json"})
            answer = connection.getresponse()
            said = answer.read().decode()
        finally:
            connection.close()
        if answer.status not in (200, 409):
            raise Failed(f"ejabberd refuses {command}: HTTP {answer.status} {said}")
        return answer.status
