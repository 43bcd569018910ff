"""A private server with its room, for each test that asks for it; the main tests (`SERVERS`) run on ejabberd, too."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from admin_console.rooms import create_room
from admin_console.server import PrivateServer
from tests.admin_console.ground import ALICE, BOB, PASSWORD, Ground
from tests.servers.ejabberd import EjabberdServer


@pytest.fixture
async def ground(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Ground]:
    server: PrivateServer | EjabberdServer
    if getattr(request, "param", "prosody") == "prosody":
        server = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096)
    else:
        server = EjabberdServer(tmp_path / "server", admins=(ALICE,))
    async with server, AsyncExitStack() as stack:
        for jid in (ALICE, BOB):
            await server.add_account(jid, PASSWORD)
        made = Ground(server, tmp_path, stack)
        await create_room(made.console(), [], [BOB])
        yield made
