"""A server of one's own: the private Prosody in a folder that also holds its admin, its room and his configuration.

DIR/console.toml      for `amon --config`; written anew at each start, because ports may change
DIR/passwords/JID     one password in each, for the owner of the folder only
DIR/certs/ca.pem      what clients and agents trust
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from admin_console.program import called
from admin_console.rooms import add_to_room, create_room
from admin_console.server import Ports, PrivateServer
from admin_console.server.files import write_private
from admin_console.session import Setup
from admin_console.settings import load
from admin_console.stopping import on_stop
from amon.errors import Failed, Invalid
from amon.files import below

ADMIN, ROOM = "admin", "ops"
_LOOK_EVERY = 1.0  # seconds; nothing tells us that Prosody has died

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server lives and what it serves."""

    folder: Path
    domain: str = "amon.test"
    host: str = "127.0.0.1"
    ports: Ports = field(default_factory=lambda: Ports(5222, 5223))

    @property
    def agents(self) -> str:
        return f"agents.{self.domain}"

    @property
    def rooms(self) -> str:
        return f"rooms.{self.domain}"

    @property
    def admin(self) -> str:
        return f"{ADMIN}@{self.domain}"

    @property
    def room(self) -> str:
        return f"{ROOM}@{self.rooms}"

    @property
    def config(self) -> Path:
        return self.folder / "console.toml"

    @property
    def ca_file(self) -> Path:
        return self.folder / "certs" / "ca.pem"

    @property
    def reached_at(self) -> str:
        """The address to connect to; from this machine, where the server listens on all of them."""
        return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)

    def server(self) -> PrivateServer:
        return PrivateServer(
            self.folder,
            domain=self.domain,
            agents=self.agents,
            rooms=self.rooms,
            admins=(self.admin,),
            host=self.host,
            ports=self.ports,
            contacts=True,
        )

    def password_file(self, jid: str) -> Path:
        return below(self.folder / "passwords", jid)


async def ensure_account(place: Place, server: PrivateServer, jid: str, fresh: bool = False) -> Path:
    """The account with the password in its file; a new one where there is none yet, or a `fresh` one is wanted."""
    path = place.password_file(jid)
    if path.exists() and not fresh:
        await server.add_account(jid, path.read_text().strip())
        return path
    password = secrets.token_urlsafe(24)
    await server.add_account(jid, password)  # refuses what is no account before anything is written
    path.parent.mkdir(mode=0o700, exist_ok=True)
    write_private(path, password + "\n")
    return path


def write_console(place: Place, server: PrivateServer) -> Setup:
    """The configuration of the server's admin."""
    lines = {
        "jid": place.admin,
        "password_file": f"passwords/{place.admin}",
        "room": place.room,
        "agents": place.agents,
        "host": place.reached_at,
        "port": server.c2s_port,
        "ca_file": "certs/ca.pem",
        # Here and not by the name of the room, which all private servers share: their sites have other keys.
        "book": "book.json",
        "site_keys": "site_keys",
    }
    said = [f'{key} = "{value}"' if isinstance(value, str) else f"{key} = {value}" for key, value in lines.items()]
    write_private(place.config, "# Written at each start by `amon server run`.\n" + "\n".join(said) + "\n")
    return Setup.of(load(place.config), place.config)


async def run_server(place: Place, say: Say) -> None:
    """Until it is told to stop."""
    stop = asyncio.Event()
    with on_stop(stop.set):
        server = place.server()
        server.installed()
        password = await ensure_account(place, server, place.admin)
        async with server:
            console = write_console(place, server)
            await create_room(console, (), (place.admin,))
            say(told(place, server, password))
            await _wait_end(server, stop)
    say("the server has stopped")


async def _wait_end(server: PrivateServer, stop: asyncio.Event) -> None:
    while server.pid is not None:
        try:
            async with asyncio.timeout(_LOOK_EVERY):
                await stop.wait()
        except TimeoutError:
            continue
        return
    lines = "\n".join(server.log_file.read_text(errors="replace").splitlines()[-8:])
    raise Failed(f"the server ended by itself; the end of {server.log_file}:\n{lines}")


def told(place: Place, server: PrivateServer, password: Path) -> str:
    """What one has to know to use it."""
    known = {
        "admin": place.admin,
        "password": f"in {password}",
        "server": f"{place.reached_at} port {server.c2s_port} (STARTTLS), {server.tls_port} (direct TLS)",
        "trust": str(server.ca_file),
        "room": place.room,
        "console": f"{called()} --config {place.config} sites",
        "add a site": f"{called()} server account --directory {place.folder} SITE@{place.agents}",
    }
    return "\n".join(f"{name + ':':<12} {value}" for name, value in known.items()) + "\nstops with Ctrl-C"


async def add_account(folder: Path, jid: str, say: Say, *, new_password: bool = False) -> None:
    """An account on the server of this folder, with its standing in the room: a site is a member, a person an admin."""
    place = place_of(folder)
    jid = jid.lower()
    path = await ensure_account(place, place.server(), jid, new_password)
    is_site = jid.endswith(f"@{place.agents}")
    console = Setup.of(load(place.config), place.config)
    await add_to_room(console, jid, "member" if is_site else "admin")
    say(f"account:  {jid}\npassword: in {path}\nin room:  {place.room}, as {'member' if is_site else 'admin'}")
    if is_site:
        say("its agent.toml begins with:\n\n" + agent_lines(place, console, jid, path))


def place_of(folder: Path) -> Place:
    """Of a server that has run here before."""
    folder = folder.absolute()
    if not (folder / "console.toml").exists():
        raise Failed(f"no server has run in {folder} yet; next: amon server run --directory {folder}")
    settings = load(folder / "console.toml")
    return Place(folder, settings.jid.partition("@")[2], settings.host or "127.0.0.1")


def agent_lines(place: Place, console: Setup, jid: str, password: Path) -> str:
    """What the site's agent needs to log in."""
    return (
        f'[account.main]\njid = "{jid}"\npassword_file = "{password}"\nrooms = ["{place.room}"]\n'
        f'host = "{place.reached_at}"\nport = {console.settings.port}\nca_file = "{place.ca_file}"\n\n'
        f'[account.main.policy]\nadmin = ["{place.admin}"]\n'
    )


def checked(domain: str, host: str, ports: Ports, folder: Path) -> Place:
    """The place, with paths made whole."""
    if not domain:
        raise Invalid("a domain is needed, such as amon.test")
    return Place(folder.expanduser().absolute(), domain.lower(), host, ports)
