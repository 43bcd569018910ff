"""`amon sites`: the fleet by presence."""

import asyncio
import json

import pytest

from admin_console.fleet import show_sites
from admin_console.report import JsonFace
from admin_console.rooms import create_room, remove_from_room
from admin_console.session import in_fleet
from admin_console.wish import NobodyMeant
from amon.target import parse
from tests.admin_console.ground import BOB, SERVERS, Ground, noted, pipe, said
from tests.admin_console.programs import AMON

ILL = "[instance.odd.settings]\nwell = false\n"


async def test_everybody_is_shown_with_health_version_modules_and_tags(ground: Ground) -> None:
    await ground.site("cern", tags='tags = { tier = "0" }')
    await ground.site("fnal", ILL)
    await ground.member("away")
    face = pipe()
    await show_sites(ground.console(), face, parse("all"))
    lines = [line.split() for line in said(face).splitlines()]
    assert [line[:2] for line in lines] == [
        ["site", "health"], ["fnal", "crit"], ["away", "offline"], ["cern", "ok"],
    ]  # fmt: skip
    assert lines[0][2:] == ["status", "agent", "modules", "tags", "changed"]
    assert {"odd", "tier=0", "0.1.0.dev0"} <= set(lines[3])
    assert lines[3][-1] == "ago"
    assert "CRIT" in lines[1]


async def test_a_target_chooses_and_one_that_fits_nobody_is_told(ground: Ground) -> None:
    await ground.site("cern", tags='tags = { tier = "0" }')
    await ground.member("away")
    face = pipe()
    await show_sites(ground.console(), face, parse("tag:tier=0"))
    assert [line.split()[0] for line in said(face).splitlines()] == ["site", "cern"]
    with pytest.raises(NobodyMeant, match="no site named 'cren'"):
        await show_sites(ground.console(), pipe(), parse("cren"))


async def test_json_has_all_of_it(ground: Ground) -> None:
    await ground.site("fnal", ILL, tags='tags = { tier = "1" }')
    await ground.member("away")
    face = JsonFace(pipe().out, pipe().notes)
    await show_sites(ground.console(), face, parse("all"))
    document = json.loads(said(face))
    assert document["counts"] == {"crit": 1, "offline": 1}
    fnal, away = document["sites"]
    assert (fnal["site"], fnal["health"], fnal["tags"], fnal["modules"]) == ("fnal", "crit", {"tier": "1"}, ["odd"])
    assert fnal["bad"] == [{"name": "odd/disk", "level": "crit", "state": "down"}]
    assert (away["online"], away["health"], away["changed"]) == (False, "offline", None)


async def test_what_was_learnt_is_remembered_for_completion(ground: Ground) -> None:
    await ground.site("cern", tags='tags = { tier = "0" }')
    console = ground.console()
    await show_sites(console, pipe(), parse("all"))
    memory = console.cache.everything()
    assert (memory.names, memory.tags, memory.modules) == (("cern",), ["tier=0"], ["odd"])


async def test_a_reader_that_goes_away_is_no_trouble(ground: Ground) -> None:
    for name in ("cern", "fnal"):
        await ground.member(name)
    words = [*AMON, "--config", str(ground.console().config), "run", "all", "status"]
    process = await asyncio.create_subprocess_exec(
        "sh", "-c", '"$@" | head -n 0', "sh", *words, stderr=asyncio.subprocess.PIPE, stdin=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(20):
        _, complaint = await process.communicate()
    assert complaint == b""


@pytest.mark.parametrize("ground", SERVERS, indirect=True)
async def test_a_site_that_is_up_and_does_not_let_us_see_it_is_hidden_and_not_offline(ground: Ground) -> None:
    await ground.site("cern")
    await ground.site("kek", policy=f'admin = ["{BOB}"]')
    await ground.member("away")
    for _ in range(2):  # at the first login it is asked, at the second its word is known
        face = pipe()
        await show_sites(ground.console(), face, parse("all"))
        lines = [line.split(maxsplit=2) for line in said(face).splitlines()]
        assert [line[:2] for line in lines[1:]] == [["away", "offline"], ["kek", "hidden"], ["cern", "ok"]]
        assert lines[2][2].startswith("not in this site's policy; ask its owner")
    document = JsonFace(pipe().out, pipe().notes)
    await show_sites(ground.console(), document, parse("kek"))
    assert json.loads(said(document))["counts"] == {"hidden": 1}


@pytest.mark.parametrize("ground", SERVERS, indirect=True)
async def test_a_site_that_left_the_room_leaves_the_contacts_and_others_stay(ground: Ground) -> None:
    cern, gone = await ground.member("cern"), await ground.member("gone")
    async with in_fleet(ground.console()) as session:
        await session.connection.subscribe(BOB, "bob", ("Friends",))
    await remove_from_room(ground.console(), [gone])
    async with in_fleet(ground.console()) as session:
        assert {contact.jid for contact in await session.connection.roster()} == {cern, BOB}


async def test_two_sites_of_one_name_are_named_with_what_to_do(ground: Ground) -> None:
    await ground.member("cern")
    await create_room(ground.console(), ["cern@elsewhere.example"], [])
    face = pipe()
    await show_sites(ground.console(), face, parse("all"))
    assert "cern@agents.amon.test, cern@elsewhere.example: a target knows sites by the name" in noted(face)
    with pytest.raises(NobodyMeant, match=r"cern@agents.amon.test, cern@elsewhere.example: .*; nothing was sent"):
        await show_sites(ground.console(), pipe(), parse("cern"))
