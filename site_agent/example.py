"""The commented configuration of `amon-agent example`, from the types of the agent and of what is installed."""

import sys
from collections.abc import Iterator
from typing import Any

from amon.config import comment, example
from amon.convert import from_data
from amon.errors import Problem
from amon.module import Module, Registry, settings_type
from site_agent.settings import AgentSettings

_HEAD = """\
# Configuration of an amon agent (TOML). A line that begins with `#` says what a key means, or holds a default or an
# example: take the `#` away to change it, and that of the `[table]` it stands in. Durations are written "30 s",
# "5 min", "1 h 30 min"; sizes "64 KiB", "10 MB".
# What is kept secret is written as text, or better as the place where it is, in any of these ways:
#   { file = "/etc/amon/password" } (mode 0600)   { env = "AMON_PASSWORD" }   { credential = "password" } (systemd)
# Look it over: amon-agent check --config FILE     Take it over without a stop: systemctl reload amon-agent
"""
_INSTANCES = """\
# Instances of modules. An instance is called as its module is, unless `module` says which it is of: then there may be
# several. Its commands are said with its name.
"""
# What a first configuration cannot do without.
_LIVE: dict[str, Any] = {
    "account.main.password_file": "/etc/amon/password",
    "account.main.rooms": ("ops@rooms.example.org",),
    "account.main.policy.admin": ("alice@example.org",),
}


def configuration_example(registry: Registry) -> str:
    """The whole file."""
    parts = [_HEAD, example(AgentSettings, live=_LIVE, skip=frozenset({"instance"})), _INSTANCES]
    parts += [_instance(name, registry) for name in registry.names]
    return "\n".join(parts)


def _instance(name: str, registry: Registry) -> str:
    module = registry.find(name)
    if module.cls is None:
        return f"# {module.reason}\n"
    return "\n".join(_lines(name, module.cls)).strip("\n") + "\n"


def _lines(name: str, cls: type[Module[Any]]) -> Iterator[str]:
    on = _needs_nothing(cls)
    yield from comment(_what(cls))
    yield f"{'' if on else '# '}[instance.{name}]"
    yield ""
    hint = settings_type(cls)
    if hint is None:
        return
    path = f"instance.{name}.settings"
    yield f"{'' if on else '# '}[{path}]"
    yield example(hint, below=path, on=on)


def _what(cls: type[Module[Any]]) -> str:
    """The sentence that the module's file begins with."""
    text = " ".join((getattr(sys.modules.get(cls.__module__), "__doc__", "") or "").split())
    return text.partition(". ")[0]


def _needs_nothing(cls: type[Module[Any]]) -> bool:
    """Whether it can be started with what its settings are if nothing is written."""
    hint = settings_type(cls)
    if hint is None:
        return True
    problems: list[Problem] = []
    settings = from_data({}, hint, "", problems)
    return settings is not None and not problems and not list(cls.problems(settings))
