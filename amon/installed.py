"""What is installed, read from the folders that installers leave; and libraries without what they would take along.

importlib.metadata reads those folders too, but brings email, zipfile and tempfile: 1.9 MB of every agent, measured. It
is asked only where amon itself is in no such folder (a zip, a copy).
Sources: packaging.python.org, "Recording installed projects" and "Entry points specification"; Python reference 5.3.1.
"""

import importlib
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

_OURS = "amon"
_VALUE = re.compile(r"([\w.]+)\s*(?::\s*([\w.]+)\s*)?(?:\[.*\]\s*)?")


class Point(Protocol):
    """An entry point, ours or that of importlib.metadata. value: where it leads, as `package.module:Name`."""

    @property
    def name(self) -> str: ...

    @property
    def value(self) -> str: ...

    def load(self) -> Any:
        """What it leads to. Raises whatever the import of it raises."""


@dataclass(frozen=True, slots=True)
class Distribution:
    """One `NAME-VERSION.dist-info`."""

    folder: Path

    @property
    def key(self) -> str:
        """Its name as installers write it into the folder's."""
        return _key(self.folder.name.partition("-")[0])

    @property
    def name(self) -> str:
        return self._told("Name") or self.key

    @property
    def version(self) -> str:
        return self._told("Version")

    def points(self, group: str) -> Iterator["EntryPoint"]:
        try:
            lines = (self.folder / "entry_points.txt").read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        section = ""
        for line in map(str.strip, lines):
            name, found, value = line.partition("=")
            if line.startswith("[") and line.endswith("]"):
                section = line[1:-1]
            elif section == group and found and not line.startswith(("#", ";")):
                yield EntryPoint(name.strip(), value.strip(), self)

    def _told(self, field: str) -> str:
        with (self.folder / "METADATA").open(encoding="utf-8") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name == field or not line.strip():  # a blank line ends the fields
                    return value.strip()
        return ""


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """A `Point`, and who offers it."""

    name: str
    value: str
    dist: Distribution

    def load(self) -> Any:
        found = _VALUE.fullmatch(self.value)
        if found is None:
            raise ImportError(f"{self.value!r} is not the name of a thing in a module")
        module, names = found.groups()
        return reduce(getattr, filter(None, (names or "").split(".")), importlib.import_module(module))


def version_of(name: str, path: Sequence[str] | None = None) -> str | None:
    """Of an installed distribution; None if there is none of this name. path: as sys.path."""
    found = next((one for one in _distributions(path) if one.key == _key(name)), None)
    if found is not None:
        return found.version
    from importlib import metadata

    try:
        return metadata.version(name) if path is None else None
    except metadata.PackageNotFoundError:
        return None


def entry_points(group: str, path: Sequence[str] | None = None) -> list[Point]:
    """Of all that is installed. path: as sys.path."""
    known = list(_distributions(path))
    if path is None and all(one.key != _OURS for one in known):
        from importlib import metadata

        return list(metadata.entry_points(group=group))
    return [point for one in known for point in one.points(group)]


def bring(name: str, without: Iterable[str]) -> None:
    """Import a library which does without these others, as it would where they are not installed.

    Who asks for one of them later gets it.
    """
    loaded = cast("dict[str, ModuleType | None]", sys.modules)
    absent = [one for one in without if one not in loaded]
    loaded.update(dict.fromkeys(absent))  # None there means "not found", whatever is installed
    try:
        importlib.import_module(name)
    finally:
        for one in absent:
            del loaded[one]


def _distributions(path: Sequence[str] | None) -> Iterator[Distribution]:
    """Each name once: what comes first on the path is what an import finds."""
    seen = set()
    for entry in sys.path if path is None else path:
        for folder in sorted(Path(entry).glob("*.dist-info")):
            one = Distribution(folder)
            if one.key not in seen:
                seen.add(one.key)
                yield one


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "_", name).lower()
