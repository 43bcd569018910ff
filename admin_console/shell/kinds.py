"""What sites of one kind can be asked, as one of them told: words by what stands before them, and manuals. Pure.

A kind is a mark: sites that carry the same one told the same facts. What is kept here may be shown and typed in, so
that is where it is made safe and held within bounds.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from amon.text import visible

MOST_WORDS = 200  # of one answer; a site's own bound
MOST_ASKED = 400  # questions that are kept of one kind
_LONGEST_WORD = 200  # characters
_LONGEST_LINE = 190  # characters of a question; sites take 200
_LONGEST_USAGE = 300
_NAME = re.compile(r"[a-z][a-z0-9_-]{0,63}")
_PARAM = re.compile(r"  ([a-z][a-z0-9-]{0,63})(?::|$)")
_USED = re.compile(r"[A-Za-z0-9-]+")


@dataclass(frozen=True, slots=True)
class Page:
    """Of one command: how it is used, its parameters, whether one of them is secret, whether it streams."""

    usage: str
    params: tuple[str, ...] = ()
    secret: bool = False
    streams: bool = False


@dataclass(slots=True)
class Kind:
    """words: what may come next, by the line before. pages: by the name of the command, `service restart`."""

    words: dict[str, tuple[str, ...]] = field(default_factory=dict)
    pages: dict[str, Page] = field(default_factory=dict)

    def heard_words(self, line: str, text: str) -> None:
        """An answer of `complete`."""
        if line in self.words or len(self.words) < MOST_ASKED:
            self.words[line] = safe_words(text.split("\n"))

    def heard_page(self, command: str, text: str) -> None:
        """An answer of `help COMMAND`."""
        page = page_of(text)
        if page is not None and (command in self.pages or len(self.pages) < MOST_ASKED):
            self.pages[command] = page

    def command_of(self, words: Sequence[str]) -> str | None:
        """What the first words name: `service restart`, or `uptime`; None while that is not known."""
        if not words:
            return None
        first = words[0].lower()
        if first not in self.words.get("", ()):
            holders = [name for name in self.words.get("", ()) if first in self.words.get(f"{name} ", ())]
            return f"{holders[0]} {first}" if len(holders) == 1 and _NAME.fullmatch(first) else None
        second = words[1].lower() if len(words) > 1 else ""
        named = second in self.words.get(f"{first} ", ()) and _NAME.fullmatch(second)
        return f"{first} {second}" if named else first

    def question(self, words: Sequence[str]) -> str | None:
        """What to ask `complete` after these words, with nothing in it that a person made up; None: better not."""
        if not words:
            return ""
        command = self.command_of(words)
        if command is None:
            return None
        used = 2 if command.count(" ") and words[0].lower() == command.partition(" ")[0] else 1
        page = self.pages.get(command)
        params = page.params if page is not None else ()
        told = {*self.words.get(f"{command} ", ()), *(f"--{name}" for name in params)}
        masked = [command, *(_masked(word, told, params) for word in words[used:])]
        line = " ".join(masked) + " "
        return line if len(line) <= _LONGEST_LINE else None

    def data(self) -> dict[str, Any]:
        """As it is written down."""
        pages = {name: [page.usage, page.params, page.secret, page.streams] for name, page in self.pages.items()}
        return {"words": self.words, "pages": pages}

    @classmethod
    def of(cls, data: Any) -> "Kind":
        """From what was written down, and may be broken."""
        kind = cls()
        if not isinstance(data, Mapping):
            return kind
        words, pages = data.get("words"), data.get("pages")
        for line, found in list(words.items())[:MOST_ASKED] if isinstance(words, Mapping) else ():
            if isinstance(found, list):
                kind.words[str(line)] = safe_words(one for one in found if isinstance(one, str))
        for name, found in list(pages.items())[:MOST_ASKED] if isinstance(pages, Mapping) else ():
            if isinstance(found, list) and len(found) == 4 and isinstance(found[1], list):
                usage, params, secret, streams = found
                names = tuple(one for one in params if isinstance(one, str) and _NAME.fullmatch(one))
                # What is broken counts as secret: it costs a line of history, and nothing else.
                kind.pages[str(name)] = Page(_usage(str(usage)), names, secret is not False, streams is True)
        return kind


def safe_words(words: Iterable[str]) -> tuple[str, ...]:
    """Words that may be shown as they are and typed in; others are left out."""
    found = (word for word in words if word and len(word) <= _LONGEST_WORD and visible(word, lines=False) == word)
    return tuple(dict.fromkeys(word for _, word in zip(range(MOST_WORDS), found, strict=False)))


def page_of(text: str) -> Page | None:
    """From what `help COMMAND` says; None for what is no manual of one command. Its usage names its parameters."""
    first, *lines = text[:16_384].split("\n")
    if not any(line.startswith("needs role ") for line in lines):
        return None
    used = {word.lower().lstrip("-") for word in _USED.findall(first)}
    params, secret = [], False
    for line in lines:
        match = _PARAM.match(line)
        if match and match[1] in used:
            params.append(match[1])
            secret = secret or re.search(r"\bsecret\b", line) is not None
    return Page(_usage(first), tuple(params[:64]), secret, any(line.startswith("goes on telling") for line in lines))


def _usage(text: str) -> str:
    return visible(text[:_LONGEST_USAGE], lines=False)


def _masked(word: str, told: set[str], params: Sequence[str]) -> str:
    """A word that a site told, or an x in the place of one that a person typed."""
    if word in told:
        return word
    if word.startswith("--"):
        return "--x=x" if "=" in word else "--x"
    name, equals, _ = word.partition("=")
    if equals and name in params:
        return f"{name}=x"
    return "x=x" if equals and name.replace("-", "_").isidentifier() else "x"
