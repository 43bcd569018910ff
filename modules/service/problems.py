"""Every mistake in the settings at once, each with the path of its key and what to do about it."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from amon.errors import Problem

from .settings import NAME, Check, Service, Settings

UNIT = re.compile(r"[A-Za-z0-9:_.@\\][A-Za-z0-9:_.@\\-]{0,239}\.(service|socket|target|timer|path|mount|slice|scope)")

# Keys only one or two drivers read: set for another driver they are a mistake, not a wish.
_OWN = {
    "unit": ("systemd",),
    "argv": ("process",),
    "begin": ("process",),
    "directory": ("process", "command"),
    "environment": ("process", "command"),
    "log_limit": ("process", "command"),
    "start_argv": ("command",),
    "stop_argv": ("command",),
    "status_argv": ("command",),
    "restart_argv": ("command",),
}
_NEEDED = {"systemd": ("unit",), "process": ("argv",), "command": ("start_argv", "stop_argv", "status_argv")}


def problems(settings: Settings) -> Iterator[Problem]:
    """What is wrong, in the order of the file; nothing when nothing is."""
    for name, service in settings.services.items():
        path = f"services.{name}"
        if not re.fullmatch(NAME, name):
            yield Problem(path, "a name is letters, digits, and . _ @ - within, at most 64; rename it")
        yield from _service(path, service)


def parse_tcp(text: str) -> tuple[str, int] | None:
    """host:port, [::1]:port; None where it is neither."""
    match = re.fullmatch(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([^\s:\[\]/]+)):(\d{1,5})", text)
    if match is None or not 0 < int(match[3]) < 65536:
        return None
    return match[1] or match[2], int(match[3])


def _service(path: str, service: Service) -> Iterator[Problem]:
    for key, drivers in _OWN.items():
        default = _default(key)
        if getattr(service, key) != default and service.driver not in drivers:
            yield Problem(
                f"{path}.{key}",
                f"driver {service.driver} does not use it; remove it, or take driver {' or '.join(drivers)}",
            )
    for key in _NEEDED[service.driver]:
        if not getattr(service, key):
            yield Problem(f"{path}.{key}", f"missing; driver {service.driver} needs it")
    if service.driver == "systemd" and service.unit and not UNIT.fullmatch(service.unit):
        yield Problem(
            f"{path}.unit",
            f"{service.unit!r} is not the full name of a unit; write for example {service.unit + '.service'!r}",
        )
    for key in ("argv", "start_argv", "stop_argv", "status_argv", "restart_argv"):
        yield from _program(f"{path}.{key}", getattr(service, key))
    yield from _places(path, service)
    if service.restart.longest_wait < service.restart.wait:
        yield Problem(f"{path}.restart.longest_wait", "shorter than wait; make it at least as long")
    if service.check is not None:
        yield from _check(f"{path}.check", service.check)


def _places(path: str, service: Service) -> Iterator[Problem]:
    if not service.directory.startswith("/"):
        yield Problem(f"{path}.directory", f"{service.directory!r} is relative; write the whole path")
    if service.log_file and not service.log_file.startswith("/"):
        yield Problem(f"{path}.log_file", f"{service.log_file!r} is relative; write the whole path")
    for key, value in service.environment.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", key) or "\0" in value or key == "AMON_SERVICE":
            yield Problem(f"{path}.environment.{key}", "cannot be given to a program; use another name")


def _program(path: str, argv: tuple[str, ...]) -> Iterator[Problem]:
    if not argv:
        return
    if not argv[0].startswith("/"):
        yield Problem(path, f"{argv[0]!r} is looked for nowhere; write the whole path of the program")
    if any("\0" in word for word in argv):
        yield Problem(path, "holds a zero byte; remove it")


def _check(path: str, check: Check) -> Iterator[Problem]:
    ways = [key for key in ("tcp", "http", "argv") if getattr(check, key)]
    if len(ways) != 1:
        yield Problem(
            path, f"{'two ways at once: ' + ', '.join(ways) if ways else 'asks nothing'}; give one of tcp, http, argv"
        )
    if check.tcp and parse_tcp(check.tcp) is None:
        yield Problem(f"{path}.tcp", f"{check.tcp!r} is not host:port; write for example '127.0.0.1:80'")
    if check.http:
        yield from _http(f"{path}.http", check.http)
    if check.ca and not check.http.startswith("https:"):
        yield Problem(f"{path}.ca", "only a check of https has one; remove it")
    elif check.ca and not check.ca.startswith("/"):
        yield Problem(f"{path}.ca", f"{check.ca!r} is relative; write the whole path")
    if check.status and not check.http:
        yield Problem(f"{path}.status", "only an http check has one; remove it")
    yield from _program(f"{path}.argv", check.argv)


def _http(path: str, text: str) -> Iterator[Problem]:
    try:
        address = urlsplit(text)
        good = address.scheme in ("http", "https") and bool(address.hostname) and (address.port or 1) > 0
    except ValueError:
        good = False
    if not good or not text.isascii() or re.search(r"[\x00-\x20\x7f]", text):
        yield Problem(path, f"{text!r} is no address; write for example 'http://127.0.0.1:80/'")
    elif address.username is not None:
        yield Problem(path, "holds a user name; a check has no password to keep, use argv")


def _default(key: str) -> object:
    if key == "environment":
        return {}
    return getattr(_PLAIN, key)


_PLAIN = Service(driver="process")
