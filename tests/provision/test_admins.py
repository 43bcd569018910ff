"""`amon admin add|remove` on real servers: account, room, contacts and policy, step by step."""

import asyncio
import stat
from dataclasses import replace

import pytest

from admin_console.policy.desk import PolicyDesk, grants_of
from admin_console.policy.signing import LASTS
from admin_console.provision.admins import NewAccount, add_admin, remove_admin
from admin_console.provision.desk import opens
from admin_console.session import in_fleet, logged_in
from amon.errors import Failed, Invalid
from amon.fields import Secret
from amon.target import All
from tests.provision.office import ALICE, OPS, PASSWORD, Office, lines
from tests.provision.test_approve import said_yes

BOB, CAROL = "bob@amon.test", "carol@amon.test"


class Policy:
    """The policy that all sites read, as far as this needs one."""

    def __init__(self, trouble: str = "") -> None:
        self.said: list[tuple[str, ...]] = []
        self.trouble = trouble

    async def grant(self, jid: str, role: str) -> str:
        self.said.append(("grant", jid, role))
        return self._done()

    async def withdraw(self, jid: str) -> str:
        self.said.append(("withdraw", jid))
        return self._done()

    def _done(self) -> str:
        if self.trouble:
            raise Failed(self.trouble)
        return "in the policy of all sites"


async def admins(office: Office) -> set[str]:
    async with office.session() as session:
        return {member.jid for member in await session.connection.members(OPS, ("admin",))}


def new_account(shown: list[str]) -> NewAccount:
    return NewAccount(None, shown.append)


async def test_a_new_admin_gets_account_room_contacts_and_policy_at_once(office: Office) -> None:
    await office.fleet_of("cern")
    shown: list[str] = []
    policy = Policy()
    steps = await add_admin(office.desk(), BOB, "operator", account=new_account(shown), grants=policy)
    assert not steps.failed, steps.done
    assert [step.what for step in steps.done] == ["account", "password", "room", "policy", "contacts"]
    assert policy.said == [("grant", BOB, "operator")]
    (password,) = shown
    assert await opens(office.desk(), BOB, password)
    assert await admins(office) == {BOB}
    assert password not in "".join(office.said)
    assert office.desk().book.read().people[BOB].account


async def test_without_a_policy_of_all_sites_the_line_that_each_one_needs_is_told(office: Office) -> None:
    await office.server.add_account(BOB, PASSWORD)
    steps = await add_admin(office.desk(), BOB, "admin")
    (told,) = [step.text for step in steps.done if step.what == "policy"]
    assert 'below [account.main.policy] of agent.toml admin = [..., "bob@amon.test"]' in told
    gone = await remove_admin(office.desk(), BOB)
    assert 'policy: each site\'s own: "bob@amon.test" out of [account.main.policy]' in "\n".join(lines(gone))


async def test_the_password_goes_to_a_file_that_nobody_else_reads_and_replaces_none(office: Office) -> None:
    file = office.folder / "bob.password"
    steps = await add_admin(office.desk(), BOB, "operator", account=NewAccount(file, lambda text: None))
    assert not steps.failed
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert await opens(office.desk(), BOB, file.read_text().strip())
    with pytest.raises(Failed, match=r"bob.password is there already; next: another file"):
        await add_admin(office.desk(), CAROL, "operator", account=NewAccount(file, lambda text: None))
    assert CAROL not in await admins(office)


async def test_a_removed_admin_has_nothing_left_and_the_others_everything(office: Office) -> None:
    await office.fleet_of("cern")
    shown: list[str] = []
    for jid in (BOB, CAROL):
        await add_admin(office.desk(), jid, "operator", account=new_account(shown))
    policy = Policy()
    steps = await remove_admin(office.desk(), BOB, grants=policy)
    assert not steps.failed, steps.done
    assert policy.said == [("withdraw", BOB)]
    assert not await opens(office.desk(), BOB, shown[0])
    assert await opens(office.desk(), CAROL, shown[1])
    assert await admins(office) == {CAROL}
    assert set(office.desk().book.read().people) == {CAROL}
    assert not (await remove_admin(office.desk(), BOB, delete_account=True)).failed, "said again it finds nothing to do"
    await office.online("cern")


