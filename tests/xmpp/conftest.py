"""A server of our own with the people and agents of these tests: Prosody, and with the mark `servers` ejabberd too."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from tests.servers.ejabberd import EjabberdServer
from tests.xmpp.party import ALICE, BOB, CERN, DESY, EVE, PASSWORD, World


@pytest.fixture(params=["prosody", pytest.param("ejabberd", marks=pytest.mark.servers)])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    folder = tmp_path / "server"
    server: PrivateServer | EjabberdServer
    if request.param == "prosody":
        server = PrivateServer(folder, admins=(ALICE,), iterations=4096)
    else:
        server = EjabberdServer(folder, admins=(ALICE,))
    for jid in (ALICE, BOB, EVE, CERN, DESY):
        await server.add_account(jid, PASSWORD)
    async with server:
        yield World(server)
        server.kill()  # an orderly stop takes it a second, and every test has its own
