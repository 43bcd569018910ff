"""What may come next in a line of the shell, from the live fleet. Source: prompt_toolkit, `Completer`."""

import asyncio
import re
from collections.abc import AsyncGenerator, Iterable, Sequence
from typing import Protocol

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document

from admin_console.cache import Memory
from admin_console.completion import targets
from admin_console.jobs.naming import job_words, shorts
from admin_console.program import FORMATS
from admin_console.shell.said import OWN
from admin_console.words import OWN_FLAGS, quoted
from amon.command import split
from amon.errors import Invalid
from amon.runtime.fleet import Site
from amon.target import Expression, parse

_WAITS = 3.0
_MOST = 300  # shown
_CURRENT = re.compile(r"\S*$")
_AFTER_TARGET = ("target", "sites")
_MOST_JOBS = 20


class View(Protocol):
    """What a completer may look at."""

    @property
    def target(self) -> Expression | None: ...
    def memory(self) -> Memory: ...
    def sites(self, target: Expression | None) -> Sequence[Site]: ...
    def ids(self) -> Sequence[tuple[str, str]]: ...
    def jobs(self) -> Sequence[str]:
        """Whole ids of the last jobs, newest first."""
        ...

    async def words(self, sites: Sequence[Site], words: Sequence[str]) -> list[str]: ...


class ShellCompleter(Completer):
    """Own words, targets, ids and formats at once; words of the sites when one of each kind has told them.

    waits: seconds for what has to be asked first.
    """

    def __init__(self, view: View, waits: float = _WAITS) -> None:
        self._view, self._waits = view, waits

    def get_completions(self, document: Document, complete_event: CompleteEvent) -> Iterable[Completion]:
        """What is known without waiting."""
        return self._completions(document.text_before_cursor, self._at_once(document.text_before_cursor))

    async def get_completions_async(
        self, document: Document, complete_event: CompleteEvent
    ) -> AsyncGenerator[Completion, None]:
        text = document.text_before_cursor
        found = self._at_once(text)
        try:
            async with asyncio.timeout(self._waits):
                found += await self._of_sites(text)
        except TimeoutError:
            pass
        for completion in self._completions(text, found):
            yield completion

    def _completions(self, text: str, found: Iterable[tuple[str, str]]) -> Iterable[Completion]:
        """Each once, and only words that go on where the cursor is."""
        current = _current(text)
        seen: dict[str, str] = {}
        for word, about in found:
            if word.removeprefix('"').startswith(current) and word != current:
                seen.setdefault(word, about)
        for word, about in list(seen.items())[:_MOST]:
            yield Completion(word, start_position=-len(current), display=word, display_meta=about)

    def _at_once(self, text: str) -> list[tuple[str, str]]:
        head, _, rest = text.partition(" ")
        if self._names_site(text, head):
            about = "a site, for commands that may name one"
            return [(f"@{one}", about) for one in ("all", *self._view.memory().names)]
        if text.startswith("@") and self._addressing(text) is None:
            return self._targets(text, skip=2 if text.startswith("@(") else 1)
        if text.startswith("@"):
            return []
        if " " not in text:
            return [(word, OWN[word][1]) for word in OWN]
        if head in _AFTER_TARGET:
            return self._targets(rest)
        if head == "job":
            last = list(shorts(self._view.jobs()).values())[:_MOST_JOBS]
            return [*self._view.ids(), *((name, "") for name in last)]
        if head == "stop":
            return [*self._view.ids(), ("all", "everything that is under way")]
        if head == "output":
            return [(one, "") for one in FORMATS]
        return []

    def _names_site(self, text: str, head: str) -> bool:
        """Whether the cursor is in a word of a command that begins as the name of another site does."""
        current = _current(text)
        if not current.startswith("@") or current == text:
            return False
        return self._addressing(text) is not None if text.startswith("@") else head == "run" or head not in OWN

    def _targets(self, text: str, skip: int = 0) -> list[tuple[str, str]]:
        """Whole words; those of `text` before the last blank stay as they are."""
        found = [(_current(text[:skip] + one), "") for one in targets(text[skip:], self._view.memory())]
        word = _current(text)
        jobs = job_words(word, self._view.jobs()) if word.startswith("@j") else []
        return [*found, *((one, "sites of an earlier job") for one in jobs)]

    async def _of_sites(self, text: str) -> list[tuple[str, str]]:
        target, line = self._view.target, text
        if text.startswith("@"):
            addressed = self._addressing(text)
            if addressed is None:
                return []
            target, line = addressed
        head, _, rest = line.partition(" ")
        if " " in line and head in ("help", "run"):
            line = rest.lstrip()
        elif " " in line and head in OWN:
            return []
        words = _words(line[: len(line) - len(_current(line))])
        if words is None:
            return []
        found = await self._view.words(self._view.sites(target), words)
        flags = [(flag, "") for flag in OWN_FLAGS] if words else []
        return [*((_typed(word), "") for word in found), *flags]

    def _addressing(self, text: str) -> tuple[Expression, str] | None:
        """Behind `@EXPR `: whom it means, and the line; None while the target is being typed or is none."""
        if text.startswith("@("):
            try:
                end = split(text)[0].end
            except Invalid:
                return None
            said, rest = text[2 : end - 1], text[end:]
        else:
            said, blank, rest = text[0 if text.startswith("@job:") else 1 :].partition(" ")
            rest = blank + rest
        if not rest.startswith(" "):
            return None
        try:
            return parse(said, jobs=True), rest.lstrip()
        except Invalid:
            return None


def _current(text: str) -> str:
    """The word that the cursor is in; behind an open quote all of it."""
    match = _CURRENT.search(text)
    assert match is not None  # it fits an empty text, too
    return match[0]


def _words(line: str) -> list[str] | None:
    try:
        return [word.text for word in split(line)]
    except Invalid:
        return None  # inside quotes: a person's own words


def _typed(word: str) -> str:
    """As it has to stand in a line; of an option the name alone."""
    return word if word.startswith("--") else quoted(word)