async def test_an_account_that_amon_did_not_make_stays_unless_somebody_says_so(office: Office) -> None:
    await office.server.add_account(BOB, PASSWORD)
    await add_admin(office.desk(), BOB, "operator")
    steps = await remove_admin(office.desk(), BOB)
    assert "account: stays, amon did not make it; next: amon admin remove bob@amon.test --delete-account" in lines(
        steps
    )
    assert await opens(office.desk(), BOB, PASSWORD)
    await remove_admin(office.desk(), BOB, delete_account=True)
    assert not await opens(office.desk(), BOB, PASSWORD)


async def test_a_step_that_fails_keeps_no_other_from_being_done_and_is_not_forgotten(office: Office) -> None:
    await add_admin(office.desk(), BOB, "operator", account=new_account([]))
    steps = await remove_admin(office.desk(), BOB, grants=Policy("the policy's key is not here"))
    assert [step.what for step in steps.failed] == ["policy"]
    assert await admins(office) == set()
    assert BOB in office.desk().book.read().people
    again = await remove_admin(office.desk(), BOB, grants=Policy())
    assert not again.failed
    assert lines(again)[0] == "account: was gone already"


async def test_an_account_that_is_there_is_not_taken_over(office: Office) -> None:
    await office.server.add_account(BOB, PASSWORD)
    steps = await add_admin(office.desk(), BOB, "operator", account=new_account([]))
    assert "there is an account bob@amon.test already; next: leave --new-account away" in str(steps.failed[0])
    assert await opens(office.desk(), BOB, PASSWORD)
    assert await admins(office) == set()


@pytest.mark.parametrize(
    ("jid", "why"),
    [
        ("cern@agents.amon.test", "is in the domain of sites, and no site obeys another"),
        ("amon.test", "is no account such as bob@amon.test"),
        ("bob@elsewhere.org", "accounts for people are made at amon.test, and not at elsewhere.org"),
    ],
)
async def test_who_cannot_be_an_admin_is_refused_before_anything_is_done(office: Office, jid: str, why: str) -> None:
    with pytest.raises(Invalid, match=why):
        await add_admin(office.desk(), jid, "operator", account=new_account([]))
    assert await admins(office) == set()
    assert office.desk().book.read().people == {}


async def test_nobody_removes_himself(office: Office) -> None:
    with pytest.raises(Invalid, match=r"you are alice@amon.test and cannot remove yourself"):
        await remove_admin(office.desk(), ALICE)


async def test_whoever_is_taken_out_of_the_policy_sees_no_site_any_more_though_he_keeps_his_account(
    office: Office,
) -> None:
    made = await asyncio.create_subprocess_exec(
        "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(office.folder / "org")
    )
    assert await made.wait() == 0
    line = (office.folder / "org.pub").read_text().strip()
    office.more = f'organisation = ["{line}"]\norganisation_key = "{office.folder}/org"\n'
    await office.fleet_of("cern")
    policy = PolicyDesk.of(office.console())
    policy.init()
    await policy.push(All(), again=False, lasts=LASTS, agree=said_yes)
    await office.server.add_account(BOB, PASSWORD)
    grants = grants_of(office.console())
    assert not (await add_admin(office.desk(), BOB, "operator", grants=grants)).failed
    async with asyncio.timeout(30), in_fleet(office.console(BOB)) as session:
        while not session.fleet.sites["cern"].online:
            session.fleet.changed.clear()
            await session.fleet.changed.wait()
    assert not (await remove_admin(office.desk(), BOB, grants=grants)).failed
    async with asyncio.timeout(30), logged_in(office.console(BOB)) as session:
        while any(contact.seen for contact in await session.connection.roster()):  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # the agent's word is under way


async def test_what_an_admin_learns_of_a_site_is_for_its_policy_to_say(office: Office) -> None:
    """In the room and in the contact list is not enough: a site whose policy does not name him is hidden to him."""
    await office.fleet_of("cern")
    shown: list[str] = []
    await add_admin(office.desk(), BOB, "operator", account=new_account(shown))
    console = office.console(BOB)
    console = replace(console, settings=replace(console.settings, password=Secret(shown[0])))
    async with asyncio.timeout(30), in_fleet(console) as session:
        (site,) = session.sites()
        assert (site.name, site.online) == ("cern", False)
