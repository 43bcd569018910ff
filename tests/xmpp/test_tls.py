"""What TLS must be before a byte of a login is sent: of the right name, in time, new enough, with the pinned key."""

import asyncio
import base64
import ipaddress
import ssl
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from admin_console.server import PrivateServer
from admin_console.server.certificate import Certificate, certificate
from admin_console.server.prosody import Setup, configuration
from amon.xmpp.certificates import pin_of
from amon.xmpp.connection import Connection
from amon.xmpp.events import Offline, Online
from amon.xmpp.login import Login
from amon.xmpp.tls import tls_context
from tests.xmpp.clientca import ClientCa, xmpp_addr
from tests.xmpp.falseserver import FalseServer, offers_tls
from tests.xmpp.party import ALICE, PASSWORD, QUICK, Ear, World

NAME = x509.DNSName("amon.test")
DOMAIN_ADDRESS = x509.RFC822Name("amon@amon.test")
OLD = pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
BOTH_WAYS = pytest.mark.parametrize("direct_tls", [False, True], ids=["starttls", "direct"])


def shown(
    folder: Path, *alternatives: x509.GeneralName, days: float = 90, begins: float = -400, server: bool = True
) -> Certificate:
    """A certificate of an authority that is trusted; its common name is the right one."""
    ca = ClientCa(folder / "ca")
    return Certificate(ca.file, *ca.issue("amon.test", *alternatives, days=days, begins=begins, server=server))


async def refusal(
    folder: Path, certificate: Certificate, *, direct_tls: bool, tune: Callable[[ssl.SSLContext], None] = lambda _: None
) -> Offline:
    """How the first try ends. Nothing of a login may have been said, nor whose it would be."""
    async with FalseServer(folder / "false", offers_tls, direct_tls=direct_tls, shown=certificate) as server:
        tune(server.tls)
        login = Login(ALICE, PASSWORD, host="127.0.0.1", port=server.port, tls="direct" if direct_tls else "starttls")
        event = await first_try(login, tls_context(certificate.ca))
        assert server.said == ""
        return event


async def first_try(login: Login, context: ssl.SSLContext) -> Offline:
    ear = Ear()
    task = asyncio.create_task(Connection(login, ear, context=context, random=Random(1), times=QUICK).run())
    try:
        await ear.until(lambda: bool(ear.all(Offline) or ear.all(Online)))
        assert not ear.all(Online)
        return ear.all(Offline)[0]
    finally:
        task.cancel()
        await asyncio.wait((task,))


@BOTH_WAYS
@pytest.mark.parametrize(
    "alternatives",
    [
        (),
        (xmpp_addr("amon.test"),),
        (x509.IPAddress(ipaddress.ip_address("127.0.0.1")),),
        (DOMAIN_ADDRESS,),
        (x509.UniformResourceIdentifier("xmpp://amon.test"),),
        (x509.DNSName("*.amon.test"),),
        (x509.DNSName("*.test"),),
        (x509.DNSName("amon.test.evil.test"),),
        (x509.DNSName("agents.amon.test"),),
    ],
    ids=[
        "common-name",
        "xmpp-address",
        "ip-address",
        "mail",
        "uri",
        "wildcard-below",
        "wildcard-of-all",
        "longer",
        "sub",
    ],
)
async def test_only_the_dns_name_of_the_domain_is_a_name_of_its_server(
    tmp_path: Path, alternatives: tuple[x509.GeneralName, ...], direct_tls: bool
) -> None:
    event = await refusal(tmp_path, shown(tmp_path, *alternatives), direct_tls=direct_tls)
    assert event.fault == "certificate"
    assert "is for another name than amon.test: check `jid`, or the certificate; no password was sent" in event.reason


@BOTH_WAYS
async def test_a_certificate_that_has_ended_is_refused(tmp_path: Path, direct_tls: bool) -> None:
    event = await refusal(tmp_path, shown(tmp_path, NAME, days=-1), direct_tls=direct_tls)
    assert event.fault == "certificate"
    assert "has expired: the server's administrator has to renew it; no password was sent" in event.reason
    assert event.retry_in >= QUICK.retry_refused / 2


async def test_a_certificate_that_has_not_begun_is_refused(tmp_path: Path) -> None:
    event = await refusal(tmp_path, shown(tmp_path, NAME, days=500, begins=100), direct_tls=True)
    assert "is not valid yet: is this host's clock right?" in event.reason


@BOTH_WAYS
async def test_a_certificate_of_a_client_is_none_of_a_server(tmp_path: Path, direct_tls: bool) -> None:
    event = await refusal(tmp_path, shown(tmp_path, NAME, server=False), direct_tls=direct_tls)
    assert event.fault == "certificate"
    assert "is none for servers" in event.reason


