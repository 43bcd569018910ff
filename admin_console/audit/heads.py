"""What the console remembers of the sites' audit chains: by that it can tell one that was rewritten.

One file for each room, of the person alone. It is evidence: a file that cannot be read is said, never taken for none.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated

import msgspec
from msgspec import Meta

from admin_console.audit.trails import Known, Point
from amon.access import Link
from amon.errors import Failed
from amon.files import write_whole

_MOST = 16 * 1024 * 1024  # bytes
_POINTS = 8  # of each site: where a chain was forked shows between two of them
_Hash = Annotated[str, Meta(pattern="^[0-9a-f]{64}\\Z")]


class _Kept(msgspec.Struct):
    chain: _Hash
    points: Annotated[tuple[tuple[Annotated[int, Meta(ge=0)], _Hash, float], ...], Meta(min_length=1)]


class _File(msgspec.Struct):
    version: Annotated[int, Meta(ge=1, le=1)]
    sites: dict[str, _Kept]


class Heads:
    """By the site's address."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def recall(self) -> Mapping[str, Known]:
        """All that is remembered; `Failed` if it cannot be read."""
        return {
            jid: Known(kept.chain, tuple(Point(Link(seq, hashed), time) for seq, hashed, time in kept.points))
            for jid, kept in self._read().items()
        }

    def remember(self, seen: Mapping[str, tuple[str, Link]], now: float) -> None:
        """The chains of these sites, and how far they go today. now: epoch seconds."""
        sites = self._read()
        for jid, (chain, link) in seen.items():
            before = sites[jid].points if jid in sites and sites[jid].chain == chain else ()
            kept = tuple(point for point in before if point[0] < link.seq)
            sites[jid] = _Kept(chain, (*kept[1 - _POINTS :], (link.seq, link.hash, now)))
        self._write(sites)

    def forget(self, jids: Iterable[str]) -> None:
        """What these sites show next is taken as it is."""
        forgotten = frozenset(jids)  # once: it may be a generator
        self._write({jid: kept for jid, kept in self._read().items() if jid not in forgotten})

    def _read(self) -> dict[str, _Kept]:
        try:
            with self.path.open("rb") as file:
                return msgspec.json.decode(file.read(_MOST), type=_File).sites
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.MsgspecError, UnicodeError) as fault:
            raise Failed(
                f"what was remembered of the sites' audits cannot be read: {self.path}: {fault}; "
                "next: bring it back from a backup, or move it away and begin anew"
            ) from None

    def _write(self, sites: Mapping[str, _Kept]) -> None:
        text = json.dumps({"version": 1, "sites": msgspec.to_builtins(sites)}, indent=1)
        try:
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_whole(self.path, text)
        except (OSError, Failed) as fault:
            raise Failed(f"{fault}; nothing is remembered of today") from None
