"""A fleet of its own for each test: private Prosody, room, nobody yet at home."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from tests.e2e.world import ALICE, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    server = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096)
    async with server:
        made = World(server, tmp_path)
        await made.set_up()
        try:
            yield made
        finally:
            await made.stop()
            server.kill()
