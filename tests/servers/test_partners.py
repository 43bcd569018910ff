"""`--s2s`: which other servers come in, and to whom: raw streams with real certificates, at both servers."""

from pathlib import Path

import pytest
from cryptography.x509 import DNSName

from tests.clients.plain import logged_in
from tests.servers.printed import AGENTS, ALICE, PASSWORD, PEOPLE, ROOMS, Server, own, port_for_servers
from tests.servers.wire import external, wire
from tests.xmpp.clientca import ClientCa

PARTNER, STRANGER = "partner.example", "stranger.example"


def trusting(program: str, authority: Path) -> str:
    """The line with which a server trusts this authority in place of the world's."""
    return f's2s_ssl = {{ cafile = "{authority}" }}\n' if program == "prosody" else f's2s_cafile: "{authority}"\n'


async def comes_in(server: Server, port: int, domain: str, by: str, shown: tuple[Path, Path]) -> bool:
    async with wire(server, domain, port) as line:
        if "starttls" not in await line.open(by=by, ns="jabber:server"):
            return False
        await line.tls(server, shown)
        if "EXTERNAL" not in await line.open(by=by, ns="jabber:server"):
            return False
        line.write(external(by))
        if "<success" not in await line.until(b"<success", b"</failure>", b"</stream:stream>"):
            return False
        if "features" not in await line.open(by=by, ns="jabber:server"):
            return False
        # ejabberd says no only when something is to be let in.
        line.write(
            f"<message from='eve@{by}' to='{ALICE if domain == PEOPLE else domain}'><body>hello</body></message>"
        )
        line.write("</stream:stream>")
        return "stream:error" not in await line.until(b"</stream:stream>")


async def test_other_servers_are_those_asked_for_and_meet_people_only(tmp_path: Path, program: str) -> None:
    port = port_for_servers()
    authority = ClientCa(tmp_path / "believed")
    # ejabberd wants a certificate of a client, whoever comes in; Prosody that of a server.
    usage = program == "prosody"
    theirs = authority.issue("theirs", DNSName(PARTNER), DNSName(STRANGER), server=usage)
    lies = ClientCa(tmp_path / "unknown").issue("lies", DNSName(PARTNER), server=usage)
    believes = trusting(program, authority.file)
    server = own(program, tmp_path / "server", "--s2s", PARTNER, servers=port, change=lambda text: believes + text)
    await server.add_account(ALICE, PASSWORD)
    async with server, logged_in(ALICE, PASSWORD, server.host, server.c2s_port, server.ca_file) as alice:
        assert await comes_in(server, port, PEOPLE, PARTNER, theirs)
        assert (await alice.next_message())["from"] == f"eve@{PARTNER}"
        assert not await comes_in(server, port, PEOPLE, STRANGER, theirs)
        assert not await comes_in(server, port, PEOPLE, PARTNER, lies)
        assert not await comes_in(server, port, AGENTS, PARTNER, theirs)
        # ejabberd takes the rooms for a part of the people's domain; there mod_muc's `access` keeps others out.
        assert program == "ejabberd" or not await comes_in(server, port, ROOMS, PARTNER, theirs)
        alice.say(ALICE, "and that was all")
        assert (await alice.next_message())["body"] == "and that was all"


@pytest.mark.parametrize("to", [STRANGER, f"eve@{STRANGER}"])
async def test_nothing_goes_out_to_a_server_that_was_not_asked_for(tmp_path: Path, program: str, to: str) -> None:
    server = own(program, tmp_path / "server", "--s2s", PARTNER, servers=port_for_servers())
    await server.add_account(ALICE, PASSWORD)
    async with server, logged_in(ALICE, PASSWORD, server.host, server.c2s_port, server.ca_file) as alice:
        alice.say(to, "hello")
        bounce = await alice.next_message()
        assert bounce["type"] == "error"
        assert bounce["error"]["condition"] in ("not-allowed", "policy-violation", "forbidden")
