"""A private server with its room, for each test that asks for it."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from admin_console.rooms import create_room
from admin_console.server import PrivateServer
from tests.admin_console.ground import ALICE, BOB, PASSWORD, Ground


@pytest.fixture
async def ground(tmp_path: Path) -> AsyncIterator[Ground]:
    server = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096)
    for jid in (ALICE, BOB):
        await server.add_account(jid, PASSWORD)
    async with server, AsyncExitStack() as stack:
        made = Ground(server, tmp_path, stack)
        await create_room(made.console(), [], [BOB])
        yield made
