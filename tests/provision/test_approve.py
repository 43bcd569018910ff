"""`amon approve` and `amon revoke` with agents as processes: nobody is in before, one alone is out after."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest

from admin_console.policy.desk import PolicyDesk, grants_of
from admin_console.policy.signing import LASTS
from admin_console.provision.admins import add_admin
from admin_console.provision.approving import compare, had_before, look, revoke
from admin_console.provision.book import SiteEntry
from admin_console.provision.desk import known_site
from admin_console.provision.pending import waiting
from admin_console.provision.steps import Steps
from admin_console.session import logged_in
from amon.access.signers import read_signers
from amon.access.sshsig import RESULT, BadSignature, SigningKey
from amon.errors import Failed, Invalid
from amon.target import All
from amon.xmpp.connection import Connection
from amon.xmpp.roster import Member
from site_agent.enroll import Ear
from site_agent.enroll import enroll as enroll_site
from tests.provision.office import OPS, PASSWORD, Office, lines

CERN = "cern@agents.amon.test"


async def take_out(office: Office, name: str) -> Steps:
    desk = office.desk()
    async with asyncio.timeout(30), logged_in(desk.console) as session:
        return await revoke(session, desk, await known_site(session, desk, name))


def signs(office: Office, name: str) -> bool:
    """Whether what this site's key signs is believed."""
    key = SigningKey.load(office.place(name).key)
    text = (office.folder / "site_keys").read_text() if (office.folder / "site_keys").exists() else ""
    signers, problems = read_signers(text, "site_keys")
    assert problems == []
    with contextlib.suppress(BadSignature):
        signers.verify(b"x", key.sign(b"x", RESULT), RESULT, f"{name}@agents.amon.test", 0)
        return True
    return False


async def test_before_its_approval_a_site_is_in_no_room_and_in_no_fleet(office: Office) -> None:
    await office.make_site("cern")
    agent = await office.start("cern")
    assert await office.members() == set()
    assert not signs(office, "cern")
    await office.fleet(lambda there: there == set())
    assert "only members may" in agent.said()


async def test_approved_with_the_key_that_was_compared_it_is_in_the_fleet_at_once(office: Office) -> None:
    made = await office.make_site("cern")
    await office.start("cern")
    steps = await office.approve("cern", made.fingerprint)
    assert not steps.failed
    assert [step.what for step in steps.done] == ["key", "room", "contact", "invitation"]
    await office.online("cern", within=10)
    assert signs(office, "cern")
    assert await office.members() == {CERN}
    again = await office.approve("cern", made.fingerprint)
    assert not again.failed


async def test_a_new_site_gets_the_policy_of_all_sites_with_its_approval(office: Office) -> None:
    made = await asyncio.create_subprocess_exec(
        "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "organisation", "-f", str(office.folder / "org")
    )
    assert await made.wait() == 0
    line = (office.folder / "org.pub").read_text().strip()
    office.more = f'organisation = ["{line}"]\norganisation_key = "{office.folder}/org"\n'
    await office.fleet_of("cern")
    policy = PolicyDesk.of(office.console())
    policy.init()
    await policy.push(All(), again=False, lasts=LASTS, agree=said_yes)
    grants = grants_of(office.console())
    assert grants is not None
    assert not (await add_admin(office.desk(), "bob@amon.test", "operator", grants=grants)).failed
    site = await office.make_site("gsi")
    await office.start("gsi")
    steps = await office.approve("gsi", site.fingerprint)
    assert not steps.failed, steps.done
    assert steps.done[-1].text.startswith("policy 2 is in force at 1 of 1 sites until ")
    _, obeyed = await policy.show(All())
    assert {one.site: one.serial for one in obeyed} == {"cern": 2, "gsi": 2}


async def said_yes(change: str, question: str) -> bool:
    return True


