"""Help: what there is for this asker, and how one command is used."""

from collections.abc import AsyncIterator

from amon.command import Call, command, commands_of
from amon.command.manual import overview, page, usage
from amon.words import Role
from tests.command.offers import OFFERED


def test_everybody_sees_what_his_role_may_and_no_more() -> None:
    assert overview(OFFERED, lambda instance, command: command.role <= Role.observer) == (
        "help status\ninside: ping\nservice: list status\nuplink: ping\nuptime\nhelp COMMAND tells more"
    )
    assert "service: list restart status" in overview(OFFERED, lambda instance, command: command.role <= Role.operator)
    assert "kill" in overview(OFFERED, lambda instance, command: True)


def test_who_may_nothing_is_told_whom_to_ask() -> None:
    assert overview(OFFERED, lambda instance, command: False).startswith("you may ask nothing here")


def test_an_instance_of_which_nothing_is_allowed_is_not_named() -> None:
    assert "service" not in overview(OFFERED, lambda instance, command: instance != "service")


def test_usage_is_a_line_to_type() -> None:
    assert usage("service", OFFERED["service"]["restart"]) == "service restart NAMES..."
    assert usage("service", OFFERED["service"]["status"]) == "service status [NAME]"
    assert usage("uptime", OFFERED["uptime"]["uptime"]) == "uptime"
    assert usage("agent", OFFERED["agent"]["help"]) == "help"


def test_a_page_tells_the_parameters_with_their_limits_and_the_role() -> None:
    assert page("service", OFFERED["service"]["kill"]).splitlines() == [
        "service kill NAME [SIGNAL] [AFTER] [--force-it] [--gently] [TOKEN]",
        "Kill a service.",
        "There is no way back.",
        "  name: the unit",
        "  signal: which signal; one of TERM, KILL; else TERM",
        "  after: wait so long first; at least 1 s; at most 10 min; else 10 s",
        "  force-it",
        "  gently: else yes",
        "  token: a password; else ***; secret",
        "needs role admin; danger: --dry-run tells what would be done",
    ]


def test_a_page_tells_that_a_command_goes_on_and_for_how_long() -> None:
    class Log:
        @command(timeout=600)
        async def follow(self, call: Call) -> AsyncIterator[str]:
            """Tell what comes."""
            yield ""

    lines = page("log", commands_of(Log)["follow"]).splitlines()
    assert lines[2] == "goes on telling until you stop it, at most 10 min"
