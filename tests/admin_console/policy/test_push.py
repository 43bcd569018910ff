"""The policy of a fleet end to end: signed by the real ssh-keygen, brought to real agents, obeyed by all of them."""

import asyncio
from pathlib import Path

import pytest

from admin_console.policy.desk import FleetGrants, PolicyDesk, grants_of, told
from admin_console.policy.report import document, state_of
from admin_console.policy.signing import LASTS
from amon.errors import Failed
from amon.target import All
from tests.admin_console.ground import ALICE, BOB, SERVERS, Ground, pipe, states
from tests.admin_console.test_run_signed import key


async def yes(change: str, question: str) -> bool:
    return True


async def desk_of(ground: Ground, organisation: Path, file: str = "policy.toml") -> PolicyDesk:
    console = ground.console(organisation_key=str(organisation), policy=str(ground.folder / file))
    return PolicyDesk.of(console)


async def site(ground: Ground, name: str, organisation: Path, policy: str = f'owner = ["{BOB}"]') -> None:
    line = organisation.with_suffix(".pub").read_text().strip()
    await ground.site(name, policy=policy, more=f'organisation = ["{line}"]')


async def push(desk: PolicyDesk, *, again: bool = False) -> str:
    return told(*await desk.push(All(), again=again, lasts=LASTS, agree=yes))


async def may(ground: Ground, jid: str) -> dict[str, str]:
    return states(await ground.run("all", "odd keep it", jid=jid, yes=True, face=pipe()))


@pytest.mark.parametrize("ground", SERVERS, indirect=True)
async def test_a_policy_is_brought_to_all_sites_and_takes_the_place_of_what_they_grant(ground: Ground) -> None:
    organisation = await key(ground, "organisation")
    for name in ("cern", "fnal"):
        await site(ground, name, organisation)
    assert await may(ground, BOB) == {"cern": "done", "fnal": "done"}
    desk = await desk_of(ground, organisation)
    desk.init()
    assert (await push(desk)).startswith("policy 1 is in force at 2 of 2 sites until ")
    assert await may(ground, ALICE) == {"cern": "done", "fnal": "done"}
    assert await may(ground, BOB) == {"cern": "refused", "fnal": "refused"}
    last, sites = await desk.show(All())
    assert {one.site: state_of(last, one) for one in sites} == {"cern": "in force", "fnal": "in force"}
    said = document(last, sites)
    assert [one["serial"] for one in said["sites"]] == [1, 1]


async def test_a_person_comes_and_goes_at_all_sites_at_once(ground: Ground) -> None:
    organisation = await key(ground, "organisation")
    await site(ground, "cern", organisation)
    desk = await desk_of(ground, organisation)
    desk.init()
    await push(desk)
    grants = grants_of(desk.console)
    assert isinstance(grants, FleetGrants)
    assert "policy 2 is in force at 1 of 1" in await grants.grant(BOB, "operator")
    assert await may(ground, BOB) == {"cern": "done"}
    assert "says so already" in await grants.grant(BOB, "operator")
    assert "policy 3 is in force at 1 of 1" in await grants.withdraw(BOB)
    assert await may(ground, BOB) == {"cern": "refused"}


async def test_a_site_that_was_away_gets_it_with_the_next_push(ground: Ground) -> None:
    organisation = await key(ground, "organisation")
    await site(ground, "cern", organisation)
    await ground.member("away")
    desk = await desk_of(ground, organisation)
    desk.init()
    assert (await push(desk)).endswith("when the others are back: amon policy push --again")
    last, sites = await desk.show(All())
    assert {one.site: state_of(last, one) for one in sites}["away"].startswith("not known")
    await site_again(ground, "away", organisation)
    await push(desk, again=True)
    _, sites = await desk.show(All())
    assert {one.site: one.serial for one in sites} == {"away": 1, "cern": 1}


async def site_again(ground: Ground, name: str, organisation: Path) -> None:
    """A member since long, whose agent starts now."""
    await site(ground, name, organisation)


async def test_a_policy_that_others_signed_is_taken_by_no_site(ground: Ground) -> None:
    organisation, other = await key(ground, "organisation"), await key(ground, "other")
    await site(ground, "cern", organisation)
    await ground.site("fnal", policy=f'owner = ["{ALICE}"]')
    desk = await desk_of(ground, other)
    desk.init()
    with pytest.raises(Failed, match="not taken by cern, fnal"):
        await push(desk)
    _, report = await desk.push(All(), again=True, lasts=LASTS, agree=yes)
    assert states(report) == {"cern": "refused", "fnal": "refused"}
    assert "no key of `organisation`" in report.book["cern"].text
    assert await may(ground, BOB) == {"cern": "done", "fnal": "refused"}


