"""A reload stops and starts only what is different. Pure: two configurations in, names out."""

from pathlib import Path

import pytest

from site_agent.reload import Changes, difference
from tests.site_agent.world import Place

BASE = """
state = "$STATE"
[account.main]
jid = "site-1@agents.example.org"
password_file = "$PASSWORD"
[account.main.policy]
admin = ["alice@example.org"]
[account.other]
jid = "site-1@other.example.org"
password_file = "$PASSWORD"
[instance.uptime]
[instance.second]
module = "uptime"
settings = { settle = 60 }
[instance.broken]
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def changes(place: Place, old: str, new: str) -> Changes:
    return difference(place.configuration(old), place.configuration(new))


def test_the_same_file_changes_nothing(place: Place) -> None:
    same = changes(place, BASE, "# a comment\n" + BASE)
    assert not same
    assert str(same) == "nothing is different"


@pytest.mark.parametrize(
    ("was", "becomes", "expected"),
    [
        ("settle = 60", "settle = 61", Changes(stop_instances=("second",), start_instances=("second",))),
        ("settle = 60", 'settle = "1 min"', Changes()),
        ("[instance.second]", "[instance.third]", Changes(stop_instances=("second",), start_instances=("third",))),
        ("[instance.broken]", "", Changes(stop_instances=("broken",))),
        ("[instance.broken]", "[instance.broken]\nmodule = 'uptime'",
         Changes(stop_instances=("broken",), start_instances=("broken",))),
        ("site-1@other", "site-2@other", Changes(stop_accounts=("other",), start_accounts=("other",))),
        ("[account.other]", "[account.other]\nport = 5223\nhost = 'x'",
         Changes(stop_accounts=("other",), start_accounts=("other",))),
        ("[account.other]", "[account.other]\nrooms = ['a@b.example.org']",
         Changes(stop_accounts=("other",), start_accounts=("other",))),
        ("alice@", "bob@", Changes(update_accounts=("main",))),
        ("[account.other]", "[account.other]\nprefix = '.'", Changes(update_accounts=("other",))),
        ("[account.other]", "[account.other]\nreveal = ['uptime']", Changes(update_accounts=("other",))),
        ("[account.main]", "tags = { tier = '1' }\n[account.main]", Changes(update_accounts=("main", "other"))),
        ("[account.main]", "log = 'debug'\n[account.main]", Changes(log=True)),
        ("[account.main]", "audit_to = ['syslog']\n[account.main]", Changes(audit=True)),
        ("[account.main]", "trace = true\n[account.main]",
         Changes(stop_accounts=("main", "other"), start_accounts=("main", "other"))),
    ],
)  # fmt: skip
def test_only_what_is_different_is_touched(place: Place, was: str, becomes: str, expected: Changes) -> None:
    assert changes(place, BASE, BASE.replace(was, becomes, 1)) == expected


def test_a_new_password_in_the_same_file_is_a_new_login(place: Place) -> None:
    old = place.configuration(BASE)
    place.password.write_text("another")
    assert difference(old, place.configuration(BASE)).start_accounts == ("main", "other")


def test_new_content_of_the_ca_file_is_a_new_login(place: Place) -> None:
    from admin_console.server.certificate import certificate

    first = certificate(place.folder / "first", ("a.example.org",), "127.0.0.1").ca
    second = certificate(place.folder / "second", ("a.example.org",), "127.0.0.1").ca
    ca_file = place.folder / "ca.pem"
    text = BASE.replace("[account.other]", f'ca_file = "{ca_file}"\n[account.other]').replace(
        '[account.main.policy]\nadmin = ["alice@example.org"]\n', ""
    )
    ca_file.write_bytes(first.read_bytes())
    old = place.configuration(text)
    ca_file.write_bytes(second.read_bytes())
    assert difference(old, place.configuration(text)).start_accounts == ("main",)


def test_another_state_directory_waits_for_a_restart_and_says_so(place: Place) -> None:
    (place.folder / "elsewhere").mkdir(mode=0o700)
    found = changes(place, BASE, BASE.replace("$STATE", "$HERE/elsewhere"))
    assert str(found) == (
        f"not before a restart: state: stays {place.state} until the agent is restarted: instances keep files there"
    )


def test_what_was_done_is_said_in_one_line(place: Place) -> None:
    new = BASE.replace("settle = 60", "settle = 61").replace("[instance.broken]", "[instance.new]\nmodule = 'uptime'")
    found = changes(place, BASE, new.replace("alice@", "bob@").replace("site-1@other", "site-2@other"))
    assert str(found) == (
        "instances: stopped broken, restarted second, started new; accounts: restarted other, updated main"
    )
