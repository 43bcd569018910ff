"""The configurations in docs/server.md, started as they stand there: only paths, ports and addresses are exchanged."""

import asyncio
import re
import shlex
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from slixmpp import JID

from admin_console.server import PrivateServer
from admin_console.server.prosody import Setup
from tests.clients.plain import JoinRefused, logged_in
from tests.clients.stream import direct_offer, only, starttls_offer
from tests.servers import ejabberd

PEOPLE, AGENTS, ROOMS = "example.org", "agents.example.org", "rooms.example.org"
ALICE, SITES, PASSWORD = "alice@example.org", ("site-1@agents.example.org", "site-2@agents.example.org"), "a word"
ROOM = "ops@rooms.example.org"
_ARGUMENTS = {
    "srg_create": ("group", "host", "label", "description", "display"),
    "srg_user_add": ("user", "host", "group", "grouphost"),
}
_API = """\
  -
    port: {port}
    ip: "127.0.0.1"
    module: ejabberd_http
    request_handlers:
      /api: mod_http_api
"""

Server = PrivateServer | ejabberd.EjabberdServer


def blocks(language: str) -> list[str]:
    text = (Path(__file__).parents[2] / "docs" / "server.md").read_text()
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def exchanged(text: str, exchanges: dict[str, str]) -> str:
    for there, here in exchanges.items():
        assert text.count(there) == 1, f"docs/server.md has {there!r} {text.count(there)} times"
        text = text.replace(there, here)
    return text


def documented_prosody(setup: Setup) -> str:
    folder = setup.folder
    # What `prosodyctl cert import` makes of a certificate: a name it knows, the key beside it.
    (folder / "certs" / "example.org.crt").write_bytes(setup.certificate.chain.read_bytes())
    (folder / "certs" / "example.org.key").write_bytes(setup.certificate.key.read_bytes())
    for name, content in zip(("sites.txt", "people.txt"), blocks("ini"), strict=True):
        (folder / name).write_text(content)
    ours = f'data_path = "{setup.data}"\ninterfaces = {{ "127.0.0.1" }}\nrun_as_root = {str(setup.as_root).lower()}\n'
    return ours + exchanged(
        blocks("lua")[0],
        {
            "/run/prosody/prosody.pid": str(folder / "prosody.pid"),
            "/var/log/prosody/prosody.log": str(setup.log),
            "c2s_ports = { 5222 }": f"c2s_ports = {{ {setup.c2s} }}",
            "c2s_direct_tls_ports = { 443 }": f"c2s_direct_tls_ports = {{ {setup.direct_tls} }}",
        },
    )


def documented_ejabberd(setup: ejabberd.Setup) -> str:
    text = blocks("yaml")[0].replace('ip: "::"', 'ip: "127.0.0.1"')
    return exchanged(
        text,
        {
            "/etc/ejabberd/certs/fullchain.pem": str(setup.certificate.chain),
            "/etc/ejabberd/certs/privkey.pem": str(setup.certificate.key),
            "port: 5222": f"port: {setup.c2s}",
            "port: 443": f"port: {setup.direct_tls}",
            # The tests' way in, where an administrator has ejabberdctl.
            "listen:\n": "listen:\n" + _API.format(port=setup.api),
            "    from: ejabberd_ctl\n": "    from: mod_http_api\n",
            "modules:\n  mod_admin_extra": "modules:\n  mod_http_api: {}\n  mod_admin_extra",
        },
    )


def own_prosody(folder: Path) -> Server:
    return PrivateServer(folder, configure=documented_prosody, domain=PEOPLE, agents=AGENTS, rooms=ROOMS)


def own_ejabberd(folder: Path) -> Server:
    configure = documented_ejabberd
    return ejabberd.EjabberdServer(folder, configure=configure, domain=PEOPLE, agents=AGENTS, rooms=ROOMS)


