"""What the console remembers between runs: names of sites for completion, and what discovery told for a mark.

Nothing in it is believed: a lost or broken cache costs some questions, and completion proposes nothing.
"""

import contextlib
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from admin_console.shell.kinds import Kind

Known = Mapping[str, Mapping[str, tuple[str, ...]]]

_MOST = 16 * 1024 * 1024  # bytes read; of a large fleet with many parts, some 4 KiB for each site
_MOST_MARKS = 20_000
_MOST_KINDS = 64  # whose words are kept


@dataclass(frozen=True, slots=True)
class Memory:
    """names: of the sites seen last. known: marks, each with the facts discovery told.

    marks: by site, the last one.
    """

    names: tuple[str, ...] = ()
    known: Known = field(default_factory=dict)
    marks: Mapping[str, str] = field(default_factory=dict)

    @property
    def tags(self) -> list[str]:
        """`tier=1`, for completion of `tag:`."""
        return sorted({tag for facts in self.known.values() for tag in facts.get("tag", ())})

    @property
    def modules(self) -> list[str]:
        return sorted({module for facts in self.known.values() for module in facts.get("module", ())})


class Cache:
    """One file for all rooms; written whole or not at all, and never a reason to fail."""

    def __init__(self, path: Path | None = None) -> None:
        self._path = path or default_path()

    def recall(self, room: str) -> Memory:
        held = self._read().get(room)
        if not isinstance(held, dict):
            return Memory()
        return Memory(_texts(held.get("names")), _known(held.get("known")), _marks(held.get("marks")))

    def everything(self) -> Memory:
        """Of all rooms together."""
        memories = [self.recall(room) for room in self._read()]
        names = sorted({name for memory in memories for name in memory.names})
        return Memory(tuple(names), {mark: facts for memory in memories for mark, facts in memory.known.items()})

    def elsewhere(self, room: str) -> frozenset[str]:
        """Names of the sites of all other rooms."""
        return frozenset(name for other in self._read() if other != room for name in self.recall(other).names)

    def remember(self, room: str, marks: Mapping[str, str], known: Known) -> None:
        """marks: of each site, as its presence carries or carried it; empty where that is not known. Only their facts
        are kept."""
        shown = set(marks.values())
        kept = {mark: facts for mark, facts in list(known.items())[:_MOST_MARKS] if mark in shown}
        rooms = self._read()
        before = rooms.get(room)
        fresh: dict[str, Any] = {"names": sorted(marks), "known": {mark: dict(facts) for mark, facts in kept.items()}}
        fresh["marks"] = {name: mark for name, mark in sorted(marks.items()) if mark in kept}
        if isinstance(before, dict) and "asked" in before:
            fresh["asked"] = before["asked"]
        if _plain(before) == _plain(fresh):
            return
        self._write({**rooms, room: fresh})

    def learnt(self, room: str) -> "dict[str, Kind]":
        """What sites of each kind can be asked, as `learn` was given it."""
        from admin_console.shell.kinds import Kind

        held = self._read().get(room)
        asked = held.get("asked") if isinstance(held, dict) else None
        pairs = list(asked.items())[-_MOST_KINDS:] if isinstance(asked, dict) else []
        return {mark: Kind.of(data) for mark, data in pairs}

    def all_learnt(self) -> "list[Kind]":
        """Of all rooms together."""
        return [kind for room in self._read() for kind in self.learnt(room).values()]

    def learn(self, room: str, kinds: "Mapping[str, Kind]") -> None:
        rooms = self._read()
        held = rooms.get(room)
        before = held if isinstance(held, dict) else {}
        asked = {mark: kind.data() for mark, kind in list(kinds.items())[-_MOST_KINDS:] if kind.words}
        if _plain(before.get("asked", {})) != _plain(asked):
            self._write({**rooms, room: {**before, "asked": asked}})

    def _read(self) -> dict[str, Any]:
        try:
            with self._path.open("rb") as file:
                rooms = json.loads(file.read(_MOST))
        except (OSError, ValueError, RecursionError):
            return {}
        return rooms if isinstance(rooms, dict) else {}

    def _write(self, rooms: Mapping[str, Any]) -> None:
        fresh = self._path.with_name(f"{self._path.name}.{secrets.token_hex(4)}")
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            fresh.touch(mode=0o600)
            fresh.write_text(json.dumps(rooms), encoding="utf-8")
            fresh.replace(self._path)
        except OSError:
            with contextlib.suppress(OSError):
                fresh.unlink()


def default_path(environment: Mapping[str, str] = os.environ) -> Path:
    home = environment.get("XDG_CACHE_HOME") or os.path.join(environment.get("HOME", "/"), ".cache")  # noqa: PTH118
    return Path(home) / "amon" / "fleet.json"


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(one for one in value if isinstance(one, str)) if isinstance(value, list) else ()


def _known(value: Any) -> Known:
    if not isinstance(value, dict):
        return {}
    return {
        mark: {name: _texts(values) for name, values in facts.items()}
        for mark, facts in value.items()
        if isinstance(facts, dict)
    }


def _marks(value: Any) -> Mapping[str, str]:
    if not isinstance(value, dict):
        return {}
    return {name: mark for name, mark in value.items() if isinstance(mark, str)}


def _plain(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
