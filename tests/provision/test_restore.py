"""A server that was lost or moved: its sites come back by themselves, and nobody enrolls again."""

import asyncio
import os
import shutil
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from admin_console.provision.admins import NewAccount, add_admin
from admin_console.provision.desk import opens
from admin_console.provision.restoring import restore
from admin_console.rooms import show_room
from admin_console.server import Ports, PrivateServer
from amon.errors import Failed
from amon.xmpp.connection import Connection
from amon.xmpp.events import Offline
from amon.xmpp.login import Times
from site_agent.enroll import Ear
from tests.provision.office import ALICE, PASSWORD, Office, lines
from tests.servers.ejabberd import EjabberdServer

NAMES = ("cern", "gsi", "ral")


async def lose_everything(office: Office) -> None:
    """The server dies, and with it its accounts, rooms and rosters; the certificate authority is in a safe."""
    server = office.server
    server.kill()
    await server.stop()
    for left in server.folder.iterdir():
        if left.name != "certs":
            shutil.rmtree(left) if left.is_dir() else left.unlink()


def elsewhere(office: Office) -> PrivateServer | EjabberdServer:
    """The new server while it is filled: at a port that no site connects to."""
    kind = type(office.server)
    return kind(office.server.folder, admins=(ALICE,))


async def own_passwords(office: Office) -> dict[str, str]:
    return {name: office.place(name).passwords.path.read_text().strip() for name in NAMES}


@pytest.mark.timeout(240)
async def test_a_lost_server_is_restored_and_its_sites_come_back_without_enrolling(office: Office) -> None:
    await office.fleet_of(*NAMES)
    new_account = NewAccount(office.folder / "bob.password", lambda text: None)
    await add_admin(office.desk(), "bob@amon.test", "operator", account=new_account)
    before = await own_passwords(office)
    pids = {name: office.agents[name].pid for name in NAMES}
    await lose_everything(office)
    fresh = elsewhere(office)
    async with fresh:
        await fresh.add_account(ALICE, PASSWORD)
        steps = await restore(office.desk(port=fresh.c2s_port))
        assert not steps.failed, steps.done
        done = [step.what for step in steps.done]
        assert done == ["accounts of sites", "accounts of people", "room", "members and admins"]
        assert steps.done[0].text == "3 made, 0 were there"
    await office.server.start()  # the same accounts, now where the sites look for them
    await office.online(*NAMES, within=100)
    assert {name: office.agents[name].pid for name in NAMES} == pids, "the same processes, started once"
    async with asyncio.timeout(30):
        while before.items() & (await own_passwords(office)).items():  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # files of other processes
    for name, own in (await own_passwords(office)).items():
        assert await opens(office.desk(), f"{name}@agents.amon.test", own)
        recovery = office.place(name).passwords.recovery.read_text().strip()
        assert not await opens(office.desk(), f"{name}@agents.amon.test", recovery), "it was changed at once"
    listing = await show_room(office.console())
    assert ("admin", "bob@amon.test") in listing.grid.rows
    new = (office.folder / "passwords" / "bob@amon.test").read_text().strip()
    assert await opens(office.desk(), "bob@amon.test", new)


async def test_said_to_a_server_that_has_everything_it_changes_nothing(office: Office) -> None:
    await office.fleet_of("cern")
    own = office.place("cern").passwords.path.read_text().strip()
    steps = await restore(office.desk())
    assert lines(steps)[0] == "accounts of sites: 0 made, 1 were there"
    assert await opens(office.desk(), "cern@agents.amon.test", own)
    await office.online("cern")


class Refusals(Ear):
    """Hears how long each wait is."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def offline(self, event: Offline) -> None:
        self.waits.append(event.retry_in)


async def test_the_next_password_is_tried_soon_however_long_the_server_was_away(office: Office) -> None:
    invitation = await office.invite("cern")
    login = replace(
        office.desk().login(invitation.jid, "wrong"),
        spare=("no2", "no3", "no4", "no5", invitation.password),
    )
    ear, times = Refusals(), Times(retry_first=0.01)
    connection = Connection(login, ear, context=office.desk().trust(), random=Random(1), times=times)
    life = asyncio.create_task(connection.run())
    try:
        async with asyncio.timeout(20):
            await connection.wait_online()
    finally:
        life.cancel()
        await asyncio.wait([life])
    assert len(ear.waits) == 5
    assert max(ear.waits) <= times.retry_first, "the waits of a lost connection grow; these do not"


@pytest.mark.timeout(240)
async def test_a_server_that_came_back_with_old_data_lets_in_who_changed_his_password_since(office: Office) -> None:
    await office.fleet_of("cern", "gsi")
    server, backup = office.server, office.folder / "backup"
    await server.stop()
    shutil.copytree(server.folder, backup)
    await server.start()
    await office.online("cern", "gsi", within=100)
    path = office.place("cern").passwords.path
    old = path.read_text()
    os.utime(path, (1, 1))
    await changed(path, old)
    newer = path.read_text()
    await server.stop()
    shutil.rmtree(server.folder)
    shutil.copytree(backup, server.folder)
    async with elsewhere(office) as fresh:
        steps = await restore(office.desk(port=fresh.c2s_port), from_backup=True)
        assert steps.done[0].text == "0 made, 2 were there, 2 of them given their first secret again"
    await server.start()
    await office.online("cern", "gsi", within=100)
    await changed(path, newer)
    own = path.read_text()
    assert lines(await restore(office.desk(), from_backup=True))[0] == "accounts of sites: 0 made, 2 were there"
    assert await opens(office.desk(), "cern@agents.amon.test", own.strip()), "who is there keeps his password"


async def changed(path: Path, before: str) -> None:
    async with asyncio.timeout(30):
        while path.read_text() == before:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # the file of another process


async def test_a_revoked_site_is_not_restored(office: Office) -> None:
    await office.invite("cern")
    desk = office.desk()
    entry = desk.book.site("cern")
    desk.book.put(replace(entry, state="revoked"))
    async with office.session() as session:
        await session.connection.delete_account(entry.jid)
    assert lines(await restore(desk))[0] == "accounts of sites: 0 made, 0 were there"
    assert not await opens(desk, entry.jid, entry.secret)


async def test_an_empty_book_is_no_base_for_a_restore(office: Office) -> None:
    with pytest.raises(Failed, match=r"the fleet book .* is empty; next: book = FILE"):
        await restore(office.desk())


async def test_who_is_no_admin_of_the_new_server_is_told_and_nothing_is_half_done(office: Office) -> None:
    await office.invite("cern")
    await office.server.add_account("bob@amon.test", PASSWORD)
    steps = await restore(office.desk("bob@amon.test"))
    assert steps.failed[0].what == "accounts of sites"
    assert "bob@amon.test is no admin of agents.amon.test" in steps.failed[0].text


@pytest.mark.timeout(180)
async def test_a_server_that_was_moved_with_its_data_needs_nothing_at_all(tmp_path: Path) -> None:
    first = PrivateServer(tmp_path / "server", admins=(ALICE,), iterations=4096)
    async with first:
        office = Office(first, tmp_path)
        try:
            await office.open()
            await office.fleet_of("cern", "gsi")
            await first.stop()
            shutil.copytree(tmp_path / "server", tmp_path / "moved")
            shutil.rmtree(tmp_path / "server")
            ports = Ports(first.c2s_port, first.tls_port)
            async with PrivateServer(tmp_path / "moved", admins=(ALICE,), ports=ports) as moved:
                office.server = moved
                await office.online("cern", "gsi", within=100)
                moved.kill()
        finally:
            await office.close()
