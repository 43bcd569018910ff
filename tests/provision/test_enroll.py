"""`amon enroll` and `amon-agent enroll` on real servers: one name, one use, and any point to be killed at."""

import asyncio
import json
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from admin_console.provision.book import BookFile, SiteEntry
from admin_console.provision.desk import opens
from admin_console.provision.enrolling import Wish, enroll
from admin_console.provision.pending import prune, waiting
from amon.access.sshsig import SigningKey
from amon.errors import Failed, Invalid
from amon.testing import FakeClock
from amon.xmpp.faults import StanzaError
from site_agent.enroll import enroll as enroll_site
from tests.provision.office import ALICE, BOB, OPS, PASSWORD, WEEK, Office

CERN = "cern@agents.amon.test"


async def test_a_token_becomes_account_key_and_configuration_and_shows_what_to_compare(office: Office) -> None:
    invitation = await office.invite("cern")
    assert (invitation.jid, invitation.room, invitation.inviter) == (CERN, OPS, ALICE)
    done = await enroll_site(invitation, office.place("cern"))
    place = done.place
    assert done.fingerprint == SigningKey.load(place.key).public.fingerprint
    assert done.fingerprint in done.text()
    assert f"{ALICE} looks at the key above and says: amon approve cern" in done.text()
    for path in (place.passwords.path, place.passwords.recovery, place.key, place.config):
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path
    assert not place.passwords.next.exists()
    own = place.passwords.path.read_text().strip()
    assert await opens(office.desk(), CERN, own)
    assert not await opens(office.desk(), CERN, invitation.password)
    assert own not in done.text()
    assert own not in place.config.read_text()


async def test_a_token_is_good_once(office: Office) -> None:
    invitation = await office.invite("cern")
    await enroll_site(invitation, office.place("cern"))
    with pytest.raises(Failed, match=r"refuses this token for cern@agents.amon.test: it was used before, or "):
        await enroll_site(invitation, office.place("thief"))
    assert not office.place("thief").config.exists()


async def test_a_token_made_for_one_name_opens_no_other(office: Office) -> None:
    """The trap of servers' own tokens: made for `cern`, used for `gsi`."""
    invitation = await office.invite("cern")
    for name in ("gsi", "alice"):
        with pytest.raises(Failed, match="refuses this token"):
            await enroll_site(replace(invitation, jid=f"{name}@agents.amon.test"), office.place(name))
    async with office.session() as session:
        with pytest.raises(StanzaError) as none:
            await session.connection.delete_account("gsi@agents.amon.test")
    assert none.value.condition == "item-not-found"


async def test_said_again_at_the_same_place_nothing_changes(office: Office) -> None:
    invitation = await office.invite("cern")
    first = await enroll_site(invitation, office.place("cern"))
    before = first.place.passwords.path.read_text()
    second = await enroll_site(invitation, office.place("cern"))
    assert (second.again, second.fingerprint) == (True, first.fingerprint)
    assert first.place.passwords.path.read_text() == before


async def test_a_new_token_at_the_same_place_takes_the_account_again_and_keeps_the_key(office: Office) -> None:
    first = await office.make_site("cern")
    second = await enroll_site(await office.invite("cern", again=True), office.place("cern"))
    assert (second.again, second.fingerprint) == (False, first.fingerprint)
    assert await opens(office.desk(), CERN, second.place.passwords.path.read_text().strip())


async def test_a_site_holds_the_server_to_the_same_keys_as_its_console(office: Office) -> None:
    invitation = await office.invite("cern")
    wrong = replace(invitation, pins=(f"sha256/{'A' * 43}=",))
    with pytest.raises(Failed, match="pin"):
        await enroll_site(wrong, office.place("cern"))
    assert await opens(office.desk(), CERN, invitation.password), "the password went to a server with another key"


async def test_a_configuration_that_is_there_is_not_replaced_before_somebody_says_so(office: Office) -> None:
    invitation = await office.invite("cern")
    place = office.place("cern")
    place.config.write_text("# mine\n")
    with pytest.raises(Failed, match=r"agent.toml is there already; next: --force replaces it"):
        await enroll_site(invitation, place)
    assert await opens(office.desk(), CERN, invitation.password), "the token was used up by a refusal"
    enrolled = await enroll_site(invitation, office.place("cern", force=True))
    assert "password_file" in place.config.read_text()
    assert enrolled.kept is not None
    assert enrolled.kept.read_text() == "# mine\n", "the owner's own rules and services were thrown away"
    assert f"kept:    {enrolled.kept}: what was there before" in enrolled.text()


