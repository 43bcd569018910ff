"""Several accounts in one agent, and ten agents in one process that share nothing."""

from contextlib import AsyncExitStack

from amon.job import ExitCode
from amon.words import State
from site_agent.agent import Agent
from site_agent.configuration import World as Surroundings
from site_agent.configuration import load
from tests.e2e.world import ALICE, BOB, OPS, PASSWORD, World, seen, until


async def test_an_agent_serves_two_organisations_each_by_its_own_policy(world: World) -> None:
    site = await world.add_site("cern", "[instance.uptime]\n[instance.host]")
    await world.add_site("cern-vo2")
    server = world.server
    second = f"""
        [account.vo2]
        jid = "cern-vo2@{server.agents}"
        password = "{PASSWORD}"
        rooms = ["{OPS}"]
        host = "{server.host}"
        port = {server.c2s_port}
        ca_file = "{server.ca_file}"
        reveal = ["uptime"]
        [account.vo2.policy]
        observer = ["{BOB}"]
    """
    with site.config.open("a") as file:
        file.write(second)
    await site.start()
    async with world.console(ALICE) as alice, world.console(BOB) as bob:
        await until(alice, lambda: alice.sites["cern"].online)
        await until(bob, lambda: bob.sites["cern-vo2"].online)
        assert not alice.sites["cern-vo2"].online
        await until(bob, lambda: bob.sites["cern-vo2"].status.endswith("1/1"))
        assert not bob.sites["cern"].status.endswith("1/1")
        for_alice = await world.ask(alice, "whoami")
        assert (for_alice["cern"].state, for_alice["cern-vo2"].state) == (State.done, State.refused)
        for_bob = await world.ask(bob, "uptime", "cern-vo2")
        assert for_bob["cern-vo2"].state is State.done


async def test_ten_agents_live_in_one_process_and_share_nothing(world: World) -> None:
    names = [f"site-{number}" for number in range(10)]
    agents = []
    for name in names:
        site = await world.add_site(name)
        configuration = load(site.config, Surroundings.here()).configuration
        assert configuration is not None
        agents.append(Agent(configuration))
    async with AsyncExitStack() as stack, world.console() as fleet:
        last = AsyncExitStack()
        await stack.enter_async_context(last)
        for agent in agents[:-1]:
            await stack.enter_async_context(agent.running())
        await last.enter_async_context(agents[-1].running())
        for name in names:
            await seen(fleet, name, "")
        assert (await world.ask(fleet, "uptime")).exit_code() is ExitCode.all_done
        line = "maintenance begin 2h 'new disks'"
        assert (await world.ask(fleet, line, "site-3"))["site-3"].state is State.done
        await seen(fleet, "site-3", "xa")
        await last.aclose()
        await until(fleet, lambda: not fleet.sites["site-9"].online)
        book = await world.ask(fleet, "maintenance")
        assert {row.site: row.text for row in book.rows() if row.state is State.done and row.text != "nothing"} == {
            "site-3": book["site-3"].text
        }
        assert book["site-9"].state is State.not_here
        assert sum(row.state is State.done for row in book.rows()) == 9
