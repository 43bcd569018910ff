"""`amon-agent policy`: the same decision as a running agent's, its reason, and an exit code; nothing runs."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from amon.access.sshkey import PublicKey
from amon.access.sshsig import BUNDLE, SigningKey
from amon.clock import SystemClock
from amon.errors import Failed, Invalid
from amon.runtime.node import Node
from amon.store import Journal
from site_agent.cli import main
from site_agent.explain import Answer, account_of, explain, line_of, moment_of
from site_agent.offered import offered
from site_agent.policies import accept_bundle
from site_agent.showpolicy import policy_text
from tests.site_agent.world import Place

NOW = 1_795_000_000.0  # Wednesday, 2026-11-18 11:06 UTC
ALICE, BOB, CAROL, EVE = "alice@example.org", "bob@example.org", "carol@example.org", "eve@evil.example"
KEY_LINE = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
TEXT = """
state = "$STATE"
[account.main]
jid = "site-1@agents.example.org"
password_file = "$PASSWORD"
rooms = ["ops@rooms.example.org"]
signers = "$HERE/signers"
[account.main.policy]
observer = ["*@example.org"]
operator = ["@shift"]
admin = ["alice@example.org"]
signed = ["danger"]
two_persons = ["service stop"]
groups = { shift = ["bob@example.org"] }
[[account.main.policy.deny]]
who = ["@shift"]
commands = ["service stop"]
about = "only admins stop"
[[account.main.policy.allow]]
who = ["carol@example.org"]
commands = ["service restart"]
only = { name = "httpd|xrootd*" }
hours = ["Mon-Fri 08:00-18:00"]
about = "web"
[instance.uptime]
[instance.service.settings.services.httpd]
driver = "systemd"
unit = "httpd.service"
[instance.service.settings.services.xrootd]
driver = "systemd"
unit = "xrootd.service"
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    (tmp_path / "signers").write_text(f"{ALICE} {KEY_LINE}\n")
    return Place(tmp_path)


def asked(place: Place, who: str, *words: str, text: str = TEXT, now: float = NOW, **more: Any) -> Answer:
    return explain(place.load(text), who, words, now, **more)


def test_the_file_of_these_tests_has_no_mistake(place: Place) -> None:
    assert [str(one) for one in place.load(TEXT).found] == []


async def test_what_is_offered_is_what_a_running_node_offers(place: Place, tmp_path: Path) -> None:
    specs = [spec for spec in place.configuration(TEXT).specs if spec.name == "uptime"]
    async with Journal.open(tmp_path / "journal.db") as journal, asyncio.TaskGroup() as tasks:
        node = Node(tasks, journal, SystemClock(), tmp_path)
        await node.start(specs)
        running = node.offered()
        await node.stop()
    assert offered(specs) == running
    assert set(running) == {"agent", "audit", "maintenance", "uptime"}


@pytest.mark.parametrize(
    ("who", "line", "allowed", "rule"),
    [
        (ALICE, "service restart httpd", True, f"admin {ALICE}"),
        (ALICE, "restart httpd", True, f"admin {ALICE}"),  # short forms, as people type them
        (BOB, "service restart httpd", True, "operator @shift"),
        (BOB, "service stop httpd", False, "deny[0] only admins stop"),
        (BOB, "uptime", True, "operator @shift"),
        (CAROL, "service restart xrootd", True, "allow[0] web"),
        (CAROL, "service start httpd", False, "observer *@example.org"),
        (EVE, "uptime", False, "default deny"),
        ("site-2@agents.example.org", "uptime", False, "agents"),
    ],
)
def test_it_says_whether_and_by_which_rule(place: Place, who: str, line: str, allowed: bool, rule: str) -> None:
    answer = asked(place, who, line)
    assert (answer.decision.allowed, answer.decision.rule) == (allowed, rule)
    assert answer.code == (0 if allowed else 13)


def test_the_text_has_everything_one_needs_to_mend_it(place: Place) -> None:
    weekend = moment_of("2026-11-21T03:00")
    assert asked(place, CAROL, "service", "restart", "httpd", now=weekend).text() == (
        "refused: carol@example.org: service restart name=httpd\n"
        "  why:     you may service restart only Mon-Fri 08:00-18:00 (UTC); ask an owner of this site\n"
        "  rule:    observer *@example.org\n"
        "  effect:  change; declared for role operator\n"
        "  account: main, at 2026-11-21 03:00 UTC\n"
    )
    said = asked(place, CAROL, "service restart xrootd").text()
    assert said.startswith("allowed: carol@example.org: service restart name=xrootd\n")
    assert "  needs:   a yes with a code, where it is typed in a chat\n" in said


