"""The private Prosody, really started: trust, accounts, restarts, ends, and what it says when it cannot start."""

import asyncio
import signal
import socket
import ssl
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from admin_console.server import Ports, PrivateServer
from admin_console.server.child import free_port
from amon.errors import Failed, Invalid
from tests.clients.plain import LoginRefused, logged_in
from tests.clients.stream import direct_offer, only, starttls_offer

ALICE, SITE, PASSWORD = "alice@amon.test", "site-1@agents.amon.test", "five words are a password"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[PrivateServer]:
    """One with an account for alice, made before the start; few iterations, as the tests log in often."""
    private = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096)
    await private.add_account(ALICE, PASSWORD)
    async with private:
        yield private


async def can_log_in(server: PrivateServer, jid: str, password: str, *, direct: bool = False) -> bool:
    port = server.tls_port if direct else server.c2s_port
    try:
        async with logged_in(jid, password, server.host, port, server.ca_file, direct=direct) as client:
            return client.mechanism == "SCRAM-SHA-256"
    except LoginRefused:
        return False


async def test_its_own_authority_and_no_other_vouches_for_it(server: PrivateServer) -> None:
    offer = await starttls_offer(server.host, server.c2s_port, server.domain, only(server.ca_file))
    assert offer.names == {server.domain, server.agents, server.rooms, server.host}
    with pytest.raises(ssl.SSLCertVerificationError, match="certificate"):
        await starttls_offer(server.host, server.c2s_port, server.domain, only(None))


async def test_direct_tls_is_served_beside_starttls(server: PrivateServer) -> None:
    for domain in (server.domain, server.agents):
        offer = await direct_offer(server.host, server.tls_port, domain, only(server.ca_file))
        assert "SCRAM-SHA-256" in offer.mechanisms


async def test_nothing_but_tls_is_offered_in_clear_and_never_a_plain_password_or_registration(
    server: PrivateServer,
) -> None:
    offer = await starttls_offer(server.host, server.c2s_port, server.agents, only(server.ca_file))
    assert "<required/>" in offer.clear
    assert "mechanism" not in offer.clear
    assert offer.mechanisms == {"SCRAM-SHA-256"}
    assert "http://jabber.org/features/iq-register" not in offer.clear + offer.encrypted


async def test_an_account_made_before_the_start_logs_in(server: PrivateServer) -> None:
    assert await can_log_in(server, ALICE, PASSWORD)
    assert await can_log_in(server, ALICE, PASSWORD, direct=True)
    assert not await can_log_in(server, ALICE, "another password")


async def test_an_account_made_while_it_runs_logs_in_at_once_also_with_a_new_password(server: PrivateServer) -> None:
    assert not await can_log_in(server, SITE, PASSWORD)
    await server.add_account(SITE, PASSWORD)
    assert await can_log_in(server, SITE, PASSWORD)
    await server.add_account(SITE, "zweites Paßwort №2")
    assert await can_log_in(server, SITE, "zweites Paßwort №2")
    assert not await can_log_in(server, SITE, PASSWORD)