async def test_an_older_policy_does_not_come_back(ground: Ground) -> None:
    organisation = await key(ground, "organisation")
    await site(ground, "cern", organisation)
    desk = await desk_of(ground, organisation)
    desk.init()
    await push(desk)
    old = desk.shelf.last()
    assert old is not None
    desk.source.grant(BOB, "admin")
    await push(desk)
    (desk.shelf.folder / "2.toml").unlink()
    with pytest.raises(Failed, match="not taken by cern"):
        await push(desk, again=True)
    assert await may(ground, BOB) == {"cern": "done"}


async def test_another_console_signs_with_the_next_number(ground: Ground) -> None:
    organisation = await key(ground, "organisation")
    await site(ground, "cern", organisation)
    first = await desk_of(ground, organisation)
    first.init()
    await push(first)
    (ground.folder / "elsewhere").mkdir()
    second = await desk_of(ground, organisation, "elsewhere/policy.toml")
    second.init()
    second.source.grant(BOB, "operator")
    assert "policy 2 is in force at 1 of 1" in await push(second)


async def test_who_does_not_say_yes_has_signed_nothing(ground: Ground) -> None:
    organisation = await key(ground, "organisation")
    await site(ground, "cern", organisation)
    desk = await desk_of(ground, organisation)
    desk.init()
    asked: list[tuple[str, str]] = []

    async def no(change: str, question: str) -> bool:
        asked.append((change, question))
        return False

    with pytest.raises(Failed, match="not signed"):
        await desk.push(All(), again=False, lasts=LASTS, agree=no)
    ((change, question),) = asked
    assert f'+owner = ["{ALICE}"]' in change
    assert "to 1 sites?" in question or "to 1 site?" in question
    assert desk.shelf.last() is None


async def test_without_the_organisations_key_the_next_step_is_told(ground: Ground) -> None:
    organisation = await key(ground, "organisation")
    await site(ground, "cern", organisation)
    desk = PolicyDesk.of(ground.console(policy=str(ground.folder / "policy.toml")))
    desk.init()
    with pytest.raises(Failed, match="organisation_key"):
        await push(desk)
    assert grants_of(desk.console) is None


async def test_the_command_line_does_the_same(ground: Ground) -> None:
    organisation = await key(ground, "organisation")
    await site(ground, "cern", organisation)
    console = ground.console(organisation_key=str(organisation), policy=str(ground.folder / "policy.toml"))

    async def amon(*words: str) -> tuple[int, str]:
        from tests.e2e.test_client import AMON

        process = await asyncio.create_subprocess_exec(
            AMON, "--config", str(console.config), "policy", *words,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        out, _ = await process.communicate()
        return process.returncode or 0, out.decode()

    assert (await amon("init"))[0] == 0
    assert (await amon("grant", BOB, "operator"))[0] == 0
    code, out = await amon("check")
    assert (code, f'+operator = ["{BOB}"]' in out) == (0, True)
    code, out = await amon("push")
    assert (code, "next: --yes" in out) == (1, True)
    code, out = await amon("push", "--yes")
    assert (code, "policy 1 is in force until" in out) == (0, True)
    code, out = await amon("show")
    assert (code, "in force" in out) == (0, True)
    assert (await amon("withdraw", BOB))[0] == 0
    assert await may(ground, BOB) == {"cern": "done"}


async def test_a_policy_that_was_never_signed_is_not_signed_by_the_way(ground: Ground) -> None:
    """It would take away what every site grants by itself; nobody who adds a person means that."""
    organisation = await key(ground, "organisation")
    await site(ground, "cern", organisation)
    desk = await desk_of(ground, organisation)
    desk.init()
    grants = grants_of(desk.console)
    assert grants is not None
    with pytest.raises(Failed, match="never signed"):
        await grants.grant(BOB, "operator")
    assert desk.shelf.last() is None
    assert f'operator = ["{BOB}"]' in desk.source.text()


async def test_whoever_is_about_to_take_every_right_from_himself_is_told(ground: Ground) -> None:
    organisation = await key(ground, "organisation")
    await site(ground, "cern", organisation)
    desk = await desk_of(ground, organisation)
    desk.init()
    desk.source.path.write_text(desk.source.text().replace(f'owner = ["{ALICE}"]', f'owner = ["{BOB}"]'))
    shown: list[str] = []

    async def look(change: str, question: str) -> bool:
        shown.append(change)
        return False

    with pytest.raises(Failed, match="not signed"):
        await desk.push(All(), again=False, lasts=LASTS, agree=look)
    assert f"after this {ALICE} may nothing at any site" in shown[0]
    desk.source.grant(ALICE, "observer")
    with pytest.raises(Failed, match="not signed"):
        await desk.push(All(), again=False, lasts=LASTS, agree=look)
    assert "may nothing" not in shown[1]
