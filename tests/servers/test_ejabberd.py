"""The ejabberd of the tests does what the private Prosody does, so that tests of agents can run on either."""

import socket
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from amon.errors import Failed
from tests.clients.plain import LoginRefused, logged_in
from tests.clients.stream import direct_offer, only, starttls_offer
from tests.servers.ejabberd import EjabberdServer

pytestmark = pytest.mark.servers
ALICE, SITE, PASSWORD = "alice@amon.test", "site-1@agents.amon.test", "fünf words"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EjabberdServer]:
    private = EjabberdServer(tmp_path / "server", admins=(ALICE,))
    await private.add_account(ALICE, PASSWORD)
    async with private:
        yield private


async def can_log_in(server: EjabberdServer, jid: str, password: str) -> bool:
    try:
        async with logged_in(jid, password, server.host, server.c2s_port, server.ca_file) as client:
            return client.mechanism == "SCRAM-SHA-256"
    except LoginRefused:
        return False


async def test_its_own_authority_vouches_for_it_and_plain_passwords_are_not_taken(server: EjabberdServer) -> None:
    for domain in (server.domain, server.agents):
        offer = await starttls_offer(server.host, server.c2s_port, domain, only(server.ca_file))
        assert "<required/>" in offer.clear
        assert "mechanism" not in offer.clear
        assert offer.names == {server.domain, server.agents, server.rooms, server.host}
        assert "PLAIN" not in offer.mechanisms
        direct = await direct_offer(server.host, server.tls_port, domain, only(server.ca_file))
        assert direct.mechanisms == offer.mechanisms
    with pytest.raises(ssl.SSLCertVerificationError):
        await starttls_offer(server.host, server.c2s_port, server.domain, only(None))


async def test_accounts_come_before_and_after_the_start_and_survive_restart_and_crash(server: EjabberdServer) -> None:
    assert await can_log_in(server, ALICE, PASSWORD)
    assert not await can_log_in(server, SITE, PASSWORD)
    await server.add_account(SITE, "the first")
    await server.add_account(SITE, PASSWORD)
    assert await can_log_in(server, SITE, PASSWORD)
    await server.restart()
    assert await can_log_in(server, SITE, PASSWORD)
    server.kill()
    await server.start()
    assert await can_log_in(server, ALICE, PASSWORD)


async def test_no_password_is_in_a_log(server: EjabberdServer) -> None:
    await server.add_account(SITE, "not to be seen")
    for log in server.folder.glob("*.log"):
        assert "not to be seen" not in log.read_text()


async def test_a_message_for_somebody_who_is_not_there_bounces_at_once(server: EjabberdServer) -> None:
    await server.add_account(SITE, PASSWORD)
    async with logged_in(ALICE, PASSWORD, server.host, server.c2s_port, server.ca_file) as alice:
        for absent in (SITE, f"{SITE}/agent", "nobody@agents.amon.test"):
            alice.say(absent, "anybody there?")
            bounce = await alice.next_message()
            assert (bounce["type"], bounce["error"]["condition"]) == ("error", "service-unavailable")


async def test_nothing_stays_behind_no_epmd_no_helper_no_port(server: EjabberdServer) -> None:
    assert server.pid is not None
    began = psutil.Process(server.pid).create_time()
    family = [psutil.Process(server.pid), *psutil.Process(server.pid).children(recursive=True)]
    await server.stop()
    _, alive = psutil.wait_procs(family, timeout=10)
    assert [left for left in alive if left.status() != psutil.STATUS_ZOMBIE] == []
    recent = [
        running for running in psutil.process_iter(["name", "create_time"]) if running.info["create_time"] >= began
    ]
    assert "epmd" not in {running.info["name"] for running in recent}
    with socket.socket() as free:
        free.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        free.bind((server.host, server.c2s_port))


async def test_a_configuration_that_it_does_not_take_is_quoted(tmp_path: Path) -> None:
    broken = EjabberdServer(tmp_path / "server", configure=lambda setup: "hosts: 5\n")
    with pytest.raises(Failed, match=r"(?s)ended at its start.*hosts"):
        await broken.start()
    assert broken.pid is None