@OLD
@BOTH_WAYS
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
async def test_a_server_that_speaks_only_an_old_tls_is_refused(
    tmp_path: Path, direct_tls: bool, version: ssl.TLSVersion
) -> None:
    def old(tls: ssl.SSLContext) -> None:
        tls.set_ciphers("ALL:@SECLEVEL=0")
        tls.minimum_version = tls.maximum_version = version

    event = await refusal(tmp_path, shown(tmp_path, NAME), direct_tls=direct_tls, tune=old)
    # asyncio's server cuts the connection and keeps its reason to itself; a real one tells, see below.
    assert event.fault == "cut"


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_a_real_server_with_an_old_tls_is_told_in_words(tmp_path: Path, tls: str) -> None:
    def old(setup: Setup) -> str:
        return configuration(setup).replace("\nssl = {", '\nssl = { protocol = "tlsv1_1"; ciphers = "ALL:@SECLEVEL=0";')

    async with PrivateServer(tmp_path / "server", configure=old) as server:
        world = World(server)
        port = server.tls_port if tls == "direct" else server.c2s_port
        async with world.party(ALICE, tls=tls, port=port) as alice:
            event = await alice.ear.wait(Offline)
        assert event.fault == "tls"
        assert "TLS 1.2 is the oldest that is used" in event.reason


@OLD
async def test_an_old_tls_is_what_such_a_server_would_speak_with_others(tmp_path: Path) -> None:
    """Or the test above would prove nothing."""
    files = shown(tmp_path, NAME)
    async with FalseServer(tmp_path / "false", offers_tls, direct_tls=True, shown=files) as server:
        server.tls.set_ciphers("ALL:@SECLEVEL=0")
        server.tls.minimum_version = server.tls.maximum_version = ssl.TLSVersion.TLSv1_1
        lax = tls_context(files.ca)
        lax.set_ciphers("ALL:@SECLEVEL=0")
        lax.minimum_version = ssl.TLSVersion.TLSv1
        _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=lax, server_hostname="amon.test")
        assert writer.get_extra_info("ssl_object").version() == "TLSv1.1"
        writer.transport.abort()


# --- pins


def pin(chain: Path) -> str:
    return pin_of(ssl.PEM_cert_to_DER_cert(chain.read_text().partition("-----END CERTIFICATE-----")[0] + _END))


_END = "-----END CERTIFICATE-----\n"


@BOTH_WAYS
async def test_a_server_with_another_key_than_the_pinned_one_is_refused(tmp_path: Path, direct_tls: bool) -> None:
    files = certificate(tmp_path / "right", ("amon.test",), "127.0.0.1")
    other = certificate(tmp_path / "other", ("amon.test",), "127.0.0.1")
    async with FalseServer(tmp_path / "false", offers_tls, direct_tls=direct_tls, shown=files) as server:
        login = Login(ALICE, PASSWORD, host="127.0.0.1", port=server.port, tls="direct" if direct_tls else "starttls")
        event = await first_try(replace(login, pins=(pin(other.chain),)), tls_context(files.ca))
        assert event.fault == "pin"
        assert f"has another key than `pins` say: {pin(files.chain)}; no password was sent" in event.reason
        assert event.retry_in >= QUICK.retry_refused / 2
        assert server.said == ""


@pytest.mark.parametrize("tls", ["starttls", "direct"])
async def test_one_of_several_pins_is_enough(world: World, tls: str) -> None:
    port = world.server.tls_port if tls == "direct" else world.server.c2s_port
    pins = (f"sha256/{'A' * 43}=", pin(world.server.folder / "certs" / "server.pem"))
    async with world.party(ALICE, pins=pins, tls=tls, port=port) as alice:
        await alice.ear.wait(Online)


async def test_a_pin_does_not_stand_for_the_authority(world: World, tmp_path: Path) -> None:
    pins = (pin(world.server.folder / "certs" / "server.pem"),)
    other = certificate(tmp_path / "other", ("amon.test",), "127.0.0.1")
    async with world.party(ALICE, pins=pins, ca_file=other.ca) as alice:
        assert (await alice.ear.wait(Offline)).fault == "certificate"


def test_a_pin_is_what_openssl_makes_of_the_key(tmp_path: Path) -> None:
    """RFC 7469, appendix A; the line of docs/agent.md."""
    files = certificate(tmp_path, ("amon.test",), "127.0.0.1")
    key = run(["openssl", "x509", "-in", str(files.chain), "-noout", "-pubkey"])
    der = run(["openssl", "pkey", "-pubin", "-outform", "der"], key)
    digest = run(["openssl", "dgst", "-sha256", "-binary"], der)
    assert pin(files.chain) == f"sha256/{base64.b64encode(digest).decode()}"


def run(argv: list[str], fed: bytes = b"") -> bytes:
    return subprocess.run(argv, input=fed, stdout=subprocess.PIPE, check=True).stdout
