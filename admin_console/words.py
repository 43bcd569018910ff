"""From the words a shell handed over to the line that sites read: quoted again where they need it."""

import re
from collections.abc import Sequence

from amon.command import split
from amon.errors import Invalid
from amon.text import LONGEST_LINE, normal_line

OWN_FLAGS = ("--json", "--yes", "--dry-run")
_PLAIN = re.compile(r"[^\s\"'\\]+")
_PAIR = re.compile(r"((?:--)?[^\W\d][\w-]*=)(.*)", re.DOTALL)


def own_flags(words: Sequence[str]) -> tuple[list[str], frozenset[str]]:
    """The words of a command without the console's own flags, and which of them were there.

    No command has parameters of these names, so they may stand anywhere before a `--`.
    """
    end = words.index("--") if "--" in words else len(words)
    found = frozenset(word for word in words[:end] if word in OWN_FLAGS)
    return [word for word in words[:end] if word not in OWN_FLAGS] + list(words[end:]), found


def line_of(words: Sequence[str]) -> str:
    """The line for these words; `Invalid` for what no site would read.

    A single word with blanks in it is the whole line already, as somebody quoted it for the shell.
    """
    length = sum(len(word) + 1 for word in words)
    if length > 2 * LONGEST_LINE:  # before anything is done with it: it may be a file by mistake
        raise Invalid(
            f"this command is {length} characters long; at most {LONGEST_LINE} are taken, send a file instead"
        )
    if len(words) == 1 and re.search(r"\s|^$", words[0]):
        line = words[0]
    else:
        line = " ".join(map(quoted, words))
    line = normal_line(line)
    if not split(line):
        raise Invalid("no command given; try `amon run all help`")
    return line


def quoted(word: str) -> str:
    """`word` so that a site reads it as one word; `key=` and `--key=` stay outside the quotes, or they were no keys."""
    if _PLAIN.fullmatch(word) and not word.startswith("@("):
        return word
    pair = _PAIR.fullmatch(word)
    head, rest = (pair[1], pair[2]) if pair else ("", word)
    return head + '"' + rest.replace("\\", "\\\\").replace('"', '\\"') + '"'
