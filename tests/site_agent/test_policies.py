"""Whose keys count, who signs the fleet's policy, and a bundle that outlives the agent and every reload."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from amon.access import Wanted
from amon.access.bundle import BadBundle, Bundle
from amon.access.sshsig import BUNDLE, SigningKey
from amon.errors import Failed
from amon.testing import FakeClock
from amon.words import Asker, Effect, Role
from site_agent.agent import Agent
from site_agent.policies import Law, accept_bundle, authority_of, policy_health, stored_bundle
from site_agent.reload import difference
from tests.site_agent.world import GOOD, Place

NOW = 1_795_000_000.0  # 2026-11-18 11:06:40 UTC
ALICE, BOB = "alice@example.org", "bob@example.org"
FLEET, AGENTS = "ops@rooms.example.org", "agents.example.org"
KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
STATUS = Wanted("agent", "status", Role.observer, Effect.read)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def key(tmp_path: Path) -> SigningKey:
    return SigningKey.generate(tmp_path / "org", "org")


def text(serial: int = 7, admin: str = BOB) -> bytes:
    return (
        f'fleet = "{FLEET}"\nserial = {serial}\nissued = "2026-11-18T11:00:00Z"\nexpires = "2027-02-18T11:00:00Z"\n'
        f'signers = ["{admin} {KEY_LINE}"]\n[policy]\nadmin = ["{admin}"]\n'
    ).encode()


def accepted(place: Place, key: SigningKey, raw: bytes, sig: str | None = None) -> Bundle:
    return accept_bundle(
        raw, key.sign(raw, BUNDLE) if sig is None else sig,
        state=place.state, account="main", organisation=(key.public,), rooms=(FLEET,), now=NOW,
    )  # fmt: skip


def with_account(more: str) -> str:
    return GOOD.replace("[account.main.policy]", f"{more}\n[account.main.policy]")


# What stands in the file


def test_signers_and_the_organisations_keys_are_read(place: Place) -> None:
    (place.folder / "signers").write_text(f"# ours\n{ALICE} {KEY_LINE} alice@desk\n")
    (plan,) = place.configuration(
        with_account(f'signers = "$HERE/signers"\norganisation = ["{KEY_LINE} amon"]')
    ).accounts
    assert [line.principals for line in plan.law.signers.lines] == [(ALICE,)]
    assert [one.line for one in plan.law.organisation] == [KEY_LINE]


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ('signers = "signers"', "account.main.signers: signers is relative; write the whole path"),
        ('signers = "$HERE/none"', "none does not exist"),
        ('signers = "$HERE"', "is a directory"),
        ('organisation = ["rsa"]', "account.main.organisation[0]: "),
        ('organisation = ["ssh-rsa AAAA"]', "account.main.organisation[0]: "),
    ],
)
def test_what_cannot_be_read_is_told(place: Place, written: str, said: str) -> None:
    (problem,) = place.problems(with_account(written))
    assert said in problem


def test_a_line_of_signers_that_is_not_understood_stops_the_agent(place: Place) -> None:
    (place.folder / "signers").write_text(f"{ALICE} {KEY_LINE}\n*@* {KEY_LINE}\nalice\n")
    problems = place.problems(with_account('signers = "$HERE/signers"'))
    assert [one.partition(": ")[0] for one in problems] == [
        "account.main.signers line 2",
        "account.main.signers line 3",
    ]
    (place.folder / "signers").write_bytes(b"\xff")
    (problem,) = place.problems(with_account('signers = "$HERE/signers"'))
    assert "is not text in UTF-8" in problem


def test_who_could_change_the_signers_could_command_this_site(place: Place) -> None:
    file = place.folder / "signers"
    file.write_text(f"{ALICE} {KEY_LINE}\n")
    file.chmod(0o666)
    (problem,) = place.problems(with_account('signers = "$HERE/signers"'))
    assert "has mode 0666, so others can change it; next: chmod go-w" in problem


def test_a_new_signer_or_organisation_is_a_change_without_a_new_login(place: Place) -> None:
    file = place.folder / "signers"
    file.write_text("")
    written = with_account('signers = "$HERE/signers"')
    before = place.configuration(written)
    file.write_text(f"{ALICE} {KEY_LINE}\n")
    assert difference(before, place.configuration(written)).update_accounts == ("main",)
    organised = place.configuration(written.replace("signers =", f'organisation = ["{KEY_LINE}"]\nsigners ='))
    changes = difference(place.configuration(written), organised)
    assert (changes.update_accounts, changes.start_accounts) == (("main",), ())


# The bundle on the disk


def test_where_there_never_was_a_bundle_the_sites_own_policy_holds(place: Place, key: SigningKey) -> None:
    (plan,) = place.configuration(GOOD).accounts
    assert stored_bundle(place.state, "main", (key.public,)) == (None, "")
    authority = authority_of(plan.law, AGENTS, place.state, "main")
    assert authority.decide(Asker(ALICE), STATUS, NOW).allowed


def test_a_bundle_holds_for_good(place: Place, key: SigningKey) -> None:
    assert accepted(place, key, text()).serial == 7
    (plan,) = place.configuration(GOOD).accounts
    law = Law(plan.law.policy, plan.law.signers, (key.public,))
    for _ in range(2):  # as after each start and reload
        authority = authority_of(law, AGENTS, place.state, "main")
        assert authority.decide(Asker(BOB), STATUS, NOW).rule == f"bundle admin {BOB}"
        assert not authority.decide(Asker(ALICE), STATUS, NOW).allowed
        assert [line.principals for line in authority.signers.lines] == [(BOB,)]
    assert stored_bundle(place.state, "other", (key.public,)) == (None, "")  # one account's is no other's


def test_no_serial_comes_back_also_after_a_restart(place: Place, key: SigningKey) -> None:
    accepted(place, key, text(8))
    for raw, said in (
        (text(7), "its serial 7 is older than 8, which is in force"),
        (text(8, ALICE), "serial 8 is in force with other content"),
    ):
        with pytest.raises(BadBundle, match=said):
            accepted(place, key, raw)
    assert accepted(place, key, text(8)).serial == 8
    assert accepted(place, key, text(9, ALICE)).serial == 9
    bundle, _ = stored_bundle(place.state, "main", (key.public,))
    assert bundle is not None
    assert bundle.serial == 9


def test_what_is_refused_changes_nothing_on_the_disk(place: Place, key: SigningKey) -> None:
    accepted(place, key, text(8))
    before = (place.state / "policy" / "main").read_bytes()
    stranger = SigningKey.generate(place.folder / "stranger", "")
    for raw, sig in ((text(9), stranger.sign(text(9), BUNDLE)), (text(9), ""), (text(9), key.sign(text(10), BUNDLE))):
        with pytest.raises(BadBundle):
            accepted(place, key, raw, sig)
    assert (place.state / "policy" / "main").read_bytes() == before
    assert [one.name for one in (place.state / "policy").iterdir()] == ["main"]


def test_an_armored_signature_is_kept_on_one_line(place: Place, key: SigningKey) -> None:
    raw = text()
    bare = key.sign(raw, BUNDLE)
    lines = [bare[at : at + 70] for at in range(0, len(bare), 70)]
    accepted(place, key, raw, "\n".join(["-----BEGIN SSH SIGNATURE-----", *lines, "-----END SSH SIGNATURE-----", ""]))
    assert (place.state / "policy" / "main").read_bytes() == bare.encode() + b"\n" + raw
    assert (place.state / "policy" / "main").stat().st_mode & 0o777 == 0o600


def test_a_key_that_is_gone_from_the_organisation_closes_the_account(place: Place, key: SigningKey) -> None:
    accepted(place, key, text())
    for organisation in ((), (SigningKey.generate(place.folder / "new", "").public,)):
        authority = authority_of(Law(organisation=organisation), AGENTS, place.state, "main")
        assert not authority.decide(Asker(BOB), STATUS, NOW).allowed
        assert "which is not in `organisation` any more; put it back, or remove" in authority.closed


def test_the_serial_counts_across_a_new_key_of_the_organisation(place: Place, key: SigningKey) -> None:
    accepted(place, key, text(8))
    new = SigningKey.generate(place.folder / "new", "")
    with pytest.raises(BadBundle, match="its serial 7 is older than 8"):
        accepted(place, new, text(7))
    assert accepted(place, new, text(9)).key == new.public.fingerprint


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: b"",
        lambda data: data[:-1],
        lambda data: data.replace(b"bob@", b"eve@"),
        lambda data: data.partition(b"\n")[2],
        lambda data: b"x" * 400_000,
    ],
)
def test_a_bundle_that_was_touched_closes_the_account_until_a_new_one_comes(
    place: Place, key: SigningKey, spoil: Callable[[bytes], bytes]
) -> None:
    accepted(place, key, text())
    file = place.state / "policy" / "main"
    file.write_bytes(spoil(file.read_bytes()))
    bundle, why = stored_bundle(place.state, "main", (key.public,))
    assert bundle is None
    assert why.startswith(f"the policy bundle in {file} cannot be used: ")
    assert accepted(place, key, text(8)).serial == 8
    assert stored_bundle(place.state, "main", (key.public,))[1] == ""


def test_a_disk_that_does_not_take_it_leaves_the_old_one(place: Place, key: SigningKey) -> None:
    accepted(place, key, text(7))
    (place.state / "policy" / ".main.new").mkdir()  # in the way
    with pytest.raises(Failed, match="cannot be written"):
        accepted(place, key, text(8))
    bundle, _ = stored_bundle(place.state, "main", (key.public,))
    assert bundle is not None
    assert bundle.serial == 7


def test_a_directory_that_cannot_be_made_is_a_failure(place: Place, key: SigningKey) -> None:
    (place.state / "policy").write_text("in the way")
    with pytest.raises(Failed, match="cannot be written"):
        accepted(place, key, text(8))


def test_what_a_power_loss_left_behind_is_in_nobodys_way(place: Place, key: SigningKey) -> None:
    (place.state / "policy").mkdir()
    (place.state / "policy" / ".main.new").write_text("half")
    assert accepted(place, key, text()).serial == 7
    assert [one.name for one in (place.state / "policy").iterdir()] == ["main"]


# How it is shown


@pytest.mark.parametrize(
    ("now", "shown"),
    [
        (NOW, None),
        (NOW + 85 * 86_400, "its policy expires 2027-02-18 11:00 UTC"),
        (NOW + 92 * 86_400, "nobody may anything: its policy is not in force"),
        (NOW - 86_400, "nobody may anything: its policy is not in force"),
    ],
)
def test_a_bundle_that_nobody_renews_shows_in_time(
    place: Place, key: SigningKey, now: float, shown: str | None
) -> None:
    accepted(place, key, text())
    health = policy_health(authority_of(Law(organisation=(key.public,)), AGENTS, place.state, "main"), now)
    assert (health.text if health else None) == shown


def test_what_cannot_be_used_shows_without_what_is_wrong_with_it(place: Place, key: SigningKey) -> None:
    accepted(place, key, text())
    health = policy_health(authority_of(Law(), AGENTS, place.state, "main"), NOW)
    assert health is not None
    assert health.text == "nobody may anything: its policy is not in force"
    assert policy_health(authority_of(Law(), AGENTS, place.state, "other"), NOW) is None


# In a running agent


async def test_a_running_agent_shows_in_time_that_its_policy_expires(place: Place, key: SigningKey) -> None:
    written = with_account(f'host = "127.0.0.1"\nport = 1\norganisation = ["{key.public.line}"]')
    clock = FakeClock(NOW)
    async with Agent(place.configuration(written), clock=clock).running() as agent:
        agent.accept_bundle("main", text(), key.sign(text(), BUNDLE))
        assert "policy-main" not in str(agent.node.picture())
        changed = asyncio.Event()
        agent.node.listen(changed.set)
        clock.advance(86 * 86_400)
        async with asyncio.timeout(5):
            while "policy-main" not in str(agent.node.picture()):
                changed.clear()
                await changed.wait()


async def test_a_running_agent_obeys_it_at_once_and_after_a_reload(place: Place, key: SigningKey) -> None:
    written = with_account(f'host = "127.0.0.1"\nport = 1\norganisation = ["{key.public.line}"]')
    configuration = place.configuration(written)
    async with Agent(configuration, clock=FakeClock(NOW)).running() as agent:
        door = agent.accounts["main"].door
        assert door.authority.decide(Asker(ALICE), STATUS, NOW).allowed
        agent.accept_bundle("main", text(), key.sign(text(), BUNDLE))
        assert door.authority.decide(Asker(BOB), STATUS, NOW).allowed
        assert not door.authority.decide(Asker(ALICE), STATUS, NOW).allowed
        with pytest.raises(BadBundle, match="older"):
            agent.accept_bundle("main", text(6), key.sign(text(6), BUNDLE))
        wider = written.replace('["alice@example.org"]', '["alice@example.org", "carol@example.org"]')
        assert (await agent.reload(place.configuration(wider))).update_accounts == ("main",)
        assert not door.authority.decide(Asker("carol@example.org"), STATUS, NOW).allowed
        assert door.authority.decide(Asker(BOB), STATUS, NOW).allowed
