"""Patterns of addresses, commands and values: `*` and `?`, matched in linear time, for what strangers chose.

A pattern of addresses is a bare address; `*` and `?` stand for characters but never for an `@`, so `*@example.org` is
everybody there and nobody elsewhere (a glob that crosses the `@` has let strangers in elsewhere).
"""

import re
from collections.abc import Mapping
from functools import lru_cache

from amon.words import Asker

Groups = Mapping[str, tuple[str, ...]]
KEY = "key:"
GROUP = "@"


def is_pattern(text: str) -> bool:
    return "*" in text or "?" in text


def fits_address(pattern: str, jid: str) -> bool:
    """Whether one bare address is meant; compared without regard to case. Without an `@` nothing is an address here."""
    if "@" not in pattern or jid.count("@") != 1:
        return False
    if not is_pattern(pattern):
        return pattern.lower() == jid.lower()
    return _compiled(pattern.lower(), "[^@]").fullmatch(jid.lower()) is not None


def fits(pattern: str, text: str) -> bool:
    """Whether the whole of `text` is what `pattern` says; a star stands for any characters, line ends too."""
    return pattern == text if not is_pattern(pattern) else _compiled(pattern, r"[\s\S]").fullmatch(text) is not None


def fits_one_of(patterns: str, text: str) -> bool:
    """`patterns`: several with `|` between them."""
    return any(fits(pattern, text) for pattern in patterns.split("|") if pattern)


def named_by(who: tuple[str, ...], asker: Asker, groups: Groups) -> tuple[str, str] | None:
    """The entry of `who` that means the asker, and the address, pattern or key that it is in the end; None if none."""
    for one in who:
        for member in groups.get(one[1:], ()) if one.startswith(GROUP) else (one,):
            if _means(member, asker):
                return one, member
    return None


def _means(member: str, asker: Asker) -> bool:
    """Groups do not nest: a group within a group means nobody."""
    if member.startswith(KEY):
        return asker.key != "" and member.removeprefix(KEY) == asker.key
    return not member.startswith(GROUP) and fits_address(member, asker.jid)


@lru_cache(maxsize=4096)
def _compiled(pattern: str, character: str) -> re.Pattern[str]:
    """Between two stars the first fit is as good as any other, so it is never given back (an atomic group).

    Else an address of a thousand letters, chosen by a stranger, keeps the agent busy for seconds.
    """
    head, *parts = [_literal(part, character) for part in re.sub(r"\*+", "*", pattern).split("*")]
    if not parts:
        return re.compile(head)
    *middle, last = parts
    return re.compile(head + "".join(f"(?>{character}*?{part})" for part in middle) + f"{character}*{last}")


def _literal(part: str, character: str) -> str:
    return "".join(character if one == "?" else re.escape(one) for one in part)
