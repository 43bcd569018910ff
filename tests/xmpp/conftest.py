"""A private Prosody with the people and agents of these tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from tests.xmpp.party import ALICE, BOB, CERN, DESY, EVE, PASSWORD, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    server = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096)
    for jid in (ALICE, BOB, EVE, CERN, DESY):
        await server.add_account(jid, PASSWORD)
    async with server:
        yield World(server)
        server.kill()  # an orderly stop takes it a second, and every test has its own
