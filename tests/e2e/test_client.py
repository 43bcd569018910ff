"""A person with a real Jabber client: sees health in the contact list, asks in the room and one to one."""

import asyncio
import sys
from pathlib import Path

import psutil
import pytest

from tests.clients.profanity import NeverCame, Profanity
from tests.e2e.test_answers import SLEEPER, service_pid
from tests.e2e.world import ALICE, BOB, OPS, PASSWORD, World, seen

pytestmark = pytest.mark.clients
AMON = str(Path(sys.executable).with_name("amon"))


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
            # One to one: it asks back, is mended, and the contact list says so.
            await alice.message(f"cern@{world.server.agents}", "service restart httpd")
            asked = await alice.wait_for(r"RECV: <message [^\n]*from=.cern@agents(?s:.*?)say (yes \w+)")
            await alice.say(asked[1])
            await alice.wait_for(r"RECV: <message [^\n]*from=.cern@agents[^\n]*<body>[^<]*httpd[^<]*up")
            await seen(fleet, "cern", "")
            assert "httpd" in await alice.wait_screen("httpd")
            assert service_pid(world, "cern")


async def test_a_person_signs_in_a_plain_client_what_has_to_be_signed(world: World) -> None:
    key = world.folder / "id_alice"
    await called("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key))
    signers = world.folder / "signers"
    signers.write_text(f"{ALICE} {key.with_suffix('.pub').read_text()}")
    site = await world.add_site("cern", SLEEPER)
    account, policy = f'signers = "{signers}"', f'admin = ["{ALICE}"]\nsigned = ["change", "danger"]'
    site.config.write_text(world.configuration("cern", SLEEPER, account=account, policy=policy))
    await site.start()
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
        before = service_pid(world, "cern")
        async with person(world, ALICE) as alice:
            await alice.connect()
            await alice.message(f"cern@{world.server.agents}", "service restart httpd")
            asked = await alice.wait_for(r"RECV: <message [^\n]*from=.cern@agents(?s:.*?)(amon1 [^\n<]+)")
            printed = await called(AMON, "sign", "--yes", "--key", str(key), asked[1])
            assert service_pid(world, "cern") == before
            await alice.say(printed.strip())
            await alice.wait_for(r"RECV: <message [^\n]*from=.cern@agents[^\n]*<body>[^<]*httpd[^<]*up")
            assert service_pid(world, "cern") != before


async def called(*words: str) -> str:
    """What a program printed."""
    process = await asyncio.create_subprocess_exec(*words, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, words
    return out.decode()


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
