"""From the file to what an engine works by: every mistake at once, names of users as numbers, each core its share."""

import grp
import os
import pwd
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from amon.config import known_good, parse
from amon.convert import from_data
from amon.engine.desk.server import Account
from amon.engine.messages import Limits
from amon.engine.program.settings import EngineSettings, TenantSettings
from amon.errors import Failed, Problem
from amon.files import mode_fault, read_file

_FILE_MOST = 64 * 1024 * 1024
_PATH_MOST = 107 - len(".1023")  # sun_path of unix(7)


@dataclass(frozen=True, slots=True)
class World:
    """What a configuration is judged against. uid: who reads it. cores: those this process may run on."""

    uid: int = field(default_factory=os.geteuid)
    cores: frozenset[int] = field(default_factory=lambda: frozenset(os.sched_getaffinity(0)))
    user: Callable[[str], int] = lambda name: pwd.getpwnam(name).pw_uid
    group: Callable[[str], int] = lambda name: grp.getgrnam(name).gr_gid
    host: Callable[[], str] = socket.gethostname


@dataclass(slots=True)
class Loaded:
    """settings: None if there is any problem. notes: what hinders nothing."""

    path: Path
    settings: EngineSettings | None = None
    accounts: tuple[Account, ...] = ()
    problems: list[Problem] = field(default_factory=list)
    notes: list[Problem] = field(default_factory=list)


def load(path: Path, world: World) -> Loaded:
    loaded = Loaded(path)
    try:
        data, state = read_file(path, _FILE_MOST)
        text = data.decode()
    except Failed as error:
        first = "" if path.exists() else f"; next: amon-engine example > {path}"
        loaded.problems.append(Problem("", f"{error}{first}"))
        return loaded
    except UnicodeDecodeError:
        loaded.problems.append(Problem("", f"{path} is not text in UTF-8; save it as UTF-8"))
        return loaded
    tables = parse(text)
    if isinstance(tables, Problem):
        loaded.problems.append(tables)
        return loaded
    settings = from_data(tables, EngineSettings, "", loaded.problems)
    # What is right beside a mistake is looked at too.
    _judge(settings or known_good(tables, EngineSettings) or EngineSettings(), world, loaded)
    if "tenants" not in tables:
        loaded.problems.append(
            Problem("tenants", "none is given: nobody could use this engine; next: see [tenants.site] in the example")
        )
    fault = mode_fault(path, state, world.uid, private=False, program="amon-engine")
    if fault:
        loaded.problems.append(Problem("", fault))
    loaded.settings = None if loaded.problems else settings
    return loaded


def _judge(settings: EngineSettings, world: World, loaded: Loaded) -> None:
    problems, notes = loaded.problems, loaded.notes
    if not settings.socket.is_absolute():
        problems.append(Problem("socket", f"{settings.socket} is relative; write the whole path"))
    if len(os.fsencode(settings.socket)) > _PATH_MOST:
        problems.append(Problem("socket", f"is longer than the {_PATH_MOST} bytes a socket's path may have"))
    if settings.group is not None:
        _number(settings.group, "group", "group", world.group, problems)
    for core in settings.cores:
        if core not in world.cores:
            some = ", ".join(map(str, sorted(world.cores)))
            problems.append(Problem("cores", f"there is no core {core} for this process, but {some}"))
    problems += _twice(settings.cores, "cores") + _twice(settings.interfaces, "interfaces")
    problems += _xdp_for_several(settings) + _networks(settings.deny, "deny")
    if settings.way == "xdp" and not settings.dedicated:
        notes.append(Problem("way", "xdp attaches a program to the interface; other programs of that kind are refused"))
    made = [_tenant(name, tenant, settings, world, loaded) for name, tenant in settings.tenants.items()]
    loaded.accounts = tuple(made)


