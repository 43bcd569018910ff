"""The file of an agent, read and looked at: what the agent is to be, and all that is wrong with it, at once.

A module that does not load hinders nothing here: its instance shows it in the site's health. What is written wrongly
does, and then the agent does not start, or stays what it was.
"""

import dataclasses
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from amon.clock import Clock, SystemClock
from amon.command.grammar import AGENT
from amon.config import Sources, known_good, parse
from amon.convert import fields_of, from_data
from amon.errors import Failed, Problem
from amon.fields import Secret
from amon.module import Module, Registry, settings_type
from amon.runtime.node import Spec
from amon.target import RESERVED
from site_agent.files import directory_fault, mode_fault, read_file
from site_agent.findings import Finding, Group, findings
from site_agent.offered import offered
from site_agent.plans import AccountPlan, plan_account, same_address
from site_agent.rulenotes import law_notes
from site_agent.settings import Account, AgentSettings, InstanceSettings

__all__ = ["AccountPlan", "Configuration", "Loaded", "World", "load"]

_MOST = 1024 * 1024  # bytes
_OWN = frozenset({AGENT, "audit", "maintenance"})


@dataclass(frozen=True, slots=True)
class World:
    """What a configuration is looked at with. credentials: systemd's directory of them."""

    registry: Registry
    uid: int
    credentials: Path | None = None
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    clock: Clock = field(default_factory=SystemClock)

    @classmethod
    def here(cls) -> "World":
        directory = os.environ.get("CREDENTIALS_DIRECTORY")
        return cls(Registry(), os.geteuid(), Path(directory) if directory else None, os.environ)

    def sources(self) -> Sources:
        """Of one reading."""
        return Sources(self.uid, self.environment, self.credentials)


@dataclass(frozen=True, slots=True)
class Configuration:
    """What an agent is to be; nothing in it is known to be wrong."""

    settings: AgentSettings
    specs: tuple[Spec, ...] = ()
    accounts: tuple[AccountPlan, ...] = ()


@dataclass(slots=True)
class Loaded:
    """What could be made of a file. `accounts` and `specs` hold what is in order, also when other things are not."""

    settings: AgentSettings | None = None
    names: tuple[str, ...] = ()  # of all instances that stand there
    specs: list[Spec] = field(default_factory=list)
    accounts: list[AccountPlan] = field(default_factory=list)
    found: list[Finding] = field(default_factory=list)

    @property
    def problems(self) -> list[Finding]:
        return [one for one in self.found if one.group is not Group.note]

    @property
    def notes(self) -> list[Finding]:
        return [one for one in self.found if one.group is Group.note]

    def faulty(self) -> tuple[str, ...]:
        """The instances that something is wrong with."""
        return tuple(name for name in self.names if _is_told(f"instance.{name}", self.problems))

    @property
    def configuration(self) -> Configuration | None:
        """None if there is any problem."""
        if self.settings is None or self.problems:
            return None
        return Configuration(self.settings, tuple(self.specs), tuple(self.accounts))


def load(path: Path, world: World) -> Loaded:
    """Reads the file; everything that is wrong with it is in `found`."""
    loaded = Loaded()
    try:
        data, state = read_file(path, _MOST)
        text = data.decode()
    except Failed as error:
        loaded.found.append(Finding("", f"{error}{_first_steps(path)}", Group.file))
        return loaded
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        loaded.found.append(Finding(f"line {line}", "this is not text in UTF-8; save the file as UTF-8", Group.file))
        return loaded
    tables, sources = parse(text), world.sources()
    if isinstance(tables, Problem):
        loaded.found += findings([tables], Group.syntax)
    else:
        _look(tables, world, sources, loaded)
    fault = mode_fault(path, state, world.uid, private=_holds_secret(sources, loaded.specs))
    if fault:
        loaded.found.append(Finding("", fault, Group.mode))
    return loaded


def _first_steps(path: Path) -> str:
    return "" if path.exists() else f"; next: amon-agent example > {path}, then put your addresses into it"


def _look(tables: dict[str, Any], world: World, sources: Sources, loaded: Loaded) -> None:
    problems: list[Problem] = []
    loaded.settings = from_data(tables, AgentSettings, "", problems, sources.find)
    loaded.found += findings(problems, Group.settings)
    instances = _tables(tables, "instance")
    accounts = _tables(tables, "account")
    loaded.names = tuple(tables["instance"]) if isinstance(tables.get("instance"), Mapping) else ()
    _look_at_state(tables, world, loaded)
    for name, table in instances.items():
        spec = _instance(name, table, world.registry, sources, loaded.found)
        if spec is not None:
            loaded.specs.append(spec)
    for name, table in accounts.items():
        _account(name, table, list(instances), sources, loaded)
    loaded.found += _rule_notes(loaded, frozenset(instances), world.clock.time())
    jids = {name: str(table["jid"]) for name, table in accounts.items() if "jid" in table}
    loaded.found += same_address(jids)
    if "account" not in tables or tables["account"] == {}:
        text = "no account is given: nobody could reach this agent; next: see [account.main] in `amon-agent example`"
        loaded.found.append(Finding("account", text))


def _tables(tables: Mapping[str, Any], name: str) -> dict[str, Mapping[str, Any]]:
    """The tables below a key, as far as they are some."""
    below = tables.get(name)
    if not isinstance(below, Mapping):
        return {}
    return {key: value for key, value in below.items() if isinstance(value, Mapping)}