@pytest.fixture(params=[own_prosody, pytest.param(own_ejabberd, marks=pytest.mark.servers)])
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    own: Server = request.param(tmp_path / "server")
    for jid in (ALICE, *SITES):
        await own.add_account(jid, PASSWORD)
    async with own:
        if isinstance(own, ejabberd.EjabberdServer):
            await asyncio.to_thread(make_groups, own)
        yield own


def make_groups(server: ejabberd.EjabberdServer) -> None:
    lines = [line for block in blocks("sh") for line in block.splitlines() if "ejabberdctl srg_" in line]
    lines += [line.replace("site-1", "site-2") for line in lines if "site-1" in line]
    assert len(lines) == 9
    for line in lines:
        _, command, *words = shlex.split(line)
        assert server.ask(command, dict(zip(_ARGUMENTS[command], words, strict=True))) == 200


async def test_both_ports_show_the_certificate_and_take_no_plain_password(server: Server) -> None:
    for domain in (server.domain, server.agents):
        offers = [
            await starttls_offer(server.host, server.c2s_port, domain, only(server.ca_file)),
            await direct_offer(server.host, server.tls_port, domain, only(server.ca_file)),
        ]
        for offer in offers:
            assert domain in offer.names
            assert "SCRAM-SHA-256" in offer.mechanisms
            assert "PLAIN" not in offer.mechanisms
            assert "iq-register" not in offer.clear + offer.encrypted
        assert "<required/>" in offers[0].clear


async def test_a_person_sees_the_sites_and_no_site_sees_another(server: Server) -> None:
    way = (PASSWORD, server.host, server.c2s_port, server.ca_file)
    async with logged_in(ALICE, *way) as alice, logged_in(SITES[0], *way) as first, logged_in(SITES[1], *way) as second:
        told: asyncio.Queue[str] = asyncio.Queue()
        seen_by_first: set[str] = set()
        alice.add_event_handler("presence_dnd", lambda came: told.put_nowait(came["from"].bare))
        first.add_event_handler("presence_dnd", lambda came: seen_by_first.add(came["from"].bare))
        second.send_presence(pshow="dnd", pstatus="CRIT 1/7")
        first.send_presence(pshow="dnd", pstatus="CRIT 1/7")
        async with asyncio.timeout(10):
            assert {await told.get(), await told.get()} == set(SITES)
        await first.get_roster(timeout=10)
        assert set(first.client_roster.keys()) - {SITES[0]} == {ALICE}
        # From one sender all comes in its order: had there been presence, it would be here.
        second.say(str(first.boundjid), "after my presence")
        assert (await first.next_message())["body"]
        assert SITES[1] not in seen_by_first


async def test_what_is_said_to_an_absent_site_bounces_and_to_an_absent_person_waits(server: Server) -> None:
    way = (PASSWORD, server.host, server.c2s_port, server.ca_file)
    async with logged_in(SITES[0], *way) as site:
        site.say(ALICE, "an alarm while nobody is there")
        site.say(SITES[1], "anybody there?")
        assert (await site.next_message())["from"] == SITES[1]
    async with logged_in(ALICE, *way) as alice:
        assert (await alice.next_message())["body"] == "an alarm while nobody is there"


async def test_the_admin_makes_the_room_and_nobody_else(server: Server) -> None:
    way = (PASSWORD, server.host, server.tls_port, server.ca_file)
    async with logged_in(ALICE, *way, direct=True) as alice, logged_in(SITES[0], *way, direct=True) as site:
        with pytest.raises(JoinRefused):
            await site.join(ROOM, "site-1")
        await alice.join(ROOM, "alice")
        info = await alice.plugin["xep_0030"].get_info(JID(ROOM), timeout=10)
        wanted = {"muc_membersonly", "muc_nonanonymous", "muc_persistent", "muc_hidden"}
        assert wanted <= set(info["disco_info"]["features"])
        await alice.admit(ROOM, SITES[0])
        await site.join(ROOM, "site-1")
