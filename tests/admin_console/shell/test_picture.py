"""The prompt says whom one means and how the worst of them is, and nothing a site chose commands the terminal."""

from admin_console.shell.picture import prompt, toolbar
from amon.runtime.fleet import Site
from amon.target import parse
from amon.text import hidden
from amon.wire import HealthReport
from tests.admin_console.test_hostile_words import EVIL


def site(name: str, level: str = "ok", online: bool = True, **tags: str) -> Site:
    return Site(name, f"{name}@x", online, health=HealthReport(level, 1), tags=tags)


def text(*args: object, **more: str) -> str:
    return "".join(part for _, part in prompt(*args, **more))  # type: ignore[arg-type]


SITES = [site("cern", tier="2"), site("fnal", "crit", tier="2"), site("ral", "warn"), site("kek", online=False)]


def test_the_prompt_shows_the_target_and_the_worst_of_it() -> None:
    assert text(None, SITES) == "amon [no target: 4 sites, CRIT 1] > "
    assert text(parse("tag:tier=2"), SITES) == "amon [tag:tier=2: 2 sites, CRIT 1] > "
    assert text(parse("cern"), SITES) == "amon [cern: 1 site, OK] > "
    assert text(parse("kek,ral"), SITES) == "amon [kek,ral: 2 sites, OFFLINE 1] > "
    assert text(parse("tag:x"), SITES) == "amon [tag:x: 0 sites] > "
    assert text(parse("all"), SITES, trouble="lost") == "amon [all: 4 sites, no connection] > "


def test_a_job_that_nobody_looked_up_is_no_reason_to_fail() -> None:
    assert text(parse("@job:7Q2K", jobs=True), SITES) == "amon [@job:7Q2K] > "


def test_a_long_target_does_not_fill_the_line() -> None:
    assert len(text(parse("cern,fnal," * 30 + "ral"), SITES)) < 100


def test_the_line_below_tells_the_usage_or_what_is_under_way() -> None:
    assert toolbar("service restart UNIT", [], 0) == "service restart UNIT"
    assert toolbar("", [], 0) == ""
    work = [("7Q2K", "service restart httpd", 1, 3, 4.0)] * 5
    assert toolbar("", work, 1) == (
        "7Q2K service restart httpd: 1 of 3 sites, 4 s | 7Q2K service restart httpd: 1 of 3 sites, 4 s | "
        "7Q2K service restart httpd: 1 of 3 sites, 4 s | 2 more | 1 line waiting"
    )


def test_nothing_of_it_commands_a_terminal() -> None:
    said = text(None, [Site(EVIL, EVIL, True, EVIL, EVIL, EVIL, HealthReport(EVIL, 1), tags={EVIL: EVIL})])
    said += toolbar(EVIL, [(("X"), EVIL, 0, 1, 0.0)], 0) + toolbar("", [(("X"), EVIL, 0, 1, 0.0)], 0)
    assert not any(hidden(character) for character in said)
