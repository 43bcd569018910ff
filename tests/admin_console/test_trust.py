"""A console at a false server: it says why it does not come up, and has said nothing of a login."""

from pathlib import Path

import pytest
from cryptography import x509

from admin_console.cache import Cache
from admin_console.server.certificate import Certificate
from admin_console.session import Setup, in_fleet
from admin_console.settings import load
from amon.clock import SystemClock
from amon.errors import Failed
from amon.xmpp.login import Times
from tests.xmpp.clientca import ClientCa
from tests.xmpp.falseserver import FalseServer, offers_tls, strips_tls

QUICK = Times(connect=5, login=5)
FALSE = {
    "stripped": "the server offers no TLS here, or somebody on the way hides it; next: ",
    "another name": "is for another name than amon.test: check `jid`, or the certificate; no password was sent; next: ",
    "ended": "has expired: the server's administrator has to renew it; no password was sent; next: ",
    "another authority": "is signed by a CA that is not trusted here: give `ca_file` that CA's certificate",
    "another key": "has another key than `pins` say: sha256/",
}


def shown_for(what: str, folder: Path) -> Certificate:
    ca = ClientCa(folder / "servers")
    name = x509.DNSName("other.test" if what == "another name" else "amon.test")
    files = ca.issue("server", name, server=True, days=-1 if what == "ended" else 90)
    trusted = ClientCa(folder / "others", "others") if what == "another authority" else ca
    return Certificate(trusted.file, *files)


def console(folder: Path, port: int, ca: Path, pins: str) -> Setup:
    path = folder / "console.toml"
    path.write_text(
        f'jid = "alice@amon.test"\npassword = "correct horse"\nroom = "ops@rooms.amon.test"\nhost = "127.0.0.1"\n'
        f'port = {port}\nca_file = "{ca}"\npins = [{pins}]\n'
    )
    path.chmod(0o600)
    return Setup(load(path), path, Cache(folder / "cache.json"), SystemClock(), QUICK)


@pytest.mark.parametrize("what", list(FALSE))
async def test_a_false_server_is_told_and_hears_nothing_of_a_login(tmp_path: Path, what: str) -> None:
    files = shown_for(what, tmp_path)
    script = strips_tls if what == "stripped" else offers_tls
    pins = f'"sha256/{"A" * 43}="' if what == "another key" else ""
    async with FalseServer(tmp_path / "false", script, direct_tls=False, shown=files) as server:
        with pytest.raises(Failed) as failed:
            async with in_fleet(console(tmp_path, server.port, files.ca, pins)):
                pass
        assert FALSE[what] in str(failed.value)
        assert "; next: " in str(failed.value)
        trusts = "next: set `ca_file`" in str(failed.value)
        assert trusts is (what == "another authority"), "no other fault ends by trusting whoever is there"
        assert server.said == ""


def test_a_pin_that_is_none_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match=r"pins\[0\]: must match sha256/"):
        console(tmp_path, 5222, tmp_path / "ca.pem", '"md5/x"')
