"""Which modules there are: the entry points `amon.modules` of all that is installed, ours by the same table."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, cast

from amon.command import commands_of
from amon.convert import fields_of
from amon.installed import Point, entry_points
from amon.module.base import Module, settings_type
from amon.text import did_you_mean

GROUP = "amon.modules"


@dataclass(frozen=True, slots=True)
class Found:
    """A name looked up: the loaded class, or the reason why there is none, in words."""

    name: str
    cls: type[Module[Any]] | None
    reason: str = ""


class Registry:
    """Loads only what is asked for. A name that two distributions claim belongs to neither."""

    def __init__(self, points: Callable[[], Iterable[Point]] = lambda: entry_points(GROUP)) -> None:
        self._points: dict[str, list[Point]] = {}
        for point in points():
            claims = self._points.setdefault(point.name, [])
            if all(_owner(claim) != _owner(point) for claim in claims):  # an editable install may be listed twice
                claims.append(point)

    @property
    def names(self) -> list[str]:
        return sorted(self._points)

    def find(self, name: str) -> Found:
        claims = self._points.get(name, [])
        if not claims:
            known = did_you_mean(name, self.names) or f"; installed: {', '.join(self.names) or 'none'}"
            return Found(name, None, f"no module {name!r} is installed{known}")
        if len(claims) > 1:
            owners = " and ".join(sorted(_owner(point) for point in claims))
            return Found(name, None, f"module {name!r} is claimed by {owners}; uninstall one")
        return self._load(claims[0])

    def _load(self, point: Point) -> Found:
        # What a module's import may raise is anything at all; it must show as this module's trouble, not ours.
        try:
            cls = point.load()
        except ImportError as missing:
            return Found(point.name, None, f"module {point.name!r} does not load: {missing}{_extra(missing)}")
        except (Exception, SystemExit) as broken:
            return Found(point.name, None, f"module {point.name!r} does not load: {type(broken).__name__}: {broken}")
        if not (isinstance(cls, type) and issubclass(cls, Module)):
            return Found(point.name, None, f"{point.value} is not an amon Module")
        try:
            commands_of(cls)
            settings = settings_type(cls)
            if settings is not None:
                fields_of(cast(type, settings))
        except Exception as mistake:
            return Found(point.name, None, f"module {point.name!r} is declared wrongly: {mistake}")
        return Found(point.name, cls)


def _owner(point: Point) -> str:
    owner = getattr(point, "dist", None)  # one that was made by hand belongs to nobody
    return f"{owner.name} ({point.value})" if owner else point.value


def _extra(missing: ImportError) -> str:
    return f"; install what provides {missing.name!r}" if missing.name else ""
