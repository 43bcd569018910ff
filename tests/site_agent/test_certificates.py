"""`check` on certificates: the account's own, the server's, pins; how a false server is told, and what ends soon."""

import asyncio
import ssl
import time
from itertools import product
from pathlib import Path
from random import Random

import pytest
from cryptography import x509

from admin_console.server.certificate import Certificate
from amon.testing import FakeClock
from amon.xmpp.login import Times
from site_agent.agent import Agent
from site_agent.certificates import own_findings
from site_agent.check import Report, check
from site_agent.findings import Group
from tests.site_agent.world import Place
from tests.xmpp.certified import KINDS, taking_certificates
from tests.xmpp.clientca import ClientCa, xmpp_addr
from tests.xmpp.falseserver import FalseServer, offers_tls, strips_tls

SITE = "site-1@agents.amon.test"
QUICK = Times(connect=2, login=3, ask=5, room_wait=5, goodbye=1)
NAME = x509.DNSName("agents.amon.test")
DAY = 86_400


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def ca(tmp_path: Path) -> ClientCa:
    return ClientCa(tmp_path / "clients")


def account(port: int, ca_file: Path, more: str, tls: str = "starttls") -> str:
    return f"""
    state = "$STATE"
    [account.main]
    jid = "{SITE}"
    host = "127.0.0.1"
    port = {port}
    tls = "{tls}"
    ca_file = "{ca_file}"
    policy = {{ admin = ["alice@amon.test"] }}
    {more}
    """


def by(files: tuple[Path, Path]) -> str:
    return f'certificate = "{files[0]}"\n    certificate_key = "{files[1]}"'


async def look(place: Place, text: str, clock: FakeClock | None = None) -> Report:
    return await check(place.write(text), place.world(), names=list, times=QUICK, clock=clock)


# --- the account's own


@pytest.mark.parametrize("kind", KINDS)
async def test_an_agent_with_a_certificate_needs_no_password(
    place: Place, ca: ClientCa, tmp_path: Path, kind: str
) -> None:
    async with await taking_certificates(tmp_path / "server", kind, ca, SITE) as server:
        files = ca.for_account(SITE)
        report = await look(place, account(server.c2s_port, server.ca_file, by(files)))
        assert [str(one) for one in report.found] == []
        assert report.accounts == {"main": f"logged in as {SITE}"}
        other = ClientCa(tmp_path / "other").for_account(SITE)
        (problem,) = (await look(place, account(server.c2s_port, server.ca_file, by(other)))).problems
        assert "issued by an authority that the server does not trust" in problem.text


@pytest.mark.parametrize(
    ("alternatives", "days", "begins", "group", "says"),
    [
        ((xmpp_addr(SITE),), 90, -400, None, ""),
        ((xmpp_addr("desy@agents.amon.test"), xmpp_addr(SITE)), 90, -400, None, ""),
        ((xmpp_addr(SITE.upper()),), 90, -400, None, ""),
        ((xmpp_addr(SITE),), 29.5, -400, Group.note, "in 29 days: renew it; it is taken without a restart"),
        ((xmpp_addr(SITE),), 0.5, -400, Group.note, "within a day: renew it"),
        ((xmpp_addr(SITE),), -1, -400, Group.secret, "; next: renew it"),
        ((xmpp_addr(SITE),), 500, 100, Group.secret, "is valid from"),
        (
            (xmpp_addr("desy@agents.amon.test"),),
            90,
            -400,
            Group.secret,
            "is for desy@agents.amon.test, not for site-1@",
        ),
        ((NAME,), 90, -400, Group.note, "names no account (xmppAddr), so a careful server does not take it"),
        ((), 90, -400, Group.note, "names no account"),
    ],
)
def test_what_stands_in_the_accounts_certificate_is_said(
    ca: ClientCa,
    alternatives: tuple[x509.GeneralName, ...],
    days: float,
    begins: float,
    group: Group | None,
    says: str,
) -> None:
    certificate, _ = ca.issue("mine", *alternatives, days=days, begins=begins)
    found = own_findings("account.main", SITE, certificate, time.time())
    assert [one.group for one in found] == ([group] if group else [])
    assert all(one.path == "account.main.certificate" and says in one.text for one in found)


async def test_the_end_of_the_accounts_certificate_is_told_also_without_a_server(place: Place, ca: ClientCa) -> None:
    text = account(5222, ca.file, by(ca.for_account(SITE, days=-1)))
    report = await check(place.write(text), place.world(), offline=True, names=list)
    (problem,) = report.problems
    assert problem.text.endswith("next: renew it")


