"""Rules that are well written and do nothing here are worth a look; a rule for a faulty instance is not."""

from pathlib import Path

import pytest

from site_agent.findings import Group
from tests.site_agent.world import GOOD, Place

RULE = """
[[account.main.policy.{kind}]]
who = ["bob@example.org"]
commands = [{commands}]
{more}
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def notes(place: Place, kind: str = "allow", commands: str = '"uptime"', more: str = "", after: str = "") -> list[str]:
    rule = RULE.format(kind=kind, commands=commands, more=more)
    loaded = place.load(GOOD + rule + after)
    assert not loaded.problems
    assert all(one.group is Group.note for one in loaded.found)
    return [str(one) for one in loaded.found]


@pytest.mark.parametrize("commands", ['"uptime"', '"status"', '"*"', '"* *"', '"maintenance *"', '"audit"', '"up* *"'])
def test_a_rule_about_what_is_here_is_no_note(place: Place, commands: str) -> None:
    assert notes(place, commands=commands) == []


@pytest.mark.parametrize(
    ("commands", "said"),
    [
        (
            '"uptmie"',
            "account.main.policy.allow[0].commands[0]: no command here is meant by 'uptmie'; did you mean uptime?",
        ),
        (
            '"uptime", "service restart"',
            "account.main.policy.allow[0].commands[1]: no command here is meant by 'service restart'",
        ),
    ],
)
def test_a_rule_about_no_command_here_is_noted(place: Place, commands: str, said: str) -> None:
    (note,) = notes(place, commands=commands)
    assert said in note


def test_an_instance_alone_is_no_command(place: Place) -> None:
    service = '[instance.service.settings.services.httpd]\ndriver = "systemd"\nunit = "httpd.service"\n'
    (note,) = notes(place, commands='"service"', after=service)
    assert "no command here is meant by 'service'; all of them are 'service *'" in note
    assert notes(place, commands='"service *"', after=service) == []


def test_a_rule_about_a_parameter_that_is_not_there_is_noted(place: Place) -> None:
    (note,) = notes(place, commands='"maintenance begin"', more='only = { scpoe = "site" }')
    assert (
        "allow[0].only.scpoe: no command of this rule takes 'scpoe', so the rule fits nothing; did you mean scope?"
        in note
    )
    assert notes(place, commands='"maintenance begin"', more='only = { scope = "site" }') == []


def test_a_rule_that_has_ended_is_noted(place: Place) -> None:
    (note,) = notes(place, more='until = "2001-02-03"')
    assert note.startswith("account.main.policy.allow[0].until: it ended on 2001-02-04 00:00 UTC; remove the rule")
    assert notes(place, more='until = "2999-01-01"') == []


def test_a_rule_above_the_highest_role_is_noted(place: Place) -> None:
    rule = RULE.format(kind="allow", commands='"maintenance begin"', more="")
    (note,) = place.load(GOOD.replace("admin =", 'max_role = "observer"\nadmin =') + rule).found
    assert str(note) == (
        "account.main.policy.allow[0].commands: all of this needs role operator, and max_role is observer: nobody may"
    )


def test_a_denial_to_a_key_is_noted_because_it_can_be_evaded(place: Place) -> None:
    key = "key:SHA256:" + "A" * 43
    text = GOOD + RULE.format(kind="deny", commands='"uptime"', more="").replace("bob@example.org", key)
    (note,) = place.load(text).found
    assert str(note).startswith("account.main.policy.deny[0].who: denied to a key is only what that key signs")


def test_nothing_is_said_of_an_instance_whose_module_does_not_load(place: Place) -> None:
    assert notes(place, commands='"broken frob", "bro* frob"', after="[instance.broken]\n") == []
    (note,) = notes(place, commands='"other frob"', after="[instance.broken]\n")
    assert "'other frob'" in note


def test_commands_for_two_persons_are_looked_at_too(place: Place) -> None:
    loaded = place.load(GOOD.replace("admin =", 'two_persons = ["uptmie"]\nadmin ='))
    assert [str(one) for one in loaded.found] == [
        "account.main.policy.two_persons[0]: no command here is meant by 'uptmie'; did you mean uptime?"
    ]


def test_what_must_be_signed_where_no_key_counts_is_noted(place: Place) -> None:
    text = GOOD.replace("admin =", 'signed = ["change"]\nadmin =')
    (note,) = place.load(text).found
    assert str(note).startswith("account.main.signers: nobody can ask for maintenance ")
    (place.folder / "signers").write_text(
        "alice@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    )
    assert (
        place.load(text.replace("[account.main.policy]", 'signers = "$HERE/signers"\n[account.main.policy]')).found
        == []
    )