def _look_at_state(tables: Mapping[str, Any], world: World, loaded: Loaded) -> None:
    settings = loaded.settings or known_good({key: tables[key] for key in ("state",) if key in tables}, AgentSettings)
    if settings is None:
        return
    if not settings.state.is_absolute():
        loaded.found.append(Finding("state", f"{settings.state} is relative; write the whole path"))
        return
    fault = directory_fault(settings.state, world.uid)
    if fault:
        loaded.found.append(Finding("state", fault, Group.mode))


def _account(name: str, table: Mapping[str, Any], instances: list[str], sources: Sources, loaded: Loaded) -> None:
    path = f"account.{name}"
    whole = not _is_told(path, loaded.found)
    account = known_good(table, Account, sources.again)
    if account is None:
        return
    plan, found = plan_account(name, account, instances, sources, whole=whole)
    loaded.found += found
    if plan is not None and whole:
        loaded.accounts.append(plan)


def _rule_notes(loaded: Loaded, instances: frozenset[str], now: float) -> list[Finding]:
    """Rules about what is not offered here. Nothing is said of instances that offer nothing because of a fault."""
    if not loaded.accounts:
        return []
    here = offered(loaded.specs)
    unknown = instances - here.keys()
    return [
        Finding(one.path, one.text, Group.note)
        for plan in loaded.accounts
        for one in law_notes(plan.law, f"account.{plan.name}", here, unknown, now)
    ]


def _instance(
    name: str, table: Mapping[str, Any], registry: Registry, sources: Sources, found: list[Finding]
) -> Spec | None:
    path = f"instance.{name}"
    if name in _OWN or name in RESERVED:
        whose = "the agent's own" if name in _OWN else "a word of the target language"
        found.append(Finding(path, f"{name!r} is {whose}; give the instance another name, and `module = {name!r}`"))
        return None
    instance = known_good(table, InstanceSettings)
    if instance is None:
        return None
    kind = instance.module or name
    module = registry.find(kind)
    if module.cls is None:
        return Spec(name, kind, None, None, module.reason)
    return _spec(name, kind, module.cls, instance.settings, sources, found)


def _spec(
    name: str, kind: str, cls: type[Module[Any]], written: Mapping[str, Any], sources: Sources, found: list[Finding]
) -> Spec | None:
    path = f"instance.{name}.settings"
    hint = settings_type(cls)
    problems: list[Problem] = []
    if hint is None:
        if written:
            found.append(Finding(path, f"module {kind} takes no settings; remove {', '.join(written)}"))
            return None
        return Spec(name, kind, cls)
    try:
        settings = from_data(dict(written), hint, path, problems, sources.find)
        if settings is not None and not problems:
            problems += _own_problems(cls, settings, path)
    except Exception as broken:  # whatever a module does while it is asked is that module's trouble
        return Spec(
            name, kind, None, None, f"module {kind!r} cannot read its settings: {type(broken).__name__}: {broken}"
        )
    if settings is None:
        problems += _more_problems(cls, known_good(written, hint, sources.again), written, path, problems)
    found += findings(problems, Group.settings)
    return None if problems else Spec(name, kind, cls, settings)


def _own_problems(cls: type[Module[Any]], settings: Any, path: str) -> list[Problem]:
    return [Problem(f"{path}.{one.path}" if one.path else path, one.text) for one in cls.problems(settings)]


def _more_problems(
    cls: type[Module[Any]], settings: Any, written: Mapping[str, Any], path: str, told: Iterable[Problem]
) -> list[Problem]:
    """What the module itself says of the settings that are in order; nothing of what only seems to be missing."""
    if settings is None:
        return []
    try:
        said = _own_problems(cls, settings, path)
    except Exception:  # settings with a hole in them are more than it has to bear
        return []
    return [one for one in said if _stands_in(written, one.path, path) and not _is_told(one.path, told)]


def _stands_in(value: Any, wanted: str, path: str) -> bool:
    """Whether somebody wrote a value for `wanted`, which is `path` or below it."""
    if wanted == path or (wanted.startswith(f"{path}[") and isinstance(value, list | tuple)):
        return True
    if not wanted.startswith(f"{path}.") or not isinstance(value, Mapping):
        return False
    return any(_stands_in(below, wanted, f"{path}.{name}") for name, below in value.items())


def _is_told(path: str, told: Iterable[Problem]) -> bool:
    """Whether something is known to be wrong there, or with a part of it."""
    return any(one.path == path or one.path.startswith((f"{path}.", f"{path}[")) for one in told)


def _holds_secret(sources: Sources, specs: Iterable[Spec]) -> bool:
    """Whether a reader of the file learns a secret: of an account, of a proxy, or in the settings of a module."""
    for path, secret in sources.written.items():
        proxy = path.startswith("account.") and path.endswith(".proxy")
        if not proxy or "@" in secret.reveal():
            return True
    return any(_is_secret(spec.settings) for spec in specs)


def _is_secret(value: Any) -> bool:
    """Whether something in it must not be shown that is no `Secret`; those are known by where they were found."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        parts = [(hint, getattr(value, name)) for name, (hint, _) in fields_of(type(value)).items()]
        hidden = any(hint.field.secret and one and not isinstance(one, Secret) for hint, one in parts)
        return hidden or any(_is_secret(one) for _, one in parts)
    if isinstance(value, Mapping):
        return any(_is_secret(one) for one in value.values())
    if isinstance(value, tuple | list):
        return any(_is_secret(one) for one in value)
    return False
