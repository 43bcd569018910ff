"""Servers that run exactly what `amon server config` prints: only paths, ports and the address are exchanged."""

import shlex
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from admin_console.cli.main import cli
from admin_console.server import PrivateServer
from admin_console.server.child import free_port
from admin_console.server.prosody import Setup
from tests.servers import ejabberd

PEOPLE, AGENTS, ROOMS = "example.org", "agents.example.org", "rooms.example.org"
ALICE, BOB = "alice@example.org", "bob@example.org"
SITES = ("site-1@agents.example.org", "site-2@agents.example.org")
ROOM, PASSWORD = "ops@rooms.example.org", "a word"

Server = PrivateServer | ejabberd.EjabberdServer
Change = Callable[[str], str]

_API = """\
  -
    port: {port}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
"""


def printed(program: str, *words: str) -> str:
    """What the command says for these options."""
    common = ("--domain", PEOPLE, "--admin", ALICE)
    result = CliRunner().invoke(cli, ["server", "config", program, *common, *words], prog_name="amon")
    assert result.exit_code == 0, result.output
    return result.stdout


def as_typed(line: str) -> str:
    """What a command line of the documentation prints."""
    called, *words = shlex.split(line)
    assert called == "amon"
    result = CliRunner().invoke(cli, words, prog_name="amon")
    assert result.exit_code == 0, result.output
    return result.stdout


def exchanged(text: str, exchanges: dict[str, str]) -> str:
    for there, here in exchanges.items():
        assert text.count(there) == 1, f"the configuration has {there!r} {text.count(there)} times"
        text = text.replace(there, here)
    return text


def prosody_with(text: str, servers: int = 0) -> Callable[[Setup], str]:
    """servers: the port for other servers, where the text has one."""

    def configure(setup: Setup) -> str:
        # What `prosodyctl cert import` makes of a certificate: a name it knows, the key beside it.
        certs = setup.folder / "certs"
        (certs / "example.org.crt").write_bytes(setup.certificate.chain.read_bytes())
        (certs / "example.org.key").write_bytes(setup.certificate.key.read_bytes())
        ours = f'data_path = "{setup.data}"\ninterfaces = {{ "127.0.0.1" }}\n'
        ours += f"run_as_root = {str(setup.as_root).lower()}\n"
        paths = {
            "/run/prosody/prosody.pid": str(setup.folder / "prosody.pid"),
            "/var/log/prosody/prosody.log": str(setup.log),
            "c2s_ports = { 5222 }": f"c2s_ports = {{ {setup.c2s} }}",
            "c2s_direct_tls_ports = { 443 }": f"c2s_direct_tls_ports = {{ {setup.direct_tls} }}",
        }
        if servers:
            paths["s2s_ports = { 5269 }"] = f"s2s_ports = {{ {servers} }}"
        return ours + exchanged(text, paths)

    return configure


def ejabberd_with(text: str, servers: int = 0) -> Callable[[ejabberd.Setup], str]:
    def configure(setup: ejabberd.Setup) -> str:
        paths = {
            '"/etc/ejabberd/certs/fullchain.pem"': f'"{setup.certificate.chain}"',
            '"/etc/ejabberd/certs/privkey.pem"': f'"{setup.certificate.key}"',
            "port: 5222": f"port: {setup.c2s}",
            "port: 443": f"port: {setup.direct_tls}",
            # The tests' way in, where an administrator has ejabberdctl.
            "\nlisten:\n": "\nlisten:\n" + _API.format(port=setup.api),
            "    from: ejabberd_ctl\n": "    from: mod_http_api\n",
            "\nmodules:\n": "\nmodules:\n  mod_http_api: {}\n",
        }
        if servers:
            paths["port: 5269"] = f"port: {servers}"
        return exchanged(text.replace('ip: "::"', 'ip: "127.0.0.1"'), paths)

    return configure


def own_prosody(folder: Path, text: str, servers: int = 0) -> Server:
    configure = prosody_with(text, servers)
    return PrivateServer(folder, configure=configure, domain=PEOPLE, agents=AGENTS, rooms=ROOMS)


def own_ejabberd(folder: Path, text: str, servers: int = 0) -> Server:
    configure = ejabberd_with(text, servers)
    return ejabberd.EjabberdServer(folder, configure=configure, domain=PEOPLE, agents=AGENTS, rooms=ROOMS)


def own(program: str, folder: Path, *words: str, servers: int = 0, change: Change = str) -> Server:
    """Of this program, with what the command prints for these options."""
    text = change(printed(program, *words))
    return {"prosody": own_prosody, "ejabberd": own_ejabberd}[program](folder, text, servers)


def port_for_servers() -> int:
    return free_port("127.0.0.1")
