"""A private Prosody with the people and agents of these tests."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from tests.xmpp.party import ALICE, BOB, CERN, DESY, EVE, PASSWORD, World


@pytest.fixture(scope="session")
def server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("prosody")


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    server = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096)
    for jid in (ALICE, BOB, EVE, CERN, DESY):
        await server.add_account(jid, PASSWORD)
    async with server:
        yield World(server)