async def test_no_password_is_on_disk_and_no_file_is_for_others(server: PrivateServer) -> None:
    assert await can_log_in(server, ALICE, PASSWORD)
    for path in (server.folder, *server.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
        assert path.is_dir() or PASSWORD.encode() not in path.read_bytes(), path


async def test_a_restart_keeps_accounts_ports_and_certificate(server: PrivateServer) -> None:
    before = server.c2s_port, server.tls_port, server.ca_file.read_bytes()
    await server.restart()
    assert (server.c2s_port, server.tls_port, server.ca_file.read_bytes()) == before
    assert await can_log_in(server, ALICE, PASSWORD)


async def test_the_next_server_in_the_same_folder_has_the_accounts_of_the_last(server: PrivateServer) -> None:
    await server.stop()
    authority = server.ca_file.read_bytes()
    ports = Ports(server.c2s_port, server.tls_port)
    async with PrivateServer(server.folder, ports=ports) as following:
        assert following.c2s_port == ports.c2s
        assert following.ca_file.read_bytes() == authority
        assert await can_log_in(following, ALICE, PASSWORD)


async def test_stop_leaves_no_process_and_no_port(server: PrivateServer) -> None:
    pid = server.pid
    assert pid is not None
    await server.stop()
    assert server.pid is None
    assert not psutil.pid_exists(pid)
    for port in (server.c2s_port, server.tls_port):
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection(server.host, port)


async def test_after_a_kill_it_starts_again_with_what_it_had(server: PrivateServer) -> None:
    server.kill()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection(server.host, server.c2s_port)
    await server.start()
    assert await can_log_in(server, ALICE, PASSWORD)


async def test_a_message_for_somebody_who_is_not_there_bounces_at_once(server: PrivateServer) -> None:
    await server.add_account(SITE, PASSWORD)
    async with logged_in(ALICE, PASSWORD, server.host, server.c2s_port, server.ca_file) as alice:
        for absent in (SITE, f"{SITE}/agent", "nobody@agents.amon.test"):
            alice.say(absent, "anybody there?")
            bounce = await alice.next_message()
            assert (bounce["type"], bounce["error"]["condition"]) == ("error", "service-unavailable")


async def test_with_contacts_people_see_sites_and_sites_see_people(tmp_path: Path) -> None:
    private = PrivateServer(tmp_path / "server", contacts=True, iterations=4096)
    for jid in (ALICE, SITE, "site-2@agents.amon.test"):
        await private.add_account(jid, PASSWORD)
    async with (
        private as server,
        logged_in(ALICE, PASSWORD, server.host, server.c2s_port, server.ca_file) as alice,
        logged_in(SITE, PASSWORD, server.host, server.c2s_port, server.ca_file) as site,
    ):
        told: asyncio.Queue[str] = asyncio.Queue()
        alice.add_event_handler("presence_dnd", lambda came: told.put_nowait(came["status"]))
        site.send_presence(pshow="dnd", pstatus="CRIT 1/7")
        async with asyncio.timeout(10):
            assert await told.get() == "CRIT 1/7"
        await alice.get_roster(timeout=10)
        await site.get_roster(timeout=10)
        assert set(alice.client_roster.keys()) - {ALICE} == {SITE, "site-2@agents.amon.test"}
        assert set(site.client_roster.keys()) - {SITE} == {ALICE}


async def test_it_ends_when_the_process_that_started_it_is_killed(tmp_path: Path) -> None:
    program = (
        "import asyncio, sys\nfrom pathlib import Path\nfrom admin_console.server import PrivateServer\n"
        "async def main():\n"
        "    async with PrivateServer(Path(sys.argv[1])) as server:\n"
        "        print(server.pid, flush=True)\n        await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    starter = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, str(tmp_path / "server"), stdout=asyncio.subprocess.PIPE
    )
    assert starter.stdout is not None
    async with asyncio.timeout(30):
        prosody = psutil.Process(int(await starter.stdout.readline()))
        starter.send_signal(signal.SIGKILL)
        await starter.communicate()
        await asyncio.to_thread(psutil.wait_procs, [prosody], 20)
    assert not prosody.is_running() or prosody.status() == psutil.STATUS_ZOMBIE


async def test_a_missing_prosody_is_said_with_the_next_step(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="prosody is not installed; next: apt-get install prosody"):
        await PrivateServer(tmp_path, program="prosody-that-is-not-there").start()


async def test_a_folder_that_others_may_change_is_left_alone(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(Failed, match="can be changed by others"):
        await PrivateServer(tmp_path).start()
    assert list(tmp_path.iterdir()) == []
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o777


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port("127.0.0.1"))) as holder:
        taken = holder.getsockname()[1]
        server = PrivateServer(tmp_path / "server", ports=Ports(taken, free_port("127.0.0.1")))
        with pytest.raises(Failed, match=rf"port .*\b{taken}\b.* is taken"):
            await server.start()
        assert server.pid is None


async def test_a_chosen_port_that_is_taken_meanwhile_is_replaced_by_another(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", free_port("127.0.0.1"))) as holder:
        taken = holder.getsockname()[1]
        choices = iter([taken, free_port("127.0.0.1")])
        server = PrivateServer(tmp_path / "server", choose=lambda host: next(choices, 0) or free_port(host))
        async with server:
            assert taken not in (server.c2s_port, server.tls_port)
            offer = await starttls_offer(server.host, server.c2s_port, server.domain, only(server.ca_file))
            assert "SCRAM-SHA-256" in offer.mechanisms


async def test_a_prosody_that_dies_at_its_start_is_quoted(tmp_path: Path) -> None:
    broken = PrivateServer(tmp_path / "server", configure=lambda setup: "this is no Lua")
    with pytest.raises(Failed, match=r"(?s)ended at its start.*prosody\.cfg\.lua"):
        await broken.start()
    assert broken.pid is None


@pytest.mark.parametrize("name", ["", "amon", "Amon.test", 'amon.test"', "a" * 64 + ".test", "../amon.test", "-a.test"])
def test_a_name_that_is_no_domain_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(Invalid, match="no domain name"):
        PrivateServer(tmp_path, domain=name)


def test_one_port_for_both_kinds_of_tls_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Invalid, match="cannot serve both"):
        PrivateServer(tmp_path, ports=Ports(5222, 5222))


@pytest.mark.parametrize(
    "jid", ["alice", "alice@example.org", "@amon.test", "a/b@amon.test", "alice@amon.test/x", "ä@amon.test"]
)
async def test_an_account_that_is_none_of_ours_is_refused(tmp_path: Path, jid: str) -> None:
    with pytest.raises(Invalid, match=r"no account|not on this server"):
        await PrivateServer(tmp_path).add_account(jid, PASSWORD)
