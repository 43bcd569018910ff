"""What sites say of the policy they obey is a claim: it may cost an admin a question, never the fleet its policy."""

from pathlib import Path

import pytest

from admin_console.policy.desk import FleetGrants, PolicyDesk
from admin_console.policy.pushing import Obeyed, accept_within, next_serial, signed_elsewhere
from admin_console.policy.signing import LASTS, Shelf, Signed, bundle_text, sign_bundle
from admin_console.policy.source import PolicyFile
from admin_console.session import Setup
from admin_console.settings import Settings
from amon.access.sshsig import SigningKey
from amon.errors import Failed
from tests.admin_console.policy.test_source import ALICE, BOB, ROOM

LARGEST = 2**53  # the last serial that a bundle may have


def claims(*serials: int | None) -> list[Obeyed]:
    return [Obeyed(f"site{place}", serial, True) for place, serial in enumerate(serials)]


@pytest.mark.parametrize(
    ("last", "told", "expected"),
    [
        (0, (), 1),
        (7, (7, 6, None), 8),
        (7, (9, 7), 10),
        (0, (57,), 58),
        (7, (LARGEST, LARGEST - 1, 9_999_999_999_999_999, 7), 8),
    ],
)
def test_one_site_cannot_use_up_the_numbers_of_all(last: int, told: tuple[int | None, ...], expected: int) -> None:
    assert next_serial(last, claims(*told)) == expected


def test_a_policy_that_was_signed_elsewhere_is_told_before_it_is_replaced() -> None:
    assert signed_elsewhere(9, claims(9, 8, None)) == ""
    said = signed_elsewhere(7, claims(9, 7, 9, LARGEST))
    assert said.startswith("policy 9 at site0, site2 was not signed here")


async def signed_desk(tmp_path: Path) -> PolicyDesk:
    """A desk whose file is what was signed last."""
    key = SigningKey.generate(tmp_path / "org", "org")
    source, shelf = PolicyFile(tmp_path / "policy.toml"), Shelf(tmp_path / "policy.toml")
    source.make(ROOM, ALICE, None)

    async def sign(message: bytes, namespace: str) -> str:
        return key.sign(message, namespace)

    settings = Settings(jid=ALICE, room=ROOM)
    desk = PolicyDesk(Setup.of(settings, tmp_path / "console.toml"), source, shelf, (key.public,), sign)
    shelf.put(await signed(desk, 1))
    return desk


async def signed(desk: PolicyDesk, serial: int) -> Signed:
    return await sign_bundle(bundle_text(desk.source.text(), ROOM, serial, 1e6, LASTS), desk.sign, desk.organisation)


@pytest.mark.parametrize("what", ["grant", "withdraw"])
async def test_adding_a_person_does_not_sign_what_else_somebody_is_writing(tmp_path: Path, what: str) -> None:
    desk = await signed_desk(tmp_path)
    desk.source.grant(BOB, "admin")  # half of what a colleague has in mind
    grants = FleetGrants(desk)
    change = grants.grant("carol@example.org", "operator") if what == "grant" else grants.withdraw(ALICE)
    with pytest.raises(Failed, match="amon policy push"):
        await change
    kept = desk.source.text()
    assert "carol@example.org" in kept if what == "grant" else ALICE not in kept  # the change itself stays written
    last = desk.shelf.last()
    assert last is not None
    assert last.bundle.serial == 1


async def test_a_signed_policy_that_is_broken_is_told_with_a_step_that_helps(tmp_path: Path) -> None:
    desk = await signed_desk(tmp_path)
    (desk.shelf.folder / "2.toml").write_text("nonsense")
    (desk.shelf.folder / "2.sig").write_text("nonsense")
    with pytest.raises(Failed, match="put it back from a copy or remove it") as said:
        desk.difference()
    (desk.shelf.folder / "2.toml").unlink()
    assert "2.toml" in str(said.value)
    assert desk.difference() == ""


async def test_whoever_is_withdrawn_but_meant_by_a_pattern_is_told_of(tmp_path: Path) -> None:
    desk = await signed_desk(tmp_path)
    text = desk.source.text().replace("observer = []", 'observer = ["*@example.org"]')
    desk.source.path.write_text(text)
    desk.shelf.put(await signed(desk, 2))
    with pytest.raises(Failed, match=f"{BOB} is still meant by observer .@example.org; next: change that in"):
        await FleetGrants(desk).withdraw(BOB)


def test_a_large_fleet_gets_the_time_that_a_large_policy_takes_on_its_way() -> None:
    assert accept_within(10 * 5_000) < 11
    assert accept_within(1_000 * 130_000) > 1_000 * 250_000 / 2**21  # the bytes, by the rate of a server's limits