def test_it_says_what_is_asked_besides(place: Place) -> None:
    assert asked(place, ALICE, "service stop httpd").needs == (
        "a yes with a code, where it is typed in a chat",
        "a second person's yes",
    )
    assert asked(place, ALICE, "uptime").needs == ()
    assert asked(place, ALICE, "service stop httpd --dry-run").needs == ()
    assert asked(place, BOB, "service stop httpd").needs == ()  # refused: nothing helps


def test_what_must_be_signed_is_refused_to_whom_no_key_counts(place: Place) -> None:
    text = TEXT.replace('signed = ["danger"]', 'signed = ["change"]')
    answer = asked(place, ALICE, "service restart httpd", text=text)
    assert answer.needs == ("a signature (effect change): amon run --sign, or amon sign",)
    signed = asked(place, ALICE, "service restart httpd", text=text, key=fingerprint())
    assert (signed.decision.allowed, signed.needs) == (True, ())
    without = asked(place, BOB, "service restart httpd", text=text)
    assert (without.code, without.decision.rule) == (13, "signature")
    assert without.decision.reason == f"it must be signed, and no key of {BOB} counts here"


def fingerprint() -> str:
    return PublicKey.from_line(KEY_LINE).fingerprint


def test_a_key_that_is_not_the_askers_is_refused_before_anything_else(place: Place) -> None:
    for who, key in ((BOB, fingerprint()), (ALICE, "SHA256:" + "A" * 43)):
        answer = asked(place, who, "uptime", key=key)
        assert (answer.code, answer.decision.rule) == (13, "signature")
        assert answer.decision.reason == f"{key} is no key of {who} that counts here now"


@pytest.mark.parametrize(
    ("who", "words", "more", "said"),
    [
        (ALICE, ["service", "frob"], {}, "service has no command 'frob'"),
        (ALICE, ["service", "restart"], {}, "service restart needs name"),
        (ALICE, [""], {}, "nothing was asked"),
        ("", ["uptime"], {}, "an address is empty"),
        ("a@b@c", ["uptime"], {}, "is no address such as name@example.org"),
        (ALICE, ["uptime"], {"key": "SHA256:short"}, "is no key like SHA256:"),
        (ALICE, ["uptime"], {"account": "mian"}, "no account 'mian' is in order here; did you mean main?"),
    ],
)
def test_a_wrong_question_is_invalid(place: Place, who: str, words: list[str], more: dict[str, Any], said: str) -> None:
    with pytest.raises(Invalid, match=said):
        asked(place, who, *words, **more)


def test_with_several_accounts_it_asks_which(place: Place) -> None:
    two = TEXT + (
        f'[account.vo]\njid = "x@agents.vo.example"\npassword_file = "$PASSWORD"\npolicy = {{ observer = ["{EVE}"] }}\n'
    )
    with pytest.raises(Invalid, match="there are the accounts main, vo; say which: --account NAME"):
        asked(place, EVE, "uptime", text=two)
    assert asked(place, EVE, "uptime", text=two, account="vo").decision.allowed
    assert not asked(place, EVE, "uptime", text=two, account="main").decision.allowed


def test_a_broken_configuration_is_not_asked(place: Place) -> None:
    with pytest.raises(Failed, match="the configuration has problems; next: amon-agent check"):
        asked(place, ALICE, "uptime", text=TEXT.replace("admin =", "amdin ="))


def test_files_of_somebody_else_are_told_with_the_next_step(place: Place) -> None:
    place.password.chmod(0o644)
    with pytest.raises(Failed, match=r"has mode 0644.*; next: chmod 600"):
        asked(place, ALICE, "uptime")


def test_words_of_a_shell_are_one_line_again() -> None:
    assert line_of(["service", "restart", "a b", 'c"d', ""]) == 'service restart "a b" "c\\"d" ""'
    assert line_of(["service restart httpd"]) == "service restart httpd"


