"""`--host-certificates`: agents come in with a certificate of that authority, people never do, on both servers."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.x509 import DNSName

from amon.xmpp.events import Offline, Online
from tests.clients.plain import LoginRefused, logged_in
from tests.servers.printed import ALICE, PASSWORD, SITES, Server, own
from tests.xmpp.clientca import ClientCa
from tests.xmpp.party import World


@pytest.fixture
def authority(tmp_path: Path) -> ClientCa:
    return ClientCa(tmp_path / "sites")


@pytest.fixture
async def world(tmp_path: Path, program: str, authority: ClientCa) -> AsyncIterator[World]:
    server = own(program, tmp_path / "server", "--host-certificates", str(authority.file))
    for jid in (ALICE, SITES[0]):
        await server.add_account(jid, PASSWORD)
    async with server:
        yield World(server)


def way(server: Server) -> tuple[str, int, Path]:
    return server.host, server.c2s_port, server.ca_file


@pytest.mark.parametrize("direct", [False, True])
async def test_an_agent_logs_in_with_its_certificate_and_without_a_password(
    world: World, authority: ClientCa, direct: bool
) -> None:
    certificate, key = authority.for_account(SITES[0])
    port = world.server.tls_port if direct else world.server.c2s_port
    way: dict[str, Any] = {"port": port, "tls": "direct" if direct else "starttls"}
    async with world.party(SITES[0], password="", certificate=certificate, certificate_key=key, **way) as site:
        await site.ear.wait(Online)


async def test_the_certificate_of_another_site_is_refused(world: World, authority: ClientCa) -> None:
    certificate, key = authority.for_account(SITES[1])
    async with world.party(SITES[0], password="", certificate=certificate, certificate_key=key) as site:
        assert (await site.ear.wait(Offline)).fault == "certificate-refused"


@pytest.mark.parametrize("named", [True, False])
async def test_no_certificate_opens_the_account_of_a_person(world: World, authority: ClientCa, named: bool) -> None:
    certificate, key = authority.for_account(ALICE) if named else authority.issue("host", DNSName("ce.example.org"))
    async with world.party(ALICE, password="", certificate=certificate, certificate_key=key) as alice:
        await alice.ear.until(lambda: bool(alice.ear.all(Offline) or alice.ear.all(Online)))
        assert not alice.ear.all(Online)


async def test_people_go_on_with_passwords_and_agents_do_so_at_ejabberd_only(world: World, program: str) -> None:
    async with logged_in(ALICE, PASSWORD, *way(world.server)):
        pass
    try:
        async with logged_in(SITES[0], PASSWORD, *way(world.server)):
            assert program == "ejabberd"
    except LoginRefused:
        assert program == "prosody"
