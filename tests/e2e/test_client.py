"""A person with a real Jabber client: sees health in the contact list, asks in the room and one to one."""

import psutil
import pytest

from tests.clients.profanity import NeverCame, Profanity
from tests.e2e.test_answers import SLEEPER, service_pid
from tests.e2e.world import ALICE, BOB, OPS, PASSWORD, World, seen

pytestmark = pytest.mark.clients


def person(world: World, jid: str) -> Profanity:
    return Profanity(world.folder / jid, jid, PASSWORD, host=world.server.host, port=world.server.c2s_port)


async def test_a_person_with_a_plain_client_sees_health_asks_and_mends(world: World) -> None:
    for name in ("cern", "desy"):
        await (await world.add_site(name, SLEEPER)).start()
    async with world.console() as fleet:  # once: it fills the account's contact list
        await seen(fleet, "cern", "")
        await seen(fleet, "desy", "")
        async with person(world, ALICE) as alice:
            await alice.connect()
            await alice.type("/roster group show amon sites")
            await alice.wait_screen(r"cern")
            psutil.Process(service_pid(world, "cern")).kill()
            await seen(fleet, "cern", "dnd")
            await alice.wait_for(r"RECV: <presence [^\n]*from=.cern@agents[^\n]*<show>dnd</show><status>CRIT 1/1 httpd")
            # In the room: both answer, each to her alone.
            await alice.join(OPS)
            await alice.say("!status")
            await alice.wait_for(r"RECV: <message [^\n]*from=.cern@agents[^\n]*<body>cern: CRIT 1/1 httpd")
            # One site named: it may say it for all to see.
            await alice.say("!status @desy")
            await alice.wait_for(rf"RECV: <message [^\n]*from=.{OPS}/desy[^\n]*<body>OK 1/1</body>")
            await alice.say("cern: status")
            await alice.wait_for(rf"RECV: <message [^\n]*from=.{OPS}/cern[^\n]*<body>CRIT 1/1 httpd")
            # One to one: it is mended, and the contact list says so.
            await alice.message(f"cern@{world.server.agents}", "service restart httpd")
            await alice.wait_for(r"RECV: <message [^\n]*from=.cern@agents[^\n]*<body>[^<]*httpd[^<]*up")
            await seen(fleet, "cern", "")
            assert "httpd" in await alice.wait_screen("httpd")
            assert service_pid(world, "cern")


async def test_the_rights_of_a_person_hold_in_a_plain_client_too(world: World) -> None:
    await (await world.add_site("cern", SLEEPER)).start()
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        before = service_pid(world, "cern")
        async with person(world, BOB) as bob:
            await bob.connect()
            await bob.message(f"cern@{world.server.agents}", "help")
            answer = await bob.wait_for(r"RECV: <message [^\n]*from=.cern@agents[^\n]*<body>[^<]*service:[^<]*")
            assert "list" in answer.group()
            assert "restart" not in answer.group()
            await bob.message(f"cern@{world.server.agents}", "service restart httpd")
            await bob.wait_for(r"RECV: <message [^\n]*from=.cern@agents[^\n]*<body>refused: this needs role operator")
            await bob.join(OPS)
            await bob.say("hello everybody, how is cern?")
            with pytest.raises(NeverCame):
                await bob.wait_for(r"RECV: <message [^\n]*from=.(cern@agents|[^\n]*/cern)", within=1)
            assert service_pid(world, "cern") == before
