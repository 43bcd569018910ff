"""`amon server config`: which words it takes, what it says of the others, and where the text goes."""

import stat
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from admin_console.cli.main import cli
from admin_console.server.recipe import Served, checked
from admin_console.server.writing import fleet_text
from amon.errors import Invalid

ALICE = "alice@example.org"
BOTH = ("prosody", "ejabberd")


def config(*words: str) -> Result:
    return CliRunner().invoke(cli, ["server", "config", *words], prog_name="amon")


def served(**changes: object) -> Served:
    words: dict[str, object] = {
        "domain": "example.org",
        "agents": "agents.example.org",
        "rooms": "rooms.example.org",
        "admins": (ALICE,),
    }
    return Served(**(words | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"domain": "example"}, "'example' is no domain name"),
        ({"domain": "Example.org"}, "'Example.org' is no domain name"),
        ({"agents": 'a.b" }; os.exit()'}, "is no domain name"),
        ({"rooms": "rooms.example.org\nhosts: []"}, "is no domain name"),
        ({"s2s": ("partner",)}, "'partner' is no domain name"),
        ({"agents": "example.org"}, "three different domains"),
        ({"rooms": "agents.example.org"}, "three different domains"),
        ({"admins": ()}, "next: --admin NAME@example.org"),
        ({"admins": ("alice@agents.example.org",)}, "cannot be an admin"),
        ({"admins": ("alice",)}, "cannot be an admin"),
        ({"admins": ("example.org",)}, "cannot be an admin"),
        ({"admins": ('al"ice@example.org',)}, "cannot be an admin"),
        ({"admins": ("*@example.org",)}, "cannot be an admin"),
        ({"s2s": ("agents.example.org",)}, "is this server itself"),
        ({"direct_tls": 5222}, "cannot serve both"),
        ({"direct_tls": 5269, "s2s": ("partner.example",)}, "clients need another"),
        ({"host_certificates": "ca.pem"}, "no path from /"),
        ({"host_certificates": "/etc/ca\n.pem"}, "no path from /"),
    ],
)
def test_what_cannot_be_served_is_said(changes: dict[str, object], said: str) -> None:
    assert checked(served()) == served()
    with pytest.raises(Invalid, match=said.replace(".", r"\.")):
        checked(served(**changes))


def test_all_mistakes_are_said_at_once_and_nothing_is_printed() -> None:
    result = config("prosody", "--domain", "example", "--admin", "bob@elsewhere.org", "--s2s", "-", "--agents", "x")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert len(result.stderr.splitlines()) == 4


@pytest.mark.parametrize("program", BOTH)
def test_names_follow_from_the_domain_and_letters_become_small(program: str) -> None:
    text = config(program, "--domain", "Example.org", "--admin", "Alice@example.org").stdout
    assert text == fleet_text(program, domain="example.org", admins=[ALICE])
    for name in ("agents.example.org", "rooms.example.org", ALICE):
        assert f'"{name}"' in text
    other = fleet_text(program, domain="example.org", agents="a.x.org", rooms="r.y.org", admins=[ALICE])
    assert "agents.example.org" not in other
    assert "rooms.example.org" not in other


@pytest.mark.parametrize("program", BOTH)
def test_every_admin_and_every_partner_stands_there(program: str) -> None:
    text = fleet_text(program, domain="a.org", admins=["x@a.org", "y@a.org"], s2s=["b.org", "c.org"])
    for name in ("x@a.org", "y@a.org", "b.org", "c.org"):
        assert f'"{name}"' in text
    assert "5269" in text
    assert "5269" not in fleet_text(program, domain="a.org", admins=["x@a.org"])


@pytest.mark.parametrize("program", BOTH)
def test_no_line_is_longer_than_a_terminal_and_every_block_says_why(program: str) -> None:
    asked = {"domain": "a.org", "admins": ["x@a.org"], "s2s": ["b.org"], "host_certificates": "/a.pem"}
    text = fleet_text(program, **asked)  # type: ignore[arg-type]
    for line in text.split("\n"):
        assert len(line) <= 120
        assert line == line.rstrip()
        assert "{{" not in line.replace("{ {", "")
    mark = "--" if program == "prosody" else "#"
    assert [block for block in text.strip().split("\n\n") if mark not in block] == []


@pytest.mark.parametrize(
    "line",
    [
        "s2s_access: none",
        "access_remove: none",
        "disable_sasl_mechanisms: [PLAIN, DIGEST-MD5, X-OAUTH2]",
        "allow_local_users: false",
        "members_only: true",
        "max_users: 300",
        "history_size: 0",
        "resume_timeout: 60 sec",
        "loglevel: notice",
        "access: insiders",
        "c2s_protocol_options: [no_sslv3, no_tlsv1, no_tlsv1_1, no_compression",
        "allow_private_messages: false",
    ],
)
def test_the_line_is_in_that_of_ejabberd(line: str) -> None:
    assert line in fleet_text("ejabberd", domain="example.org", admins=[ALICE])


@pytest.mark.parametrize(
    "line",
    [
        'tls_profile = "intermediate"',
        "allow_registration = false",
        "s2s_secure_auth = true",
        "smacks_hibernation_time = 60",
        "max_history_messages = 0",
        "smacks_max_queue_size = 5000",
        "c2s_timeout = 60",
    ],
)
def test_the_line_is_in_that_of_prosody(line: str) -> None:
    assert line in fleet_text("prosody", domain="example.org", admins=[ALICE], s2s=["partner.example"])


def test_a_file_is_written_once_and_readable_for_the_server(tmp_path: Path) -> None:
    words = ("prosody", "--domain", "example.org", "--admin", ALICE)
    file = tmp_path / "prosody.cfg.lua"
    assert config(*words, "--output", str(file)).stdout == f"written: {file}\n"
    assert file.read_text() == config(*words).stdout
    assert stat.S_IMODE(file.stat().st_mode) == 0o644
    file.write_text("mine")
    again = config(*words, "--output", str(file))
    assert again.exit_code == 1
    assert "is there already and was left alone" in again.stderr
    assert file.read_text() == "mine"


def test_a_file_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    words = ("ejabberd", "--domain", "example.org", "--admin", ALICE)
    result = config(*words, "--output", str(tmp_path / "no" / "where.yml"))
    assert result.exit_code == 1
    assert "cannot be written: No such file" in result.stderr


def test_a_program_that_is_none_is_refused() -> None:
    assert config("pyjabber", "--domain", "example.org", "--admin", ALICE).exit_code == 2