def _xdp_for_several(settings: EngineSettings) -> list[Problem]:
    """The device chooses the queue of an answer: who receives by XDP sits on all queues, so a second one on none."""
    if len(settings.cores) < 2:
        return []
    several = f"so one process only can have it, not {len(settings.cores)}"
    if settings.way == "xdp":
        text = f"xdp takes all queues of an interface, {several}; next: one core, or another way"
        return [Problem("way", text)]
    if settings.way == "auto" and settings.dedicated:
        text = f"would have xdp taken, which takes all queues of an interface, {several}; next: one core, or false"
        return [Problem("dedicated", text)]
    return []


def _tenant(name: str, tenant: TenantSettings, whole: EngineSettings, world: World, loaded: Loaded) -> Account:
    path, problems = f"tenants.{name}", loaded.problems
    problems += _networks(tenant.allow, f"{path}.allow") + _networks(tenant.deny, f"{path}.deny")
    for limit in ("rate", "bytes", "in_flight"):
        own, most = getattr(tenant, limit), getattr(whole, limit)
        if own > most:
            text = f"{own:g} is more than the {most:g} of all tenants together, which is what counts"
            loaded.notes.append(Problem(f"{path}.{limit}", text))
    if not tenant.users and not tenant.groups:
        loaded.notes.append(Problem(path, "has neither users nor groups: only root may speak for it"))
    if not tenant.allow:
        loaded.notes.append(Problem(f"{path}.allow", "is empty: it may have nothing probed"))
    uids = [_number(one, f"{path}.users", "user", world.user, problems) for one in tenant.users]
    gids = [_number(one, f"{path}.groups", "group", world.group, problems) for one in tenant.groups]
    return Account(name, frozenset(uids), frozenset(gids))


def _number(name: str, path: str, kind: str, find: Callable[[str], int], problems: list[Problem]) -> int:
    if name.isascii() and name.isdigit() and len(name) < 11:
        return int(name)
    try:
        return find(name)
    except KeyError:
        problems.append(Problem(path, f"there is no {kind} {name} on this host; next: make it, or write its number"))
        return -1


def _networks(texts: Sequence[str], path: str) -> list[Problem]:
    from ipaddress import ip_network

    found = []
    for place, text in enumerate(texts):
        try:
            ip_network(text)
        except ValueError:
            found.append(Problem(f"{path}[{place}]", _no_network(text)))
    return found


def _no_network(text: str) -> str:
    from ipaddress import ip_network

    try:
        meant = ip_network(text, strict=False)
    except ValueError:
        return f"{text!r} is no network; write 192.0.2.0/24, 2001:db8::/32 or one address"
    return f"{text} is an address in a network; write {meant}, or the address alone"


def _twice(items: Sequence[object], path: str) -> list[Problem]:
    seen = sorted({str(one) for one in items if items.count(one) > 1})
    return [Problem(path, f"{', '.join(seen)} is given twice")] if seen else []


def limits_of(settings: "EngineSettings | TenantSettings", share: int = 1) -> Limits:
    """share: of so many cores one; none of them knows what the others do, so each has its part."""
    return Limits(settings.rate / share, settings.bytes / share, max(1, settings.in_flight // share))


def identity_of(settings: EngineSettings, host: str) -> str:
    """Never nothing: whoever sees our packets can find us."""
    return settings.identity or f"amon-engine of {host}"


_LATER = ("socket", "group", "identity", "interfaces", "way", "dedicated", "cores", "lock_memory", "keep_rights")


def later(old: EngineSettings, new: EngineSettings) -> list[str]:
    """Keys that are different, and that only a restart takes over."""
    return [key for key in _LATER if getattr(old, key) != getattr(new, key)]


def kept(old: EngineSettings, new: EngineSettings) -> EngineSettings:
    """The new ones, but for what only a restart takes over."""
    return replace(new, **{key: getattr(old, key) for key in _LATER})


__all__ = ["Loaded", "World", "identity_of", "kept", "later", "limits_of", "load"]
