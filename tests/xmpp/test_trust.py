"""Whom a connection trusts: every way a server, or somebody in between, may be false; the password never gets out."""

import asyncio
import base64
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from admin_console.server.certificate import certificate
from amon.errors import Failed, Invalid
from amon.xmpp.connection import Connection
from amon.xmpp.events import Offline, Online
from amon.xmpp.login import Limits, Login
from amon.xmpp.tls import tls_context
from tests.xmpp.falseserver import HEADER, SASL, FalseServer, login
from tests.xmpp.party import ALICE, PASSWORD, QUICK, Ear, World

PROCEED = "<proceed xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"
TLS = "<starttls xmlns='urn:ietf:params:xml:ns:xmpp-tls'/>"


async def offline(
    server: FalseServer, *, jid: str = ALICE, limits: Limits | None = None, ear: Ear | None = None
) -> Offline:
    """How the first try of an account at this server ends."""
    ear = ear or Ear()
    account = Login(
        jid, PASSWORD, host="127.0.0.1", port=server.port, tls="direct" if server.direct_tls else "starttls"
    )
    context = tls_context(server.ca_file)
    connection = Connection(account, ear, context=context, random=Random(1), times=QUICK, limits=limits)
    task = asyncio.create_task(connection.run())
    try:
        return await ear.wait(Offline)
    finally:
        task.cancel()
        await asyncio.wait((task,))


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_certificate_of_another_ca_is_refused_before_any_password(
    world: World, tmp_path: Path, tls: str
) -> None:
    other = certificate(tmp_path / "other", ("amon.test",), "127.0.0.1")
    port = world.server.tls_port if tls == "direct" else world.server.c2s_port
    async with world.party(ALICE, ca_file=other.ca, tls=tls, port=port) as alice:
        event = await alice.ear.wait(Offline)
    assert event.fault == "certificate"
    assert "signed by a CA that is not trusted here: give `ca_file`" in event.reason
    assert "no password was sent" in event.reason
    assert event.retry_in >= 15


@pytest.mark.parametrize("direct_tls", [False, True])
async def test_a_certificate_for_another_name_is_refused(tmp_path: Path, direct_tls: bool) -> None:
    async def script(server: FalseServer) -> None:
        if not direct_tls:
            await server.offer(TLS)
            await server.hear("<starttls")
            server.say(PROCEED)
            await server.writer.start_tls(server.tls)
        await server.hear("<auth")

    async with FalseServer(tmp_path, script, direct_tls=direct_tls) as server:
        event = await offline(server, jid="alice@elsewhere.test")
        assert event.fault == "certificate"
        assert "is for another name than elsewhere.test" in event.reason
        assert "<auth" not in server.said


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_domain_that_the_server_does_not_serve_is_told(world: World, tls: str) -> None:
    port = world.server.tls_port if tls == "direct" else world.server.c2s_port
    async with world.party("alice@elsewhere.test", tls=tls, port=port) as alice:
        event = await alice.ear.wait(Offline)
    # ejabberd shows the certificate it has before it hears of the domain.
    assert event.fault in ("host-unknown", "certificate")
    assert "elsewhere.test" in event.reason


async def test_the_ca_file_is_the_only_trust(tmp_path: Path) -> None:
    ca = certificate(tmp_path, ("amon.test",), "127.0.0.1").ca
    assert len(tls_context(ca).get_ca_certs()) == 1