async def test_another_fingerprint_refuses_and_changes_nothing(office: Office) -> None:
    made = await office.make_site("cern")
    await office.start("cern")
    other = SigningKey.generate(office.folder / "other", "x").public.fingerprint
    with pytest.raises(Failed, match="and not the one you gave; nothing was changed; next: read the fingerprint"):
        await office.approve("cern", other)
    with pytest.raises(Invalid, match="is no fingerprint"):
        await office.approve("cern", made.fingerprint[:-1])
    assert await office.members() == set()
    assert office.desk().book.site("cern").state == "invited"
    assert not signs(office, "cern")


async def test_a_site_that_shows_no_key_is_not_approved(office: Office) -> None:
    made = await office.make_site("cern")
    with pytest.raises(Failed, match=r"no agent of cern@agents.amon.test shows a key to alice@amon.test; next:"):
        await office.approve("cern", made.fingerprint)
    with pytest.raises(Failed, match=r"knows no site gsi; next: amon enroll --list"):
        await office.approve("gsi", made.fingerprint)


@pytest.mark.parametrize(
    "shown", ["", "no key", "ssh-ed25519 AAAA", "ssh-rsa AAAA", "x" * 50_000, "\u202essh-ed25519 A"]
)
async def test_what_a_false_agent_shows_instead_of_a_key_is_no_key(office: Office, shown: str) -> None:
    invitation = await office.invite("cern")
    async with false_agent(office, CERN, invitation.password, shown):
        found = {one.entry.name: (one.how, one.key) for one in await waiting(office.desk())}
        assert found == {"cern": ("token not used yet", "")}
        with pytest.raises(Failed, match=r"no agent of cern@agents.amon.test shows a key"):
            await office.approve("cern", "SHA256:" + "A" * 43)


@asynccontextmanager
async def false_agent(office: Office, jid: str, password: str, key: str) -> AsyncIterator[None]:
    """Somebody with a token who shows what he likes to everybody."""
    login = replace(office.desk().login(jid, password), resource="agent")
    connection = Connection(login, Showing(), context=office.desk().trust(), random=Random(1))
    connection.set_facts({"key": [key]}, "mark")
    life = asyncio.create_task(connection.run())
    try:
        async with asyncio.timeout(15):
            await connection.wait_online()
        yield
    finally:
        life.cancel()
        await asyncio.wait([life])


class Showing(Ear):
    def may_see(self, jid: str) -> bool:
        return True


async def test_a_site_whose_key_has_changed_is_not_taken_for_the_one_that_was_approved(office: Office) -> None:
    await office.fleet_of("cern")
    await office.agents["cern"].stop()
    key = office.place("cern").key
    key.unlink()
    SigningKey.generate(key, "somebody else")
    await office.start("cern")
    entry = office.desk().book.site("cern")
    async with office.session() as session:
        with pytest.raises(Failed, match=r"and was approved with .*; next: amon enroll --again cern if .* revoke"):
            await look(session, entry)


@pytest.mark.timeout(180)
async def test_a_revocation_touches_one_site_only(office: Office) -> None:
    await office.fleet_of("cern", "gsi", "ral")
    others = {name: office.said_by(name) for name in ("gsi", "ral")}
    steps = await take_out(office, "cern")
    assert not steps.failed, steps.done
    assert [step.what for step in steps.done] == ["account", "room", "contact", "key"]
    await office.online("gsi", "ral")
    assert await office.members() == {"gsi@agents.amon.test", "ral@agents.amon.test"}
    assert (signs(office, "cern"), signs(office, "gsi"), signs(office, "ral")) == (False, True, True)
    for name, before in others.items():
        assert office.said_by(name) == before, "a session of another site was disturbed"
    entry = office.desk().book.site("cern")
    assert (entry.state, entry.key, len(entry.old_keys), entry.secret) == ("revoked", "", 1, "")
    async with office.session() as session:
        assert CERN not in {contact.jid for contact in await session.connection.roster()}


