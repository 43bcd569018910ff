"""The console's session: logged in, in the room, and knowing the fleet; or the reason why not, with the next step."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from random import Random

from admin_console.cache import Cache
from admin_console.settings import Settings, data_path, state_path
from amon.access import Signers, read_signers
from amon.clock import Clock, SystemClock
from amon.errors import Failed
from amon.runtime.clocks import problem
from amon.runtime.fleet import Fleet, Site
from amon.runtime.gather import Job
from amon.runtime.signing import Sign, signed
from amon.xmpp.address import bare
from amon.xmpp.connection import Connection
from amon.xmpp.events import Offline
from amon.xmpp.login import Login, Times
from amon.xmpp.tls import tls_context

# A person waits: give up sooner than an agent, which has all night.
TIMES = Times(connect=10, login=15, ask=20, room_wait=10, goodbye=1)
_FIRST_SIGHT = 2.0  # seconds for the presence of sites that we had not subscribed to before

_NEXT = {
    "not-authorized": "next: put the right password into {password}",
    "certificate": "next: set `ca_file` in {config} to the CA of that server",
    "pin": "next: ask the server's administrator for its key, then put that into `pins` in {config}",
    "refused": "next: look at `host` and `port` in {config}",
    "name": "next: look at `jid` and `host` in {config}",
    "timeout": "next: look at `host`, `port` and `proxy` in {config}",
    "host-unknown": "next: look at `jid` in {config}",
    "tls": "next: look at `port` and `tls` in {config}",
}


@dataclass(frozen=True, slots=True)
class Setup:
    """What a session is opened with. config: only named in messages. ledger: the book of jobs, if one is kept."""

    settings: Settings
    config: Path
    cache: Cache
    clock: Clock
    times: Times = TIMES
    ledger: Path | None = None

    @classmethod
    def of(cls, settings: Settings, config: Path) -> "Setup":
        ledger = state_path(settings.room) / "jobs.db"
        return cls(settings, config, Cache(), SystemClock(), ledger=ledger)


@dataclass(frozen=True, slots=True)
class Session:
    """A connection that is up, and the fleet behind it. sign: with the person's own key; `Failed` if he has none.

    hub: the bare address of who lends slots, if the configuration names one.
    """

    fleet: Fleet
    room: str
    clock: Clock
    sign: Sign
    hub: str | None = None

    @property
    def connection(self) -> Connection:
        return self.fleet.connection

    async def signed(self, job: Job) -> Job:
        """The job as its asker signs it; `Failed` where this clock would make the signature worth nothing."""
        await self._compare_clocks()
        return await signed(job, self.connection.account, bare(self.room), self.clock, self.sign)

    async def _compare_clocks(self) -> None:
        """A site can only answer that it takes no such signature; here is who can mend it."""
        try:
            wrong = problem(self.clock.time() - await self.connection.server_time())
        except Failed:  # not every server tells the time
            return
        if wrong:
            raise Failed(wrong)

    def sites(self) -> list[Site]:
        return list(self.fleet.sites.values())


@asynccontextmanager
async def logged_in(console: Setup) -> AsyncIterator[Session]:
    """Only logged in; in no room yet."""
    settings = console.settings
    memory = console.cache.recall(settings.room)
    fleet = Fleet(console.clock, memory.known, known_keys(settings), marks=memory.marks)
    context = tls_context(settings.ca_file)
    fleet.connection = Connection(
        login_of(settings),
        fleet,
        context=context,
        clock=console.clock,
        random=Random(),
        times=console.times,
        guards_presence=False,  # that somebody looks at the fleet is no secret from its sites
    )
    life = asyncio.create_task(fleet.connection.run(), name="connection")
    try:
        await _come_up(fleet, console)
        yield Session(fleet, settings.room, console.clock, partial(_sign, console), settings.hub)
    finally:
        life.cancel()
        await asyncio.wait((life,))


@asynccontextmanager
async def in_fleet(console: Setup) -> AsyncIterator[Session]:
    """Ready to ask: in the room, with the sites that belong to it and their presence. What was learnt is kept."""
    async with logged_in(console) as session:
        await _enter(session, console)
        await _gather_fleet(session, console.cache.elsewhere(session.room))
        try:
            yield session
        finally:
            marks = {site.name: site.mark for site in session.sites()}
            console.cache.remember(session.room, marks, session.fleet.known)


async def _sign(console: Setup, message: bytes, namespace: str) -> str:
    from admin_console.signing import key_of, sign

    return await sign(message, namespace, key_of(console.settings.key, console.config))


def known_keys(settings: Settings) -> Signers:
    """The keys of sites that were approved; a file with mistakes in it must not pass for one without keys."""
    path = settings.site_keys or data_path(settings.room) / "site_keys"
    if not path.exists():
        return Signers()
    try:
        found, problems = read_signers(path.read_text(encoding="utf-8"), str(path))
    except (OSError, UnicodeDecodeError) as fault:
        raise Failed(f"{path} cannot be read: {fault}") from None
    if problems:
        raise Failed(f"{problems[0]}; next: mend it, or take the line out")
    return found


def login_of(settings: Settings, kind: str = "amon", rooms: tuple[str, ...] = ()) -> Login:
    """With a name of its own, so that two consoles of one person, or his Jabber client, do not throw each other out.

    The nick too: who shares one with another session may find his answers sent there. kind: begins the resource.
    """
    assert settings.password is not None
    token = secrets.token_hex(3)
    return Login(
        settings.jid,
        settings.password.reveal(),
        resource=f"{kind}-{token}",
        host=settings.host,
        port=settings.port,
        tls=settings.tls,
        proxy=None if settings.proxy is None else settings.proxy.reveal(),
        pins=settings.pins,
        rooms=rooms,
        nick=f"{settings.jid.partition('@')[0]}-{token}",
    )


async def _come_up(fleet: Fleet, console: Setup) -> None:
    while not fleet.connection.online:
        if fleet.trouble is not None:
            raise Failed(_why(fleet.trouble, console))
        fleet.changed.clear()
        await fleet.changed.wait()
    await fleet.connection.wait_online()


def _why(trouble: Offline, console: Setup) -> str:
    password = console.settings.password_file or console.config
    step = _NEXT.get(trouble.fault, "next: try again; then look at {config}")
    if trouble.fault == "certificate" and "`ca_file`" not in trouble.reason:
        # Whoever trusts what he is shown because a certificate is old or bears another name trusts anybody.
        step = "next: that, or ask the server's administrator; another `ca_file` does not mend it"
    return f"{trouble.reason}; {step.format(config=console.config, password=password)}"


async def _enter(session: Session, console: Setup) -> None:
    room, jid = session.room, console.settings.jid
    state = await session.connection.enter(room)
    if not state.joined:
        steps = {
            "there is no such room": "next: amon room create",
            "only members may": f"next: an owner of it runs amon room create --admin {jid}",
        }
        step = next((step for start, step in steps.items() if state.reason.startswith(start)), "")
        raise Failed("; ".join(filter(None, (f"the room {room} cannot be entered: {state.reason}", step))))
    if not state.safe:
        raise Failed(
            f"the room {room} is not members-only, or hides real addresses: no site obeys what is said there; "
            "next: its owner runs amon room create"
        )
    _check_admin(session, state.nick, console)


def standing_of(session: Session, nick: str) -> str:
    """The affiliation of whoever has this nick in the room; empty if nobody has."""
    return next((one.affiliation for one in session.connection.occupants(session.room) if one.nick == nick), "")


def _check_admin(session: Session, nick: str, console: Setup) -> None:
    """Sites learn a real address from the presence of moderators only, and every admin of a room is one."""
    room, jid = session.room, console.settings.jid
    if standing_of(session, nick) not in ("admin", "owner"):
        raise Failed(
            f"{jid} is no admin of the room {room}, so no site would know who asks; "
            f"next: an owner of it runs amon room create --admin {jid}"
        )


async def _gather_fleet(session: Session, elsewhere: frozenset[str]) -> None:
    fleet, ours = session.fleet, session.connection.account
    members = await session.connection.members(session.room)
    new = await fleet.enter((member.jid for member in members if member.jid != ours), elsewhere)
    await fleet.settle()
    await _see(fleet, new)


async def _see(fleet: Fleet, new: tuple[str, ...]) -> None:
    """Sites that are new to us show themselves, or say that they will not, a moment after they were asked."""
    try:
        async with asyncio.timeout(_FIRST_SIGHT):
            while any(fleet.sites[name].changed is None and not fleet.sites[name].hidden for name in new):
                fleet.changed.clear()
                await fleet.changed.wait()
    except TimeoutError:
        pass


def with_cache(console: Setup, cache: Cache) -> Setup:
    return replace(console, cache=cache)
