"""What a line of the shell means, without a shell."""

import pytest

from admin_console.shell.asking import SESSION, asked
from admin_console.shell.kinds import Page
from admin_console.shell.said import OWN, Said, flags_of, overview, read
from amon.errors import Invalid
from amon.target import parse


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", None),
        ("  # a remark", None),
        ("uptime", Said("", "uptime")),
        ("service restart httpd &", Said("", "service restart httpd", None, True)),
        ("Target  tag:tier=1 ", Said("target", "tag:tier=1")),
        ("quit", Said("exit")),
        ("@cern uptime", Said("", "uptime", "cern")),
        ("@(tag:tier=1 and not (cern)) service list", Said("", "service list", "tag:tier=1 and not (cern)")),
        ("@job:7Q2K:failed service status", Said("", "service status", "@job:7Q2K:failed")),
        ("@cern help uptime", Said("", "help uptime", "cern")),
        ("@cern run --timeout 5 uptime", Said("run", "--timeout 5 uptime", "cern")),
        ("help service", Said("help", "service")),
        ("a&", Said("", "a&")),
        ("“x”", Said("", '"x"')),
    ],
)
def test_a_line_is_a_word_of_the_shell_or_goes_to_the_sites(line: str, said: Said | None) -> None:
    assert read(line) == said


@pytest.mark.parametrize("line", ["@cern", "@(cern", "@(cern)", "\x1b[2J", "a\u202eb", "x" * 9000, "@"])
def test_what_is_no_line_is_refused(line: str) -> None:
    with pytest.raises(Invalid):
        read(line)


@pytest.mark.parametrize(
    ("line", "left", "flags"),
    [
        ("service restart httpd --dry-run", "service restart httpd", {"--dry-run"}),
        ("--yes  odd keep  'a  b'", "odd keep  'a  b'", {"--yes"}),
        ("odd keep --json x --yes", "odd keep x", {"--json", "--yes"}),
        ("odd keep -- --yes", "odd keep -- --yes", set()),
        ("odd keep '--yes'", "odd keep '--yes'", set()),
    ],
)
def test_the_consoles_own_flags_may_stand_anywhere(line: str, left: str, flags: set[str]) -> None:
    assert flags_of(line) == (left, frozenset(flags))


def test_options_are_those_of_amon_run_and_a_session_lasts_until_it_is_stopped() -> None:
    plain = asked("logs follow httpd", False)
    page = Page("logs follow UNIT", ("unit",), False, True)
    assert plain.wish(parse("all"), None).deadline == 30.0
    assert plain.wish(parse("all"), page).deadline == SESSION
    timed = asked("--timeout 1h --batch 2 logs follow 'a b'", True)
    wish = timed.wish(parse("all"), page)
    assert (wish.deadline, wish.rolling.batch, wish.line) == (3600.0, "2", "logs follow 'a b'")
    assert asked("-o json uptime", True).format == "json"
    assert asked("uptime --json", False).format == "json"
    assert asked("uptime", False).format is None
    assert asked("odd keep x --yes --dry-run", False).wish(parse("all"), None).yes


@pytest.mark.parametrize("rest", ["", "--nosuch x", "--batch 2", "--help", "--detach x", "--yes"])
def test_options_without_a_line_or_that_are_none_are_refused(rest: str) -> None:
    with pytest.raises(Invalid):
        asked(rest, True)


def test_the_help_names_every_word() -> None:
    assert {usage.split()[0].lower() for usage, _ in overview()} == {*OWN, "line"}
