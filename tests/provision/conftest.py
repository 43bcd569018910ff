"""An office with a real server for each test that asks for it; every test runs on both servers."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from tests.provision.office import ALICE, Office, Server
from tests.servers.ejabberd import EjabberdServer


@pytest.fixture(params=["prosody", pytest.param("ejabberd", marks=pytest.mark.servers)])
async def office(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Office]:
    server: Server
    if request.param == "prosody":
        server = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096)
    else:
        server = EjabberdServer(tmp_path / "server", admins=(ALICE,))
    async with server:
        made = Office(server, tmp_path)
        await made.open()
        try:
            yield made
        finally:
            await made.close()
            server.kill()