async def test_an_expired_token_is_refused_at_the_site(office: Office) -> None:
    invitation = await office.invite("cern")
    late = FakeClock(invitation.expires + 1)
    with pytest.raises(Failed, match=r"this token has expired; next: .* amon enroll --again cern"):
        await enroll_site(invitation, office.place("cern"), clock=late)
    assert await opens(office.desk(), CERN, invitation.password)


STEPS = """
import asyncio, os, signal, sys
from pathlib import Path
from amon.access.invitation import read_token
from site_agent.enroll import enroll
from site_agent.place import Place

folder, last = Path(sys.argv[1]), int(sys.argv[2])
count = 0
def progress(text):
    global count
    count += 1
    if count == last:
        os.kill(os.getpid(), signal.SIGKILL)
place = Place(folder / "agent.toml", folder / "state")
done = asyncio.run(enroll(read_token(sys.stdin.read()), place, progress=progress))
print(count, done.again, done.fingerprint)
"""


async def step_by_step(folder: Path, token: str, last: int) -> tuple[int | None, str]:
    """Enrols in a process of its own that kills itself when its step `last` begins; exit code and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-P", "-c", STEPS, str(folder), str(last),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await process.communicate(token.encode())
    return process.returncode, said.decode()


@pytest.mark.timeout(180)
async def test_killed_at_each_step_it_is_said_again_and_finishes(office: Office) -> None:
    killed = 0
    while True:
        name = f"site{killed}"
        token = (await office.invite(name)).token()
        place = office.place(name)
        code, said = await step_by_step(place.config.parent, token, killed + 1)
        if code == 0:
            break
        assert code == -signal.SIGKILL
        assert not place.config.exists()
        killed += 1
        for _ in range(2):  # the second time there is nothing left to do
            code, said = await step_by_step(place.config.parent, token, 99)
            assert code == 0, said
        assert said.split()[1] == "True"
        own = place.passwords.path.read_text().strip()
        assert await opens(office.desk(), f"{name}@agents.amon.test", own)
    assert killed >= 7, "every step there is was killed once"


async def test_a_name_that_is_there_is_refused_with_the_next_step(office: Office) -> None:
    await office.invite("cern")
    with pytest.raises(Failed, match=r"a token for cern is out already; next: amon enroll --list, or amon "):
        await office.invite("cern")
    await office.server.add_account("old@agents.amon.test", PASSWORD)
    with pytest.raises(Failed, match=r"an account old@agents.amon.test already .*; next: amon enroll --again old"):
        await office.invite("old")
    assert office.desk().book.read().site("old") is None
    assert await opens(office.desk(), "old@agents.amon.test", PASSWORD), "a refusal changed somebody's password"
    again = await office.invite("old", again=True)
    assert not await opens(office.desk(), "old@agents.amon.test", PASSWORD)
    assert await opens(office.desk(), "old@agents.amon.test", again.password)


async def test_a_second_token_for_a_site_makes_the_first_worthless(office: Office) -> None:
    first = await office.invite("cern")
    second = await office.invite("cern", again=True)
    with pytest.raises(Failed, match="refuses this token"):
        await enroll_site(first, office.place("thief"))
    await enroll_site(second, office.place("cern"))


@pytest.mark.parametrize("name", ["all", "not", "CERN", "cern*", "a b", "health:crit", "", "x" * 65, "a@b"])
async def test_a_name_that_targets_read_otherwise_is_no_site(office: Office, name: str) -> None:
    with pytest.raises(Invalid, match="cannot be the name of a site"):
        await office.invite(name)
    assert office.desk().book.read().sites == {}


async def test_sites_are_not_made_among_people(office: Office) -> None:
    with pytest.raises(Invalid, match="is the domain of people"):
        await enroll(office.desk(), ["cern"], Wish(WEEK, domain="amon.test"))


async def test_who_is_no_admin_of_the_server_makes_nothing(office: Office) -> None:
    await office.server.add_account(BOB, PASSWORD)
    ((_, end),) = await enroll(office.desk(BOB), ["cern"], Wish(WEEK))
    assert isinstance(end, Failed)
    assert f"{BOB} is no admin of agents.amon.test" in str(end)
    assert office.desk().book.read().sites == {}


async def test_what_a_dead_console_has_made_the_next_one_takes_over(office: Office) -> None:
    invitation = await office.invite("cern")
    desk = office.desk()
    desk.book.put(replace(desk.book.site("cern"), state="made"))  # as if it had died before it could say more
    second = await office.invite("cern")
    assert second.password != invitation.password
    await enroll_site(second, office.place("cern"))


async def test_what_nobody_used_in_time_is_taken_back_and_what_was_used_stays(office: Office) -> None:
    unused, used = await office.invite("cern"), await office.invite("gsi")
    await enroll_site(used, office.place("gsi"))
    late = office.desk(clock=FakeClock(unused.expires + 1))
    async with office.session() as session:
        assert await prune(session, late) == ["cern"]
        with pytest.raises(StanzaError):
            await session.connection.delete_account(CERN)
    assert set(office.desk().book.read().sites) == {"gsi@agents.amon.test"}
    assert office.said == ["the token for cern was not used in time; its account is gone"]
    await office.invite("cern")


async def test_the_list_tells_who_has_not_come_and_who_waits(office: Office) -> None:
    await office.invite("cern")
    await office.make_site("gsi")
    made = await office.make_site("ral")
    await office.start("ral")
    found = {one.entry.name: (one.how, one.key) for one in await waiting(office.desk())}
    assert found == {
        "cern": ("token not used yet", ""),
        "gsi": ("enrolled; its agent is not there", ""),
        "ral": ("waits for approval", made.fingerprint),
    }


async def test_a_hundred_sites_are_enrolled_in_one_go(office: Office) -> None:
    counted: list[tuple[int, int]] = []
    desk = replace(office.desk(), progress=lambda done, of: counted.append((done, of)))
    names = [f"s{number}" for number in range(100)]
    results = await enroll(desk, names, Wish(WEEK))
    assert [name for name, end in results if not isinstance(end, Failed)] == names
    assert counted[-1] == (100, 100)
    assert {entry.state for entry in desk.book.read().sites.values()} == {"invited"}


def test_the_book_is_for_its_owner_or_a_group_and_for_nobody_else(tmp_path: Path) -> None:
    book = BookFile(tmp_path / "book.json")
    with book.change() as change:
        change.book = change.book.with_site(_entry())
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o600
    book.path.chmod(0o660)
    with book.change() as change:
        change.book = change.book.without_site(CERN)
    assert stat.S_IMODE(book.path.stat().st_mode) == 0o660
    book.path.chmod(0o664)
    with pytest.raises(Failed, match="holds the sites' secrets and others can read it; next: chmod o="):
        book.read()


async def test_two_admins_who_share_a_book_lose_nothing_of_each_other(tmp_path: Path) -> None:
    def write(who: str) -> None:
        book = BookFile(tmp_path / "book.json")
        for number in range(30):
            book.put(SiteEntry(f"{who}{number}@agents.amon.test", "secret"))

    await asyncio.gather(*(asyncio.to_thread(write, who) for who in ("a", "b")))
    assert len(BookFile(tmp_path / "book.json").read().sites) == 60


@pytest.mark.parametrize("text", ["", "{", "[]", '{"sites": 1}', '{"sites": {"a": {"jid": 1}}}', '{"what": 1}'])
def test_a_damaged_book_is_not_taken_for_an_empty_one(tmp_path: Path, text: str) -> None:
    book = BookFile(tmp_path / "book.json")
    book.path.write_text(text)
    book.path.chmod(0o600)
    with pytest.raises(Failed, match=r"is damaged.*; next: take it from a backup"), book.change():
        pass
    assert book.path.read_text() == text


def test_a_book_of_a_newer_amon_is_left_alone(tmp_path: Path) -> None:
    book = BookFile(tmp_path / "book.json")
    book.path.write_text(json.dumps({"version": 2, "sites": {}, "what": 1}))
    book.path.chmod(0o600)
    with pytest.raises(Failed, match="was written by a newer amon; next: update this one"):
        book.read()


def _entry() -> SiteEntry:
    return SiteEntry(CERN, "secret")