@pytest.mark.parametrize("text", ["", "now", "2026-11-21", "2026-02-30T03:00", "2026-11-21T03:00 and more"])
def test_a_time_that_is_none_is_invalid(text: str) -> None:
    with pytest.raises(Invalid):
        moment_of(text)


def run(place: Place, *argv: str) -> int:
    return main([*argv[:2], "--config", str(place.path), *argv[2:]])


def test_the_exit_code_is_the_answer(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write(TEXT)
    assert run(place, "policy", "explain", ALICE, "service", "restart", "httpd") == 0
    assert run(place, "policy", "explain", EVE, "uptime") == 13
    assert run(place, "policy", "explain", ALICE, "service", "frob") == 2
    assert run(place, "policy", "explain", "--at", "noon", ALICE, "uptime") == 2
    assert "amon-agent policy: service has no command 'frob'" in capsys.readouterr().err
    assert run(place, "policy", "explain", "--at", "2026-11-21T03:00", CAROL, "service", "restart", "httpd") == 13
    place.path.write_text("broken")
    assert run(place, "policy", "explain", ALICE, "uptime") == 1
    assert run(place, "policy", "show") == 1


def test_programs_get_json(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write(TEXT)
    assert run(place, "policy", "explain", "--json", BOB, "service", "stop", "httpd") == 13
    data = json.loads(capsys.readouterr().out)
    assert (data["allowed"], data["rule"], data["command"]) == (False, "deny[0] only admins stop", "service stop")
    assert (data["effect"], data["needs_role"], data["role"]) == ("change", "operator", "operator")


def test_show_prints_roles_groups_rules_and_keys(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    place.write(TEXT)
    assert run(place, "policy", "show") == 0
    assert capsys.readouterr().out == (
        "account main\n"
        "\n"
        "the site's own policy\n"
        "  owner        -\n"
        "  admin        alice@example.org\n"
        "  operator     @shift\n"
        "  observer     *@example.org\n"
        "  @shift       bob@example.org\n"
        "  deny[0]      @shift: service stop; [only admins stop]\n"
        "  allow[0]     carol@example.org: service restart; with name httpd|xrootd*; Mon-Fri 08:00-18:00; (UTC); "
        "[web]\n"
        "  max_role     owner\n"
        "  signed       danger\n"
        "  confirm      change, danger\n"
        "  two_persons  service stop\n"
        "  rate         600 a minute\n"
        "\n"
        "keys that sign requests\n"
        f"  alice@example.org  {fingerprint()}\n"
    )


def test_show_and_explain_know_the_bundle_that_is_in_force(place: Place) -> None:
    key = SigningKey.generate(place.folder / "org", "org")
    text = TEXT.replace("signers =", f'organisation = ["{key.public.line}"]\nsigners =')
    raw = (
        'fleet = "ops@rooms.example.org"\nserial = 3\nissued = "2026-11-18T11:00:00Z"\n'
        f'expires = "2026-11-19T11:00:00Z"\n[policy]\nadmin = ["{EVE}"]\n'
    ).encode()
    (plan,) = place.configuration(text).accounts
    accept_bundle(
        raw, key.sign(raw, BUNDLE), state=place.state, account="main",
        organisation=plan.law.organisation, rooms=plan.login.rooms, now=NOW,
    )  # fmt: skip
    assert asked(place, EVE, "uptime", text=text).decision.rule == f"bundle admin {EVE}"
    assert asked(place, ALICE, "uptime", text=text).decision.rule == "default deny"
    assert asked(place, EVE, "service stop httpd", text=text).needs[-1] == "a second person's yes"
    late = asked(place, EVE, "uptime", text=text, now=NOW + 86_400)
    assert (late.code, late.decision.rule) == (13, "bundle")
    assert "has expired (2026-11-19 11:00 UTC)" in late.decision.reason
    _, authority = account_of(place.load(text), None)
    said = policy_text("main", authority, NOW)
    assert f"  bundle 3 of ops@rooms.example.org, signed by {key.public.fingerprint}\n" in said
    assert "the fleet's policy: it grants\n" in said
    assert "the site's own: it only takes away\n  @shift       bob@example.org\n  deny[0]" in said
    assert "nobody may anything: the policy bundle 3" in policy_text("main", authority, NOW + 86_400)
    (place.state / "policy" / "main").write_bytes(b"x")
    _, broken = account_of(place.load(text), None)
    assert "nobody may anything: the policy bundle in" in policy_text("main", broken, NOW)
