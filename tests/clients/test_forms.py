"""`service restart` by a form at a real agent, in the clients that have forms: list, fields, plan, yes, result."""

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.clients.converse import Converse
from tests.clients.poezio import Poezio
from tests.clients.profanity import Profanity
from tests.clients.site import CERN, Place, place
from tests.e2e.test_answers import SLOW, service_pid
from tests.e2e.test_client import AMON, called
from tests.e2e.world import ALICE, BOB, PASSWORD

pytestmark = pytest.mark.clients


@pytest.fixture
async def cern(tmp_path: Path) -> AsyncIterator[Place]:
    async with place(tmp_path) as made:
        yield made


def profanity(cern: Place, jid: str = ALICE) -> Profanity:
    return Profanity(cern.world.folder / jid, jid, PASSWORD, host=cern.server.host, port=cern.server.c2s_port)


async def online(person: Profanity) -> None:
    """Logged in, and it knows that its server has commands too; before that it asks nobody for any."""
    await person.connect()
    await person.wait_for(r'RECV: <iq [^\n]*from="amon\.test"><query xmlns="[^"]*disco#info"')


async def test_a_service_is_restarted_by_a_form_in_profanity(cern: Place) -> None:
    before = service_pid(cern.world, "cern")
    async with profanity(cern) as alice:
        await online(alice)
        await alice.type(f"/cmd list {CERN}")
        await alice.wait_screen(r"!   service\n")
        await alice.type(f'/cmd exec "service restart" {CERN}')
        await alice.wait_screen(r"\[field1\] name: name of a service[^§]*\[\(none\)\] -[^§]*\[httpd\] httpd")
        await alice.type("/form submit")
        await alice.wait_screen(r"Form title: service restart: name: this is needed")
        await alice.type("/field1 httpd")
        await alice.type("/form submit")
        await alice.wait_screen(r"httpd is up now; would: SIGTERM[^§]*\[field2\] do it: service restart: FALSE")
        assert service_pid(cern.world, "cern") == before
        await alice.type("/field2 on")
        await alice.type("/form submit")
        await alice.wait_screen(r"Form title: service restart: httpd up[^§]*\[field1\] name: httpd[^§]*state: up")
        await alice.type("/win 1")
        await alice.wait_screen(r"! service restart completed[^§]*! service restart: httpd up")
        assert service_pid(cern.world, "cern") != before


async def test_who_may_not_restart_sees_no_such_form_in_profanity(cern: Place) -> None:
    before = service_pid(cern.world, "cern")
    async with profanity(cern, BOB) as bob:
        await online(bob)
        await bob.type(f"/cmd exec service {CERN}")
        shown = await bob.wait_screen(r"\[list\] list")
        assert "restart" not in shown
        await bob.type("/win 1")
        await bob.type(f'/cmd exec "service restart" {CERN}')
        await bob.wait_screen(r"refused: this needs role operator")
        assert service_pid(cern.world, "cern") == before


