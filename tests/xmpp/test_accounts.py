"""Accounts on a real server by XMPP: made, changed and removed by an admin; an account's own password; its clock."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from pathlib import Path

import pytest

from admin_console.server import PrivateServer
from admin_console.server.prosody import Setup, configuration
from amon.errors import Invalid
from amon.xmpp.events import Offline, Online
from amon.xmpp.faults import StanzaError, Unreachable
from amon.xmpp.tls import tls_context
from amon.xmpp.visit import visiting
from tests.servers import ejabberd
from tests.servers.ejabberd import EjabberdServer
from tests.xmpp.party import ALICE, BOB, CERN, PASSWORD, QUICK, Relay, World

GSI = "gsi@agents.amon.test"
NEW = "battery staple"
_PROSODY = ("admin_adhoc", "user_account_management", "time")
_EJABBERD = ("mod_adhoc", "mod_configure", "mod_register", "mod_time")


def prosody_without(setup: Setup) -> str:
    """Without what is needed here."""
    text = configuration(setup)
    for module in _PROSODY:
        assert f'"{module}";' in text
        text = text.replace(f'"{module}";', "")
    return text


def ejabberd_without(setup: ejabberd.Setup) -> str:
    text = ejabberd.configuration(setup)
    for module in _EJABBERD:
        assert f"\n  {module}:" in text
        text = re.sub(rf"\n  {module}:.*(\n    .*)*", "", text)
    return text


@pytest.fixture(params=["prosody", pytest.param("ejabberd", marks=pytest.mark.servers)])
async def bare_world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[World]:
    """A server that has none of the modules for this."""
    server: PrivateServer | EjabberdServer
    if request.param == "prosody":
        server = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096, configure=prosody_without)
    else:
        server = EjabberdServer(tmp_path / "server", admins=(ALICE,), configure=ejabberd_without)
    await server.add_account(ALICE, PASSWORD)
    async with server:
        yield World(server)
        server.kill()


async def logs_in(world: World, jid: str, password: str) -> bool:
    async with world.party(jid, password=password, resource="trial") as party:
        await party.ear.until(lambda: bool(party.ear.all(Online) or party.ear.all(Offline)))
        return bool(party.ear.all(Online))


async def refusal(asked: Awaitable[object]) -> StanzaError:
    with pytest.raises(StanzaError) as caught:
        await asked
    return caught.value


# --- by an admin


async def test_an_admin_makes_changes_and_removes_an_account_in_the_agents_domain(world: World) -> None:
    async with world.party(ALICE) as alice:
        await alice.up()
        await alice.connection.add_account(GSI, PASSWORD)
        assert await logs_in(world, GSI, PASSWORD)
        await alice.connection.set_password(GSI, NEW)
        assert not await logs_in(world, GSI, PASSWORD)
        assert await logs_in(world, GSI, NEW)
        await alice.connection.delete_account(GSI)
        assert not await logs_in(world, GSI, NEW)


async def test_an_account_that_is_there_is_not_made_again_nor_given_another_password(world: World) -> None:
    async with world.party(ALICE) as alice:
        await alice.up()
        error = await refusal(alice.connection.add_account(CERN, NEW))
        assert (error.condition, str(error)) == ("conflict", f"there is an account {CERN} already")
        assert await logs_in(world, CERN, PASSWORD)


async def test_an_account_that_is_not_there_is_neither_changed_nor_removed(world: World) -> None:
    async with world.party(ALICE) as alice:
        await alice.up()
        for asked in (alice.connection.set_password(GSI, NEW), alice.connection.delete_account(GSI)):
            error = await refusal(asked)
            assert (error.condition, str(error)) == ("item-not-found", f"there is no account {GSI}")


async def test_whoever_is_no_admin_of_the_server_is_told_what_is_missing(world: World) -> None:
    async with world.party(BOB) as bob:
        await bob.up()
        error = await refusal(bob.connection.add_account(GSI, PASSWORD))
        assert error.condition == "forbidden"
        assert str(error).startswith(f"{BOB} is no admin of agents.amon.test, if that is on this server at all; next: ")
        assert "on Prosody put it into `admins`" in str(error)
        assert "`configure`" in str(error)
        await refusal(bob.connection.set_password(CERN, NEW))
        await refusal(bob.connection.delete_account(CERN))
        assert await logs_in(world, CERN, PASSWORD)


async def test_a_removed_account_loses_its_session_at_once(world: World) -> None:
    async with world.party(ALICE) as alice, world.party(CERN) as cern:
        await alice.up()
        await cern.settled()
        await alice.connection.delete_account(CERN)
        assert (await cern.ear.wait(Offline)).fault in ("not-authorized", "conflict", "policy-violation")


async def test_a_server_without_the_modules_tells_which_lines_are_missing(bare_world: World) -> None:
    async with bare_world.party(ALICE) as alice:
        await alice.up()
        error = await refusal(alice.connection.add_account(GSI, PASSWORD))
        assert '"admin_adhoc"' in str(error)
        assert "mod_configure: {}" in str(error)
        error = await refusal(alice.connection.change_password(NEW))
        assert '"user_account_management"' in str(error)
        assert "mod_register: {access: none, access_remove: none}" in str(error)
        error = await refusal(alice.connection.server_time())
        assert '"time"' in str(error)
        assert "mod_time: {}" in str(error)


async def test_a_domain_that_the_server_does_not_reach_is_told(world: World) -> None:
    async with world.party(ALICE) as alice:
        await alice.up()
        error = await refusal(alice.connection.add_account("gsi@elsewhere.test", PASSWORD))
        # ejabberd says `forbidden` of every server that it may not talk with.
        assert "elsewhere.test is no server that this one reaches" in str(error) or "at all" in str(error)


@pytest.mark.parametrize(("jid", "password"), [("agents.amon.test", "good"), ("a b@agents.amon.test", "good")])
async def test_what_is_no_account_is_refused_before_the_server_is_asked(world: World, jid: str, password: str) -> None:
    async with world.party(ALICE) as alice:
        await alice.up()
        with pytest.raises(Invalid, match="is no a"):
            await alice.connection.add_account(jid, password)
        with pytest.raises(Invalid, match="characters that no login takes"):
            await alice.connection.add_account(GSI, "a\u0007")


async def test_no_password_of_an_account_is_in_the_trace(world: World, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    async with world.party(ALICE, trace=True) as alice:
        await alice.up()
        await alice.connection.add_account(GSI, NEW)
        await alice.connection.set_password(GSI, f"{NEW} 2")
        await alice.connection.change_password(f"{NEW} 3")
    assert "accountjid" in caplog.text
    assert "battery" not in caplog.text


# --- by the account itself


async def test_an_account_changes_its_own_password_and_comes_back_with_it(world: World) -> None:
    async with world.party(CERN) as cern:
        await cern.up()
        await cern.connection.change_password(NEW)
        assert cern.connection.password_works == 0
        assert await logs_in(world, CERN, NEW)
        assert not await logs_in(world, CERN, PASSWORD)
        cern.ear.forget()
        await world.server.restart()
        await cern.ear.wait(Online)
        assert cern.connection.password_works == 0
        assert not [event for event in cern.ear.all(Offline) if event.fault == "not-authorized"]


async def test_a_refused_password_is_followed_by_the_next_one_soon(world: World) -> None:
    async with world.party(CERN, password="was once right", spare=("never right", PASSWORD)) as cern:
        await cern.ear.wait(Online)
        first, second = cern.ear.all(Offline)
        assert first.reason.endswith("check the password of this account; the next one is tried")
        assert max(first.retry_in, second.retry_in) <= QUICK.retry_most
        assert cern.connection.password_works == 2


async def test_when_all_passwords_are_refused_the_next_try_is_slow(world: World) -> None:
    async with world.party(CERN, password="wrong", spare=("wrong too",)) as cern:
        await cern.ear.wait(Offline, lambda event: event.retry_in >= QUICK.retry_refused / 2)
        assert [event.retry_in < 1 for event in cern.ear.all(Offline)] == [True, False]
        assert not cern.ear.all(Offline)[-1].reason.endswith("tried")


async def test_the_password_that_was_before_the_change_stays_a_spare(world: World) -> None:
    async with world.party(CERN) as cern, world.party(ALICE) as alice:
        await cern.up()
        await alice.up()
        await cern.connection.change_password(NEW)
        await alice.connection.set_password(CERN, PASSWORD)
        cern.ear.forget()
        await world.server.restart()
        await cern.ear.wait(Online)
        assert cern.connection.password_works == 1


class OneWay(Relay):
    """Carries to the server what is said, and keeps from then on what the server answers."""

    def deafen(self, on: bool) -> None:
        self._deaf = on

    async def visit(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._deaf, self._near = False, writer
        await super().visit(reader, writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(65536):
            if not (self._deaf and writer is self._near):
                writer.write(data)
        writer.close()


async def test_an_answer_that_is_lost_leaves_both_passwords_to_try(world: World) -> None:
    times = replace(QUICK, ask=0.5, ping_every=60)
    async with OneWay(world.server.c2s_port) as relay, world.party(CERN, port=relay.port, times=times) as cern:
        await cern.settled()
        relay.deafen(True)
        error = await refusal(cern.connection.change_password(NEW))
        assert error.condition == "timeout"
        cern.ear.forget()
        relay.deafen(False)
        await world.server.restart()  # no session to resume, which would need no password
        await cern.ear.wait(Online)
        assert cern.connection.password_works == 1
        assert [event.fault for event in cern.ear.all(Offline)][-1] == "not-authorized"
        assert await logs_in(world, CERN, NEW)


async def test_a_visit_tries_the_next_password_too_and_tells_which_one_opened_the_door(world: World) -> None:
    context = tls_context(world.server.ca_file)
    async with visiting(world.login(CERN, password="was once right", spare=(PASSWORD,)), context) as visit:
        assert visit.password_works == 1
    with pytest.raises(Unreachable, match="refuses the name or password"):
        async with visiting(world.login(CERN, password="wrong", spare=("wrong too",)), context):
            pass


async def test_the_server_tells_its_time(world: World) -> None:
    async with world.party(CERN) as cern:
        await cern.up()
        assert abs(await cern.connection.server_time() - time.time()) < 5
