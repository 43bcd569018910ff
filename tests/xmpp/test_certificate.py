"""Login by certificate (SASL EXTERNAL, XEP-0178) at a real Prosody and a real ejabberd, with what a false one does."""

import asyncio
import base64
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from amon.errors import Failed
from amon.xmpp.certificates import read_ours
from amon.xmpp.connection import Connection
from amon.xmpp.events import Offline, Online
from amon.xmpp.login import Login
from amon.xmpp.tls import Renewed, tls_context
from tests.servers.ejabberd import EjabberdServer
from tests.xmpp.certified import KINDS, taking_certificates
from tests.xmpp.clientca import ClientCa, xmpp_addr
from tests.xmpp.falseserver import SASL, FalseServer
from tests.xmpp.party import CERN, DESY, PASSWORD, QUICK, Ear, World


@pytest.fixture
def ca(tmp_path: Path) -> ClientCa:
    return ClientCa(tmp_path / "clients")


@pytest.fixture(params=KINDS)
async def world(tmp_path: Path, ca: ClientCa, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    async with await taking_certificates(tmp_path / "server", request.param, ca, CERN, DESY) as server:
        yield World(server)
        server.kill()


@pytest.fixture
async def ejabberd_world(tmp_path: Path, ca: ClientCa) -> AsyncIterator[World]:
    async with await taking_certificates(tmp_path / "server", "ejabberd", ca, CERN) as server:
        yield World(server)
        server.kill()


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_certificate_that_names_the_account_logs_in_without_a_password(
    world: World, ca: ClientCa, tls: str
) -> None:
    certificate, key = ca.for_account(CERN)
    port = world.server.tls_port if tls == "direct" else world.server.c2s_port
    async with world.party(CERN, password="", certificate=certificate, certificate_key=key, tls=tls, port=port) as cern:
        assert (await cern.ear.wait(Online)).jid.startswith(f"{CERN}/")


async def refusal(world: World, certificate: Path, key: Path, password: str = "") -> Offline:
    """How the first try ends; it must not be a session."""
    async with world.party(CERN, password=password, certificate=certificate, certificate_key=key) as cern:
        await cern.ear.until(lambda: bool(cern.ear.all(Offline) or cern.ear.all(Online)))
        assert not cern.ear.all(Online)
        return cern.ear.all(Offline)[0]


async def test_a_certificate_of_another_authority_is_refused(world: World, tmp_path: Path) -> None:
    event = await refusal(world, *ClientCa(tmp_path / "other").for_account(CERN))
    assert event.fault == "certificate-refused"
    assert "issued by an authority that the server does not trust" in event.reason
    assert event.retry_in >= QUICK.retry_refused / 2


async def test_a_certificate_of_another_authority_with_the_same_name_is_refused(world: World, tmp_path: Path) -> None:
    assert (await refusal(world, *ClientCa(tmp_path / "same").for_account(CERN))).fault == "certificate-refused"


async def test_a_certificate_that_has_ended_is_refused(world: World, ca: ClientCa) -> None:
    event = await refusal(world, *ca.for_account(CERN, days=-1))
    assert event.fault == "certificate-refused"
    assert "has expired" in event.reason


async def test_the_certificate_of_another_site_does_not_open_this_account(world: World, ca: ClientCa) -> None:
    event = await refusal(world, *ca.for_account(DESY))
    assert event.fault == "certificate-refused"
    assert "names another account" in event.reason


async def test_a_certificate_without_an_account_names_nobody_at_prosody_and_everybody_at_ejabberd(
    world: World, ca: ClientCa
) -> None:
    # ejabberd 23.01, xmpp_stream_pkix: "the certificate contains no JIDs. We accept this". So its `cafile` must be an
    # authority that issues to accounts only; docs/agent.md says so.
    certificate, key = ca.issue("host", x509.DNSName("ui.cern.example.org"))
    async with world.party(CERN, password="", certificate=certificate, certificate_key=key) as cern:
        await cern.ear.until(lambda: bool(cern.ear.all(Offline) or cern.ear.all(Online)))
        assert bool(cern.ear.all(Online)) is isinstance(world.server, EjabberdServer)


async def test_a_certificate_outlives_its_account(world: World, ca: ClientCa) -> None:
    """Neither server asks whether there is such an account; docs/agent.md says what to do about it."""
    gone = "gone@agents.amon.test"
    certificate, key = ca.for_account(gone)
    async with world.party(gone, password="", certificate=certificate, certificate_key=key) as site:
        await site.ear.wait(Online)


@pytest.mark.servers
async def test_ejabberd_can_shut_out_a_certificate_by_name(tmp_path: Path, ca: ClientCa) -> None:
    server = await taking_certificates(tmp_path / "server", "ejabberd", ca, CERN, DESY, shut_out=CERN)
    async with server:
        world = World(server)
        event = await refusal(world, *ca.for_account(CERN))
        assert event.fault == "bind"
        certificate, key = ca.for_account(DESY)
        async with world.party(DESY, password="", certificate=certificate, certificate_key=key) as desy:
            await desy.ear.wait(Online)
        server.kill()


@pytest.mark.servers
async def test_a_password_serves_where_the_certificate_does_not(ejabberd_world: World, tmp_path: Path) -> None:
    certificate, key = ClientCa(tmp_path / "other").for_account(CERN)
    async with ejabberd_world.party(CERN, certificate=certificate, certificate_key=key) as cern:
        await cern.ear.wait(Online)
    event = await refusal(ejabberd_world, certificate, key, password="wrong")
    assert event.fault == "not-authorized"
    assert "refuses the certificate" in event.reason
    assert "refuses the name or password" in event.reason


async def test_a_renewed_certificate_is_shown_at_the_next_connect(world: World, ca: ClientCa) -> None:
    certificate, key = ca.for_account(CERN, days=-1)
    context = Renewed(world.server.ca_file, certificate, key)
    ear = Ear()
    login = world.login(CERN, password="", certificate=certificate, certificate_key=key)
    times = replace(QUICK, retry_refused=0.2)
    connection = Connection(login, ear, context=context, random=Random(1), times=times)
    task = asyncio.create_task(connection.run())
    assert (await ear.wait(Offline)).fault == "certificate-refused"
    ca.for_account(CERN)
    await ear.wait(Online)
    task.cancel()
    await asyncio.wait((task,))


def test_half_a_renewal_leaves_the_old_certificate_in_use(tmp_path: Path, ca: ClientCa) -> None:
    certificate, key = ca.for_account(CERN)
    context = Renewed(None, certificate, key)
    first, old_key = context(), key.read_bytes()
    ca.for_account(CERN)
    new_key = key.read_bytes()
    key.write_bytes(old_key)
    assert context() is first
    key.unlink()
    assert context() is first
    key.write_bytes(new_key)
    assert context() is not first
    assert context() is context()


# --- a false server


@pytest.mark.parametrize("mechanisms", [("PLAIN",), ("SCRAM-SHA-256", "PLAIN"), ()])
async def test_without_an_offer_of_external_nothing_of_a_login_is_sent(
    tmp_path: Path, ca: ClientCa, mechanisms: tuple[str, ...]
) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer_login(*mechanisms)

    event, said = await told(tmp_path, ca, script)
    assert event.fault == "no-external"
    assert "does not offer the login by certificate" in event.reason
    assert "<auth" not in said


async def test_without_a_certificate_external_is_never_taken(tmp_path: Path, ca: ClientCa) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer_login("EXTERNAL")

    event, said = await told(tmp_path, ca, script, with_certificate=False)
    assert event.fault == "no-scram"
    assert "<auth" not in said


@pytest.mark.parametrize("answer", ["challenge", "response", "x"])
async def test_whatever_is_no_success_is_a_refusal(tmp_path: Path, ca: ClientCa, answer: str) -> None:
    async def script(server: FalseServer) -> None:
        await server.offer_login("EXTERNAL")
        await server.hear("</auth>")
        server.say(f"<{answer} xmlns='{SASL}'/>")

    event, said = await told(tmp_path, ca, script)
    assert event.fault == "certificate-refused"
    assert base64.b64encode(CERN.encode()).decode() in said


async def told(
    tmp_path: Path,
    ca: ClientCa,
    script: Callable[[FalseServer], Awaitable[None]],
    *,
    with_certificate: bool = True,
) -> tuple[Offline, str]:
    """How the first try at a false server ends, and what it heard."""
    certificate, key = ca.for_account(CERN)
    async with FalseServer(tmp_path / "false", script, direct_tls=True, names=("agents.amon.test",)) as server:
        login = Login(CERN, "" if with_certificate else PASSWORD, host="127.0.0.1", port=server.port, tls="direct")
        if with_certificate:
            login = replace(login, certificate=certificate, certificate_key=key)
        ear = Ear()
        context = tls_context(server.ca_file, login.certificate, login.certificate_key)
        task = asyncio.create_task(Connection(login, ear, context=context, random=Random(1), times=QUICK).run())
        event = await ear.wait(Offline)
        task.cancel()
        await asyncio.wait((task,))
        return event, server.said


# --- its files


def test_files_that_are_no_certificate_and_key_are_told(tmp_path: Path, ca: ClientCa) -> None:
    certificate, key = ca.for_account(CERN)
    _, other = ca.for_account(DESY)
    _, hidden = ca.issue("hidden", xmpp_addr(CERN), key_password=b"secret")
    empty = tmp_path / "empty"
    empty.touch()
    for files, said in {
        (certificate, other): "its key is of another one",
        (certificate, None): "there is no certificate with its key in PEM form",
        (empty, key): "there is no certificate with its key in PEM form",
        (tmp_path / "none", key): "cannot be read: No such file",
        (certificate, tmp_path / "none"): "cannot be read: No such file",
        (hidden.with_suffix(".pem"), hidden): "is encrypted; one that is not is needed",
    }.items():
        with pytest.raises(Failed, match=said):
            tls_context(None, *files)


def test_what_a_certificate_says_is_read(tmp_path: Path, ca: ClientCa) -> None:
    certificate, _ = ca.issue("two", xmpp_addr(CERN), x509.DNSName("host.example.org"), xmpp_addr(DESY), days=10)
    ours = read_ours(certificate)
    assert ours.accounts == (CERN, DESY)
    assert ours.ends == pytest.approx(time.time() + 10 * 86_400, abs=60)
    assert read_ours(ca.issue("none")[0]).accounts == ()
    for content, said in {b"nothing": "no certificate", None: "No such file"}.items():
        file = tmp_path / "bad.pem"
        file.unlink(missing_ok=True)
        if content:
            file.write_bytes(content)
        with pytest.raises(Failed, match=said):
            read_ours(file)
