"""Asks one site of each kind what it can be asked, when somebody wants to know, and remembers it.

A question goes to the site as any other: its policy decides, its audit has a line. So each is asked once for a kind,
and again only when its answer may have grown old (names of services come and go) and somebody types there again.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from admin_console.cache import Cache
from admin_console.shell.kinds import Kind, Page
from admin_console.words import quoted
from amon.clock import Clock
from amon.runtime.fleet import Site

WITHIN = 3.0  # seconds that a site has to answer
_OLD = 300.0  # seconds after which an answer is asked for anew
_AGAIN = 60.0  # seconds after which a question that failed is asked again
_MOST_KINDS = 6  # of the selected sites, the most frequent first
_MOST_INSTANCES = 40
_MOST_KEPT = 64  # kinds

Ask = Callable[[Site, str], Awaitable[str | None]]
"""A site and a line -> the text of its answer; None if it did not do it."""


class Learner:
    """What is known of every kind. cache: where it is kept for the next time, and for completion in a shell."""

    def __init__(self, ask: Ask, clock: Clock, cache: Cache, room: str) -> None:
        self._ask, self._clock, self._cache, self._room = ask, clock, cache, room
        self.kinds: dict[str, Kind] = cache.learnt(room)
        self._asked: dict[tuple[str, str], float] = {}  # when the answer is to be asked for again
        self._under_way: dict[tuple[str, str], asyncio.Task[None]] = {}

    async def words(self, sites: Iterable[Site], words: Sequence[str]) -> list[str]:
        """What may come after these words at any of the sites; what is known at once, else after its site answered."""
        found: dict[str, None] = {}
        for site in _one_of_each(sites):
            kind = self._kind(site)
            await self._learn_names(site, kind, words)
            line = kind.question(words)
            if line is None:
                continue
            await self._learn(
                site, f"complete {quoted(line)}" if line else "complete", line, kind.heard_words, line in kind.words
            )
            found.update(dict.fromkeys(kind.words.get(line, ())))
            command = kind.command_of(words)
            if command is not None:
                await self._learn(site, f"help {command}", command, kind.heard_page, command in kind.pages)
            page = kind.pages.get(command) if command is not None else None
            found.update(dict.fromkeys(f"--{name}" for name in (page.params if page is not None else ())))
        return list(found)

    async def page(self, sites: Iterable[Site], words: Sequence[str]) -> Page | None:
        """The manual of the command that these words name, as the first kind has it that knows it."""
        for site in _one_of_each(sites):
            kind = self._kind(site)
            await self._learn_names(site, kind, words)
            command = kind.command_of(words)
            if command is None:
                continue
            if command not in kind.pages:
                await self._learn(site, f"help {command}", command, kind.heard_page, False)
            if command in kind.pages:
                return kind.pages[command]
        return None

    def known_page(self, sites: Iterable[Site], words: Sequence[str]) -> Page | None:
        """The same without asking anybody."""
        for site in _one_of_each(sites):
            kind = self.kinds.get(site.mark)
            command = kind.command_of(words) if kind is not None else None
            if kind is not None and command in kind.pages:
                return kind.pages[command]
        return None

    async def all_names(self, sites: Iterable[Site]) -> None:
        """The names of all instances and commands of each kind that is new."""
        for site in _one_of_each(sites):
            kind = self._kind(site)
            if kind.words:
                continue
            await self._learn_names(site, kind, [])
            for name in kind.words.get("", ())[:_MOST_INSTANCES]:
                await self._learn_names(site, kind, [name, ""])
        self.write()

    @property
    def busy(self) -> bool:
        return bool(self._under_way)

    def write(self) -> None:
        """Keep it for the next time."""
        self._cache.learn(self._room, {mark: self.kinds[mark] for mark in list(self.kinds)[-_MOST_KEPT:]})

    async def close(self) -> None:
        tasks = list(self._under_way.values())
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        self.write()

    def _kind(self, site: Site) -> Kind:
        return self.kinds.setdefault(site.mark, Kind())

    async def _learn_names(self, site: Site, kind: Kind, words: Sequence[str]) -> None:
        """What can be named at all, then what the first word has: only then is known which words are a person's own."""
        await self._learn(site, "complete", "", kind.heard_words, "" in kind.words)
        first = words[0].lower() if words else ""
        if len(words) > 1 and first in kind.words.get("", ()):
            line = f"{first} "
            await self._learn(site, _complete(line), line, kind.heard_words, line in kind.words)

    async def _learn(self, site: Site, line: str, key: str, heard: Callable[[str, str], None], known: bool) -> None:
        """Ask, if it is time to. What is known already is not waited for."""
        place = (site.mark, line)
        now = self._clock.monotonic()
        if place not in self._under_way:
            if now < self._asked.get(place, 0.0):
                return
            self._asked[place] = now + _AGAIN
            self._under_way[place] = asyncio.create_task(self._hear(site, line, key, heard), name=f"learn {line}")
        if not known:
            await asyncio.shield(self._under_way[place])

    async def _hear(self, site: Site, line: str, key: str, heard: Callable[[str, str], None]) -> None:
        place = (site.mark, line)
        try:
            text = await self._ask(site, line)
            if text is not None:
                heard(key, text)
                self._asked[place] = self._clock.monotonic() + _OLD
        finally:
            del self._under_way[place]


def _complete(line: str) -> str:
    return f"complete {quoted(line)}" if line else "complete"


def _one_of_each(sites: Iterable[Site]) -> list[Site]:
    """A site of each kind that is there, of the most frequent kind first. Whoever shows no mark is of no kind."""
    kinds: dict[str, list[Site]] = {}
    for site in sites:
        if site.online and site.mark:
            kinds.setdefault(site.mark, []).append(site)
    frequent = sorted(kinds.values(), key=len, reverse=True)[:_MOST_KINDS]
    return [min(of_kind, key=lambda site: site.name) for of_kind in frequent]
