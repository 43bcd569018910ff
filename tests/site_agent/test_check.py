"""`check` really asks the servers: each fault of network, TLS, login and rooms in its own words."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from slixmpp import JID

from admin_console.server import PrivateServer
from admin_console.server.certificate import certificate
from admin_console.server.child import free_port
from amon.xmpp.login import Times
from site_agent.check import Report, check
from site_agent.findings import Finding, Group
from site_agent.names import name_findings
from tests.clients.plain import logged_in
from tests.servers.ejabberd import EjabberdServer
from tests.site_agent.world import Place

Server = PrivateServer | EjabberdServer
ALICE, SITE, PASSWORD = "alice@amon.test", "site-1@agents.amon.test", "five words are a password"
ROOM, CLOSED, OPEN = "ops@rooms.amon.test", "closed@rooms.amon.test", "open@rooms.amon.test"
QUICK = Times(connect=2, login=3, ask=5, room_wait=5, goodbye=1)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.password.write_text(PASSWORD)
    return place


@pytest.fixture(params=[PrivateServer, pytest.param(EjabberdServer, marks=pytest.mark.servers)])
async def server(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """One with a room that has the site as member, one that has not, and one that is open to everybody."""
    private: Server = request.param(tmp_path / "server", admins=(ALICE,))
    for jid in (ALICE, SITE):
        await private.add_account(jid, PASSWORD)
    async with private:
        async with logged_in(ALICE, PASSWORD, private.host, private.c2s_port, private.ca_file) as alice:
            for room in (ROOM, CLOSED, OPEN):
                await alice.join(room, "alice")
            await alice.admit(ROOM, SITE)
            rooms = alice.plugin["xep_0045"]
            form: Any = await rooms.get_room_config(OPEN)
            values = form.get_values()
            form.reply()
            form.set_values({**values, "muc#roomconfig_membersonly": False})
            await rooms.set_room_config(OPEN, form)
        yield private


def account(server: Server, more: str = "", *, jid: str = SITE, rooms: str = "") -> str:
    return f"""
    state = "$STATE"
    [account.main]
    jid = "{jid}"
    password_file = "$PASSWORD"
    host = "{server.host}"
    port = {server.c2s_port}
    ca_file = "{server.ca_file}"
    rooms = [{rooms}]
    policy = {{ admin = ["{ALICE}"] }}
    {more}
    """


async def look(place: Place, text: str) -> Report:
    return await check(place.write(text), place.world(), names=list, times=QUICK)


def told(report: Report) -> list[str]:
    assert all(one.group is Group.server for one in report.problems)
    return [str(problem) for problem in report.problems]


async def test_what_works_is_said_too(place: Place, server: Server) -> None:
    report = await look(place, account(server, rooms=f'"{ROOM}"'))
    assert report.problems == []
    assert report.text() == (
        f"account.main: logged in as {SITE}, into {ROOM}\n{place.path}: no problems; instances: none\n"
    )


async def test_a_check_is_not_noticed_by_the_agents_contacts_and_leaves_the_room(place: Place, server: Server) -> None:
    way = (server.host, server.c2s_port, server.ca_file)
    async with logged_in(ALICE, PASSWORD, *way) as alice, logged_in(SITE, PASSWORD, *way) as site:
        seen: list[str] = []
        site.add_event_handler("presence_available", lambda one: seen.append(str(one["from"])))
        await alice.join(ROOM, "alice")
        assert (await look(place, account(server, rooms=f'"{ROOM}"'))).problems == []
        assert await alice.plugin["xep_0045"].get_roles_list(JID(ROOM), "participant") == []
        assert seen == [str(site.boundjid)]


async def test_each_room_says_what_keeps_the_agent_out(place: Place, server: Server) -> None:
    nowhere = "nowhere@rooms.amon.test"
    report = await look(
        place, account(server, rooms=f'"{ROOM}", "{CLOSED}", "{nowhere}", "{OPEN}", "x@conference.elsewhere.test"')
    )
    assert told(report) == [
        f"account.main.rooms[1]: {CLOSED} is for members only: make {SITE} a member of it (amon approve)",
        f"account.main.rooms[2]: {nowhere} does not exist: make the room first, or check its address",
        f"account.main.rooms[3]: {OPEN} is not members-only: an agent obeys nobody there; "
        "change the room's configuration",
        "account.main.rooms[4]: x@conference.elsewhere.test lies on a server that cannot be found: "
        "check the part behind the @",
    ]
    assert report.accounts == {"main": f"logged in as {SITE}"}


async def test_a_wrong_password_is_said_without_it(place: Place, server: Server) -> None:
    place.password.write_text("another password")
    report = await look(place, account(server))
    assert told(report) == [
        f"account.main: the server refuses the name or password of {SITE}: check the password of this account"
    ]
    assert "another" not in report.text() + report.json()


async def test_a_server_under_another_authority_is_not_trusted(place: Place, server: Server) -> None:
    other = certificate(place.folder, ("agents.amon.test",), "127.0.0.1")
    (problem,) = told(await look(place, account(server).replace(str(server.ca_file), str(other.ca))))
    assert "CA that is not trusted here: give `ca_file` that CA's certificate; no password was sent" in problem


async def test_a_domain_that_is_not_served_is_said(place: Place, server: Server) -> None:
    (problem,) = told(await look(place, account(server, jid="site-1@agents.elsewhere.test")))
    assert "the server does not serve the domain agents.elsewhere.test: is the address `jid` right?" in problem


@pytest.mark.parametrize(
    ("name", "made", "says"),
    [
        (
            "agents.amon.test",
            datetime(2001, 1, 1, tzinfo=UTC),
            "has expired: the server's administrator has to renew it",
        ),
        ("other.test", None, "is for another name than agents.amon.test: check `jid`, or the certificate"),
    ],
)
async def test_a_certificate_that_does_not_hold_is_not_taken(
    place: Place, name: str, made: datetime | None, says: str
) -> None:
    shown = certificate(place.folder, (name,), "127.0.0.1", made)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(shown.chain, shown.key)
    server = await asyncio.start_server(lambda _, out: out.close(), "127.0.0.1", 0, ssl=context)
    async with server:
        port = server.sockets[0].getsockname()[1]
        (problem,) = told(await look(place, direct(port, f'ca_file = "{shown.ca}"')))
    assert says in problem


def direct(port: int, more: str = "") -> str:
    return f"""
    state = "$STATE"
    [account.main]
    jid = "{SITE}"
    password_file = "$PASSWORD"
    host = "127.0.0.1"
    port = {port}
    tls = "direct"
    {more}
    """


async def test_a_server_that_is_not_there_is_said(place: Place) -> None:
    port = free_port("127.0.0.1")
    (problem,) = told(await look(place, direct(port)))
    assert problem == (f"account.main: nothing accepts connections at 127.0.0.1 port {port}: is the server running?")


async def test_a_server_that_says_nothing_costs_a_bounded_time(place: Place) -> None:
    silent = await asyncio.get_running_loop().create_server(asyncio.Protocol, "127.0.0.1", 0)
    async with silent:
        port = silent.sockets[0].getsockname()[1]
        for tls in ("direct", "starttls"):
            async with asyncio.timeout(10):
                (problem,) = told(await look(place, direct(port).replace('"direct"', f'"{tls}"')))
            assert "no answer from 127.0.0.1" in problem or "did not finish the login in 3 s" in problem


async def test_a_name_that_does_not_resolve_is_said(place: Place) -> None:
    (problem,) = told(await look(place, direct(5223).replace('"127.0.0.1"', '"xmpp.nowhere.invalid"')))
    assert "the name in xmpp.nowhere.invalid port 5223 does not resolve" in problem


async def test_offline_asks_no_server_and_all_groups_come_in_the_order_of_mending(place: Place) -> None:
    place.password.chmod(0o644)
    text = "tag = {}\n" + direct(free_port("127.0.0.1")) + "[instance.broken]\n"
    names = [Finding("modules", "is somebody else's too", Group.names)]
    report = await check(place.write(text), place.world(), offline=True, names=lambda: names)
    headings = [line for line in report.text().splitlines() if line and not line.startswith(" ")]
    assert headings == [
        "settings:", "owners and modes:", "modules:", "import names:", "worth a look, not wrong:",
        f"{place.path}: 4 problems; instances: none; not in order: broken",
    ]  # fmt: skip
    data = json.loads(report.json())
    assert data["ok"] is False
    assert [one["group"] for one in data["problems"]] == ["settings", "mode", "module", "names"]


async def test_the_last_line_tells_which_instances_are_in_order_and_which_are_not(place: Place) -> None:
    text = direct(free_port("127.0.0.1")) + (
        "[instance.uptime]\n[instance.broken]\n[instance.host]\nmodlue = 'host'\n"
        "[instance.up]\nmodule = 'uptime'\nsettings = { settel = 5 }\n[instance.agent]\nmodule = 'uptime'\n"
    )
    report = await check(place.write(text), place.world(), offline=True, names=list)
    assert report.text().endswith("; instances: uptime; not in order: broken, host, up, agent\n")
    data = json.loads(report.json())
    assert (data["instances"], data["faulty_instances"]) == (["uptime"], ["broken", "host", "up", "agent"])


# Who owns the names that amon is imported by


def ours(name: str) -> Path:
    return Path("/opt/amon/lib") / name


def test_names_that_are_only_ours_are_no_problem_also_where_an_editable_install_lists_none() -> None:
    assert name_findings(lambda: {"amon": ["amon"], "modules": ["amon", "amon"]}, ours) == []
    assert name_findings(dict, ours) == []


def test_a_name_that_two_distributions_own_names_both() -> None:
    (one,) = name_findings(lambda: {"modules": ["amon", "frobnicator"]}, ours)
    assert str(one).startswith("modules: belongs to amon and to frobnicator; next: pip uninstall frobnicator, then ")


def test_a_name_that_leads_elsewhere_names_both_folders() -> None:
    (one,) = name_findings(dict, lambda name: Path("/home/me/modules") if name == "modules" else ours(name))
    assert str(one).startswith("modules: is taken from /home/me/modules, but amon is in /opt/amon/lib/amon; next: ")
