"""Every mistake in the settings is found at once, with its path and the next step."""

import tomllib
from typing import Any

import pytest

from amon.convert import from_data
from amon.errors import Problem
from modules.service import ServiceModule, Settings


def read(text: str) -> tuple[Settings | None, list[str]]:
    problems: list[Problem] = []
    settings = from_data(tomllib.loads(text), Settings, "", problems)
    if settings is not None:
        problems.extend(ServiceModule.problems(settings))
    return settings, [str(problem) for problem in problems]


GOOD = """
[services.httpd]
driver = "systemd"
unit = "apache2.service"
check = { tcp = "127.0.0.1:80", timeout = "2 s", every = "10 s", failures = 3 }
restart = { automatic = true, limit = 3, within = "10 min" }
[services.ce]
driver = "process"
argv = ["/opt/ce/bin/ce", "--foreground"]
environment = { CE_HOME = "/opt/ce" }
log_limit = "1 MiB"
check = { http = "https://[::1]:8443/health", status = 204 }
[services.grid]
driver = "command"
start_argv = ["/etc/init.d/grid", "start"]
stop_argv = ["/etc/init.d/grid", "stop"]
status_argv = ["/etc/init.d/grid", "status"]
settle = "5 s"
check = { argv = ["/usr/lib/check"] }
"""


def test_a_site_with_all_three_drivers_is_understood() -> None:
    settings, problems = read(GOOD)
    assert problems == []
    assert settings is not None
    assert settings.services["httpd"].restart.within == 600
    assert settings.services["ce"].log_limit == 1024 * 1024


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ('driver = "process"', "services.x.argv: missing; driver process needs it"),
        ('driver = "systemd"', "services.x.unit: missing; driver systemd needs it"),
        ('driver = "systemd"\nunit = "httpd"', "services.x.unit: 'httpd' is not the full name of a unit"),
        ('driver = "systemd"\nunit = "ht*.service"', "services.x.unit: 'ht*.service' is not the full name"),
        ('driver = "systemd"\nunit = "--now.service"', "services.x.unit: '--now.service' is not the full name"),
        (
            'driver = "systemd"\nunit = "a.service"\nargv = ["/bin/a"]',
            "services.x.argv: driver systemd does not use it",
        ),
        ('driver = "process"\nargv = ["ce"]', "services.x.argv: 'ce' is looked for nowhere"),
        ('driver = "process"\nargv = ["/ce"]\ndirectory = "here"', "services.x.directory: 'here' is relative"),
        ('driver = "process"\nargv = ["/ce"]\nenvironment = { "A=B" = "" }', "services.x.environment.A=B: cannot"),
        ('driver = "process"\nargv = ["/ce"]\nenvironment = { AMON_SERVICE = "" }', "AMON_SERVICE: cannot be given"),
        (
            'driver = "process"\nargv = ["/ce"]\ncheck = {}',
            "services.x.check: asks nothing; give one of tcp, http, argv",
        ),
        ('driver = "process"\nargv = ["/ce"]\ncheck = { tcp = "a:1", argv = ["/b"] }', "two ways at once: tcp, argv"),
        ('driver = "process"\nargv = ["/ce"]\ncheck = { tcp = "80" }', "services.x.check.tcp: '80' is not host:port"),
        ('driver = "process"\nargv = ["/ce"]\ncheck = { tcp = "a:70000" }', "'a:70000' is not host:port"),
        ('driver = "process"\nargv = ["/ce"]\ncheck = { http = "ftp://a/" }', "'ftp://a/' is no address"),
        ('driver = "process"\nargv = ["/ce"]\ncheck = { http = "http://a:b/" }', "'http://a:b/' is no address"),
        ('driver = "process"\nargv = ["/ce"]\ncheck = { http = "http://u:p@a/" }', "no password to keep"),
        ('driver = "process"\nargv = ["/ce"]\ncheck = { tcp = "a:1", status = 204 }', "only an http check has one"),
        ('driver = "process"\nargv = ["/ce"]\ncheck = { tcp = "a:1", ca = "/ca" }', "only a check of https has one"),
        ('driver = "process"\nargv = ["/ce"]\ncheck = { http = "https://a/", ca = "ca" }', "'ca' is relative"),
        ('driver = "process"\nargv = ["/ce"]\nrestart = { wait = 90 }', "restart.longest_wait: shorter than wait"),
        ('driver = "process"\nargv = ["/ce"]\nrestart = { limt = 3 }', "did you mean limit?"),
        ('driver = "runit"', "expected one of systemd, process, command"),
    ],
)
def test_complains(line: str, complaint: str) -> None:
    _, problems = read(f"[services.x]\n{line}")
    assert any(complaint in problem for problem in problems), problems


@pytest.mark.parametrize("name", ["..", "a/b", ".hidden", "", "a b", "x" * 65])
def test_a_name_that_is_no_directory_is_refused(name: str) -> None:
    data: dict[str, Any] = {"services": {name: {"driver": "process", "argv": ["/bin/true"]}}}
    problems: list[Problem] = []
    settings = from_data(data, Settings, "", problems)
    assert settings is not None
    assert [problem for problem in ServiceModule.problems(settings) if "rename it" in problem.text]


def test_every_mistake_is_told_at_once() -> None:
    _, problems = read('[services.a]\ndriver = "process"\n[services.b]\ndriver = "systemd"\nunit = "b"\ncheck = {}')
    assert len(problems) == 3
