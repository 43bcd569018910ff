"""Servers whose accounts log in by certificate, as docs/agent.md has them configured."""

from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from admin_console.server.prosody import Setup, configuration
from tests.servers import ejabberd
from tests.servers.ejabberd import EjabberdServer
from tests.xmpp.clientca import ClientCa
from tests.xmpp.party import ALICE, PASSWORD

KINDS = ["prosody", pytest.param("ejabberd", marks=pytest.mark.servers)]


def prosody(setup: Setup, ca: Path) -> str:
    """The agents' domain takes certificates only: mod_auth_ccert of the package prosody-modules."""
    tls = f'cafile = "{ca}"; capath = false; verify = {{ "peer"; "client_once" }};'
    tls += " verifyext = { lsec_ignore_purpose = false };"
    host = f'VirtualHost "{setup.agents}"\n'
    text = configuration(setup)
    assert host in text
    begin, rest = text.split(host)
    shown = f'certificate = "{setup.certificate.chain}"; key = "{setup.certificate.key}";'
    begin = begin.replace("\nssl = ", f"\nc2s_direct_tls_ssl = {{ {shown} {tls} }}\nssl = ")
    return f'{begin}{host}    authentication = "ccert"\n    c2s_ssl = {{ {shown} {tls} }}\n{rest}'


def ejabberd_configuration(setup: ejabberd.Setup, ca: Path, shut_out: str = "") -> str:
    own = f'    module: ejabberd_c2s\n    tls_verify: true\n    cafile: "{ca}"\n'
    text = ejabberd.configuration(setup)
    if shut_out:
        own += "    access: c2s\n"
        text = text.replace("\nacl:\n", f'\nacl:\n  shut_out:\n    user: ["{shut_out}"]\n')
        text = text.replace("\naccess_rules:\n", "\naccess_rules:\n  c2s:\n    - deny: shut_out\n    - allow: all\n")
    return text.replace("    module: ejabberd_c2s\n", own)


async def taking_certificates(
    folder: Path, kind: str, ca: ClientCa, *accounts: str, shut_out: str = ""
) -> PrivateServer | EjabberdServer:
    """Not started yet. ejabberd takes a password beside it; Prosody's mod_auth_ccert knows certificates only."""
    server: PrivateServer | EjabberdServer
    if kind == "prosody":
        server = PrivateServer(folder, admins=(ALICE,), configure=lambda setup: prosody(setup, ca.file))
    else:
        server = EjabberdServer(
            folder, admins=(ALICE,), configure=lambda setup: ejabberd_configuration(setup, ca.file, shut_out)
        )
    for jid in (ALICE, *accounts):
        await server.add_account(jid, PASSWORD)
    return server
