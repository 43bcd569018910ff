"""`amon-engine check`: every problem at once, and which way to the network could be had where, and why no better one.

Ways are really opened, as the engine would, and closed again; nothing is sent. What is told holds for who asks: run it
as the engine's user with its rights.
"""

import json
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from amon.engine.desk.listening import is_listening
from amon.engine.program import privileges
from amon.engine.program.configuration import Loaded, World, load
from amon.engine.program.settings import EngineSettings
from amon.errors import Problem
from amon.text import visible

SYSTEM_ROUTING = "routed"


@dataclass(frozen=True, slots=True)
class WayFound:
    """name: empty if there is none. notes: why no better one."""

    name: str
    notes: tuple[str, ...] = ()


Try = Callable[[str, EngineSettings], WayFound]


@dataclass(frozen=True, slots=True)
class Report:
    """ways: by interface."""

    path: Path
    problems: tuple[Problem, ...]
    notes: tuple[Problem, ...] = ()
    ways: dict[str, WayFound] = field(default_factory=dict)
    rights: str = ""

    def text(self) -> str:
        lines = [line for one in self.problems for line in _indented(str(one))]
        if self.notes:
            lines += ["", "worth a look, not wrong:", *(line for one in self.notes for line in _indented(str(one)))]
        if self.ways:
            lines += ["", f"ways, with {self.rights}:"]
        for interface, way in self.ways.items():
            lines.append(f"  {interface}: {way.name or 'none'}")
            lines += [f"    {note}" for note in way.notes]
        count = len(self.problems)
        ends = {0: "no problems", 1: "1 problem"}.get(count, f"{count} problems")
        return visible("\n".join([*lines, *([""] if lines else []), f"{self.path}: {ends}"]).lstrip("\n")) + "\n"

    def json(self) -> str:
        def plain(several: tuple[Problem, ...]) -> list[dict[str, str]]:
            return [{"path": one.path, "text": one.text} for one in several]

        data: dict[str, Any] = {
            "file": str(self.path),
            "ok": not self.problems,
            "problems": plain(self.problems),
            "notes": plain(self.notes),
            "rights": self.rights,
            "ways": {name: {"way": way.name, "notes": list(way.notes)} for name, way in self.ways.items()},
        }
        return json.dumps(data, ensure_ascii=False, indent=2) + "\n"


def _indented(text: str) -> list[str]:
    return [f"  {line}" for line in text.split("\n")]


def check(path: Path, world: World, *, offline: bool = False, attempt: Try | None = None) -> Report:
    """attempt: how a way is tried."""
    loaded = load(path, world)
    problems, notes = list(loaded.problems), list(loaded.notes)
    if find_spec("numpy") is None:
        problems.append(Problem("", "numpy is not installed; next: pip install 'amon[engine]'"))
        offline = True
    settings = loaded.settings
    if settings is None or offline:
        return Report(path, tuple(problems), tuple(notes))
    _look_at_socket(settings, notes)
    from amon.engine.program.process import interfaces_of, queues_of

    ways: dict[str, WayFound] = {}
    for interface in (*interfaces_of(settings), ""):
        way = ways[interface or SYSTEM_ROUTING] = (attempt or try_way)(interface, settings)
        problems += _missing(interface, way, settings)
        if interface and way.name == "xsk+ring":
            _look_at_queues(interface, queues_of(interface), settings, problems, notes)
    if not any(way.name for way in ways.values()):
        problems.append(Problem("", "there is no way to the network at all: nothing could be sent"))
    return Report(path, tuple(problems), tuple(notes), ways, privileges.named(privileges.effective() & OURS))


_UNTRIED = (
    "xdp: not tried: it puts a program on the interface; next: dedicated = true, on a host that is there to probe"
)
_NOT_FOR_SEVERAL = "xdp: not tried: it is for one process, and there are several `cores`"
OURS = frozenset(privileges.NAMES)


def _look_at_socket(settings: EngineSettings, notes: list[Problem]) -> None:
    for one in (settings.socket, settings.socket.with_name(f"{settings.socket.name}.0")):
        if is_listening(one):
            text = f"an engine listens at {one}: with the best way in its hands, the next one is shown here"
            notes.append(Problem("socket", text))
    if not settings.socket.parent.is_dir():
        notes.append(
            Problem("socket", f"{settings.socket.parent} is not there yet; RuntimeDirectory= of the unit makes it")
        )


def _look_at_queues(
    interface: str, queues: int, settings: EngineSettings, problems: list[Problem], notes: list[Problem]
) -> None:
    """Each core sends on one of its own."""
    cores = len(settings.cores)
    if cores <= queues:
        return
    short = f"has {queues} queue{'s' if queues > 1 else ''} for {cores} cores"
    more = f"ethtool -L {interface} combined {cores}"
    if settings.way == "xsk+ring":
        text = f'{short}: the others cannot have xsk+ring; next: {more}, or way = "auto"'
        problems.append(Problem(f"interfaces.{interface}", text))
    else:
        notes.append(Problem(f"interfaces.{interface}", f"{short}: the others take packet+ring; next: {more}"))


def _missing(interface: str, way: WayFound, settings: EngineSettings) -> list[Problem]:
    """What was asked for by name has to be there."""
    if way.name or not interface:
        return []
    if interface in settings.interfaces or settings.way != "auto":
        return [Problem(f"interfaces.{interface}", f"no way: {'; '.join(way.notes)}")]
    return []


def try_way(interface: str, settings: EngineSettings) -> WayFound:
    """Opens and closes it. interface: empty for the system's own routing."""
    from amon.engine.program.process import Opener
    from amon.engine.shapes import WayRefused
    from amon.engine.turn.ports import Wanted

    if interface and not _exists(interface):
        return WayFound("", ("there is no such interface; next: ip link",))
    wanted = Wanted(interface, settings.way, settings.dedicated) if interface else Wanted("")
    try:
        ways = Opener()(wanted, 0x8000 | secrets.randbits(15))
    except WayRefused as refused:
        return WayFound("", (str(refused),))
    ways.close()
    untried = interface and settings.way == "auto" and not settings.dedicated and ways.name == "xsk+ring"
    why = [_UNTRIED if len(settings.cores) < 2 else _NOT_FOR_SEVERAL] if untried else []
    return WayFound(ways.name, (*why, *ways.notes))


def _exists(interface: str) -> bool:
    try:
        return socket.if_nametoindex(interface) > 0
    except OSError:
        return False


__all__ = ["Loaded", "Report", "WayFound", "check", "try_way"]
