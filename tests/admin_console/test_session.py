"""Why there is no session: every reason has its own words and its next step."""

import asyncio
import socket
from pathlib import Path

import pytest

from admin_console.rooms import add_to_room, create_room, remove_from_room, show_room
from admin_console.server.certificate import certificate
from admin_console.server.child import free_port
from admin_console.session import Setup, in_fleet
from amon.errors import Failed, Invalid
from amon.xmpp.login import Times
from tests.admin_console.ground import ALICE, BOB, OPS, SERVERS, Ground

QUICK = Times(connect=0.5, login=0.5)


async def why(console: Setup) -> str:
    """The reason why this console does not come up."""
    with pytest.raises(Failed) as failed:
        async with asyncio.timeout(20), in_fleet(console):
            pass
    return str(failed.value)


async def test_a_wrong_password(ground: Ground) -> None:
    said = await why(ground.console(password="battery staple"))
    assert "refuses the name or password of alice@amon.test" in said
    assert "next: put the right password into" in said
    assert "battery" not in said


async def test_a_server_that_another_authority_vouches_for(ground: Ground, tmp_path: Path) -> None:
    other = certificate(tmp_path / "other", ("example.org",), "127.0.0.1")
    said = await why(ground.console(ca_file=str(other.ca)))
    assert "signed by a CA that is not trusted here" in said
    assert "no password was sent" in said
    assert "next: set `ca_file` in" in said


async def test_no_server_there(ground: Ground) -> None:
    said = await why(ground.console(port=free_port("127.0.0.1")))
    assert "nothing accepts connections at 127.0.0.1" in said
    assert "next: look at `host` and `port` in" in said


async def test_something_else_listens_there(ground: Ground) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        console = ground.console(port=silent.getsockname()[1])
        quick = Setup(console.settings, console.config, console.cache, console.clock, QUICK)
        assert "next:" in await why(quick)


async def test_a_domain_that_the_server_does_not_serve(ground: Ground) -> None:
    said = await why(ground.console("alice@example.org"))
    assert "next:" in said


async def test_a_room_that_does_not_exist(ground: Ground) -> None:
    said = await why(ground.console(room="none@rooms.amon.test"))
    assert "there is no such room" in said
    assert said.endswith("next: amon room create")


async def test_a_room_that_lets_only_members_in(ground: Ground) -> None:
    await ground.server.add_account("eve@amon.test", "correct horse")
    said = await why(ground.console("eve@amon.test"))
    assert "only members may" in said
    assert said.endswith("next: an owner of it runs amon room create --admin eve@amon.test")


async def test_a_plain_member_is_no_admin(ground: Ground) -> None:
    await ground.server.add_account("eve@amon.test", "correct horse")
    await add_to_room(ground.console(), "eve@amon.test", "member")
    said = await why(ground.console("eve@amon.test"))
    assert "eve@amon.test is no admin of the room ops@rooms.amon.test" in said
    assert "next: an owner of it runs amon room create --admin eve@amon.test" in said


async def test_two_consoles_of_one_person_do_not_disturb_each_other(ground: Ground) -> None:
    await ground.site("cern")
    first, second = await asyncio.gather(ground.run("all", "odd echo one"), ground.run("all", "odd echo two"))
    assert [row.text for row in (*first.book.rows(), *second.book.rows())] == ["one", "two"]


async def test_a_room_can_be_made_again_and_keeps_who_was_in_it(ground: Ground) -> None:
    cern = await ground.member("cern")
    said = await create_room(ground.console(), ["fnal@agents.amon.test"], [BOB])
    listed = "members: fnal@agents.amon.test; admins: bob@amon.test"
    assert said == f"{OPS} is ready: members-only, real addresses shown; {listed}"
    listing = await show_room(ground.console())
    grid, (line,) = listing.grid, listing.lines
    assert set(grid.rows) == {
        ("owner", ALICE), ("admin", BOB), ("member", cern), ("member", "fnal@agents.amon.test"),
    }  # fmt: skip
    assert line == f"{OPS} is safe: members-only, real addresses shown"


async def test_a_member_without_a_name_before_the_at_is_refused_and_nothing_is_changed(ground: Ground) -> None:
    before = (await show_room(ground.console())).grid
    with pytest.raises(Invalid, match="'fnal' is no account such as site-1@agents"):
        await create_room(ground.console(), ["desy@agents.amon.test", "fnal"], [])
    assert (await show_room(ground.console())).grid.rows == before.rows


async def test_who_may_not_make_a_room_is_told(ground: Ground) -> None:
    with pytest.raises(Failed, match=r"could not be entered|only an owner"):
        await create_room(ground.console(BOB, room="mine@rooms.amon.test"), [], [])


@pytest.mark.parametrize("ground", SERVERS, indirect=True)
async def test_members_and_admins_are_taken_out_of_the_room_again(ground: Ground) -> None:
    cern, fnal = await ground.member("cern"), await ground.member("fnal")
    assert await remove_from_room(ground.console(), [cern.upper(), BOB]) == f"taken out of {OPS}: {cern}, {BOB}"
    grid = (await show_room(ground.console())).grid
    assert set(grid.rows) == {("owner", ALICE), ("member", fnal)}


@pytest.mark.parametrize("ground", SERVERS, indirect=True)
async def test_nobody_is_taken_out_if_one_name_is_wrong_or_our_own_or_above_us(ground: Ground) -> None:
    cern = await ground.member("cern")
    before = (await show_room(ground.console())).grid
    with pytest.raises(Failed, match=r"kek@x.example has no standing in .*; nothing was changed"):
        await remove_from_room(ground.console(), [cern, "kek@x.example"])
    with pytest.raises(Invalid, match="cannot take yourself out"):
        await remove_from_room(ground.console(), [cern, ALICE])
    with pytest.raises(Failed, match="only an owner"):
        await remove_from_room(ground.console(BOB), [cern, ALICE])
    assert (await show_room(ground.console())).grid.rows == before.rows
