"""A site with a service for people with real clients: a private Prosody, which browsers reach by WebSocket too."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from admin_console.server import PrivateServer
from admin_console.server.child import free_port
from admin_console.server.prosody import Setup, configuration
from tests.e2e.test_answers import SLEEPER
from tests.e2e.world import ALICE, World, seen

CERN = "cern@agents.amon.test/agent"


class Place:
    """world: with the site cern and its services. websocket: where a browser logs in."""

    def __init__(self, world: World, server: PrivateServer, web_port: int) -> None:
        self.world, self.server = world, server
        self.websocket = f"ws://{server.host}:{web_port}/xmpp-websocket"


@asynccontextmanager
async def place(folder: Path, account: str = "", policy: str = "", services: str = SLEEPER) -> AsyncIterator[Place]:
    """account, policy: what stands in the site's configuration besides, and instead of what all tests have."""
    web_port = free_port("127.0.0.1")
    server = PrivateServer(
        folder / "server",
        admins=(ALICE,),
        iterations=4096,
        contacts=True,
        configure=lambda setup: _with_websocket(setup, web_port),
    )
    async with server:
        world = World(server, folder)
        await world.set_up()
        try:
            site = await world.add_site("cern", services)
            site.config.write_text(world.configuration("cern", services, account=account, policy=policy))
            await site.start()
            async with world.console() as fleet:
                await seen(fleet, "cern", "")
            yield Place(world, server, web_port)
        finally:
            await world.stop()


def _with_websocket(setup: Setup, port: int) -> str:
    """mod_websocket (RFC 7395) for the people's domain, on loopback without TLS, as behind a proxy."""
    web = (
        f'http_ports = {{ {port} }}\nhttp_interfaces = {{ "{setup.host}" }}\n'
        f'http_default_host = "{setup.domain}"\nconsider_websocket_secure = true'
    )
    text = configuration(setup).replace("http_ports = { }", web, 1)
    return text.replace('"pep";', '"pep"; "websocket";')
