"""The other sites of the fleet as this one was told of them: names and the addresses at which they are probed.

A console knows the tags of all sites and sends what a line names along (`call.sites`); a chat does not. So the command
`peers` keeps what it was told, on disk, for each account apart: what one organisation says is not another's to ask for.
What is kept grows old; how old, is always shown. Nobody vouches for it: `allow` and `deny` judge it like all else.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from amon.errors import Failed, Refused
from amon.files import read_file, write_whole
from amon.target import All, Expression, Facts, parse
from amon.target.expression import And, Name, Not, Or
from amon.text import did_you_mean, visible

from .shape import Family
from .targets import packed, unpacked

SITES_MOST = 10_000
ADDRESSES_MOST = 8
"""Of one site."""
STALE = 7 * 86_400.0
"""Seconds after which what was told is called old."""
_FILE_MOST = 8 * 2**20
_SITE = re.compile(r"[^\s/\x00-\x1f\x7f]{1,255}")
_HOST = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")

Sites = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Peers:
    """What one account was told. version: counts the changes. at: epoch seconds; by: who told it. sites: each with its
    addresses, none where it tells none. here: what this site itself is called in that account."""

    version: int = 0
    at: float = 0.0
    by: str = ""
    sites: Sites = field(default_factory=dict)
    here: str = ""

    @property
    def others(self) -> Sites:
        """Those that have an address, but not this one itself."""
        return {name: told for name, told in self.sites.items() if told and name != self.here}

    @property
    def absent(self) -> tuple[str, ...]:
        return tuple(name for name, told in sorted(self.sites.items()) if not told and name != self.here)


class PeerBook:
    """On disk at `path`. A file that cannot be read is `fault`, and as good as none."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.fault = ""
        self._of: dict[str, Peers] = {}

    def load(self) -> None:
        if not self._path.exists():
            return
        try:
            data, _ = read_file(self._path, _FILE_MOST)
            self._of = {account: _read(one) for account, one in json.loads(data)["accounts"].items()}
        except (Failed, ValueError, KeyError, TypeError, AttributeError, RecursionError) as fault:
            self.fault = f"{self._path.name} cannot be read ({fault}); next: tell the peers again"

    def of(self, account: str) -> Peers:
        return self._of.get(account, Peers())

    def all(self) -> Mapping[str, Peers]:
        return self._of

    def tell(self, account: str, told: Peers) -> None:
        """On the disk when it returns; `Failed` if it cannot be."""
        changed = {**self._of, account: told}
        text = json.dumps({"version": 1, "accounts": {name: asdict(one) for name, one in changed.items()}})
        write_whole(self._path, text, alone=True)
        self._of, self.fault = changed, ""


def _read(one: Mapping[str, Any]) -> Peers:
    told = {str(name): tuple(map(str, held)) for name, held in one["sites"].items()}
    sites, _ = tamed({name: " ".join(held) for name, held in told.items()})
    return Peers(int(one["version"]), float(one["at"]), str(one["by"])[:255], sites, str(one["here"])[:255])


def tamed(said: Mapping[str, str]) -> tuple[dict[str, tuple[str, ...]], tuple[str, ...]]:
    """What consoles say of sites, as far as it is sound; and what was left out, in words."""
    kept: dict[str, tuple[str, ...]] = {}
    odd: list[str] = []
    for name, told in said.items():
        if not _SITE.fullmatch(name) or not name.isprintable() or len(kept) >= SITES_MOST:
            odd.append(f"site {visible(name[:40], lines=False)!r}")
            continue
        words = told.split()
        sound = [word for word in words if is_host(word)][:ADDRESSES_MOST]
        odd += [f"{visible(word[:40], lines=False)!r} of {name}" for word in words if word not in sound]
        kept[name.lower()] = tuple(dict.fromkeys(sound))
    return kept, tuple(odd)


def is_host(word: str) -> bool:
    return bool(unpacked(packed(word)) or (_HOST.fullmatch(word) and not re.fullmatch(r"[0-9.]+", word)))


@dataclass(frozen=True, slots=True)
class Known:
    """What there is to look sites up in. came: with the line, from a console; else it is what was told before."""

    sites: Sites
    came: bool
    text: str = ""
    """When it was told, and by whom."""

    def meant(self, word: str) -> Sites:
        """The sites of `@word`; `Refused` with the next step where there is none."""
        target = parse(word.removeprefix("@"))
        names = (name for name in self.sites if target.matches(Facts(name)))
        if _by_name(target):
            found = {name: self.sites[name] for name in names}
        elif self.came:
            found = dict(self.sites)  # the console has looked who fits
        else:
            raise Refused(f"{word}: only a console knows tags and health; name the site")
        if not found:
            raise Refused(self._unknown(target))
        return found

    def _unknown(self, target: Expression) -> str:
        name = target.plain_name()
        said = f"no site is called {name!r}{did_you_mean(name, list(self.sites))}" if name else f"{target} is no site"
        if self.came:
            return f"{said}; next: amon sites"
        if not self.sites:
            return (
                f"{said}: this site was told of none. A console sends along what it knows of sites (see: amon sites); "
                "for a chat say once, on a console: amon run all probe peers @all"
            )
        return f"{said} among the {len(self.sites)} {self.text}; next, on a console: amon run all probe peers @all"


def address_of(name: str, told: tuple[str, ...], family: Family) -> str:
    """The one to probe; `Refused` where it tells none of that family."""
    if not told:
        raise Refused(f'{name} tells no probe address; next: [tags] probe = "ADDRESS" in its agent.toml, and reload')
    wanted = {"any": "", 4: ".", 6: ":"}[family]
    literal = [one for one in told if unpacked(packed(one)) and wanted in one]
    names = [one for one in told if not unpacked(packed(one))]
    if not literal + names:
        raise Refused(f"{name} tells no IPv{family} address; it has {', '.join(told)}")
    return (literal + names)[0]


def _by_name(target: Expression) -> bool:
    """Whether names alone decide who is meant."""
    if isinstance(target, All | Name):
        return True
    if isinstance(target, Not):
        return _by_name(target.inner)
    return isinstance(target, And | Or) and all(map(_by_name, target.inner))