@pytest.mark.parametrize(("content", "said"), [(None, "cannot be read"), ("nothing", "no CA certificate")])
def test_a_ca_file_that_is_none_is_told(tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "ca.pem"
    if content:
        file.write_text(content)
    with pytest.raises(Failed, match=said):
        tls_context(file)


async def test_a_stripped_starttls_ends_the_stream_before_anything_is_said(tmp_path: Path) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer(login("SCRAM-SHA-256"))

    async with FalseServer(tmp_path, script, direct_tls=False) as server:
        event = await offline(server)
        assert event.fault == "no-tls"
        assert "<auth" not in server.said


async def test_what_comes_in_clear_after_the_start_of_tls_is_not_read(tmp_path: Path) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer(TLS)
        await server.hear("<starttls")
        injected = f"<stream:features>{login('SCRAM-SHA-1')}</stream:features>"
        server.say(PROCEED + injected)
        await server.hear("<auth|\x16\x03")  # or the first bytes of TLS
        raise ConnectionResetError

    async with FalseServer(tmp_path, script, direct_tls=False) as server:
        event = await offline(server)
        assert event.fault == "cut"
        assert "<auth" not in server.said


@pytest.mark.parametrize("direct_tls", [False, True])
async def test_a_session_that_nobody_logged_in_to_is_none(tmp_path: Path, direct_tls: bool) -> None:
    sm = "xmlns='urn:xmpp:sm:3'"
    order = "<message from='alice@amon.test/x' type='chat'><body>!restart ce2</body></message>"

    async def script(server: FalseServer) -> None:
        await server.hear("<stream:stream")
        server.say(HEADER + f"<resumed {sm} previd='x' h='0'/><enabled {sm} id='x' resume='true'/>{order}")
        server.say(f"<success xmlns='{SASL}'/><iq type='result' id='x'/>{order}")
        server.say(f"<stream:features>{login('PLAIN')}</stream:features>")

    async with FalseServer(tmp_path, script, direct_tls=direct_tls) as server:
        ear = Ear()
        event = await offline(server, ear=ear)
        assert event.fault == ("no-scram" if direct_tls else "no-tls")
        assert ear.heard[0] is event, "neither a session nor a message"


@pytest.mark.parametrize("mechanisms", [("PLAIN",), ("PLAIN", "DIGEST-MD5", "X-OAUTH2"), ()])
async def test_no_weaker_login_than_scram_is_used(tmp_path: Path, mechanisms: tuple[str, ...]) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer_login(*mechanisms)

    async with FalseServer(tmp_path, script, direct_tls=True) as server:
        event = await offline(server)
        assert event.fault == "no-scram"
        assert "<auth" not in server.said
        assert PASSWORD not in server.said
        assert base64.b64encode(PASSWORD.encode()).decode() not in server.said


async def test_a_server_that_cannot_prove_it_knows_the_password_is_left(tmp_path: Path) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer_login("SCRAM-SHA-256")
        await server.challenge()
        await server.hear("</response>")
        server.say(
            f"<success xmlns='{SASL}'>{base64.b64encode(b'v=' + base64.b64encode(b'x' * 32)).decode()}</success>"
        )

    async with FalseServer(tmp_path, script, direct_tls=True) as server:
        event = await offline(server)
        assert event.fault == "mistrust"
        assert "could not prove" in event.reason


async def test_a_success_without_a_challenge_is_none(tmp_path: Path) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer_login("SCRAM-SHA-256")
        await server.hear("</auth>")
        server.say(f"<success xmlns='{SASL}'/>")

    async with FalseServer(tmp_path, script, direct_tls=True) as server:
        assert (await offline(server)).fault == "mistrust"


@pytest.mark.parametrize("rounds", [1, 4095, 1_000_001, 10**12])
async def test_rounds_that_are_too_few_or_too_many_are_refused(tmp_path: Path, rounds: int) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer_login("SCRAM-SHA-256")
        await server.challenge(rounds)

    async with FalseServer(tmp_path, script, direct_tls=True) as server:
        event = await offline(server)
        assert event.fault == "mistrust"
        assert "rounds" in event.reason
        assert "<response" not in server.said


async def test_a_redirection_is_not_followed(tmp_path: Path) -> None:
    async def script(server: FalseServer) -> None:
        await server.hear("<stream:stream")
        error = "<see-other-host xmlns='urn:ietf:params:xml:ns:xmpp-streams'>evil.test</see-other-host>"
        server.say(
            "<stream:stream xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams' version='1.0'>"
        )
        server.say(f"<stream:error>{error}</stream:error>")

    async with FalseServer(tmp_path, script, direct_tls=True) as server:
        event = await offline(server)
        assert event.fault == "see-other-host"
        assert "not followed" in event.reason
        assert server.visits == 1


@pytest.mark.parametrize(
    "sent",
    [
        "<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>",
        "<?xml version='1.0'?><!DOCTYPE stream>",
        "HTTP/1.1 400 Bad Request\r\n\r\n",
        "\x00\x01\x02",
    ],
)
async def test_what_is_not_xmpp_ends_the_stream_with_one_reason(tmp_path: Path, sent: str) -> None:
    async def script(server: FalseServer) -> None:
        server.say(sent)

    async with FalseServer(tmp_path, script, direct_tls=True) as server:
        event = await offline(server)
        assert event.fault == "broken"
        assert "&a;" not in event.reason


async def test_an_endless_stanza_ends_the_stream_before_the_memory_does(tmp_path: Path) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer_login("SCRAM-SHA-256")
        server.say("<message><body>")
        for _ in range(1000):
            server.say(b"x" * 65536)
            await server.writer.drain()

    async with FalseServer(tmp_path, script, direct_tls=True) as server:
        event = await offline(server, limits=Limits(stanza=256 * 1024))
        assert (event.fault, "may never end" in event.reason) == ("broken", True)


async def test_a_wrong_password_is_told_at_once_and_tried_again_only_slowly(world: World) -> None:
    async with world.party(ALICE, password="wrong") as alice:
        event = await alice.ear.wait(Offline)
        assert event.fault == "not-authorized"
        assert event.reason == f"the server refuses the name or password of {ALICE}: check the password of this account"
        assert event.retry_in >= QUICK.retry_refused / 2
        assert not alice.ear.all(Online)


async def test_a_password_that_no_login_takes_is_refused_when_read() -> None:
    with pytest.raises(Invalid, match="characters that no login takes"):
        Connection(Login(ALICE, "a\u0007"), Ear(), context=tls_context(), random=Random(1))


async def test_a_server_that_is_not_there_is_told_in_words(world: World) -> None:
    await world.server.stop()
    async with world.party(ALICE) as alice:
        event = await alice.ear.wait(Offline)
    assert event.reason.endswith(f"port {world.server.c2s_port}: is the server running?")


async def test_a_server_that_says_nothing_is_left(tmp_path: Path) -> None:
    async def script(server: FalseServer) -> None:
        await server.hear("never")

    async with FalseServer(tmp_path, script, direct_tls=True) as server:
        ear = Ear()
        account = Login(ALICE, PASSWORD, host="127.0.0.1", port=server.port, tls="direct")
        connection = Connection(
            account, ear, context=tls_context(server.ca_file), random=Random(1), times=replace(QUICK, login=0.3)
        )
        task = asyncio.create_task(connection.run())
        assert (await ear.wait(Offline)).fault == "login"
        task.cancel()
        await asyncio.wait((task,))


def test_a_login_does_not_show_its_secrets() -> None:
    shown = repr(Login(ALICE, PASSWORD, proxy="http://u:secret@proxy.test:3128"))
    assert PASSWORD not in shown
    assert "secret" not in shown
