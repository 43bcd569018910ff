"""The file that people edit: a person put in and taken out, and all else left as it was written."""

import tomllib
from pathlib import Path

import pytest

from admin_console.policy.signing import LASTS, bundle_text, still_named
from admin_console.policy.source import PolicyFile
from amon.access.sshsig import SigningKey
from amon.errors import Failed, Invalid
from amon.ids import new_id
from amon.wire import NewPolicy, decode, encode

ALICE, BOB, CAROL = "alice@example.org", "bob@example.org", "carol@example.org"
ROOM = "ops@rooms.example.org"


@pytest.fixture
def file(tmp_path: Path) -> PolicyFile:
    made = PolicyFile(tmp_path / "policy.toml")
    made.make(ROOM, ALICE, None)
    return made


def policy(file: PolicyFile) -> dict[str, object]:
    found: dict[str, object] = tomllib.loads(file.text())["policy"]
    return found


def key(tmp_path: Path, name: str) -> SigningKey:
    return SigningKey.generate(tmp_path / name, name)


def test_a_first_policy_can_be_signed_as_it_stands(tmp_path: Path) -> None:
    file = PolicyFile(tmp_path / "new" / "policy.toml")
    file.make(ROOM, ALICE, key(tmp_path, "alice").public)
    text = bundle_text(file.text(), ROOM, 1, 1_000_000.0, LASTS)
    assert tomllib.loads(text)["policy"]["owner"] == [ALICE]
    assert file.path.stat().st_mode & 0o077 == 0


def test_what_is_there_is_not_overwritten(file: PolicyFile) -> None:
    with pytest.raises(Failed, match="is there already"):
        file.make(ROOM, BOB, None)


def test_a_person_has_one_role(file: PolicyFile) -> None:
    assert file.grant(BOB, "operator")
    assert file.grant(BOB, "admin")
    assert not file.grant(BOB, "admin")
    assert (policy(file)["operator"], policy(file)["admin"]) == ([], [BOB])


def test_comments_and_order_stay(file: PolicyFile) -> None:
    before = file.text()
    file.grant(BOB, "operator")
    after = file.text()
    assert [line for line in after.splitlines() if line.startswith("#")] == [
        line for line in before.splitlines() if line.startswith("#")
    ]
    file.withdraw(BOB)
    assert file.text() == before


def test_a_key_is_written_down_once_and_goes_with_its_person(file: PolicyFile, tmp_path: Path) -> None:
    bob = key(tmp_path, "bob").public
    file.grant(BOB, "operator", bob)
    file.grant(BOB, "operator", bob)
    (line,) = tomllib.loads(file.text())["signers"]
    assert line == f'{BOB} namespaces="amon-cmd@v1" {bob.line}'
    bundle_text(file.text(), ROOM, 1, 1_000_000.0)
    file.withdraw(BOB)
    assert tomllib.loads(file.text())["signers"] == []


def test_whoever_is_withdrawn_stands_nowhere_any_more(file: PolicyFile, tmp_path: Path) -> None:
    bob = key(tmp_path, "bob").public.line
    file.path.write_text(
        f"""
signers = ["{BOB},{CAROL} {bob}", '{CAROL} {bob}']
[policy]
owner = ["{ALICE}", "Bob@example.org"]
[policy.groups]
shift = ["{BOB}", "{CAROL}"]
[[policy.allow]]
who = ["{BOB}"]
commands = ["status"]
[[policy.allow]]
who = ["{CAROL}", "{BOB}"]
commands = ["status"]
"""
    )
    assert file.withdraw(BOB)
    found = tomllib.loads(file.text())
    assert found == {
        "signers": [f"{CAROL} {bob}", f"{CAROL} {bob}"],
        "policy": {
            "owner": [ALICE],
            "groups": {"shift": [CAROL]},
            "allow": [{"who": [CAROL], "commands": ["status"]}],
        },
    }
    assert not file.withdraw(BOB)


def test_a_role_that_is_none_is_refused(file: PolicyFile) -> None:
    with pytest.raises(Invalid, match="no role"):
        file.grant(BOB, "root")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[policy", "mend it"),
        ("x" * 70_000, "at most 60000"),
    ],
)
def test_a_file_that_cannot_be_read_is_left_alone(file: PolicyFile, text: str, why: str) -> None:
    file.path.write_text(text)
    with pytest.raises(Failed, match=why):
        file.grant(BOB, "operator")
    assert file.path.read_text() == text