def test_a_key_that_comes_back_after_a_revocation_is_told(tmp_path: Path) -> None:
    old, new = (SigningKey.generate(tmp_path / name, name).public for name in ("old", "new"))
    entry = SiteEntry(CERN, old_keys=(old.line,))
    assert "cern had this key before it was revoked or invited again; next, " in had_before(entry, old)
    assert had_before(entry, new) == ""


async def test_a_revoked_site_can_never_log_in_again_with_anything_it_kept(office: Office) -> None:
    await office.fleet_of("cern")
    await take_out(office, "cern")
    agent = office.agents["cern"]
    await agent.kill()
    agent.log.write_text("")
    await agent.start()
    async with asyncio.timeout(20):
        while agent.said().count("refuses the name or password") < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.1)  # the log of another process
    assert "online" not in agent.said()


async def test_a_revocation_that_was_said_already_finds_nothing_and_is_no_failure(office: Office) -> None:
    await office.fleet_of("cern")
    await take_out(office, "cern")
    again = await take_out(office, "cern")
    assert not again.failed
    assert lines(again)[0] == "account: was gone already"


async def test_a_step_that_fails_does_not_keep_the_others_from_being_done(office: Office) -> None:
    await office.fleet_of("cern")
    await office.server.add_account("bob@amon.test", PASSWORD)
    async with office.session() as session:
        await session.connection.set_members(OPS, [Member("bob@amon.test", "admin")])
    desk = office.desk("bob@amon.test")
    async with asyncio.timeout(30), logged_in(desk.console) as session:
        steps = await revoke(session, desk, desk.book.site("cern"))
    assert [step.what for step in steps.failed] == ["account"]
    assert "bob@amon.test is no admin of agents.amon.test" in steps.failed[0].text
    assert await office.members() == set()
    assert not signs(office, "cern")
    left = office.desk().book.site("cern")
    assert left.state != "revoked"
    assert left.secret, "while the account lives a lost server may need it"
    assert not (await take_out(office, "cern")).failed, "an admin of the server finishes it"
    assert office.desk().book.site("cern").state == "revoked"


async def test_a_revoked_site_comes_back_by_a_new_token_and_a_new_approval(office: Office) -> None:
    await office.fleet_of("cern")
    await take_out(office, "cern")
    await office.agents["cern"].kill()
    with pytest.raises(Failed, match="cern was revoked; next: amon enroll --again cern"):
        await office.invite("cern")
    invitation = await office.invite("cern", again=True)
    shutil.rmtree(office.folder / "cern" / "state")
    made = await enroll_site(invitation, office.place("cern"))
    await office.start("cern")
    assert await office.members() == set()
    assert not (await office.approve("cern", made.fingerprint)).failed
    await office.online("cern")


async def test_a_site_that_is_built_anew_is_out_until_it_was_approved_again(office: Office) -> None:
    await office.fleet_of("cern", "gsi")
    await office.invite("cern", again=True)
    assert await office.members() == {"gsi@agents.amon.test"}
    assert not signs(office, "cern")
    await office.online("gsi")


async def test_a_site_that_is_not_in_the_book_can_be_revoked(office: Office) -> None:
    await office.server.add_account("old@agents.amon.test", PASSWORD)
    async with office.session() as session:
        await session.connection.set_members(OPS, [Member("old@agents.amon.test", "member")])
    assert not (await take_out(office, "old")).failed
    assert await office.members() == set()
    with pytest.raises(Failed, match="knows a site nobody; next: amon sites"):
        await take_out(office, "nobody")


def test_a_fingerprint_is_taken_with_and_without_its_mark(tmp_path: Path) -> None:
    key = SigningKey.generate(tmp_path / "key", "x").public
    for written in (key.fingerprint, key.fingerprint.removeprefix("SHA256:"), f" {key.fingerprint}=\n"):
        compare(SiteEntry(CERN), key, written)
    with pytest.raises(Failed):
        compare(SiteEntry(CERN), key, key.fingerprint.swapcase()[7:])
