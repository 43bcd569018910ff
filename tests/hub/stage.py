"""A room with a real server, real agents that name a hub, the hub, and people who type."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

from admin_console.hub.run import living
from admin_console.hub.service import Hub
from admin_console.hub.settings import load
from admin_console.rooms import create_room
from amon.notify import Notify
from amon.xmpp.connection import Connection
from amon.xmpp.events import Bounced, Offline, Online, Received, RoomState, Seen
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context
from tests.admin_console.ground import ALICE, OPS, PASSWORD, Ground
from tests.e2e.world import World
from tests.waiting import until

HUB = "hub@amon.test"
POLICY = f'admin = ["{ALICE}"]\nobserver = ["{HUB}"]\ngatherer = "{HUB}"'
ODD = "[instance.odd]\n"


class Person:
    """Somebody at a Jabber client, in the room. heard: what was said to him, by whom."""

    def __init__(self, ground: "Ground | World", jid: str, password: str = PASSWORD) -> None:
        self.jid = jid
        self.heard: list[tuple[str, str]] = []
        self.messages: list[Received] = []
        self.seen_of: dict[str, Seen] = {}
        self.changed = asyncio.Event()
        login = Login(jid, password, resource="phone", host=ground.server.host, port=ground.server.c2s_port)
        self.connection = Connection(login, self, context=tls_context(ground.server.ca_file), random=Random(1))

    def received(self, message: Received) -> None:
        if message.text and (message.room is None or message.private_in_room):
            self.heard.append(((message.sender or "").partition("@")[0], message.text))
            self.messages.append(message)
            self.changed.set()

    def seen(self, presence: Seen) -> None:
        self.seen_of[presence.jid] = presence
        self.changed.set()

    def bounced(self, bounce: Bounced) -> None: ...
    def room(self, state: RoomState) -> None: ...
    def online(self, event: Online) -> None: ...
    def offline(self, event: Offline) -> None: ...
    def may_see(self, jid: str) -> bool:
        return True

    def type(self, text: str) -> None:
        """In the room."""
        assert self.connection.say_room(OPS, text)

    def write(self, to: str, text: str) -> None:
        """One to one."""
        assert self.connection.say(to, text)

    async def wait(self, condition: Callable[[], object], within: float = 20.0) -> None:
        try:
            async with asyncio.timeout(within):
                while not condition():
                    self.changed.clear()
                    await self.changed.wait()
        except TimeoutError:
            raise AssertionError(f"it did not come within {within:g} s; heard: {self.heard}") from None

    async def told(self, part: str, by: str = "hub", within: float = 20.0) -> str:
        """The text that has this in it."""
        await self.wait(lambda: any(who == by and part in text for who, text in self.heard), within)
        return next(text for who, text in self.heard if who == by and part in text)

    @property
    def tellers(self) -> set[str]:
        return {who for who, _ in self.heard}


@asynccontextmanager
async def person(ground: "Ground | World", jid: str = ALICE, password: str = PASSWORD) -> AsyncIterator[Person]:
    made = Person(ground, jid, password)
    async with alive(made):
        async with asyncio.timeout(15):
            state = await made.connection.enter(OPS)
        assert state.joined, state.reason
        yield made


@asynccontextmanager
async def alive(made: Person) -> AsyncIterator[None]:
    """Logged in, and in no room."""
    life = asyncio.create_task(made.connection.run())
    try:
        async with asyncio.timeout(15):
            await made.connection.wait_online()
        yield
    finally:
        life.cancel()
        await asyncio.wait([life])


async def hub_account(ground: Ground, *, admin: bool = True) -> Path:
    """An account, an admin of the room unless it is not to be one yet, and its hub.toml."""
    await ground.server.add_account(HUB, PASSWORD)
    if admin:
        await create_room(ground.console(), [], [HUB])
    path = ground.folder / "hub.toml"
    path.write_text(
        f'jid = "{HUB}"\npassword = "{PASSWORD}"\nroom = "{OPS}"\nhost = "{ground.server.host}"\n'
        f'port = {ground.server.c2s_port}\nca_file = "{ground.server.ca_file}"\nstate = "hub-state"\n'
    )
    path.chmod(0o600)
    return path


@asynccontextmanager
async def hub_of(ground: Ground, path: Path) -> AsyncIterator[Hub]:
    """A hub in this process, that knows its fleet."""
    async with living(load(path), Notify()) as hub:
        async with asyncio.timeout(20):
            await hub.ready.wait()
        yield hub


async def knows(hub: Hub, *names: str) -> None:
    """Until the hub sees these sites and knows that they let it gather."""
    await until(lambda: all(name in hub.fleet.sites and hub.fleet.gathers(name) for name in names))
