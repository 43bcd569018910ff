"""A fleet of its own for each test: a private server, its room, nobody yet at home. Every test runs on both servers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from tests.e2e.world import ALICE, World
from tests.servers.ejabberd import EjabberdServer


@pytest.fixture(params=["prosody", pytest.param("ejabberd", marks=pytest.mark.servers)])
async def world(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    server: PrivateServer | EjabberdServer
    if request.param == "prosody":
        server = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096)
    else:
        server = EjabberdServer(tmp_path / "server", admins=(ALICE,))
    async with server:
        made = World(server, tmp_path)
        await made.set_up()
        try:
            yield made
        finally:
            await made.stop()
            server.kill()