@pytest.mark.parametrize(
    "text",
    ['[policy]\nowners = ["a@b.c"]', '[policy]\nowner = ["*"]', 'signers = ["x"]\n[policy]', "serial = 9\n[policy]"],
)
def test_what_no_site_would_take_is_not_signed(text: str) -> None:
    with pytest.raises(Failed, match="cannot be signed"):
        bundle_text(text, ROOM, 1, 1_000_000.0)


def test_without_a_file_the_next_step_is_told(tmp_path: Path) -> None:
    with pytest.raises(Failed, match="amon policy init"):
        PolicyFile(tmp_path / "none.toml").text()


def test_whoever_is_withdrawn_stays_denied_where_he_was(file: PolicyFile) -> None:
    text = f"""
[policy]
observer = ["*@example.org"]
operator = ["{BOB}"]
[[policy.deny]]
who = ["{BOB}"]
commands = ["*"]
"""
    file.path.write_text(text)
    file.withdraw(BOB)
    assert policy(file)["deny"] == [{"who": [BOB], "commands": ["*"]}]


def test_lines_of_signers_may_have_tabs(file: PolicyFile, tmp_path: Path) -> None:
    bob = key(tmp_path, "bob").public.line
    file.path.write_text(f"signers = ['{BOB}\\t{bob}', '{CAROL},{BOB}\\t{bob}']\n[policy]\n".replace("'", '"'))
    file.withdraw(BOB)
    assert tomllib.loads(file.text())["signers"] == [f"{CAROL} {bob}"]


def test_a_key_of_somebody_else_is_still_written_down_for_who_gets_it(file: PolicyFile, tmp_path: Path) -> None:
    shared = key(tmp_path, "shared").public
    file.grant(CAROL, "operator", shared)
    file.grant(BOB, "operator", shared)
    assert [line.partition(" ")[0] for line in tomllib.loads(file.text())["signers"]] == [CAROL, BOB]


@pytest.mark.parametrize("who", ["bob", "bob@example.org, carol@example.org", "bob@*", "bob @example.org", "@shift"])
def test_what_is_no_address_is_not_written_into_the_file(file: PolicyFile, who: str) -> None:
    before = file.text()
    with pytest.raises(Invalid):
        file.grant(who, "operator")
    assert file.text() == before


@pytest.mark.parametrize("filler", ["#" * 59_900, '"' * 40_000, "'" * 50_000])
def test_what_would_not_travel_is_said_before_it_is_signed(filler: str) -> None:
    with pytest.raises(Failed, match="too long"):
        bundle_text(f"[policy]\n# {filler}\n", ROOM, 1, 1_000_000.0)


def test_what_is_nearly_too_long_is_read_by_a_site() -> None:
    people = "".join(f'    "person{number:04}@example.org",\n' for number in range(1_700))
    text = bundle_text(f"[policy]\noperator = [\n{people}]\n", ROOM, 1, 1_000_000.0)
    new = decode(encode(NewPolicy(new_id(1.0), text, "A" * 400)))
    assert isinstance(new, NewPolicy)
    assert new.text == text


@pytest.mark.parametrize(
    ("more", "left"),
    [
        ("", ""),
        ('observer = ["*@example.org"]', "observer *@example.org"),
        ('[[policy.allow]]\nwho = ["b*@example.org"]\ncommands = ["status"]\nabout = "all"', "allow[0] all"),
    ],
)
def test_what_a_pattern_still_gives_to_who_was_withdrawn_is_told(file: PolicyFile, more: str, left: str) -> None:
    file.path.write_text(f'[policy]\nowner = ["{ALICE}"]\n{more}\n')
    assert still_named(file.text(), BOB, 1_000_000.0) == left


def test_a_group_goes_with_its_last_person_who_stays_denied_what_it_was(file: PolicyFile) -> None:
    file.path.write_text(
        f"""
[policy]
owner = ["{ALICE}"]
operator = ["@shift"]
[policy.groups]
shift = ["{BOB}"]
[[policy.allow]]
who = ["@shift", "{CAROL}"]
commands = ["status"]
[[policy.deny]]
who = ["@shift"]
commands = ["service stop"]
"""
    )
    file.withdraw(BOB)
    bundle_text(file.text(), ROOM, 1, 1_000_000.0)
    assert policy(file) == {
        "owner": [ALICE],
        "operator": [],
        "groups": {},
        "allow": [{"who": [CAROL], "commands": ["status"]}],
        "deny": [{"who": [BOB], "commands": ["service stop"]}],
    }
    assert not file.withdraw(BOB)
