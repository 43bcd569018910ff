"""What the printed configurations refuse, on both servers, to strangers, to agents and to other servers."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest

from amon.xmpp.events import Offline
from amon.xmpp.faults import StanzaError
from tests.clients.plain import JoinRefused, LoginRefused, logged_in
from tests.servers.ejabberd import EjabberdServer
from tests.servers.printed import AGENTS, ALICE, BOB, PASSWORD, PEOPLE, ROOM, SITES, Server
from tests.servers.wire import plain, wire
from tests.xmpp.party import World

# What a server says that does not even try: one that was not found would be remote-server-not-found.
WITHIN = ("service-unavailable", "not-allowed", "policy-violation", "forbidden")
_REGISTER = (
    "<iq id='r1' type='set' to='{to}'><query xmlns='jabber:iq:register'>"
    "<username>eve</username><password>a word</password></query></iq>"
)


def way(server: Server) -> tuple[str, str, int, Path]:
    return PASSWORD, server.host, server.c2s_port, server.ca_file


async def can_log_in(server: Server, jid: str) -> bool:
    try:
        async with logged_in(jid, *way(server)):
            return True
    except LoginRefused:
        return False


@pytest.mark.parametrize("domain", [PEOPLE, AGENTS])
async def test_nobody_registers(printed_server: Server, domain: str) -> None:
    async with wire(printed_server, domain) as line:
        await line.open()
        await line.tls(printed_server)
        assert "iq-register" not in await line.open()
        line.write(_REGISTER.format(to=domain))
        said = await line.until(b"</iq>", b"</stream:stream>")
        assert "type='error'" in said or "not-authorized" in said
    assert not await can_log_in(printed_server, f"eve@{domain}")


async def test_who_has_logged_in_registers_nobody_else(printed_server: Server) -> None:
    async with World(printed_server).party(SITES[0], password=PASSWORD) as site:
        query = ElementTree.fromstring(_REGISTER.format(to=AGENTS))[0]
        with pytest.raises(StanzaError):
            await (await site.up()).connection.ask(AGENTS, "set", query)
    assert not await can_log_in(printed_server, f"eve@{AGENTS}")


async def test_a_plain_password_is_not_taken_inside_tls(printed_server: Server) -> None:
    async with wire(printed_server, AGENTS) as line:
        await line.open()
        await line.tls(printed_server)
        assert "PLAIN" not in await line.open()
        line.write(plain("site-1", PASSWORD))
        assert "invalid-mechanism" in await line.until(b"</failure>", b"</stream:stream>")


async def test_no_login_is_taken_before_tls(printed_server: Server) -> None:
    async with wire(printed_server, AGENTS) as line:
        assert "mechanism" not in await line.open()
        line.write(plain("site-1", PASSWORD))
        said = await line.until(b"</failure>", b"</stream:stream>")
        assert "success" not in said
        assert any(word in said for word in ("encryption-required", "policy-violation", "invalid-mechanism"))


async def test_tls_1_1_is_not_spoken_and_1_2_is(printed_server: Server) -> None:
    assert await speaks(printed_server, "-tls1_2")
    assert not await speaks(printed_server, "-tls1_1")


# The system's own OpenSSL settings refuse 1.1 too; the line itself is looked for in test_recipe.py.
async def speaks(server: Server, version: str) -> bool:
    argv = ["openssl", "s_client", "-connect", f"{server.host}:{server.tls_port}", "-servername", AGENTS, version]
    # Level 0: else it is our own library that refuses, and nothing is tested.
    argv += ["-cipher", "DEFAULT@SECLEVEL=0"]
    no, pipe = asyncio.subprocess.DEVNULL, asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(*argv, stdin=no, stdout=pipe, stderr=no)
    said, _ = await process.communicate()
    assert b"CONNECTED" in said
    return process.returncode == 0


async def test_no_other_server_comes_in_and_nothing_goes_out(printed_server: Server) -> None:
    assert printed_server.pid is not None
    held = psutil.Process(printed_server.pid).net_connections("tcp")
    ports = {one.laddr.port for one in held if one.status == psutil.CONN_LISTEN}
    doors = 1 if isinstance(printed_server, EjabberdServer) else 0  # that of the tests
    assert {printed_server.c2s_port, printed_server.tls_port} <= ports
    assert len(ports) == 2 + doors
    async with logged_in(ALICE, *way(printed_server)) as alice:
        alice.say("eve@elsewhere.example", "hello")
        bounce = await alice.next_message()
        assert bounce["type"] == "error"
        assert bounce["error"]["condition"] in WITHIN


async def test_a_stranger_does_not_enter_the_room_nor_make_one(printed_server: Server) -> None:
    async with logged_in(ALICE, *way(printed_server)) as alice, logged_in(SITES[0], *way(printed_server)) as site:
        await alice.join(ROOM, "alice")
        with pytest.raises(JoinRefused, match="registration-required"):
            await site.join(ROOM, "site-1")
        with pytest.raises(JoinRefused, match=r"not-allowed|forbidden"):
            await site.join("own@rooms.example.org", "site-1")
    async with logged_in(BOB, *way(printed_server)) as bob:
        with pytest.raises(JoinRefused, match="registration-required"):
            await bob.join(ROOM, "bob")
        with pytest.raises(JoinRefused, match=r"not-allowed|forbidden"):
            await bob.join("bobs@rooms.example.org", "bob")


@pytest.mark.servers
@pytest.mark.parametrize("program", ["ejabberd"])
async def test_ejabberd_carries_no_private_message_through_the_room(printed_server: Server) -> None:
    async with logged_in(ALICE, *way(printed_server)) as alice, logged_in(SITES[0], *way(printed_server)) as site:
        await alice.join(ROOM, "alice")
        await alice.admit(ROOM, SITES[0])
        await site.join(ROOM, "site-1")
        alice.say(f"{ROOM}/site-1", "restart everything")
        while (answer := await alice.next_message())["type"] != "error":
            pass
        assert answer["from"] == f"{ROOM}/site-1"


@pytest.mark.parametrize("jid", [SITES[0], BOB])
async def test_only_an_admin_makes_deletes_and_changes_accounts(printed_server: Server, jid: str) -> None:
    async with World(printed_server).party(jid, password=PASSWORD) as party:
        connection = (await party.up()).connection
        with pytest.raises(StanzaError):
            await connection.add_account(f"eve@{AGENTS}", "another word")
        with pytest.raises(StanzaError):
            await connection.set_password(SITES[1], "another word")
        with pytest.raises(StanzaError):
            await connection.delete_account(SITES[1])
    assert not await can_log_in(printed_server, f"eve@{AGENTS}")
    assert await can_log_in(printed_server, SITES[1])


async def test_an_agent_does_not_reach_another_agent(printed_server: Server) -> None:
    async with (
        logged_in(ALICE, *way(printed_server)) as alice,
        logged_in(SITES[0], *way(printed_server)) as site,
        logged_in(SITES[1], *way(printed_server)) as other,
    ):
        site.say(str(other.boundjid), "restart everything")
        site.say(SITES[1], "restart everything", "normal")
        site.say(ALICE, "done")
        assert (await alice.next_message())["body"] == "done"
        alice.say(SITES[1], "the next")
        assert (await other.next_message())["from"].bare == ALICE


async def test_what_is_too_long_before_the_login_ends_the_stream(printed_server: Server) -> None:
    async with wire(printed_server, AGENTS) as line:
        await line.open()
        line.write(f"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl'>{'x' * 300_000}</auth>")
        assert "policy-violation" in await line.until(b"</stream:stream>")


async def test_a_stanza_of_more_than_256_kib_ends_the_stream(printed_server: Server) -> None:
    async with logged_in(SITES[0], *way(printed_server)) as site:
        ended = asyncio.Event()
        site.add_event_handler("disconnected", lambda _: ended.set())
        site.say(ALICE, "x" * 270_000)
        async with asyncio.timeout(15):
            await ended.wait()


async def test_an_eleventh_connection_of_one_account_is_one_too_many(printed_server: Server) -> None:
    async with AsyncExitStack() as stack:
        gone = asyncio.Event()
        for number in range(10):
            client = await stack.enter_async_context(logged_in(f"{SITES[0]}/{number}", *way(printed_server)))
            client.add_event_handler("disconnected", lambda _: gone.set())
        assert not gone.is_set()
        party = World(printed_server).party(SITES[0], password=PASSWORD)
        last = await stack.enter_async_context(party)
        if isinstance(printed_server, EjabberdServer):  # the newest comes in, the oldest goes
            async with asyncio.timeout(15):
                await gone.wait()
        else:
            assert (await last.ear.wait(Offline)).fault == "bind"
            assert not gone.is_set()