async def test_what_must_be_signed_is_copied_out_of_a_form_and_pasted_into_it(tmp_path: Path) -> None:
    key, signers = tmp_path / "id_alice", tmp_path / "signers"
    await called("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    signers.write_text(f"{ALICE} {key.with_suffix('.pub').read_text()}")
    policy = f'admin = ["{ALICE}"]\nsigned = ["change", "danger"]'
    async with place(tmp_path, f'signers = "{signers}"', policy) as cern, profanity(cern) as alice:
        before = service_pid(cern.world, "cern")
        await online(alice)
        await alice.type(f'/cmd exec "service restart" {CERN}')
        await alice.wait_screen(r"\[httpd\] httpd")
        await alice.type("/field1 httpd")
        await alice.type("/form submit")
        asked = await alice.wait_for(r'RECV: <iq [^\n]*var="challenge"[^\n]*?<value>(amon1 [^<]+)</value>')
        printed = await called(AMON, "sign", "--yes", "--key", str(key), asked[1].replace("&quot;", '"'))
        assert service_pid(cern.world, "cern") == before
        await alice.wait_screen(r"\[field3\] the signature")
        await alice.type(f"/field3 {printed.strip().removeprefix('ok ')}")  # of several words it sends the first
        await alice.type("/form submit")
        await alice.wait_screen(r"Form title: service restart: httpd up")
        assert service_pid(cern.world, "cern") != before


async def test_long_work_tells_how_far_it_is_in_profanity_and_can_be_cancelled(tmp_path: Path) -> None:
    async with place(tmp_path, services=SLOW) as cern, profanity(cern) as alice:
        await online(alice)
        await alice.type(f'/cmd exec "service restart" {CERN}')
        await alice.wait_screen(r"\[slow\] slow")
        await alice.type("/field1 slow")
        await alice.type("/form submit")
        await alice.wait_screen(r"\[field2\] do it")
        await alice.type("/field2 on")
        await alice.type("/form submit")
        await alice.wait_screen(r"Form title: service restart: still at it: slow: restart; Next looks again", within=20)
        await alice.type("/field2 on")
        await alice.type("/form submit")
        await alice.wait_for(r'RECV: <iq [^\n]*status="canceled"[^\n]*cancelled while it ran; look what it left')


async def test_a_service_is_restarted_by_a_form_in_poezio(cern: Place) -> None:
    before = service_pid(cern.world, "cern")
    server = cern.server
    async with Poezio(ALICE, PASSWORD, host=server.host, port=server.c2s_port, ca_file=server.ca_file) as alice:
        await alice.command(f"/ad-hoc {CERN}")
        listed = await alice.wait_screen(r"(?m)^service +service: .*restart")
        nodes = re.findall(r"(?m)^(\w+) +\1: ", listed)
        for _ in range(nodes.index("service")):
            await alice.press("Down")
        await alice.keys("Enter")
        await alice.wait_screen(r"service: choose a command")
        await alice.turn_to("restart: Restart a service")
        await alice.keys("C-y")
        await alice.wait_screen(r"name: name of a service")
        await alice.turn_to("httpd")
        await alice.keys("C-y")
        await alice.wait_screen(r"httpd is up now; would: SIGTERM[^§]*do it: service restart[^§]*False")
        assert service_pid(cern.world, "cern") == before
        await alice.press("Down")
        await alice.press("Right")
        await alice.wait_screen(r"do it: service restart[^§]*True")
        await alice.keys("C-y")
        await alice.wait_screen(r"service restart: httpd up[^§]*state[^§]*up")
        assert service_pid(cern.world, "cern") != before


async def test_a_service_is_restarted_by_a_form_in_converse(cern: Place) -> None:
    before = service_pid(cern.world, "cern")
    async with Converse(ALICE, PASSWORD, websocket=cern.websocket) as alice:
        assert "service" in await alice.list_commands(CERN)
        await alice.choose("service")
        await alice.wait_shown("choose a command")
        await alice.fill("[name=command]", "restart")
        await alice.action("next")
        await alice.wait_shown("name of a service")
        await alice.action("next")
        await alice.wait_shown("name: this is needed")
        await alice.fill("[name=name]", "httpd")
        await alice.action("next")
        await alice.wait_shown("httpd is up now; would: SIGTERM")
        await alice.action("prev")
        await alice.wait_shown("name of a service")
        assert await alice.value("[name=name]") == "httpd"
        await alice.action("next")
        await alice.wait_shown("httpd is up now; would: SIGTERM")
        await alice.action("complete")
        await alice.wait_shown("nothing was done yet")
        assert service_pid(cern.world, "cern") == before
        await alice.tick("[name=confirm]")
        await alice.action("complete")
        await alice.wait_shown("service restart: httpd up")
        assert await alice.value("[name=row2]") == "up"
        assert service_pid(cern.world, "cern") != before
