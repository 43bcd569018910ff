"""The rooms as people and agents meet them, on both servers: who may make one, who is seen, what is kept."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from slixmpp import JID

from admin_console.server import PrivateServer
from tests.clients.plain import JoinRefused, Plain, logged_in
from tests.servers.ejabberd import EjabberdServer

ALICE, SITE, OTHER, PASSWORD = "alice@amon.test", "site-1@agents.amon.test", "site-2@agents.amon.test", "a word"
ROOM = "ops@rooms.amon.test"


class Fleet:
    """One admin and two agents on one server, connected as they are asked for."""

    def __init__(self, server: PrivateServer | EjabberdServer, stack: AsyncExitStack) -> None:
        self.server, self._stack = server, stack

    async def connect(self, jid: str) -> Plain:
        server = self.server
        way = logged_in(jid, PASSWORD, server.host, server.c2s_port, server.ca_file)
        return await self._stack.enter_async_context(way)


@pytest.fixture(params=[PrivateServer, pytest.param(EjabberdServer, marks=pytest.mark.servers)])
async def fleet(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    server: PrivateServer | EjabberdServer = request.param(tmp_path / "server", admins=(ALICE,))
    for jid in (ALICE, SITE, OTHER):
        await server.add_account(jid, PASSWORD)
    async with server, AsyncExitStack() as stack:
        yield Fleet(server, stack)


async def test_only_an_admin_of_the_server_makes_a_room(fleet: Fleet) -> None:
    site = await fleet.connect(SITE)
    with pytest.raises(JoinRefused, match=r"not-allowed|forbidden"):
        await site.join(ROOM, "site-1")
    await (await fleet.connect(ALICE)).join(ROOM, "alice")


async def test_a_new_room_is_for_members_with_real_addresses_and_stays(fleet: Fleet) -> None:
    alice = await fleet.connect(ALICE)
    await alice.join(ROOM, "alice")
    info = await alice.plugin["xep_0030"].get_info(JID(ROOM), timeout=10)
    features = set(info["disco_info"]["features"])
    assert {"muc_membersonly", "muc_nonanonymous", "muc_persistent", "muc_hidden"} <= features


async def test_a_stranger_is_kept_out_and_a_member_comes_in_also_after_a_restart(fleet: Fleet) -> None:
    alice = await fleet.connect(ALICE)
    await alice.join(ROOM, "alice")
    await alice.admit(ROOM, SITE)
    await alice.goodbye()
    await fleet.server.restart()
    await (await fleet.connect(SITE)).join(ROOM, "site-1")
    with pytest.raises(JoinRefused, match="registration-required"):
        await (await fleet.connect(OTHER)).join(ROOM, "site-2")


async def test_an_agent_sees_who_may_ask_and_no_other_agent(fleet: Fleet) -> None:
    alice, site, other = await fleet.connect(ALICE), await fleet.connect(SITE), await fleet.connect(OTHER)
    seen: set[str] = set()
    site.add_event_handler("presence_available", lambda came: seen.add(came["muc"]["jid"].bare))
    await alice.join(ROOM, "alice")
    await alice.admit(ROOM, SITE, OTHER)
    await site.join(ROOM, "site-1")
    await other.join(ROOM, "site-2")
    other.say(ROOM, "all have joined", "groupchat")
    await until_said(site, "all have joined")
    assert seen - {""} == {ALICE, SITE}  # '' is presence outside of the room, our own


async def test_nothing_said_before_is_told_to_who_comes_later(fleet: Fleet) -> None:
    alice, site = await fleet.connect(ALICE), await fleet.connect(SITE)
    await alice.join(ROOM, "alice")
    await alice.admit(ROOM, SITE)
    alice.say(ROOM, "restart everything", "groupchat")
    await until_said(alice, "restart everything")
    await site.join(ROOM, "site-1", history=50)
    alice.say(ROOM, "the next line", "groupchat")
    assert await until_said(site, "the next line") == []


async def until_said(client: Plain, text: str) -> list[Any]:
    """What came with a body before this text."""
    before: list[Any] = []
    async with asyncio.timeout(10):
        while (message := await client.messages.get())["body"] != text:
            if message["body"]:
                before.append(message["body"])
    return before
