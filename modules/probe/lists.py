"""The list of an instance as it is now: read from its settings, its files and its peers, resolved, and read again.

A file that cannot be read any more takes nothing away: what was read of it last goes on being probed, and health says
so. Names are looked up again now and then; one that has no address just now keeps the one it had.
"""

import asyncio
import logging
from collections.abc import Mapping
from pathlib import Path

from amon.clock import Clock
from amon.errors import Failed, Refused

from .peers import PeerBook, Peers, address_of
from .settings import Settings
from .shape import Family, Resolver, Stop
from .targets import Draft, Stamp, Targets, read_file, stamp_of

_AT_ONCE = 32  # names looked up at a time
URLS = frozenset({"http"})
ADDRESSED = frozenset({"ping", "trace"})
"""Kinds whose targets are addresses, so that names are resolved beforehand; others resolve at each visit."""


class Lists:
    """faults: what is wrong with where the list comes from, in words."""

    def __init__(
        self, settings: Settings, family: Family, peers: PeerBook, resolver: Resolver, clock: Clock, log: logging.Logger
    ) -> None:
        self.faults: tuple[str, ...] = ()
        self._settings = settings
        self._family = family
        self._peers = peers
        self._resolver = resolver
        self._clock = clock
        self._log = log
        self._seen: object = None
        self._resolved: dict[str, str] = {}
        self._resolved_at: float | None = None
        self._revision = 0
        self._last = Targets()

    async def load(self) -> Targets | None:
        """The list as it is now; None while it is what it was."""
        seen = await asyncio.to_thread(self._stamps)  # a file may lie on a server that does not answer
        again = self._resolved_at is not None and self._clock.monotonic() - self._resolved_at >= self._settings.resolve
        if seen == self._seen and not (again and self._resolved):
            return None
        draft = Draft()
        gone = await asyncio.to_thread(self._read, draft)
        if gone and self._revision:
            self.faults, self._seen, self._resolved_at = tuple(gone), seen, self._clock.monotonic()
            return None
        names = draft.to_resolve() if self._settings.kind in ADDRESSED else []
        before = dict(self._resolved)
        await self._resolve(names)
        if seen == self._seen and before == self._resolved:
            return None
        self._seen, self._revision = seen, self._revision + 1
        self._last = await asyncio.to_thread(draft.finish, self._resolved, self._revision)
        self.faults = (*gone, *self._doubts(self._last))
        return self._last

    def _stamps(self) -> tuple[tuple[Stamp | None, ...], Mapping[str, int]]:
        versions = {account: one.version for account, one in self._told().items()} if self._settings.mesh else {}
        return tuple(map(stamp_of, self._settings.files)), versions

    def _read(self, draft: Draft) -> list[str]:
        """In a thread; what could not be read."""
        settings, gone = self._settings, []
        urls = settings.kind in URLS
        draft.read("", "targets", settings.targets, urls=urls)
        for name, lines in settings.groups.items():
            draft.read(name, f"groups.{name}", lines, urls=urls)
        if settings.mesh:
            draft.read("mesh", "peers", self._mesh())
        for path in settings.files:
            try:
                read_file(draft, path, _group_of(path), urls=urls)
            except Failed as fault:
                gone.append(str(fault))
        return gone

    def _told(self) -> Mapping[str, Peers]:
        """Of the accounts that this mesh is of."""
        wanted = self._settings.account
        return {account: one for account, one in self._peers.all().items() if wanted in ("", account)}

    def _mesh(self) -> list[str]:
        found = []
        for told in self._told().values():
            for name, addresses in told.others.items():
                try:
                    found.append(f"{address_of(name, addresses, self._family)} {name}")
                except Refused as absent:  # of another family: said by `sites`
                    self._log.debug("%s", absent)
        return found

    async def _resolve(self, names: list[str]) -> None:
        limit = asyncio.Semaphore(_AT_ONCE)

        async def one(name: str) -> None:
            async with limit:
                try:
                    found[name] = (await self._resolver.addresses(name, self._family))[0]
                except Stop as stop:
                    self._log.info("%s", stop.reason)
                    if name in self._resolved:
                        found[name] = self._resolved[name]

        found: dict[str, str] = {}
        for start in range(0, len(names), 1000):  # no ten thousand tasks at a time
            await asyncio.gather(*map(one, names[start : start + 1000]))
        self._resolved = found
        self._resolved_at = self._clock.monotonic()

    def _doubts(self, targets: Targets) -> list[str]:
        said = []
        if targets.junk_count:
            more = f" and {targets.junk_count - 1} more" if targets.junk_count > 1 else ""
            said.append(f"{targets.junk[0]}{more}")
        if targets.missing and self._settings.kind in ADDRESSED:
            more = f" and {len(targets.missing) - 1} more" if len(targets.missing) > 1 else ""
            said.append(f"{targets.missing[0]} has no address{more}")
        return said


def _group_of(path: Path) -> str:
    return path.stem[:32] or "file"
