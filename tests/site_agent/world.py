"""A place for configurations in tests: a file, a password beside it, a state directory, and modules of known names."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint
from pathlib import Path

from amon.module import Registry
from amon.module.registry import GROUP
from site_agent.configuration import Configuration, Loaded, World, load

MODULES = {
    "host": "modules.host:HostModule",
    "uptime": "modules.uptime:UptimeModule",
    "service": "modules.service:ServiceModule",
    "broken": "tests.site_agent.nowhere:Module",
}


def entry_points(modules: Mapping[str, str] = MODULES) -> Iterable[EntryPoint]:
    return [EntryPoint(name, value, GROUP) for name, value in modules.items()]


@dataclass
class Place:
    """`$STATE`, `$PASSWORD` and `$HERE` in a text are this place's."""

    folder: Path
    uid: int = os.geteuid()
    credentials: Path | None = None
    modules: Mapping[str, str] = field(default_factory=lambda: MODULES)

    def __post_init__(self) -> None:
        self.path = self.folder / "agent.toml"
        self.password = self.folder / "password"
        self.state = self.folder / "state"
        self.password.write_text("hush\n")
        self.password.chmod(0o600)
        self.state.mkdir(mode=0o700, exist_ok=True)

    def write(self, text: str, mode: int = 0o600) -> Path:
        for name, path in (("$STATE", self.state), ("$PASSWORD", self.password), ("$HERE", self.folder)):
            text = text.replace(name, str(path))
        self.path.write_text(text)
        self.path.chmod(mode)
        return self.path

    def world(self) -> World:
        return World(Registry(lambda: entry_points(self.modules)), self.uid, self.credentials)

    def load(self, text: str, mode: int = 0o600) -> Loaded:
        return load(self.write(text, mode), self.world())

    def problems(self, text: str, mode: int = 0o600) -> list[str]:
        return [str(problem) for problem in self.load(text, mode).problems]

    def configuration(self, text: str) -> Configuration:
        loaded = self.load(text)
        assert loaded.configuration is not None, loaded.problems
        return loaded.configuration


GOOD = """
state = "$STATE"
[account.main]
jid = "site-1@agents.example.org"
password_file = "$PASSWORD"
rooms = ["ops@rooms.example.org"]
[account.main.policy]
admin = ["alice@example.org"]
[instance.uptime]
settings = { settle = "1 min" }
"""
