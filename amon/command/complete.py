"""What could come next in a line that is being typed."""

import enum
from collections.abc import Callable, Iterable
from typing import Literal

from amon.command.declare import Command, Param
from amon.command.grammar import AGENT, Grammar, Offered
from amon.command.line import Word, split
from amon.convert import Hint
from amon.errors import Invalid

Candidates = Callable[[str, str], Iterable[str]]  # instance, name of its method -> values it knows


def choices_of(hint: Hint) -> list[str]:
    """The words a parameter may be, where its type names them all."""
    if hint.origin is Literal:
        return [str(choice) for choice in hint.args]
    if isinstance(hint.bare, type) and issubclass(hint.bare, enum.Enum):
        return [member.name if issubclass(hint.bare, enum.IntEnum) else str(member.value) for member in hint.bare]
    return []


def complete(line: str, offered: Offered, candidates: Candidates) -> list[str]:
    """The words that may stand where `line` ends; its last word is the beginning of what is looked for."""
    try:
        words = split(line)
    except Invalid:
        return []
    beginning = "" if not line or line[-1].isspace() else words[-1].text
    before = words if not beginning else words[:-1]
    return sorted({word for word in _possible(line, before, offered, candidates) if word.startswith(beginning)})


def _possible(line: str, before: tuple[Word, ...], offered: Offered, candidates: Candidates) -> Iterable[str]:
    if not before:
        return [*(name for name in offered if name != AGENT), *offered.get(AGENT, {})]
    try:
        instance, command, used = Grammar(offered).find(line, before)
    except Invalid:
        return offered.get(before[0].text, {}) if len(before) == 1 else []
    values = _values(instance, command, before[used:], candidates)
    return [*offered[instance], *values] if used == 1 and len(before) == 1 and instance == before[0].text else values


def _values(instance: str, command: Command, given: tuple[Word, ...], candidates: Candidates) -> list[str]:
    left = [param for param in command.params if not _is_given(param, given)]
    flags = [f"--{param.shown}" for param in left if param.flag]
    flags += [f"-{param.short}" for param in left if param.short]
    wanted = _awaited(command, given)
    if wanted is not None:
        return list(_known(instance, wanted, candidates))
    positional = [param for param in command.params if not param.flag]
    place = sum(
        1 for n, word in enumerate(given) if _is_plain(word, command) and _awaited(command, given[n - 1 : n]) is None
    )
    if place >= len(positional) and not (positional and positional[-1].many):
        return flags
    return [*_known(instance, positional[min(place, len(positional) - 1)], candidates), *flags]


def _is_given(param: Param, given: tuple[Word, ...]) -> bool:
    """By its name or its letter."""
    words = [word.text for word in given if not word.quoted]
    by_letter = bool(param.short) and any(word.startswith(f"-{param.short}") for word in words)
    return by_letter or any(word.partition("=")[0] == f"--{param.shown}" for word in words)


def _is_plain(word: Word, command: Command) -> bool:
    return word.quoted or not (word.text.startswith("--") or "=" in word.text or command.lettered(word.text))


def _awaited(command: Command, given: tuple[Word, ...]) -> Param | None:
    """The parameter whose value must come next, because the last word is `--name` or `-n`."""
    if not given or given[-1].quoted or "=" in given[-1].text:
        return None
    if len(given[-1].text) == 2 and (lettered := command.lettered(given[-1].text)) is not None:
        return None if lettered.flag else lettered
    if not given[-1].text.startswith("--"):
        return None
    param = command.param(given[-1].text[2:].replace("-", "_"))
    return None if param is None or param.flag else param


def _known(instance: str, param: Param, candidates: Candidates) -> Iterable[str]:
    choices, method = choices_of(param.item), param.item.field.complete or param.hint.field.complete
    return choices if choices or not method else candidates(instance, method)
