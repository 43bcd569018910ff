"""Both servers with what `amon server config` prints, and accounts for two people and two sites."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.servers.printed import ALICE, BOB, PASSWORD, SITES, Server, own

BOTH = ["prosody", pytest.param("ejabberd", marks=pytest.mark.servers)]


@pytest.fixture(params=BOTH)
def program(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def printed_server(tmp_path: Path, program: str) -> AsyncIterator[Server]:
    server = own(program, tmp_path / "server")
    for jid in (ALICE, BOB, *SITES):
        await server.add_account(jid, PASSWORD)
    async with server:
        yield server
