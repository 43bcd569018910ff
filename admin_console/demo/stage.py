"""The stage of the demo: a folder, a server, three agents as real processes; and all of it gone afterwards."""

import asyncio
import contextlib
import os
import secrets
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from admin_console.cache import Cache
from admin_console.demo.sites import HOST, MARK, PLANS, Plan, agent_configuration
from admin_console.own_server import Place, ensure_account, write_console
from admin_console.rooms import create_room
from admin_console.server import Ports, PrivateServer
from admin_console.server.child import Child, held_port, port_of
from admin_console.server.files import write_private
from admin_console.session import Session, Setup, with_cache
from amon.errors import Failed

_READY_WITHIN = 30.0
_LOOK_EVERY = 0.5  # seconds; nobody tells us of the end of an agent
_END_WITHIN = 3.0
_LOOK_SHORTLY = 0.02
_AGENT = "import sys; from site_agent.cli import main; sys.exit(main())"
_LINES = 8


@dataclass(slots=True)
class Stage:
    """A server that runs, agents that were started, and the console of its admin."""

    place: Place
    server: PrivateServer
    console: Setup
    agents: dict[str, Child] = field(default_factory=dict)
    ports: contextlib.ExitStack = field(default_factory=contextlib.ExitStack)

    def choose_port(self) -> int:
        """A port for a service, held to the end: one of them starts twice, and somebody might take it between."""
        return port_of(self.ports.enter_context(held_port(HOST)))

    def log(self, name: str) -> Path:
        return self.place.folder / name / "agent.log"

    async def wait(self, session: Session, what: str, condition: Callable[[], bool]) -> None:
        """Until the fleet shows it; `Failed`, with the last lines of the log, if an agent died or it takes too long."""
        fleet = session.fleet
        try:
            async with asyncio.timeout(_READY_WITHIN):
                while not condition():
                    self._look_after_agents()
                    fleet.changed.clear()
                    with contextlib.suppress(TimeoutError):
                        async with asyncio.timeout(_LOOK_EVERY):
                            await fleet.changed.wait()
        except TimeoutError:
            shown = ", ".join(f"{site.name}: {site.status or 'offline'}" for site in session.sites())
            logs = "\n".join(f"{name}:\n{last_lines(self.log(name))}" for name in self.agents)
            raise Failed(f"not {what} within {_READY_WITHIN:g} s; shown: {shown}\n{logs}") from None

    def _look_after_agents(self) -> None:
        for name, agent in self.agents.items():
            if agent.pid is None:
                raise Failed(f"the agent of {name} ended by itself:\n{last_lines(self.log(name))}")


@asynccontextmanager
async def staged() -> AsyncIterator[Stage]:
    """From an empty folder to agents on their way; on the way out, whatever happened, nothing is left of it."""
    token = secrets.token_hex(16)
    with tempfile.TemporaryDirectory(prefix="amon-demo-") as folder:
        place = Place(Path(folder), ports=Ports(0, 0))
        server = place.server()
        server.installed()
        jids = [f"{plan.name}@{place.agents}" for plan in PLANS]
        for jid in (place.admin, *jids):
            await ensure_account(place, server, jid)
        try:
            async with server:
                console = with_cache(write_console(place, server), Cache(place.folder / "cache.json"))
                await create_room(console, jids, ())
                stage = Stage(place, server, console)
                try:
                    for plan in PLANS:
                        stage.agents[plan.name] = await _start(plan, stage, token)
                    yield stage
                finally:
                    stage.ports.close()
                    await asyncio.gather(*(agent.stop() for agent in stage.agents.values()))
        finally:
            await asyncio.to_thread(sweep, token)


async def _start(plan: Plan, stage: Stage, token: str) -> Child:
    place = stage.place
    folder = place.folder / plan.name
    folder.mkdir(mode=0o700)
    password = place.password_file(f"{plan.name}@{place.agents}")
    config = folder / "agent.toml"
    c2s = stage.server.c2s_port
    write_private(config, agent_configuration(plan, place, c2s, password, folder, token, stage.choose_port))
    agent = Child(f"the agent of {plan.name}", stage.log(plan.name))
    argv = [sys.executable, "-P", "-c", _AGENT, "run", "--config", str(config)]
    await agent.start(argv, {**os.environ, MARK: token})
    return agent


def sweep(token: str) -> None:
    """End every process that bears the mark: services outlive their agents, and that is what they are for."""
    for end in (psutil.Process.terminate, psutil.Process.kill):
        for process in marked(token):
            with contextlib.suppress(psutil.Error):
                end(process)
        # They are not our children, and where nobody reaps them they stay as zombies: `wait` would not return.
        until = time.monotonic() + _END_WITHIN
        while marked(token) and time.monotonic() < until:
            time.sleep(_LOOK_SHORTLY)


def marked(token: str) -> list[psutil.Process]:
    """The living processes of one demo."""
    return [process for process in psutil.process_iter() if _bears(process, token)]


def _bears(process: psutil.Process, token: str) -> bool:
    try:
        return process.environ().get(MARK) == token and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def last_lines(path: Path) -> str:
    try:
        lines = path.read_text(errors="replace").splitlines()
    except OSError:
        return "  (no log)"
    return "\n".join(f"  {line}" for line in lines[-_LINES:]) or "  (its log is empty)"
