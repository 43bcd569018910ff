"""Forms with real servers and a real agent, asked by a plain client: done once, for who began, and for nobody else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from xml.etree.ElementTree import Element, SubElement

import slixmpp
from slixmpp.exceptions import IqError

from tests.clients.plain import Plain, logged_in
from tests.e2e.test_answers import SLEEPER, service_pid
from tests.e2e.world import ALICE, BOB, OPS, PASSWORD, World, seen

EVE = "eve@amon.test"
_COMMANDS = "{http://jabber.org/protocol/commands}"
_ITEMS = "{http://jabber.org/protocol/disco#items}"
_INFO = "{http://jabber.org/protocol/disco#info}"
_FORM = "{jabber:x:data}"


@asynccontextmanager
async def person(world: World, jid: str) -> AsyncIterator[Plain]:
    async with logged_in(jid, PASSWORD, world.server.host, world.server.c2s_port, world.server.ca_file) as client:
        yield client


async def ask(client: Plain, to: str, kind: str, content: Element) -> Element:
    """What came inside the answer; `IqError` for an error."""
    iq: Any = client.make_iq_set() if kind == "set" else client.make_iq_get()
    iq["to"] = slixmpp.JID(to)
    iq.xml.append(content)
    inside: Element = (await iq.send(timeout=20)).xml[0]
    return inside


async def step(client: Plain, to: str, node: str, session: str = "", action: str = "execute", **values: str) -> Element:
    made = Element(f"{_COMMANDS}command", {"node": node, "action": action})
    if session:
        made.set("sessionid", session)
    if values:
        form = SubElement(made, f"{_FORM}x", {"type": "submit"})
        for name, value in values.items():
            SubElement(SubElement(form, f"{_FORM}field", {"var": name}), f"{_FORM}value").text = value
    return await ask(client, to, "set", made)


async def nodes(client: Plain, to: str) -> list[str]:
    query = Element(f"{_ITEMS}query", {"node": "http://jabber.org/protocol/commands"})
    return [item.get("node", "") for item in await ask(client, to, "get", query)]


async def condition(client: Plain, to: str, node: str, session: str = "", **values: str) -> str:
    """Of the error that this step comes to."""
    try:
        await step(client, to, node, session, "complete" if session else "execute", **values)
    except IqError as error:
        return f"{error.condition} {error.text}".strip()
    raise AssertionError("it was taken")


async def test_a_form_is_filled_in_and_done_once_and_only_for_who_began(world: World) -> None:
    await world.server.add_account(EVE, PASSWORD)
    await (await world.add_site("cern", SLEEPER)).start()
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
    cern, node = f"cern@{world.server.agents}/agent", "service restart"
    before = service_pid(world, "cern")
    async with person(world, ALICE) as alice, person(world, BOB) as bob, person(world, EVE) as eve:
        assert "service" in await nodes(alice, cern)
        info = await ask(alice, cern, "get", Element(f"{_INFO}query"))
        assert "http://jabber.org/protocol/commands" in [one.get("var") for one in info]
        began = await step(alice, cern, node)
        session = began.get("sessionid", "")
        assert began.get("status") == "executing"
        assert began.find(f"{_COMMANDS}actions[@execute='next']") is not None
        asked = await step(alice, cern, node, session, "next", name="httpd")
        assert "would: SIGTERM" in "".join(asked.itertext())
        # Another account, whatever it knows; and a stranger, who does not even see that there are commands.
        assert (await condition(bob, cern, node, session, confirm="1")).startswith("item-not-found")
        assert await condition(eve, cern, node, session, confirm="1") == "service-unavailable"
        assert await condition(eve, cern, "whoami") == "service-unavailable"
        assert service_pid(world, "cern") == before
        done = await step(alice, cern, node, session, "complete", confirm="1")
        assert done.get("status") == "completed"
        assert done.findtext(f"{_COMMANDS}note") == "service restart: httpd up"
        after = service_pid(world, "cern")
        assert after != before
        assert (await condition(alice, cern, node, session, confirm="1")).startswith("item-not-found")
        assert service_pid(world, "cern") == after


async def test_through_the_room_nobody_is_served(world: World) -> None:
    await (await world.add_site("cern", SLEEPER)).start()
    async with world.console() as fleet:
        await seen(fleet, "cern", "")
    async with person(world, ALICE) as alice:
        await alice.join(OPS, "alice")
        refused = await condition(alice, f"{OPS}/cern", "whoami")
        assert "use my address cern@" in refused or refused.startswith(("service-unavailable", "not-allowed"))
