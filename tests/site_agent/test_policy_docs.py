"""The policy in the documents loads, has nothing that is worth a look, and means what is written beside it."""

import re
from pathlib import Path

import pytest

from site_agent.explain import explain, moment_of
from tests.site_agent.world import Place

CHAPTER = re.search(
    r"^## The policy$(.*?)^## The configuration$",
    (Path(__file__).parents[2] / "docs" / "agent.md").read_text(),
    re.MULTILINE | re.DOTALL,
)
SERVICES = "".join(
    f'[instance.service.settings.services.{name}]\ndriver = "systemd"\nunit = "{name}.service"\n'
    for name in ("httpd", "slapd", "sshd")
)
WORKDAY = "2026-11-20T13:00"


@pytest.fixture
def text(tmp_path: Path) -> str:
    assert CHAPTER is not None
    (policy,) = re.findall(r"^```toml\n(.*?)^```$", CHAPTER[1], re.MULTILINE | re.DOTALL)
    (tmp_path / "signers").write_text(
        "alice@example.org ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f\n"
    )
    mine = str(policy).replace("/etc/amon/password", "$PASSWORD").replace("/etc/amon/signers", "$HERE/signers")
    return f'state = "$STATE"\n{mine}\n{SERVICES}'


def test_the_example_has_no_mistake_and_no_note(tmp_path: Path, text: str) -> None:
    loaded = Place(tmp_path).load(text)
    assert [str(one) for one in loaded.found] == []
    assert [plan.name for plan in loaded.accounts] == ["main"]


@pytest.mark.parametrize(
    ("who", "line", "at", "rule"),
    [
        ("eve@example.org", "service status", WORKDAY, "observer *@example.org"),
        ("bob@example.org", "service restart httpd", WORKDAY, "operator @shift"),
        ("bob@example.org", "service restart slapd", WORKDAY, "!deny[0] the directory is for admins"),
        ("bob@example.org", "service status", WORKDAY, "!deny[0] the directory is for admins"),
        ("alice@example.org", "service restart slapd", WORKDAY, "admin alice@example.org"),
        ("dave@partner.example", "service restart httpd", WORKDAY, "allow[0] web team of the partner"),
        ("dave@partner.example", "service restart sshd", WORKDAY, "!default deny"),
        ("dave@partner.example", "service restart httpd", "2026-11-20T17:30", "!default deny"),  # 18:30 in Berlin
        ("dave@partner.example", "service restart httpd", "2027-07-01T10:00", "!default deny"),
        ("mallory@partner.example", "uptime", WORKDAY, "!default deny"),
        ("site-2@agents.example.org", "status", WORKDAY, "!agents"),
    ],
)
def test_the_example_means_what_is_written_beside_it(
    tmp_path: Path, text: str, who: str, line: str, at: str, rule: str
) -> None:
    decision = explain(Place(tmp_path).load(f"{text}[instance.uptime]"), who, [line], moment_of(at)).decision
    assert (decision.allowed, decision.rule) == (not rule.startswith("!"), rule.removeprefix("!"))


def test_the_answer_in_the_documents_is_the_answer(tmp_path: Path, text: str) -> None:
    assert CHAPTER is not None
    ((line, answer),) = re.findall(r"^\$ amon-agent policy explain (.*)\n((?:.+\n)+)```$", CHAPTER[1], re.MULTILINE)
    who, *words = line.split()
    assert explain(Place(tmp_path).load(text), who, words, moment_of(WORKDAY)).text() == answer