def test_the_key_of_a_certificate_must_be_private_and_the_certificate_need_not(place: Place, ca: ClientCa) -> None:
    certificate, key = ca.for_account(SITE)
    certificate.chmod(0o644)
    text = account(5222, ca.file, by((certificate, key)))
    assert place.problems(text) == []
    key.chmod(0o640)
    (problem,) = place.problems(text)
    assert problem.startswith("account.main.certificate_key: ")
    assert "chmod" in problem
    key.chmod(0o600)
    certificate.chmod(0o666)
    (problem,) = place.problems(text)
    assert problem.startswith("account.main.certificate: ")
    certificate.chmod(0o644)
    whole = place.folder / "whole.pem"
    whole.write_bytes(certificate.read_bytes() + key.read_bytes())
    whole.chmod(0o644)
    (problem,) = place.problems(account(5222, ca.file, f'certificate = "{whole}"'))
    assert problem.startswith("account.main.certificate: ")
    whole.chmod(0o600)
    assert place.problems(account(5222, ca.file, f'certificate = "{whole}"')) == []


# --- the server's


FALSE = {
    "stripped": "the server offers no TLS here, or somebody on the way hides it",
    "another name": "is for another name than agents.amon.test: check `jid`, or the certificate; no password was sent",
    "ended": "has expired: the server's administrator has to renew it; no password was sent",
    "another authority": "is signed by a CA that is not trusted here: give `ca_file` that CA's certificate",
    "its namesake": "is signed by a CA that only has the name of one that is trusted here",
    "another key": "has another key than `pins` say: sha256/",
}


def shown_for(what: str, folder: Path) -> Certificate:
    ca = ClientCa(folder / "servers")
    name = x509.DNSName("other.test") if what == "another name" else NAME
    files = ca.issue("server", name, server=True, days=-1 if what == "ended" else 90)
    trusted = {
        "another authority": lambda: ClientCa(folder / "others", "others"),
        "its namesake": lambda: ClientCa(folder / "others"),
    }.get(what, lambda: ca)()
    return Certificate(trusted.file, *files)


# Direct TLS has no step that could be taken out.
@pytest.mark.parametrize(
    ("what", "tls"),
    [("stripped", "starttls"), *product([what for what in FALSE if what != "stripped"], ["starttls", "direct"])],
)
async def test_a_false_server_is_told_and_hears_nothing_of_a_login(
    place: Place, tmp_path: Path, what: str, tls: str
) -> None:
    files = shown_for(what, tmp_path)
    script = strips_tls if what == "stripped" else offers_tls
    pins = f'pins = ["sha256/{"A" * 43}="]' if what == "another key" else ""
    async with FalseServer(tmp_path / "false", script, direct_tls=tls == "direct", shown=files) as server:
        text = account(server.port, files.ca, f'password_file = "$PASSWORD"\n{pins}', tls)
        (problem,) = (await look(place, text)).problems
        assert problem.group is Group.server
        assert FALSE[what] in problem.text
        assert server.said == ""


async def test_the_end_of_a_servers_certificate_is_told_thirty_days_before(
    place: Place, tmp_path: Path, ca: ClientCa
) -> None:
    async with await taking_certificates(tmp_path / "server", "prosody", ca, SITE) as server:
        text = account(server.c2s_port, server.ca_file, by(ca.for_account(SITE, days=1000)))
        assert (await look(place, text)).found == ()
        later = FakeClock(time.time() + (397 - 1 - 20) * DAY)
        report = await look(place, text, later)
        assert report.problems == []
        (note,) = (str(one) for one in report.found)
        assert note.startswith("account.main: the certificate of 127.0.0.1 ends on 20")
        assert note.endswith(", in 20 days: its administrator has to renew it")
        assert report.accounts == {"main": f"logged in as {SITE}"}


async def test_an_agent_shows_a_renewed_certificate_at_its_next_connect(
    place: Place, tmp_path: Path, ca: ClientCa
) -> None:
    shown: asyncio.Queue[str] = asyncio.Queue()

    async def script(server: FalseServer) -> None:
        """Looks at the client's certificate, and cuts the connection."""
        shown.put_nowait(server.writer.get_extra_info("ssl_object").getpeercert()["serialNumber"])
        raise ConnectionResetError

    def serial(certificate: Path) -> str:
        return f"{x509.load_pem_x509_certificate(certificate.read_bytes()).serial_number:X}"

    files = ca.for_account(SITE)
    async with FalseServer(tmp_path / "false", script, direct_tls=True, names=("agents.amon.test",)) as server:
        server.tls.verify_mode = ssl.CERT_REQUIRED
        server.tls.load_verify_locations(ca.file)
        configuration = place.configuration(account(server.port, server.ca_file, by(files), "direct"))
        async with Agent(configuration, random=Random(1)).running(), asyncio.timeout(30):
            assert (await shown.get()).lstrip("0") == serial(files[0])
            ca.for_account(SITE)
            assert (await shown.get()).lstrip("0") == serial(files[0])
