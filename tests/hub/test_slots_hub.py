"""Slots from a real hub: two admins together never have more sites at work than there are slots."""

import asyncio
from dataclasses import replace

import pytest

from admin_console.api import Console
from admin_console.session import Setup
from admin_console.wish import Rolling, Wish
from amon.errors import Refused
from amon.ids import new_id
from amon.job import ExitCode
from amon.target import parse
from amon.wire import SlotWish, encode
from site_agent.agent import Agent
from tests.admin_console.ground import ALICE, BOB, Ground
from tests.admin_console.odd import OddModule
from tests.hub.stage import HUB, POLICY, Person, alive, hub_account, hub_of, knows, person
from tests.waiting import until

WAITS = "[instance.odd]\n[instance.odd.settings]\nwaits = true\n"
BOTH = POLICY.replace(f'["{ALICE}"]', f'["{ALICE}", "{BOB}"]')
SITES = ("cern", "desy", "fnal", "ral")


def odd(agent: Agent) -> OddModule:
    module = agent.node.find("odd")
    assert isinstance(module, OddModule)
    return module


async def job(setup: Setup, target: str, slots: tuple[str, int] = ("db", 2)) -> ExitCode:
    wish = Wish(parse(target), "odd late", deadline=20, rolling=Rolling(slots=slots))
    async with Console(setup=setup) as console:
        return (await console.wished(wish).finish()).exit


async def test_two_consoles_share_the_slots_of_a_name(ground: Ground) -> None:
    path = await hub_account(ground)
    agents = {name: await ground.site(name, instances=WAITS, policy=BOTH) for name in SITES}
    async with hub_of(ground, path) as hub:
        await knows(hub, *SITES)
        most = 0

        def at_work() -> list[str]:
            nonlocal most
            found = [name for name, agent in agents.items() if agent.node.dispatch.under_way()]
            most = max(most, len(found))
            return found

        first = asyncio.create_task(job(ground.console(ALICE, hub=HUB), "cern,desy,fnal"))
        await until(lambda: len(at_work()) == 2)
        second = asyncio.create_task(job(ground.console(BOB, hub=HUB), "ral"))
        await until(lambda: len(hub.slots.lines()) == 2)
        while not (first.done() and second.done()):
            for name in at_work():
                odd(agents[name]).gate.set()
            await asyncio.sleep(0.02)
        assert (await first, await second) == (ExitCode.all_done, ExitCode.all_done)
        assert most == 2
        await until(lambda: not hub.slots.lines())


async def test_who_follows_a_job_of_a_console_that_is_gone_passes_the_same_slots(ground: Ground) -> None:
    path = await hub_account(ground)
    agents = {name: await ground.site(name, instances=WAITS, policy=BOTH) for name in SITES[:3]}
    most = 0

    def at_work() -> list[str]:
        nonlocal most
        found = [name for name, agent in agents.items() if agent.node.dispatch.under_way()]
        most = max(most, len(found))
        return found

    setup = replace(ground.console(ALICE, hub=HUB), ledger=ground.folder / "jobs.db")
    async with hub_of(ground, path) as hub, Console(setup=setup) as console:
        await knows(hub, *agents)
        wish = Wish(parse("all"), "odd late", deadline=20, rolling=Rolling(slots=("db", 1)))
        run = console.wished(wish)
        gone = asyncio.create_task(run.finish())
        await until(at_work)
        gone.cancel()
        await asyncio.wait({gone})
        await until(lambda: not hub.slots.lines())
        following = asyncio.create_task((await console.job(run.id, follow=True)).finish())
        await until(lambda: len(at_work()) > 1 or any("waiting" in line for line in hub.slots.lines()))
        while not following.done():
            for name in at_work():
                odd(agents[name]).gate.set()
            await asyncio.sleep(0.02)
        assert ((await following).exit, most) == (ExitCode.all_done, 1)
        await until(lambda: not hub.slots.lines())


async def test_without_a_hub_in_the_configuration_slots_are_refused_with_the_next_step(ground: Ground) -> None:
    await ground.site("cern", policy=POLICY)
    with pytest.raises(Refused, match=r'next: hub = "hub@DOMAIN" in the configuration, or --batch'):
        await job(ground.console(ALICE), "cern")


async def test_who_does_not_command_in_the_room_is_lent_nothing(ground: Ground) -> None:

    path = await hub_account(ground)
    await ground.server.add_account("eve@amon.test", "correct horse")
    async with hub_of(ground, path) as hub, alive(eve := Person(ground, "eve@amon.test")), person(ground) as alice:
        ident = new_id(1.0)
        eve.connection.send_payload(hub.fleet.connection.jid, encode(SlotWish(ident, "db", 2, (), ("cern",))), id=ident)
        assert await eve.connection.server_time()  # the server has it by now
        alice.write(HUB, "slots")
        await alice.told("no slot is held or wanted")
